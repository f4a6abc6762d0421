"""Progress of a measurement: reported, counted and timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Counts of what was computed, and its time; ``tokens`` is None where those of an input are not known."""

    inputs: int = 0
    tokens: int | None = 0
    seconds: float = 0.0


class Meter:
    """Progress of one measurement, handed to whatever computes in it.

    Args:
        tell: called with a few words about what is being done.
        clock: in seconds.

    What is counted is timed from the last `start` or `count` on, whichever is later: from the texts to their vectors or
    scores in memory. Tokenizing a block ahead of the model takes time only where the model waits for it.
    """

    def __init__(
        self, tell: Callable[[str], None] = lambda _: None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.tell = tell
        self.computed = 0
        self.timed = Timed()
        self._clock = clock
        self._since: float | None = None

    @property
    def rate(self) -> str:
        """The rate of tokens so far, as the end of a message; ``""`` where it is not known."""
        timed = self.timed
        return f", {timed.tokens / timed.seconds:.0f} tokens/s" if timed.tokens and timed.seconds else ""

    def start(self) -> None:
        """Start the clock: inputs are about to be computed."""
        self._since = self._clock()

    def count(self, inputs: int, tokens: int | None = None, *, warm: bool = True) -> None:
        """Count inputs that were computed, not read from a store.

        Args:
            inputs: the number of texts, or of pairs of them.
            tokens: that the model read for these, without padding; None where that is not known.
            warm: False where they took longer than others will, as the first batches of a model do.
        """
        self.computed += inputs
        now = self._clock()
        if self._since is not None and warm:
            total = None if tokens is None or self.timed.tokens is None else self.timed.tokens + tokens
            took = self.timed.seconds + now - self._since
            self.timed = Timed(inputs=self.timed.inputs + inputs, tokens=total, seconds=took)
        self._since = None if self._since is None else now

"""How long a run will take from now, by the estimates of its cases and by how long cases took so far."""

import time
from collections.abc import Callable, Mapping, Sequence

from touchstone.formatting import render_duration
from touchstone.schedule.dispatch import time_left

# What begins before a case of its model has ended may load the model, and import what loads it. So many seconds more
# than estimated say nothing of the cases behind it.
LOADING_S = 60.0


class Progress:
    """What has begun, is done or was lost of the cases that were collected.

    Args:
        costs: returns the estimated seconds of each case, by its id; asked for only when they are needed.
        workers: how many run at once.
        clock: in seconds.
    """

    def __init__(
        self, costs: Callable[[], Mapping[str, float]], workers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._costs = costs
        self._workers = workers
        self._clock = clock
        self._collected: tuple[str, ...] = ()
        self._begun: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._loading: set[str] = set()
        self._loaded: set[str] = set()
        self._lost_cases: set[str] = set()

    def spread(self, workers: int) -> None:
        """Note how many run at once, where that is not known from the beginning."""
        self._workers = workers

    def collect(self, cases: Sequence[str]) -> None:
        """Note the cases of the run."""
        self._collected = tuple(cases)

    def begin(self, case: str) -> None:
        """Note that a case has begun; on another machine that was before it is reported here."""
        self._begun.setdefault(case, self._clock())
        if _model_of(case) not in self._loaded:
            self._loading.add(case)

    def lose(self, case: str) -> None:
        """Note that a case ended with its worker."""
        self._begun.pop(case, None)
        self._lost_cases.add(case)

    def end(self, case: str) -> None:
        """Note that a case is done."""
        if case in self._begun:
            self._took[case] = self._clock() - self._begun.pop(case)
            self._loaded.add(_model_of(case))

    @property
    def done(self) -> int:
        """How many cases ended, those that their worker did not survive among them."""
        return len(self._took) + len(self._lost_cases)

    def render_done(self) -> str:
        """Return how many cases are done; ``""`` if none was collected."""
        return f"{self.done} of {len(self._collected)} cases done" if self._collected else ""

    def render_left(self) -> str:
        """Return how long the run will take from now; ``""`` for a single case."""
        if len(self._collected) < 2:
            return ""
        now, estimates = self._clock(), self._costs()
        costs = {case: estimates[case] for case in self._collected if case not in self._lost_cases}
        remaining = time_left(
            [
                (costs[case], self._without_loading(case, seconds, costs[case]))
                for case, seconds in self._took.items()
                if case in costs
            ],
            [(costs[case], now - since) for case, since in self._begun.items() if case in costs],
            [cost for case, cost in costs.items() if case not in self._took and case not in self._begun],
            max(1, self._workers),
        )
        return f"about {render_duration(remaining)} left"

    def _without_loading(self, case: str, seconds: float, estimated: float) -> float:
        """Return the seconds that a case took, without the loading of its model as far as that made it overdue."""
        return max(min(seconds, estimated), seconds - LOADING_S) if case in self._loading else seconds


def _model_of(case: str) -> str:
    return case.partition(":")[0]

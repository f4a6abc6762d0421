"""How far a measurement is: told to people, and counted."""

from collections.abc import Callable


class Meter:
    """Progress of one measurement, handed to whatever computes in it.

    Args:
        tell: told, in a few words, what is being done.
    """

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self.tell = tell
        self.computed = 0

    def count(self, inputs: int) -> None:
        """Count inputs that were computed, not read from a store."""
        self.computed += inputs

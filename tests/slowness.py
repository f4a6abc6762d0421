"""How slow this machine is just now, for limits of time in tests: those of a shared one vary by a factor of five."""

import time

# Seconds of the loop on the processor on which the limits were set, with nothing else running.
USUAL = 0.11


def slowness() -> float:
    """Return how many times longer than usual a loop takes, at least 1."""
    started, total = time.process_time(), 0
    for number in range(2_000_000):
        total += number
    return max(1.0, (time.process_time() - started) / USUAL)

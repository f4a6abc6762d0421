"""Requests under way at once: inputs in batches, a bounded number of threads, nothing answered is lost."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

T = TypeVar("T")
Batch = list[int]


def make_batches(lengths: Sequence[int], *, size: int, characters: int) -> list[Batch]:
    """Put inputs in batches, longest first: a server pads those of a batch to the longest.

    Args:
        lengths: of the inputs, in characters.
        size: inputs in a batch.
        characters: of a batch together; a longer input is a batch by itself.

    Returns:
        The places of the inputs of each batch; every input is in one.
    """
    batches: list[Batch] = []
    filled = 0
    for index in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batches and len(batches[-1]) < size and filled + lengths[index] <= characters:
            batches[-1].append(index)
            filled += lengths[index]
        else:
            batches.append([index])
            filled = lengths[index]
    return batches


def ask_batches(
    batches: Sequence[Batch],
    ask: Callable[[Batch], T],
    keep: Callable[[Batch, T], None],
    *,
    at_once: int,
    stop: Event,
) -> None:
    """Ask for every batch, so many at once, and keep each answer when it comes, in this thread.

    Args:
        batches: from `make_batches`.
        ask: called in another thread; whatever it raises ends this.
        keep: told a batch and its answer.
        at_once: so many threads.
        stop: set when one of them has failed, or this was interrupted, so that the others need not go on; answers they
            still get are kept. It stays set until the next time.

    Raises:
        Exception: the first that ``ask`` or ``keep`` raised.
    """
    stop.clear()
    failures: list[BaseException] = []

    def run(batch: Batch) -> tuple[Batch, T] | None:
        if stop.is_set():
            return None
        try:
            return batch, ask(batch)
        except BaseException as error:
            failures.append(error)  # before the others are told, so that what they make of it comes later
            stop.set()
            return None

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        try:
            # No list of the futures is kept: it would hold every answer until the end.
            for future in as_completed([pool.submit(run, batch) for batch in batches]):
                answered = future.result()
                if answered is not None:
                    keep(*answered)
        except BaseException:
            stop.set()
            raise
    if failures:
        raise failures[0]

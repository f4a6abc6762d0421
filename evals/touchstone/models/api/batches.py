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
        size: the most inputs in a batch.
        characters: the most characters in a batch; a longer input is a batch by itself.

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
    """Ask for every batch, several at once, and keep each answer when it comes, in this thread.

    Args:
        batches: from `make_batches`.
        ask: called in another thread; any exception of it ends this.
        keep: called with each batch and its answer.
        at_once: the number of threads.
        stop: set when a thread has failed, or this was interrupted, so that the others need not go on; answers that
            they still get are kept. It stays set until the next call.

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
            failures.append(error)  # before the event is set, so that failures that follow from it come later
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

"""What a server does with long texts, which few say: found out by its answers to texts that differ only in their ends.

Where the end of a text changes nothing at all the server has cut it; vectors that merely are close say nothing. A few
requests narrow down after how many characters that is, or from how many on it refuses a text. A rerank endpoint is
asked for what those ends say: one that reads them gives another score.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.canaries import CANARIES
from touchstone.errors import ModelError
from touchstone.models.api.client import ApiClient, RefusedError
from touchstone.models.api.protocols import ask_scores, ask_vectors

# Lengths in characters: of the longest two fit a request as it is by default.
LENGTHS = (768, 6144, 49_152)
# No server reads fewer characters of a text: one that seems to gives all texts the same vector.
MIN_LENGTH = 64
# One part in so many of a text is its end; one part in so many of the patience is the time for all of this.
TEXT_PARTS, PATIENCE_PARTS = 8, 10
MAX_REQUESTS = 12
# Texts in a request that narrows down.
MAX_TEXTS = 8
# The length is known well enough within this share of it.
PRECISION = 0.05
# How far vectors of the same tokens may be apart, relative to their length.
TOLERANCE = 1e-6
TOO_LONG_STATUSES = (400, 413, 422)
# Words of the ends of texts, none of which is among the other words: some models ignore the order.
END_WORDS = "four green ships sailed slowly past our old lighthouse while hungry gulls cried above calm evening waters "


# Returns a row of numbers for each text.
Answer = Callable[[ApiClient, Sequence[str]], NDArray[Any]]


def embed(client: ApiClient, texts: Sequence[str]) -> NDArray[Any]:
    """Return the vectors of texts, shape (texts, dimensions)."""
    return ask_vectors(client, texts, {})


def score(client: ApiClient, texts: Sequence[str]) -> NDArray[Any]:
    """Return how well texts answer a query that is of their ends, shape (texts, 1)."""
    return np.array(ask_scores(client, END_WORDS.strip(), texts), np.float64)[:, None]


def find_cut(client: ApiClient, answer: Answer = embed) -> str:
    """Return what a server does with long texts, as a sentence without its subject; ``""`` where that is not known.

    It gets few requests, and an answer that is wrong is no error here: the texts of a task will show that.

    Args:
        client: of the server.
        answer: asks it for what depends on a text.
    """
    spec = client.spec
    seconds = spec.patience / PATIENCE_PARTS
    longest = min(spec.batch_characters // 2, spec.max_characters or LENGTHS[-1])
    lengths = sorted({min(length, longest) for length in LENGTHS})
    hasty = replace(spec, retries=0, timeout=min(spec.timeout, seconds))
    try:
        return _Search(ApiClient(hasty, client.alias), answer, time.monotonic() + seconds).look(lengths)
    except ModelError:
        return ""


class _Search:
    """Requests with long texts.

    Args:
        client: with a short timeout and no retries.
        answer: asks it for what depends on a text.
        end: when the last of them may begin.
    """

    def __init__(self, client: ApiClient, answer: Answer, end: float) -> None:
        self._client = client
        self._answer = answer
        self._end = end
        self._requests = 0
        self._seconds = 0.0

    def look(self, lengths: Sequence[int]) -> str:
        """Return what the server does with texts of these lengths, the shortest first."""
        previous = low = 0
        for length in lengths:
            place = length - length // TEXT_PARTS
            # Longer texts take longer by more than their length.
            if length < MIN_LENGTH or time.monotonic() + self._seconds * length / max(previous, 1) > self._end:
                return ""
            try:
                is_cut = self._same(length, [place])[0]
            except RefusedError as error:
                return self._refused(previous, length) if error.status in TOO_LONG_STATUSES else ""
            if is_cut:
                return self._cut(low, place)
            previous, low = length, place
        return ""

    def _cut(self, low: int, high: int) -> str:
        spec = self._client.spec

        def look(low: int, high: int) -> tuple[int, int]:
            count = max(1, min(MAX_TEXTS, spec.batch_size, spec.batch_characters // high) - 1)
            places = [low + (high - low) * number // (count + 1) for number in range(1, count + 1)]
            same = self._same(high, places)
            return (
                max((place for place, cut in zip(places, same, strict=True) if not cut), default=low),
                min((place for place, cut in zip(places, same, strict=True) if cut), default=high),
            )

        low, high = self._narrow(low, high, look)
        if not low < high >= MIN_LENGTH:
            return ""
        if high - low <= PRECISION * high:
            return f"cuts texts after about {_round((low + high) // 2)} characters"
        return f"cuts texts somewhere between {low:,} and {high:,} characters"

    def _refused(self, low: int, high: int) -> str:
        def look(low: int, high: int) -> tuple[int, int]:
            middle = (low + high) // 2
            return (low, middle) if self._refuses(middle) else (middle, high)

        if not self._refuses(high):  # alone it is not too long
            return ""
        low, high = self._narrow(low, high, look)
        return f"refuses texts longer than about {_round(low)} characters"

    def _narrow(self, low: int, high: int, look: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
        """Narrow two numbers down until they are near, or until the requests or the time are used up."""
        while high - low > PRECISION * high >= PRECISION * MIN_LENGTH and low < high and self._may_ask(2):
            low, high = look(low, high)
        return low, high

    def _same(self, length: int, places: Sequence[int]) -> list[bool]:
        """Return for each place True if the rest of a text of this length behind it changes nothing."""
        texts = [_text(length, place) for place in (length, *places)]
        size = self._client.spec.batch_size
        parts = [self._ask(texts[start : start + size]) for start in range(0, len(texts), size)]
        whole, *others = np.concatenate(parts).astype(np.float64)
        scale = float(np.linalg.norm(whole)) or 1.0
        return [bool(np.linalg.norm(whole - other) <= TOLERANCE * scale) for other in others]

    def _refuses(self, length: int) -> bool:
        try:
            self._ask([_text(length, length)])
        except RefusedError as error:
            if error.status in TOO_LONG_STATUSES:
                return True
            raise
        return False

    def _may_ask(self, requests: int) -> bool:
        return self._requests + requests <= MAX_REQUESTS and time.monotonic() + self._seconds < self._end

    def _ask(self, texts: Sequence[str]) -> NDArray[Any]:
        self._requests += 1
        started = time.monotonic()
        result = self._answer(self._client, texts)
        self._seconds = time.monotonic() - started
        return result


def _text(length: int, place: int) -> str:
    """Return a text of a length in characters, with other words from a place on."""
    return _fill(" ".join((*CANARIES, "")), place) + _fill(END_WORDS, length - place)


def _fill(line: str, length: int) -> str:
    return (line * (length // len(line) + 1))[:length]


def _round(number: int) -> str:
    return f"{int(float(f'{number:.2g}')):,}"

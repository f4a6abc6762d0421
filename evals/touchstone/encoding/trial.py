"""A trial of packing: whether a model's vectors stay the same, and whether packing is faster."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from touchstone.encoding.base import Vectors
from touchstone.encoding.batches.packing import Packing, use_packing
from touchstone.encoding.batches.token_batches import count_tokens
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.canaries import CANARIES, long_text

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# How far apart the vectors of packed, of padded and of single texts may be and count as the same.
TOLERANCE = 1e-6
# Texts of nearly one length, as the batches of a large data set have them.
TIMED_TEXTS = CANARIES[1:2] * 2 + CANARIES[3:4] * 4
ROUNDS = 2
PADDING_ONLY = "padded"
# Padding that is faster by no more than this factor, or all of it done in so few seconds, is chance. Chance must not
# decide: another run would decide otherwise, and give another last digit. Texts of many lengths cost padding more.
SPEED_MARGIN, MIN_SECONDS = 1.1, 0.05


def find_packing(
    model: "SentenceTransformer", remember: Callable[[Callable[[], str]], str | None] = lambda compute: compute()
) -> Packing | None:
    """Make a model take packed batches, and return how it takes them; None where it keeps to padding.

    A model packs where its library can, where padded and packed batches both give the vectors of one text at a time, on
    texts of which one is longer than any window or than the model's limit, and where padding is not faster. Texts
    longer than all of these are padded later too.

    Args:
        model: the model.
        remember: the cache: calls its argument, or returns what that returned for the same model on a device like this
            one. A clock has a part in the answer, and all processes shall have the same.
    """
    undo = use_packing(model)
    if undo is None:
        return None
    answer = remember(lambda: _try_packing(model)) or PADDING_ONLY
    if answer == PADDING_ONLY:
        undo()
        return None
    return Packing(*map(int, answer.split()))


def _try_packing(model: "SentenceTransformer") -> str:
    """Return the numbers of a `Packing` for a model that can pack, or `PADDING_ONLY`."""
    texts, padded = [*CANARIES, long_text(model, None)], BatchedModel(model)
    try:
        expected = np.asarray(model.encode(texts, prompt="", batch_size=1, show_progress_bar=False), np.float32)
        longest = int(count_tokens(model[0], texts).max())
        # The long text is alone in its batch when it is padded, as it was before.
        same = _apart(padded, texts[:-1], expected[:-1]) <= TOLERANCE
        # Architectures of RoBERTa's kind count positions from behind the number of the padding.
        for first in dict.fromkeys((0, (model.tokenizer.pad_token_id or 0) + 1)) if same else ():
            packed = BatchedModel(model, packing=Packing(first, longest))
            if _apart(packed, texts, expected) <= TOLERANCE and not _is_slower(packed, padded):
                return f"{first} {longest}"
    except Exception:  # a library may refuse in any way, and padding is always right
        pass
    return PADDING_ONLY


def _apart(batched: BatchedModel, texts: list[str], expected: Vectors) -> float:
    vectors = batched.encode(texts, prompt="")
    return float(np.linalg.norm(vectors - expected, axis=1).max() / np.linalg.norm(expected, axis=1).max())


def _is_slower(packed: BatchedModel, padded: BatchedModel) -> bool:
    taken: dict[BatchedModel, list[float]] = {packed: [], padded: []}
    for _ in range(ROUNDS):
        for batched, seconds in taken.items():
            started = time.process_time()
            batched.encode(TIMED_TEXTS, prompt="")
            seconds.append(time.process_time() - started)
    return min(taken[packed]) > SPEED_MARGIN * min(taken[padded]) > MIN_SECONDS

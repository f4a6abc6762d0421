"""A trial of packing: whether a model's vectors stay the same, and whether it is sooner done."""

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

# How far apart packed vectors, padded ones and those of one text at a time may be to be kept as the same.
SAME = 1e-6
# Texts of nearly one length, as the batches of a large data set have them.
TIMED_TEXTS = CANARIES[1:2] * 2 + CANARIES[3:4] * 4
TURNS = 2
PADDED = "padded"
# Where padding is sooner by no more than this, or all is done in so few seconds, it is chance, and chance shall not
# decide: it would be another way in another run, and another last digit. Texts of many lengths cost padding more.
CHANCE, MOMENT = 1.1, 0.05


def find_packing(
    model: "SentenceTransformer", remember: Callable[[Callable[[], str]], str | None] = lambda compute: compute()
) -> Packing | None:
    """Return how a model takes packed batches, which it is made to do, or None where it shall not.

    It shall where its library can, where padded and packed batches both give the vectors of one text at a time, on
    texts of which one is longer than any window or than the model reads, and where padded ones are not sooner done.
    Texts longer than all of these are padded later too.

    Args:
        model: the model.
        remember: calls what it is given, or returns what that returned for the same model on a device like this one:
            a clock has a part in it, and all processes shall go the same way.
    """
    undo = use_packing(model)
    if undo is None:
        return None
    said = remember(lambda: _try_packing(model)) or PADDED
    if said == PADDED:
        undo()
        return None
    return Packing(*map(int, said.split()))


def _try_packing(model: "SentenceTransformer") -> str:
    """Return the numbers of a `Packing` with which a model that can pack shall, or `PADDED`."""
    texts, padded = [*CANARIES, long_text(model, None)], BatchedModel(model)
    try:
        own = np.asarray(model.encode(texts, prompt="", batch_size=1, show_progress_bar=False), np.float32)
        longest = int(count_tokens(model[0], texts).max())
        # The long text is alone in its batch when it is padded, as it was before.
        same = _apart(padded, texts[:-1], own[:-1]) <= SAME
        # Architectures of RoBERTa's kind count positions from behind the number of the padding.
        for first in dict.fromkeys((0, (model.tokenizer.pad_token_id or 0) + 1)) if same else ():
            packed = BatchedModel(model, packing=Packing(first, longest))
            if _apart(packed, texts, own) <= SAME and not _is_slower(packed, padded):
                return f"{first} {longest}"
    except Exception:  # a library may refuse in any way, and padding is always right
        pass
    return PADDED


def _apart(batched: BatchedModel, texts: list[str], own: Vectors) -> float:
    found = batched.encode(texts, prompt="")
    return float(np.linalg.norm(found - own, axis=1).max() / np.linalg.norm(own, axis=1).max())


def _is_slower(packed: BatchedModel, padded: BatchedModel) -> bool:
    taken: dict[BatchedModel, list[float]] = {packed: [], padded: []}
    for _ in range(TURNS):
        for batched, seconds in taken.items():
            started = time.process_time()
            batched.encode(TIMED_TEXTS, prompt="")
            seconds.append(time.process_time() - started)
    return min(taken[packed]) > CHANCE * min(taken[padded]) > MOMENT

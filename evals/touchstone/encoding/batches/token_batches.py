"""Batches of about equally long texts, bounded by tokens."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch


# Tokens of a batch, padding included. A CPU is fastest while a batch fits its caches: of 256 to 4096 tokens for one
# thread, 512 to 1024 took least with padding and 1024 to 2048 without. A GPU wants many at once, and halves them when
# memory runs out.
DEVICE_TOKENS = {"mps": 16_384, "cuda": 65_536}
THREAD_TOKENS = 1024
# The first batches of a model: memory is taken, kernels are chosen and compiled.
COLD_BATCHES = 2


class TokenBatches:
    """Batches of at most so many tokens, padding included; of fewer from then on when the memory does not suffice.

    Args:
        device: where they are computed.
        tokens: of a batch; None for what suits the device.
        at_once: at most so many inputs in a batch; None for no limit but the tokens.
        what: the name of one input, in errors.
    """

    def __init__(
        self, device: "torch.device", *, tokens: int | None = None, at_once: int | None = None, what: str = "text"
    ) -> None:
        import torch

        self._device = device
        self._tokens = tokens or DEVICE_TOKENS.get(device.type) or THREAD_TOKENS * torch.get_num_threads()
        self._at_once = at_once
        self._what = what
        self._ran = 0

    @property
    def warm(self) -> bool:
        """True if the next batch takes no longer than all later ones."""
        return self._ran >= COLD_BATCHES

    def run(
        self,
        lengths: NDArray[np.int64],
        compute: Callable[[list[int]], NDArray[np.float32]],
        after: Callable[[int], None],
        *,
        padded: bool = True,
    ) -> NDArray[np.float32] | None:
        """Compute something for every input, longest first: what does not fit the device's memory shows at once.

        Args:
            lengths: the tokens of each input, shape (n,).
            compute: returns one row for each input of a batch, given by number.
            after: called after each batch, with the number of inputs done.
            padded: True if the inputs of a batch are all padded to the longest.

        Returns:
            The rows in the order of the inputs, shape (n, …); None where there are no inputs.

        Raises:
            ModelError: a single input does not fit the memory.
        """
        import torch

        order = np.argsort(-lengths, kind="stable")
        ordered = lengths[order]
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(order):
            rows = order[start : start + self._fit(ordered[start:], padded=padded)]
            try:
                parts.append(compute(rows.tolist()))
            except torch.OutOfMemoryError:
                self._halve(len(rows), int(lengths[rows[0]]))
                continue
            self._ran += 1
            start += len(rows)
            after(start)
        if not parts:
            return None
        in_order = np.concatenate(parts)
        result = np.empty_like(in_order)
        result[order] = in_order
        return result

    def _fit(self, lengths: NDArray[np.int64], *, padded: bool) -> int:
        """Return how many of the next inputs, the longest first, make a batch."""
        sizes = np.maximum(lengths[: self._tokens], 1)
        tokens = sizes[0] * np.arange(1, len(sizes) + 1) if padded else np.cumsum(sizes)
        count = max(1, int(np.searchsorted(tokens, self._tokens, side="right")))
        return count if self._at_once is None else min(count, self._at_once)

    def _halve(self, inputs: int, longest: int) -> None:
        """Make batches smaller after the device ran out of memory."""
        import torch

        if inputs == 1:
            raise ModelError(
                f"one {self._what} of {longest} tokens is too much for the memory of {self._device}; set max_seq_length"
            )
        self._tokens = max(longest, longest * inputs // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def limit_of(model: Any) -> int | None:
    """Return the longest input of a model, or of its part that reads texts, in tokens; None where there is no limit.

    Static vectors say that by infinity, and a tokenizer by a number of thirty digits.
    """
    length = getattr(model, "max_seq_length", None) or getattr(model, "max_length", None)
    return int(length) if length is not None and length < 1 << 30 else None


def count_tokens(model: Any, texts: list[str]) -> NDArray[np.int64]:
    """Return the tokens of each text, at most the model's limit; a model without such a tokenizer gets a guess."""
    from transformers import PreTrainedTokenizerBase

    tokenizer, limit = getattr(model, "tokenizer", None), limit_of(model)
    if not texts or not isinstance(tokenizer, PreTrainedTokenizerBase):
        return np.array([len(text) for text in texts], dtype=np.int64) // 4 + 1
    encoding = tokenizer(
        texts,
        truncation=limit is not None,
        max_length=limit,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return np.array([len(ids) for ids in encoding["input_ids"]], dtype=np.int64)


@contextmanager
def counting_tokens(model: Any) -> Iterator[Callable[[], int | None]]:
    """Count the tokens that a model of sentence-transformers reads meanwhile, whoever calls it.

    Yields:
        A function that returns their number, without padding; None where the model gets no attention mask.
    """
    total: int | None = 0

    def note(_module: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        nonlocal total
        count = tokens_of(args[0] if args else options)
        total = None if count is None or total is None else total + count

    # Its first module: older versions of the library call the model in a way that no hook of its own sees.
    hook = next(model.children()).register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield lambda: total
    finally:
        hook.remove()


def tokens_of(features: Any) -> int | None:
    """Return the tokens of a batch as a model reads it, without padding; None where there is no attention mask."""
    mask: Any = features.get("attention_mask") if isinstance(features, Mapping) else None
    return int(mask.sum()) if getattr(mask, "ndim", None) == 2 else None

"""Token ids of texts, made once by the model's own preprocessing, and the batches that are cut from them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    Features = dict[str, Any]

T = TypeVar("T")
# The most texts of a block, and characters: the padded ids of a block lie in memory at once.
BLOCK_TEXTS, BLOCK_CHARACTERS = 1024, 4_000_000
MASK = "attention_mask"


@dataclass(frozen=True)
class TokenIds:
    """What a model reads of some texts, padded to the longest.

    Args:
        columns: input ids, the attention mask and what else has a number for each token, all of shape (texts, width).
        rest: what is the same for any of the texts.
    """

    columns: "dict[str, torch.Tensor]"
    rest: "Features"

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The tokens of each text, shape (texts,)."""
        return np.asarray(self.columns[MASK].sum(dim=1), np.int64)

    def pad(self, rows: Sequence[int]) -> "Features":
        """Return the features of some texts, padded to the longest of them, on the side that the tokenizer pads."""
        width = int(self.lengths[rows].max())
        on_the_left = bool(self.columns[MASK][:, -1].all())
        columns = slice(self.columns[MASK].shape[1] - width, None) if on_the_left else slice(width)
        return {name: table[rows][:, columns] for name, table in self.columns.items()} | self.rest

    def pack(self, rows: Sequence[int], first_position: int) -> "Features":
        """Return the features of some texts one behind the other, without padding, as transformers packs them.

        Its `DataCollatorWithFlattening` makes the same of lists. Positions begin anew in every text.
        """
        import torch

        lengths = torch.from_numpy(self.lengths[rows])
        bounds = torch.zeros(len(lengths) + 1, dtype=torch.int32)
        bounds[1:] = lengths.cumsum(0)
        numbers = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        positions = torch.arange(len(numbers)) - bounds[:-1].long()[numbers] + first_position
        mask = self.columns[MASK][rows].bool()
        flat = {name: table[rows][mask][None] for name, table in self.columns.items() if name != MASK}
        bounded = {f"{what}_{side}": value for side in "qk" for what, value in
                   (("cu_seq_lens", bounds), ("max_length", int(lengths.max())))}  # fmt: skip
        return flat | {"position_ids": positions[None], "seq_idx": numbers[None].int()} | bounded | self.rest


def find_token_ids(features: "Features") -> TokenIds | None:
    """Return token ids, if the features of some texts are nothing but these and what is the same for all of them."""
    import torch

    mask = features.get(MASK)
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or "input_ids" not in features:
        return None
    tensors = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    rest = {name: value for name, value in features.items() if name not in tensors}
    plain = all(value is None or isinstance(value, str | int | tuple) for value in rest.values())
    if not plain or any(value.shape != mask.shape for value in tensors.values()):
        return None
    return TokenIds(tensors, rest)


def cut_into_blocks(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the places of texts in blocks, those of most characters first."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    ends = np.cumsum([len(texts[place]) for place in order]) // BLOCK_CHARACTERS
    for _, block in groupby(range(len(order)), key=lambda at: (ends[at], at // BLOCK_TEXTS)):
        yield [order[at] for at in block]


def run_ahead(make: Callable[[T], Any], parts: Iterable[T]) -> Iterator[tuple[T, Any]]:
    """Yield each part with what is made of it, the next one being made in a thread meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="tokenize") as pool:
        waiting = ((part, pool.submit(make, part)) for part in parts)
        ahead = next(waiting, None)
        while ahead is not None:
            (part, result), ahead = (ahead[0], ahead[1].result()), next(waiting, None)
            yield part, result

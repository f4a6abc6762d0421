"""The texts of a call of mteb's."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mteb.types import BatchedInput
    from torch.utils.data import DataLoader

T = TypeVar("T", bound=Hashable)


def read_texts(inputs: "DataLoader[BatchedInput]") -> list[str]:
    """Return the texts of a call; a whole column at once costs a hundredth of what the loader's rows do."""
    dataset: Any = inputs.dataset
    if getattr(dataset, "format", {}).get("type", "none") is None:
        return list(dataset["text"][:])
    return [text for batch in inputs for text in batch["text"]]


def find_distinct(inputs: Iterable[T]) -> tuple[list[T], NDArray[np.int64]]:
    """Return the distinct inputs in the order in which they first come, and the place of each input among them."""
    places: dict[T, int] = {}
    order = np.array([places.setdefault(value, len(places)) for value in inputs], dtype=np.int64)
    return list(places), order


def give_texts(texts: Sequence[str], batch_size: int = 1) -> "DataLoader[BatchedInput]":
    """Return texts as mteb gives them to a model, in batches."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    dataset: Any = Dataset.from_dict({"text": list(texts)})
    return DataLoader(dataset, batch_size=batch_size)

"""The texts of a call of mteb's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mteb.types import BatchedInput
    from torch.utils.data import DataLoader


def read_texts(inputs: "DataLoader[BatchedInput]") -> list[str]:
    """Return the texts of a call; a whole column at once costs a hundredth of what the loader's rows do."""
    dataset: Any = inputs.dataset
    if getattr(dataset, "format", {}).get("type", "none") is None:
        return list(dataset["text"][:])
    return [text for batch in inputs for text in batch["text"]]


def give_texts(texts: Sequence[str], batch_size: int = 1) -> "DataLoader[BatchedInput]":
    """Return texts as mteb gives them to a model, so many at a time."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    dataset: Any = Dataset.from_dict({"text": list(texts)})
    return DataLoader(dataset, batch_size=batch_size)

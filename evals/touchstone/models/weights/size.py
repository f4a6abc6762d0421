"""How many parameters a model has, without loading it: by the headers of its files, or as it was published."""

import struct
from math import prod
from pathlib import Path
from typing import Any

from touchstone.config.models import Model
from touchstone.files.json import load

# Bytes of a parameter, by the dtype that a specification names; as it is by default.
DTYPE_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
# Memory of activations and the runtime, as a share of the weights.
OVERHEAD = 0.2
MAX_HEADER_BYTES = 100_000_000


def count_parameters(model: Model) -> int | None:
    """Return how many parameters a model has, its stages included; None where that is not published."""
    counts = [_count(member) for member in model.family if member.spec.kind not in ("pipeline", "hybrid")]
    return None if None in counts or not counts else sum(filter(None, counts))


def needed_bytes(model: Model, parameters: int) -> float:
    """Return the memory that so many parameters take in the model's dtype, with the overhead."""
    dtype = str(getattr(model.spec, "dtype", None) or "float32")
    return parameters * DTYPE_BYTES.get(dtype, 4) * (1 + OVERHEAD)


def _count(model: Model) -> int | None:
    path = getattr(model.spec, "path", None)
    if path is not None and getattr(model.spec, "package", None) is None:
        counts = [_count_in(file) for file in sorted(Path(path).rglob("*.safetensors"))]
        return sum(counts) if counts and all(counts) else None
    name = model.spec.published or getattr(model.spec, "id", None)
    return None if name is None else _published(name)


def _count_in(file: Path) -> int:
    """Return the numbers in a file of safetensors, by its header; 0 where it has none."""
    try:
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            header: dict[str, Any] = load(content.read(min(length, MAX_HEADER_BYTES)))
        return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, struct.error, AttributeError, RecursionError):
        return 0


def _published(name: str) -> int | None:
    import mteb

    try:
        count = mteb.get_model_meta(name, fetch_from_hf=False).n_parameters
    except Exception:  # nobody published it, or mteb's own reading of it fails
        return None
    return None if count is None else int(count)

"""What reads inputs of one kind, with real ones to begin from."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.law import InsaneError, Read
from tests.fuzz.mutation import Files
from touchstone.errors import TouchstoneError
from touchstone.foreign import JOINERS

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
MIRROR = Path(os.environ.get("TOUCHSTONE_MIRROR", SHARED / "hub"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader of one kind of input.

    Args:
        name: of the kind.
        seeds: returns inputs that are right.
        read: reads what lies in a folder.
        writes: whether it may change what lies there.
        refuses: what it raises for what is wrong.
    """

    name: str
    seeds: Callable[[], Sequence[Files]]
    read: Read
    writes: bool = False
    refuses: type[Exception] | tuple[type[Exception], ...] = TouchstoneError


def files_in(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by their path inside."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def ensure(holds: object, what: str) -> None:
    """Say that something that was understood is not sane."""
    if not holds:
        raise InsaneError(what[:400])


def ensure_finite(value: Any, what: str) -> None:
    """Look at every number inside dataclasses, mappings and sequences."""
    if isinstance(value, float):
        ensure(math.isfinite(value), f"{what} is {value}")
    elif is_dataclass(value):
        for item in fields(value):
            ensure_finite(getattr(value, item.name), f"{what}.{item.name}"[-200:])
    elif isinstance(value, Mapping):
        for key, one in value.items():
            ensure_finite(one, f"{what}.{key}"[-200:])
    elif isinstance(value, list | tuple):
        for one in value:
            ensure_finite(one, what)


def ensure_harmless(text: str, what: str, allowed: str = f"\n{JOINERS}") -> None:
    """Look for signs that a terminal or a log would obey."""
    wrong = next((sign for sign in text if not sign.isprintable() and sign not in allowed), None)
    ensure(wrong is None, f"{what} holds {wrong!r}")

"""Hash of our own code, as far as it can change an outcome or a verdict.

It follows from the rooms of the package: what is not named here measures, new rooms too, until they are named. The
test of the layers proves that no measuring room imports one that is named here.
"""

import hashlib
from collections.abc import Set
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
# Rooms and modules that change neither an outcome nor a verdict.
RUN_ROOMS = {"commands", "importing", "library", "plugin", "report", "schedule", "session", "test_tasks", "training",
       "__init__", "__main__"}  # fmt: skip
# Those that change a verdict and no outcome; texts are formatted for people, and a verdict has a reason.
JUDGING_ROOMS = {"baselines", "errors", "formatting", "judging"}


@cache
def measuring_code() -> str:
    """Return the hash of all of this package that can change an outcome."""
    return hash_code(PACKAGE, RUN_ROOMS | JUDGING_ROOMS)


@cache
def judging_code() -> str:
    """Return the hash of all of this package that can change a verdict."""
    return hash_code(PACKAGE, RUN_ROOMS)


@cache
def showing_code() -> str:
    """Return the hash of all of this package that can change which samples are shown, and how."""
    return hash_code(PACKAGE, RUN_ROOMS - {"session"})


def hash_code(folder: Path, excluded: Set[str]) -> str:
    """Return the hash of a package's Python files but for some of its rooms and modules."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if Path(relative.parts[0]).stem not in excluded:
            digest.update(f"{relative.as_posix()}\0{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()[:16]

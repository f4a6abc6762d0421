"""Trees of result files: ``<model>/<revision>/<Task>.json``, from the public repository down to one folder."""

from dataclasses import dataclass
from pathlib import Path

from evals.errors import BaselineError, suggest
from evals.importing.entries import Note, Published, known_revision
from evals.importing.results import load_result

EXTERNAL = "external"
META = "model_meta.json"
NAMED = 12  # sets of results in an error; the rest are counted
SHORTEST = 7  # characters of a commit that name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The result files of one model at one revision, as the folders are called."""

    path: Path
    files: tuple[Path, ...]

    @property
    def revision(self) -> str:
        """The revision, or a word in its place."""
        return self.path.name

    @property
    def model(self) -> str:
        """The model's name, in which a folder has two underscores for the slash."""
        return self.path.parent.name.replace("__", "/", 1)

    @property
    def external(self) -> bool:
        """Whether this is a copy of a model card."""
        return self.path.name == EXTERNAL

    def __str__(self) -> str:
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        return f"{self.model} at {self.revision} ({files})"


def find_folder(path: Path, revision: str | None, *, include_external: bool) -> Folder:
    """Find the one folder of result files that is meant.

    Args:
        path: the public repository or a cache of mteb's, its ``results``, a model's folder, or a revision's.
        revision: which one to take, in full or its first seven characters or more; None where there is but one.
        include_external: whether a copy of a card counts.

    Raises:
        BaselineError: there is none or more than one; names them with how many files they have.
    """
    folders = _find_folders(path)
    if not folders:
        raise BaselineError(f"{path}: has no result files of mteb, as in <model>/<revision>/<Task>.json")
    wanted = folders if revision is None else [one for one in folders if _is(one.revision, revision)]
    if revision is not None and not wanted:
        near = suggest(revision, {one.revision for one in folders})
        raise BaselineError(f'{path}: --revision = "{revision}" is not there{near}')
    taken = [one for one in wanted if include_external or not one.external]
    if not taken:
        raise BaselineError(
            f"{path}: {wanted[0]} is a copy of a model card, not measured by mteb; "
            "import the card, or take the copy with --include-external"
        )
    if len(taken) > 1:
        models = {one.model for one in taken}
        how = "name one with --revision" if len(models) == 1 else "give the folder of one model"
        shown = "; ".join(str(one) for one in taken[:NAMED])
        rest = f" and {len(taken) - NAMED} more" if len(taken) > NAMED else ""
        raise BaselineError(f"{path}: has {len(taken)} sets of results: {shown}{rest}; {how}")
    return taken[0]


def load_folder(folder: Folder) -> tuple[list[Published], list[Note]]:
    """Read all files of a folder.

    Raises:
        BaselineError: one of them is damaged.
    """
    rows: list[Published] = []
    notes: list[Note] = []
    for file in folder.files:
        found, about = load_result(file)
        rows += found
        notes += about
    return rows, notes


def name_source(folder: Folder) -> str:
    """Say where the numbers are from, whatever the place on this machine.

    That is the commit of the public repository where it is a clone, else the model's revision.
    """
    commit = _commit(folder.path.parents[2]) if len(folder.path.parents) > 2 else None
    short = folder.revision[:8] if known_revision(folder.revision) else folder.revision
    return f"results-repo@{commit[:8] if commit else short}{'/external' if commit and folder.external else ''}"


def _find_folders(path: Path) -> list[Folder]:
    """Find folders that hold result files, at the depth at which the tree has them."""
    if path.is_file():
        return [Folder(path=path.resolve().parent, files=(path,))]
    for pattern in ("results/*/*", ".", "*", "*/*"):
        places = [path] if pattern == "." else sorted(path.glob(pattern))
        found = [Folder(path=one.resolve(), files=_files(one)) for one in places if one.is_dir()]
        if found := [one for one in found if one.files]:
            return found
    return []


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(file for file in sorted(folder.glob("*.json")) if file.name != META)


def _is(revision: str, asked: str) -> bool:
    return revision == asked or (len(asked) >= SHORTEST and revision.startswith(asked))


def _commit(root: Path) -> str | None:
    """Return the commit that a clone has checked out."""
    head = root / ".git" / "HEAD"
    if not head.is_file():
        return None
    text = head.read_text(encoding="utf-8").strip()
    ref = text.removeprefix("ref: ")
    if ref == text:
        return text
    loose, packed = root / ".git" / ref, root / ".git" / "packed-refs"
    if loose.is_file():
        return loose.read_text(encoding="utf-8").strip()
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {ref}")), None)

"""Compare two sets of baselines: models, folders, or the working tree and a commit."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from touchstone.baselines.files import Baselines
from touchstone.environment import ask_git
from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.files.writing import place
from touchstone.records.baselines import Baseline
from touchstone.records.flat import read_baseline_file
from touchstone.records.names import NAME

LINK_MODE = "120000"  # the mode of a symbolic link in a tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry on both sides, with its scores over the common strata; ``note`` has the other differences.

    Without a common metric and stratum the scores are over all strata, and there is no delta.
    """

    name: str
    before: Baseline
    after: Baseline
    scores: tuple[float, float]
    delta: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """All entries of both sides, the largest changes first, and the names that only one side has."""

    rows: tuple[Row, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def load_sides(before: str, after: str | None, baselines: Baselines, root: Path) -> Differences:
    """Compare two aliases, two folders, or a commit with the working tree.

    Args:
        before: an alias, a folder, or a name of a commit.
        after: the same; None is the working tree.
        baselines: the baselines of the project.
        root: the project's root, where git runs.

    Raises:
        BaselineError: a side is none of these, or the two are not of the same kind.
    """
    aliases = baselines.aliases()
    if after is not None and before in aliases and after in aliases:
        return differ(*({key: r.baseline for key, r in baselines.entries(name).items()} for name in (before, after)))
    if after is not None and before in aliases:
        _folder(after, baselines, root, besides=before)  # what is wrong with the other one is told first
    return differ(_folder(before, baselines, root), _folder(after, baselines, root))


def differ(before: Mapping[str, Baseline], after: Mapping[str, Baseline]) -> Differences:
    """Compare entries over the strata that both have."""
    rows = [_row(name, before[name], after[name]) for name in sorted(before.keys() & after.keys())]
    return Differences(
        rows=tuple(sorted(rows, key=lambda row: -1.0 if row.delta is None else -abs(row.delta))),
        only_before=tuple(sorted(before.keys() - after.keys())),
        only_after=tuple(sorted(after.keys() - before.keys())),
    )


def _row(name: str, before: Baseline, after: Baseline) -> Row:
    row = Row(name=name, before=before, after=after, scores=(before.score, after.score))
    if before.metric != after.metric:
        return replace(row, note=f"{before.metric} against {after.metric}")
    shared = [stratum for stratum in before.subsets if stratum in after.subsets]
    if not shared:
        return replace(row, note="no split and subset in common")
    scores = tuple(fmean(entry.subsets[stratum] for stratum in shared) for entry in (before, after))
    notes = []
    if len(shared) < max(len(before.subsets), len(after.subsets)):
        notes.append(f"over {', '.join(shared)}")
    revisions = before.dataset_revision, after.dataset_revision
    if all(revisions) and revisions[0] != revisions[1]:
        notes.append("other data revision")
    return replace(row, scores=(scores[0], scores[1]), delta=scores[1] - scores[0], note="; ".join(notes))


def _folder(text: str | None, baselines: Baselines, root: Path, *, besides: str = "") -> dict[str, Baseline]:
    if text is None:
        return _entries(Baselines(baselines.folder, built_in=baselines.folder))
    with suppress(ConfigError):  # no folder can have that name
        folder = place(root, text)
        if folder.is_dir():
            return _entries(Baselines(folder, built_in=folder))
    if text in baselines.aliases():
        raise BaselineError(f'"{text}" is one model; compare it with another one, or two folders, or a commit')
    return _at_commit(text, baselines, root, besides)


def _entries(baselines: Baselines) -> dict[str, Baseline]:
    return {
        f"{alias}:{key}": reference.baseline
        for alias in baselines.aliases()
        for key, reference in baselines.entries(alias).items()
    }


def _at_commit(revision: str, baselines: Baselines, root: Path, besides: str) -> dict[str, Baseline]:
    """Read the project's folder at a commit, without the samples, which a comparison of scores does not need.

    What is no commit may be meant to be an alias, but not the one ``besides`` which it is.
    """
    commit = ask_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if revision.startswith("-") or commit is None:
        near = suggest(revision, set(baselines.aliases()) - {besides})
        raise BaselineError(f'"{revision}" is no model with baselines, no folder, and no commit of {root}{near}')
    try:
        inside = baselines.folder.resolve().relative_to(_top(root)).as_posix()
    except ValueError:
        raise BaselineError(f"{baselines.folder} is not in the repository of {root}") from None
    tree = ask_git(root, "ls-tree", "-z", "--full-tree", commit.decode().strip(), "--", f"{inside}/") or b""
    entries: dict[str, Baseline] = {}
    for alias, blob in _files(tree):
        file = read_baseline_file(ask_git(root, "cat-file", "blob", blob) or b"", f"{revision}:{inside}/{alias}.json")
        entries |= {f"{alias}:{key}": entry for key, entry in file.tasks.items()}
    if not entries:
        raise BaselineError(f"{revision} has no baselines in {inside}")
    return entries


def _files(tree: bytes) -> Iterator[tuple[str, str]]:
    """Yield the alias and the blob of each baseline file of a tree, without links, submodules and other names."""
    for line in filter(None, tree.split(b"\0")):
        attributes, _, path = os.fsdecode(line).partition("\t")
        mode, kind, blob = attributes.split()
        alias = path.rpartition("/")[2].removesuffix(".json")
        if mode != LINK_MODE and kind == "blob" and path.endswith(".json") and NAME.fullmatch(alias):
            yield alias, blob


def _top(root: Path) -> Path:
    output = ask_git(root, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(output).removesuffix("\n")) if output else root

"""Merge new entries into a baseline file, which may hold the numbers of one model only. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from touchstone.errors import BaselineError
from touchstone.records.baselines import Baseline, BaselineFile

Fate = Literal["new", "changed", "same", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """The new content of a file, and the fate of each new entry, by key.

    The fate "kept": the present entry stays, and the new one is left out.
    """

    content: BaselineFile
    fates: Mapping[str, Fate]

    def keys(self, *fates: Fate) -> list[str]:
        """Return the keys of entries with one of these fates, sorted."""
        return sorted(key for key, fate in self.fates.items() if fate in fates)


def merge_files(old: BaselineFile | None, new: BaselineFile, where: str, *, replace_recorded: bool) -> Merge:
    """Merge new entries into a file, and leave all other entries as they are.

    Args:
        old: the file; None if there is none yet.
        new: the entries, with their model and revision.
        where: the file's name, for errors.
        replace_recorded: whether an entry that a run recorded is replaced.

    Raises:
        BaselineError: the file would pass one model's numbers off as another's.
    """
    if old is None:
        return Merge(content=new, fates=dict.fromkeys(new.tasks, "new"))
    fates = {key: _fate(old.tasks.get(key), entry, replace_recorded) for key, entry in new.tasks.items()}
    taken_keys = {key for key, fate in fates.items() if fate != "kept"}
    if not taken_keys:
        return Merge(content=old, fates=fates)
    if (old.model, old.revision) != (new.model, new.revision):
        _refuse_strangers(old, new, taken_keys, where)
    changed = {key: new.tasks[key] for key, fate in fates.items() if fate in ("new", "changed")}
    anchors = _keep_anchors(old, changed)
    return Merge(content=replace(new, tasks={**old.tasks, **changed}, anchors=anchors, moved=old.moved), fates=fates)


def move_anchors(file: BaselineFile, keys: Collection[str], note: str) -> BaselineFile:
    """Make the entries with these keys their own anchors, and note when and why."""
    anchors = {key: anchor for key, anchor in file.anchors.items() if key not in keys}
    return replace(file, anchors=anchors, moved={**file.moved, **dict.fromkeys(keys, note)})


def _keep_anchors(old: BaselineFile, changed: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """Return the first recorded entry of each key, except where the entry that replaces the others equals it."""
    recorded = {key: entry for key in changed if (entry := old.tasks.get(key)) and entry.fingerprint is not None}
    anchors = {**recorded, **old.anchors}
    return {key: anchor for key, anchor in anchors.items() if not _is_again(anchor, changed.get(key))}


def _is_again(anchor: Baseline, entry: Baseline | None) -> bool:
    """Return True if an entry differs from its anchor at most in the day and in the plan of its run."""
    if entry is None:
        return False
    return replace(anchor, recorded=entry.recorded, gated=entry.gated, plan=entry.plan) == entry


def _fate(present: Baseline | None, entry: Baseline, replace_recorded: bool) -> Fate:  # noqa: FBT001
    if present is None:
        return "new"
    # The day alone is no reason to change a reviewed file.
    if replace(present, recorded=entry.recorded) == entry:
        return "same"
    return "changed" if present.fingerprint is None or replace_recorded else "kept"


def _refuse_strangers(old: BaselineFile, new: BaselineFile, taken_keys: set[str], where: str) -> None:
    """Refuse to mix numbers of two models in one file; a recorded entry has the fingerprint of its own model."""
    imports = any(new.tasks[key].fingerprint is None for key in taken_keys)
    there, here = _model_of(old), _model_of(new)
    for key, entry in old.tasks.items():
        if key in taken_keys:
            continue
        if entry.fingerprint is None and not imports:
            raise BaselineError(
                f"{where}: {key} was imported for {there}, and this run measured {here}; "
                "measure every task of the file, or record under another alias"
            )
        if imports:
            how = "name its revision with --revision" if old.model == new.model else "take another name with --alias"
            raise BaselineError(f"{where}: {key} is of {there}, and what is imported is of {here}; {how}")


def _model_of(file: BaselineFile) -> str:
    return f"{file.model} at {file.revision or 'no revision'}"

"""New entries into a baseline file: which are taken, which stay, and whose numbers the file may hold. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from touchstone.errors import BaselineError
from touchstone.records.baselines import Baseline, BaselineFile

Fate = Literal["new", "changed", "same", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What a file becomes, and what became of each new entry, by key.

    A kept one is an entry that stays although another was offered for it.
    """

    content: BaselineFile
    fates: Mapping[str, Fate]

    def keys(self, *fates: Fate) -> list[str]:
        """Name the entries with one of these fates, sorted."""
        return sorted(key for key, fate in self.fates.items() if fate in fates)


def merge_files(old: BaselineFile | None, new: BaselineFile, where: str, *, replace_recorded: bool) -> Merge:
    """Merge new entries into a file, every other one as it is.

    Args:
        old: the file; None where there is none yet.
        new: the entries, and the model and revision that they are of.
        where: the file's name, for errors.
        replace_recorded: whether an entry that a run recorded gives way to another.

    Raises:
        BaselineError: the file would pass one model's numbers off as another's.
    """
    if old is None:
        return Merge(content=new, fates=dict.fromkeys(new.tasks, "new"))
    fates = {key: _fate(old.tasks.get(key), entry, replace_recorded) for key, entry in new.tasks.items()}
    taken = {key for key, fate in fates.items() if fate != "kept"}
    if not taken:
        return Merge(content=old, fates=fates)
    if (old.model, old.revision) != (new.model, new.revision):
        _refuse_strangers(old, new, taken, where)
    changed = {key: new.tasks[key] for key, fate in fates.items() if fate in ("new", "changed")}
    anchors = _keep_anchors(old, changed)
    return Merge(content=replace(new, tasks={**old.tasks, **changed}, anchors=anchors, moved=old.moved), fates=fates)


def move_anchors(file: BaselineFile, keys: Collection[str], said: str) -> BaselineFile:
    """Make the entries with these keys their own anchors, and note when and why."""
    anchors = {key: anchor for key, anchor in file.anchors.items() if key not in keys}
    return replace(file, anchors=anchors, moved={**file.moved, **dict.fromkeys(keys, said)})


def _keep_anchors(old: BaselineFile, changed: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """Return the first entry that was recorded under each key, but where the one that replaces others is that again."""
    recorded = {key: entry for key in changed if (entry := old.tasks.get(key)) and entry.fingerprint is not None}
    anchors = {**recorded, **old.anchors}
    return {key: anchor for key, anchor in anchors.items() if not _is_again(anchor, changed.get(key))}


def _is_again(anchor: Baseline, entry: Baseline | None) -> bool:
    """Whether an entry differs from its anchor at most in the day and in what was planned beside it."""
    if entry is None:
        return False
    return replace(anchor, recorded=entry.recorded, gated=entry.gated, plan=entry.plan) == entry


def _fate(known: Baseline | None, entry: Baseline, replace_recorded: bool) -> Fate:  # noqa: FBT001
    if known is None:
        return "new"
    # The day alone is no reason to touch a reviewed file.
    if replace(known, recorded=entry.recorded) == entry:
        return "same"
    return "changed" if known.fingerprint is None or replace_recorded else "kept"


def _refuse_strangers(old: BaselineFile, new: BaselineFile, taken: set[str], where: str) -> None:
    """Keep numbers of one model from being passed off as another's; a recorded one says itself whose it is."""
    imports = any(new.tasks[key].fingerprint is None for key in taken)
    there, here = _whose(old), _whose(new)
    for key, entry in old.tasks.items():
        if key in taken:
            continue
        if entry.fingerprint is None and not imports:
            raise BaselineError(
                f"{where}: {key} was imported for {there}, and this run measured {here}; "
                "measure every task of the file, or record under another alias"
            )
        if imports:
            how = "name its revision with --revision" if old.model == new.model else "take another name with --alias"
            raise BaselineError(f"{where}: {key} is of {there}, and what is imported is of {here}; {how}")


def _whose(file: BaselineFile) -> str:
    return f"{file.model} at {file.revision or 'no revision'}"

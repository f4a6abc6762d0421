"""Put what was imported into baseline files, all of it or nothing, and say what became of each number."""

from collections.abc import Sequence
from contextlib import nullcontext

from touchstone.baselines.files import Baselines
from touchstone.baselines.merging import Merge
from touchstone.formatting import count, points
from touchstone.importing.configurations import import_configuration
from touchstone.importing.entries import Note
from touchstone.importing.reading import find_kind, read_source
from touchstone.importing.request import Imported, Request
from touchstone.records.baselines import BaselineFile

NAME_LIMIT = 6  # of a long list; the rest are counted


def import_baselines(request: Request, baselines: Baselines, *, replace_recorded: bool, dry_run: bool) -> str:
    """Read a source and merge it into the project's baselines; return what to print.

    Args:
        request: what to read.
        baselines: the project's.
        replace_recorded: whether entries that a run recorded give way.
        dry_run: write nothing.

    Raises:
        TouchstoneError: something is wrong; then nothing was written.
    """
    if find_kind(request) == "evalscope":
        return import_configuration(request, overwrite=replace_recorded, dry_run=dry_run)
    found = read_source(request)
    with nullcontext() if dry_run else baselines.writing():
        return _merge_all(request, found, baselines, replace_recorded=replace_recorded, dry_run=dry_run)


def _merge_all(
    request: Request, found: Sequence[Imported], baselines: Baselines, *, replace_recorded: bool, dry_run: bool
) -> str:
    merges = [
        baselines.merge(
            one.alias,
            BaselineFile(model=one.model, revision=one.revision, tasks=one.entries),
            replace_recorded=replace_recorded,
        )
        for one in found
    ]
    lines: list[str] = []
    for one, merge in zip(found, merges, strict=True):
        path = baselines.own / f"{one.alias}.json"
        shown = path.relative_to(request.folder) if path.is_relative_to(request.folder) else path
        written = None if dry_run else baselines.commit(one.alias, merge, one.samples)
        lines += _render(one, merge, dry_run=dry_run)
        lines.append(f"{'would write' if dry_run else 'wrote' if written else 'already in'} {shown}")
    return "\n".join(lines)


def _render(one: Imported, merge: Merge, *, dry_run: bool) -> list[str]:
    lines = [f"{one.alias}: {one.model}{f' at {one.revision}' if one.revision else ''}, from {one.source}"]
    if dry_run:
        for key in merge.keys("new", "changed", "kept"):
            entry = one.entries[key]
            lines.append(f"  {merge.fates[key]:7} {key} {entry.metric} {points(entry.score)}")
    counts = ", ".join(f"{len(keys)} {fate}" for fate in ("new", "changed", "same") if (keys := merge.keys(fate)))
    lines.append(f"  {count(len(one.entries), 'entry', 'entries')}: {counts or 'none taken'}")
    kept = merge.keys("kept")
    if kept:
        lines.append(f"  recorded by a run and kept, --replace overwrites them: {_name(kept)}")
    return lines + [f"  {line}" for line in render_notes(one.notes)]


def render_notes(notes: Sequence[Note]) -> list[str]:
    """Return what was left out and why, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for note in notes:
        by_reason.setdefault(note.reason, []).append(note.what)
    return [f"{reason}: {_name(whats)}" for reason, whats in by_reason.items()]


def _name(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAME_LIMIT])
    return f"{shown} and {len(names) - NAME_LIMIT} more" if len(names) > NAME_LIMIT else shown

"""Write imported entries into baseline files, all of them or none, and report on each number."""

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
    """Read a source and merge it into the project's baselines; return the text to print.

    Args:
        request: the source and its options.
        baselines: the baselines of the project.
        replace_recorded: whether entries that a run recorded are replaced.
        dry_run: whether to write nothing.

    Raises:
        TouchstoneError: the source or a file has an error; then nothing was written.
    """
    if find_kind(request) == "evalscope":
        return import_configuration(request, overwrite=replace_recorded, dry_run=dry_run)
    imports = read_source(request)
    with nullcontext() if dry_run else baselines.writing():
        return _merge_all(request, imports, baselines, replace_recorded=replace_recorded, dry_run=dry_run)


def _merge_all(
    request: Request, imports: Sequence[Imported], baselines: Baselines, *, replace_recorded: bool, dry_run: bool
) -> str:
    merges = [
        baselines.merge(
            item.alias,
            BaselineFile(model=item.model, revision=item.revision, tasks=item.entries),
            replace_recorded=replace_recorded,
        )
        for item in imports
    ]
    lines: list[str] = []
    for item, merge in zip(imports, merges, strict=True):
        path = baselines.folder / f"{item.alias}.json"
        label = path.relative_to(request.folder) if path.is_relative_to(request.folder) else path
        changed = None if dry_run else baselines.commit(item.alias, merge, item.samples)
        lines += _render(item, merge, dry_run=dry_run)
        lines.append(f"{'would write' if dry_run else 'wrote' if changed else 'already in'} {label}")
    return "\n".join(lines)


def _render(item: Imported, merge: Merge, *, dry_run: bool) -> list[str]:
    lines = [f"{item.alias}: {item.model}{f' at {item.revision}' if item.revision else ''}, from {item.source}"]
    if dry_run:
        for key in merge.keys("new", "changed", "kept"):
            entry = item.entries[key]
            lines.append(f"  {merge.fates[key]:7} {key} {entry.metric} {points(entry.score)}")
    counts = ", ".join(f"{len(keys)} {fate}" for fate in ("new", "changed", "same") if (keys := merge.keys(fate)))
    lines.append(f"  {count(len(item.entries), 'entry', 'entries')}: {counts or 'none taken'}")
    recorded = merge.keys("kept")
    if recorded:
        lines.append(f"  recorded by a run and kept, --replace overwrites them: {_name(recorded)}")
    return lines + [f"  {line}" for line in render_notes(item.notes)]


def render_notes(notes: Sequence[Note]) -> list[str]:
    """Return the notes as lines, one for each reason."""
    by_reason: dict[str, list[str]] = {}
    for note in notes:
        by_reason.setdefault(note.reason, []).append(note.what)
    return [f"{reason}: {_name(whats)}" for reason, whats in by_reason.items()]


def _name(names: Sequence[str]) -> str:
    text = ", ".join(names[:NAME_LIMIT])
    return f"{text} and {len(names) - NAME_LIMIT} more" if len(names) > NAME_LIMIT else text

"""Run files of TREC: the rankings of retrieval cases, for trec_eval and every tool that reads its files."""

from pathlib import Path

import numpy as np

from touchstone.errors import TouchstoneError
from touchstone.files.writing import find_files, open_atomically
from touchstone.records.names import slug
from touchstone.records.rankings import Ranking, decode_rankings
from touchstone.records.runs import Record, Run
from touchstone.records.samples import Samples, decode_samples
from touchstone.report.formats import ReportFormat
from touchstone.store.blobs import open_blob
from touchstone.store.folder import RANKINGS, Store
from touchstone.task_types.registry import find_type


def write_runs(run: Run, folder: Path, store: Path) -> tuple[str, ...]:
    """Write ``ALIAS.TASK.SPLIT.SUBSET.run`` for each retrieval case whose ranking the store has.

    Returns:
        How many were written, and which were not and why.

    Raises:
        OSError: a file cannot be written.
    """
    written, notes = 0, []
    for record in run.records:
        if find_type(record.type).searches is None or record.score is None:
            continue
        try:
            strata = _find(record, Store(store))
        except TouchstoneError as error:
            notes.append(f"{record.case}: no run file: {error}")
            continue
        for name, lines in strata.items():
            with open_atomically(folder / f"{record.alias}.{record.task}.{name}.run") as file:
                file.writelines(f"{line} {record.alias}\n".encode() for line in lines)
        written += len(strata)
    return (f"run files written into {folder}: {written}", *notes)


def _find(record: Record, store: Store) -> dict[str, list[str]]:
    """Return the lines of each stratum's run file without the tag, from the ranking that was scored.

    Raises:
        TouchstoneError: there is none, or it cannot be written in columns.
    """
    name = record.samples or ""
    content = store.read_samples(name)
    if content is None:
        raise TouchstoneError("the store has no samples of it, by which its ranking would be known")
    samples = decode_samples(content, name)
    data = {"data": record.data_sha256, "revision": record.dataset_revision}
    identity = {"task": record.task, "limit": record.limit, **data}
    for file in find_files(store.folder / RANKINGS / (record.fingerprint or "none"), "*.blob"):
        blob = open_blob(file)
        if blob is not None and identity.items() <= blob[0].items():
            lines = {f"{part.split}/{part.subset}": _scored(part, samples) for part in decode_rankings(blob[1])}
            if all(lines.values()) and lines.keys() == (record.subsets or {}).keys():
                return {".".join(map(slug, stratum.split("/", 1))): lines[stratum] for stratum in lines}
    raise TouchstoneError("the store has no ranking of it; only what a model searched by itself is kept")


def _scored(ranking: Ranking, samples: Samples) -> list[str]:
    """Return the lines of a ranking, without documents that have their query's id where these did not count.

    Returns:
        An empty list where its ten best are not those that were scored.

    Raises:
        TouchstoneError: an id cannot be written in a column.
    """
    rows = np.flatnonzero(samples.stratum == f"{ranking.split}/{ranking.subset}").tolist()
    best = {} if samples.top is None else {str(samples.id[row]): list(samples.top[row]) for row in rows}
    if any(len(name.split()) != 1 for name in (*ranking.queries, *ranking.names)):
        raise TouchstoneError("an id is empty or has a space inside, for which the format has no room")
    for with_query in (True, False):
        results = {  # str keeps every digit of a score
            query: [(ranking.names[d], str(s)) for d, s in zip(documents.tolist(), scores, strict=True)
                    if with_query or ranking.names[d] != query]
            for query, documents, scores in ranking.rows()
        }  # fmt: skip
        if best == {query: [name for name, _ in rows[: len(best.get(query, ()))]] for query, rows in results.items()}:
            return [f"{query} Q0 {name} {rank} {score}" for query, rows in results.items()
                    for rank, (name, score) in enumerate(rows, start=1)]  # fmt: skip
    return []


FORMAT = ReportFormat(name="runs/", write_folder=write_runs)

"""Readers of data: folders of one's own of each task type, and mirrors with their READMEs and manifests."""

import csv
import gzip
import hashlib
import json
import warnings
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO, StringIO
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.of_configuration import PACKAGE
from tests.fuzz.of_stores import unhurried
from tests.fuzz.reader import MIRROR, Reader, ensure, ensure_finite, ensure_harmless
from touchstone.config.suites import CustomTask, Selection
from touchstone.foreign import one_line
from touchstone.records.cases import Source
from touchstone.store.folder import Store
from touchstone.store.mirrors import MANIFEST, read_manifest
from touchstone.task_types.registry import find_type
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.checking import check_folder
from touchstone.tasks.custom import files_of, make_task
from touchstone.tasks.sources import Reading, find_content

SOME = 8
TYPES = {
    "Retrieval": "articles", "Reranking": "articles", "STS": "similarity", "Classification": "topics",
    "PairClassification": "paraphrase", "Clustering": "topics", "BitextMining": "similarity",
    "MultilabelClassification": "topics", "InstructionRetrieval": "articles", "InstructionReranking": "articles",
}  # fmt: skip
SUMMARIES = [
    {"text": f"text {n}", "human_summaries": ["a", "b"], "machine_summaries": ["c", "d", "e"], "relevance": [n, 2.5, 1]}
    for n in range(SOME)
]


def _seeds(kind: str) -> list[Files]:
    """Return folders of JSON Lines, and the same in the other formats, packed and in subsets."""
    if kind == "Summarization":
        lines: list[Files] = [{"test.jsonl": "\n".join(map(json.dumps, SUMMARIES)).encode()}]
    else:
        lines = _folders(kind)
    first = lines[0]
    lists = any(isinstance(value, list) for row in map(_rows, first.values()) for value in row[0].values())
    endings = (".parquet",) if lists else (".parquet", ".csv")
    others = [{name.replace(".jsonl", ending): _as(ending, _rows(content)) for name, content in first.items()}
              for ending in endings]  # fmt: skip
    packed = {f"{name}.gz": gzip.compress(content) for name, content in others[-1].items()}
    return [*lines, *others, packed, {f"{name}/{path}": one for name in ("a", "b") for path, one in first.items()}]


def _rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def _as(ending: str, rows: list[dict[str, Any]]) -> bytes:
    if ending == ".parquet":
        sink = BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return sink.getvalue()
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _folders(kind: str) -> list[Files]:
    """Return some lines of the data that comes with the package; of retrieval also judgements as BEIR ships them."""
    folder = PACKAGE / "data" / TYPES[kind]
    layout = find_type(kind).folder
    assert layout is not None
    found = {name: (folder / name).read_text().splitlines() for name in layout.files if (folder / name).is_file()}
    if kind == "MultilabelClassification":
        found = {name: [_with(line, label=[json.loads(line)["label"]]) for line in one] for name, one in found.items()}
    if kind.startswith("Instruction"):
        found["queries.jsonl"] = [_with(line, instruction="if short") for line in found["queries.jsonl"]]
    if "queries.jsonl" not in found:
        kept = {name: _spread(lines) for name, lines in found.items()}
        known = [json.loads(line).get("label") for line in kept.get("train.jsonl", kept["test.jsonl"])]
        kept["test.jsonl"] = [line for line in kept["test.jsonl"] if json.loads(line).get("label") in known]
        return [{name: "\n".join(lines).encode() for name, lines in kept.items()}]
    documents = {json.loads(line)["_id"] for line in (found["corpus.jsonl"][:40])}
    rows = [json.loads(line) for line in found["qrels/test.jsonl"]]
    judged = list(islice((row for row in rows if row["corpus-id"] in documents), SOME))
    queries = {row["query-id"] for row in judged}
    seed = {"corpus.jsonl": found["corpus.jsonl"][:40], "qrels/test.jsonl": [json.dumps(row) for row in judged]}
    seed["queries.jsonl"] = [line for line in found["queries.jsonl"] if json.loads(line)["_id"] in queries]
    if kind.endswith("Reranking"):
        ranked = [{"query-id": query, "corpus-ids": sorted(documents)[:5]} for query in sorted(queries)]
        seed["top_ranked.jsonl"] = [json.dumps(row) for row in ranked]
    table = "".join(f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}\n" for row in judged)
    lines = {name: "\n".join(texts).encode() for name, texts in seed.items()}
    tsv = {name: content for name, content in lines.items() if name != "qrels/test.jsonl"}
    return [lines, tsv | {"qrels/test.tsv": f"query-id\tcorpus-id\tscore\n{table}".encode()}]


def _with(line: str, **more: Any) -> str:
    return json.dumps(json.loads(line) | more)


def _spread(lines: list[str]) -> list[str]:
    """Return some lines from all over a file, of more than one label."""
    return lines[:: max(1, len(lines) // (2 * SOME))]


def read_folder(kind: str, place: Place) -> None:
    """Read a custom task's data as mteb gets it, and say what it is."""
    custom = CustomTask(name="Own", type=kind, path=place.folder, language="eng-Latn")
    (info,) = find_tasks(Selection(custom=(custom,)), "my.toml")
    files_of(info)
    task: Any = make_task(info, "0" * 64)
    with warnings.catch_warnings(record=True) as notes:
        task.load_data()
    for note in notes:
        ensure_harmless(one_line(str(note.message)), "a note")
    read, _ = check_folder(place.folder, kind)
    ensure(read, "what is loaded is not what is checked")
    ensure_finite(getattr(task, "max_score", 0.0), "the largest score")


DATA = "mteb/STS22"


@cache
def _mirrors() -> list[Files]:
    readme = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: test.jsonl\n---\n# x\n"
    rows = b'{"sentence1": "a", "sentence2": "b", "score": 1.0}\n'
    files = {"README.md": readme, "test.jsonl": rows}
    held = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    one = {"kind": "dataset", "repository": DATA, "commit": "a" * 40, "revision": "main", "files": held}
    manifest = {"touchstone mirror": 1, "repositories": [one]}
    bare: dict[str, bytes] = {f"{DATA}/{name}": content for name, content in files.items()}
    seeds: list[Files] = [bare, bare | {f"datasets/{DATA}/{name}": content for name, content in files.items()}]
    seeds.append({**seeds[1], MANIFEST: json.dumps(manifest).encode()})
    for path in sorted(islice(MIRROR.glob("mteb/*/README.md"), 40)):
        seeds.append({f"{DATA}/README.md": path.read_bytes(), f"{DATA}/test.jsonl": rows})
    return seeds


def read_mirror(place: Place) -> None:
    """Find a data set in a mirror, and whatever its README and the mirror's manifest say of it."""
    patch = unhurried()
    try:
        store, source = Store(place.scratch / "store"), Source(kind="mirror", path=place.folder)
        read_manifest(place.folder)
        find_content(source, DATA, store)
        reading = Reading(source=source, task="STS22", dataset=DATA, expected_revision=None, scope="all", store=store,
                          needs_config=lambda name: name == "default")  # fmt: skip
        reading.find(DATA, None)
    finally:
        patch.undo()


def _of(kind: str) -> tuple[Callable[[], list[Files]], Callable[[Place], None]]:
    return partial(_seeds, kind), partial(read_folder, kind)


READERS = (
    *(Reader(name=f"custom data, {kind}", seeds=_of(kind)[0], read=_of(kind)[1]) for kind in (*TYPES, "Summarization")),
    Reader(name="mirrors of data sets", seeds=_mirrors, read=read_mirror),
)

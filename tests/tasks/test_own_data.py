"""Data of one's own, of every type and format: the scores are what mteb makes of the same data by itself."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders import save_tiny_model
from touchstone.config.models import find_model
from touchstone.config.suites import CustomTask, Selection
from touchstone.encoding.meter import Meter
from touchstone.errors import ConfigError, SourceError
from touchstone.measuring.case import measure
from touchstone.models.base import OpenModel
from touchstone.models.kinds import open_encoder
from touchstone.records.cases import Case, TaskInfo
from touchstone.records.outcomes import Outcome
from touchstone.store.folder import Store
from touchstone.task_types.folders import Document, Judgement, LabelledText, ScoredPair, read_lines, read_retrieval
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.custom import files_of, make_task
from touchstone.tasks.identity import identify_data

Rows = list[dict[str, Any]]
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")


def text(number: int, length: int = 4) -> str:
    return " ".join(WORDS[(number * (1 + place) + place * place) % len(WORDS)] for place in range(length + number % 3))


CORPUS: Rows = [{"_id": f"d{n}", "title": "", "text": text(n)} for n in range(20)]
CORPUS[3] |= {"title": "kappa iota theta", "text": ""}
CORPUS[4] |= {"title": "alpha beta", "text": "  "}
CORPUS[5] |= {"title": "", "text": ""}
QUERIES: Rows = [{"_id": f"q{n}", "text": text(n + 3, 3)} for n in range(9)]
QRELS: Rows = [{"query-id": f"q{n}", "corpus-id": f"d{(n * 3 + at) % 20}", "score": (n + at) % 3} for n in range(7)
               for at in range(5)]  # fmt: skip
QRELS += [{"query-id": "q7", "corpus-id": "d1", "score": 0}, {"query-id": "q7", "corpus-id": "d2", "score": -2}]
QRELS += [{"query-id": "q0", "corpus-id": "gone", "score": 2}, {"query-id": "q1", "corpus-id": "lost", "score": 1}]
RANKED: Rows = [{"query-id": f"q{n}", "corpus-ids": [f"d{(n + at) % 20}" for at in range(12)]} for n in range(8)]
SEARCH = {"corpus": CORPUS, "queries": QUERIES, "qrels/test": QRELS}
INSTRUCTED = SEARCH | {"queries": [row | {"instruction": text(n, 2)} for n, row in enumerate(QUERIES)]}
LABELS: Rows = [{"text": text(n), "label": [WORDS[label] for label in range(4) if n >> label & 1]} for n in range(40)]
PAIRS: Rows = [{"sentence1": text(n), "sentence2": text(n + n % 2, 3)} for n in range(14)]
SUMMARIES: Rows = [
    {
        "text": text(n, 9),
        "human_summaries": [text(n + k, 4) for k in range(1 + n % 2)],
        "machine_summaries": [text(n + 5 * k, 5) for k in range(4)],
        "relevance": [2.5, 2.5, 2.5, 2.5] if n == 2 else [1 + (n * k) % 4 + k / 2 for k in range(4)],
    }
    for n in range(6)
]
DATA: dict[str, dict[str, Rows]] = {
    "Retrieval": SEARCH,
    "Reranking": SEARCH | {"top_ranked": RANKED},
    "InstructionRetrieval": INSTRUCTED,
    "InstructionReranking": INSTRUCTED | {"top_ranked": RANKED},
    "STS": {"test": [pair | {"score": n * 7 % 5 + 0.5} for n, pair in enumerate(PAIRS)]},
    "PairClassification": {"test": [pair | {"label": n % 3 % 2} for n, pair in enumerate(PAIRS)]},
    "Classification": {
        "train": [{"text": text(n), "label": WORDS[n % 3]} for n in range(30)],
        "test": [{"text": text(n, 6), "label": WORDS[n % 3]} for n in range(12)],
    },
    "Clustering": {"test": [{"text": text(n), "label": WORDS[n % 3]} for n in range(30)]},
    "MultilabelClassification": {"train": LABELS, "test": LABELS[::3]},
    "BitextMining": {"test": PAIRS},
    "Summarization": {"test": SUMMARIES},
}
MAIN = {
    "STS": "cosine_spearman",
    "PairClassification": "max_ap",
    "Classification": "accuracy",
    "Clustering": "v_measure",
    "BitextMining": "f1",
    "MultilabelClassification": "accuracy",
    "Summarization": "cosine_spearman",
}


def write_jsonl(rows: Rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def write_csv(rows: Rows) -> bytes:
    file = StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def write_parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


WRITERS: dict[str, Callable[[Rows], bytes]] = {".jsonl": write_jsonl, ".csv": write_csv, ".parquet": write_parquet}


def write(folder: Path, data: Mapping[str, Rows], ending: str = ".jsonl") -> Path:
    for name, rows in data.items():
        path = folder / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = WRITERS[ending.removesuffix(".gz")](rows)
        path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    return folder


def describe(kind: str, folder: Path, **more: Any) -> TaskInfo:
    (info,) = find_tasks(Selection(custom=(CustomTask(name="Mine", type=kind, path=folder, **more),)), "my.toml")
    return info


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def tiny(store: Store, tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return open_encoder(find_model(f"{folder}=tiny", {}, Path.cwd(), "--model"), "cpu", store)


def measured(info: TaskInfo, model: OpenModel, store: Store) -> Outcome:
    with measure(Case(alias="tiny", task=info, suite="test"), model, store, lambda _: None) as opened:
        return opened.outcome


def mtebs_rows(kind: str, data: Mapping[str, Rows]) -> dict[str, Rows]:
    """The rows under the names that mteb has for their columns."""
    match kind:
        case "Clustering":
            return {"test": [{"sentences": row["text"], "labels": row["label"]} for row in data["test"]]}
        case "PairClassification":
            return {"test": [{**row, "labels": row["label"]} for row in data["test"]]}
    return dict(data)


def mtebs_own(kind: str, subsets: Mapping[str, Mapping[str, Rows]]) -> Any:
    """A task of mteb's with the rows, made without a line of ours."""
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb import abstasks

    searches = "Re" in kind and kind != "Regression"
    name: Any = kind
    metadata = mteb.TaskMetadata(
        name="Mine", description="x", type=name, category="t2t", modalities=["text"], eval_splits=["test"],
        eval_langs={name: ["eng-Latn"] for name in subsets} if "default" not in subsets else ["eng-Latn"],
        main_score=MAIN.get(kind, "map_at_1000" if "Reranking" in kind else "ndcg_at_10"),
        dataset={"path": "x", "revision": "1"}, reference=None, date=None,
    )  # fmt: skip

    def search(data: Mapping[str, Rows]) -> Any:
        judged: dict[str, dict[str, int]] = {}
        for row in data["qrels/test"]:
            judged.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
        named: dict[str, Rows] = {
            side: [{"id": row["_id"], **{k: v for k, v in row.items() if k != "_id"}} for row in data[side]]
            for side in ("corpus", "queries")
        }
        kept = [row for row in named["queries"] if row["id"] in judged]
        ranked = {row["query-id"]: row["corpus-ids"] for row in data.get("top_ranked", [])} or None
        return {"test": {"corpus": Dataset.from_list(named["corpus"]), "queries": Dataset.from_list(kept),
                         "relevant_docs": judged, "top_ranked": ranked}}  # fmt: skip

    def table(data: Mapping[str, Rows]) -> Any:
        return DatasetDict({split: Dataset.from_list(rows) for split, rows in mtebs_rows(kind, data).items()})

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        found = {name: search(data) if searches else table(data) for name, data in subsets.items()}
        self.dataset = found if searches or "default" not in found else found["default"]
        self.data_loaded = True

    longest = max(len(data.get("test", [])) for data in subsets.values())
    every: dict[str, dict[str, Any]] = {
        "STS": {"min_score": 0, "max_score": 5},
        "Summarization": {"min_score": 0, "max_score": 7},
        "Clustering": {"max_fraction_of_documents_to_embed": None, "max_document_to_embed": None,
                       "max_documents_per_cluster": longest},
    }  # fmt: skip
    base = getattr(abstasks, "AbsTaskRetrieval" if searches else f"AbsTask{kind}")
    return type("Mine", (base,), {"metadata": metadata, "load_data": load_data, **every.get(kind, {})})()


def mtebs_scores(kind: str, model: OpenModel, **subsets: Mapping[str, Rows]) -> dict[str, float]:
    import mteb

    plain: Any = model.for_mteb(Meter())
    result = mteb.evaluate(plain, mtebs_own(kind, subsets), cache=None, show_progress_bar=False).task_results[0]
    return {f"test/{entry['hf_subset']}": entry["main_score"] for entry in result.scores["test"]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DATA)
def test_each_type_scores_what_mteb_scores(kind: str, tmp_path: Path, tiny: OpenModel, store: Store) -> None:
    outcome = measured(describe(kind, write(tmp_path, DATA[kind])), tiny, store)
    expected = mtebs_scores(kind, tiny, default=DATA[kind])
    assert outcome.measurement.subsets == pytest.approx(expected, abs=1e-9)
    assert 0 < abs(outcome.measurement.score) < 1
    assert outcome.measurement.n


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DATA)
def test_a_folder_of_subsets_scores_each_of_them(kind: str, tmp_path: Path, tiny: OpenModel, store: Store) -> None:
    fewer = {name: rows[:-1] if name in ("test", "qrels/test") else rows for name, rows in DATA[kind].items()}
    subsets = {"deu-Latn_eng-Latn": DATA[kind], "fra-Latn": fewer}
    for name, data in subsets.items():
        write(tmp_path / name, data)
    (tmp_path / "notes").mkdir()
    info = describe(kind, tmp_path)
    assert (info.subsets, info.languages) == (tuple(subsets), ("deu-Latn", "eng-Latn", "fra-Latn"))
    outcome = measured(info, tiny, store)
    expected = mtebs_scores(kind, tiny, **subsets)
    assert outcome.measurement.subsets == pytest.approx(expected, abs=1e-9)
    assert outcome.measurement.score == pytest.approx(fmean(expected.values()), abs=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".jsonl.gz", ".csv", ".csv.gz", ".parquet", ".parquet.gz"])
@pytest.mark.parametrize("kind", DATA)
def test_every_format_loads_what_json_lines_do(kind: str, ending: str, tmp_path: Path) -> None:
    def load(folder: Path) -> Any:
        task: Any = make_task(describe(kind, folder), "0" * 64)
        task.load_data()
        found = task.dataset["default"]["test"] if "default" in task.dataset else task.dataset
        return {name: rows if isinstance(rows, dict | None) else list(rows) for name, rows in found.items()}

    expected = load(write(tmp_path / "json", DATA[kind]))
    lists = {name for name, rows in DATA[kind].items() if any(isinstance(v, list) for v in rows[0].values())}
    if ".csv" in ending:  # which has no lists
        write(tmp_path / "other", {name: DATA[kind][name] for name in lists})
    write(
        tmp_path / "other",
        {n: rows for n, rows in DATA[kind].items() if ".csv" not in ending or n not in lists},
        ending,
    )
    assert load(tmp_path / "other") == expected
    names = {name for name, _ in files_of(describe(kind, tmp_path / "other"))}
    assert len(names) == len(DATA[kind])


def tsv(*columns: str, header: str = "", between: str = "\t") -> str:
    """The judgements as a text, each row made of columns."""
    lines = [between.join(str(row.get(column, column)) for column in columns) for row in QRELS]
    return "\n".join([header] * bool(header) + lines)


FLOATS = [row | {"score": float(row["score"])} for row in QRELS]
THREE, FOUR = ("query-id", "corpus-id", "score"), ("query-id", "Q0", "corpus-id", "score")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.jsonl", write_jsonl(FLOATS)),
        ("test.csv", write_csv(FLOATS)),
        ("test.parquet", write_parquet(FLOATS)),
        ("test.tsv", tsv(*THREE)),
        ("test.tsv", tsv(*THREE, header="query-id\tcorpus-id\tscore")),
        ("test.tsv", tsv(*THREE, header="qid\tdocid\trelevance")),
        ("test.tsv", "\n".join(f"{r['query-id']}\t{r['corpus-id']}\t{float(r['score'])}" for r in QRELS)),
        ("test.tsv.gz", gzip.compress(tsv(*THREE).encode(), mtime=0)),
        ("test.tsv", tsv(*FOUR)),
        ("test.txt", tsv(*FOUR, between=" ")),
        ("test.txt", tsv("query-id", "4.5", "corpus-id", "score", between="  ")),
        ("test.tsv", tsv(*FOUR, header="query_id\titeration\tdoc_id\trelevance")),
        ("test.tsv", tsv(*FOUR, header="query_id\t0\tdoc_id\tjudgement", between=" \t")),
    ],
)
def test_judgements_are_the_same_in_every_form(tmp_path: Path, name: str, content: str | bytes) -> None:
    expected = read_retrieval(write(tmp_path / "json", SEARCH), candidates=False)
    folder = write(tmp_path / "other", {"corpus": CORPUS, "queries": QUERIES})
    (folder / "qrels").mkdir()
    (folder / "qrels" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_retrieval(folder, candidates=False)
    assert found.judgements == expected.judgements
    places = [note.replace(f"{folder / 'qrels' / name}", "") for note in found.notes[:3]]
    assert places == [
        ": 2 of 39 judged documents not in the corpus, counted as not found, as in mteb",
        ": 1 of 8 queries without a relevant document, scored 0, as in mteb",
        ": 1 of 9 queries without a judgement, left out, as in mteb",
    ]
    assert found.notes[3] == f"{folder / 'corpus.jsonl'}: 1 of 20 documents with neither a title nor a text"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("test.tsv", "corpus-id\tquery-id\tscore\nq0\td1\t1", "test.tsv:1: names documents first; expected query-id,"),
        ("test.tsv", "q0\td1\thigh\nq0\td2\t1", 'test.tsv:1: the score "high" is not a whole number'),
        ("test.tsv", "q0\t0\td1\t1\nq0\td1\t1", "test.tsv:2: has 3 columns; expected 4, as the lines before"),
        ("test.tsv", "q0\td1\t7\t1", "test.tsv:1: names a document in its second column; expected it in the"),
        ("test.txt", "q0 0 d1 0.5", 'test.txt:1: the score "0.5" is not a whole number'),
        ("test.txt", "q0 d1 1", "test.txt:1: expected query, document and score between tabs, or the four columns of"),
        ("test.txt", "query1 0 d1 0.5\nq0 0 d1 1", 'test.txt:1: the score "0.5" is not a whole number'),
        ("test.tsv", "query 1\td1\t1\nq0\t0\td1\t1", "test.tsv:2: has 4 columns; expected 3, as the lines before"),
        ("test.csv", "query-id,corpus-id,score\nq0,d1,0.5", "test.csv:2: score should be a valid integer"),
        ("test.csv", "q0,d1,1\nq1,d1,1", 'test.csv: has no column "query-id"; its columns are "q0", "d1", "1"'),
        ("test.csv", "query-id;corpus-id;score\nq0;d1;1", 'test.csv:1: the header is one column, "query-id;corpus-id'),
        ("test.csv", "query-id\tcorpus-id\nq0\td,1", 'test.csv:1: the header is one column, "query-id (tab) corpus-'),
        ("test.csv", "query-id,corpus-id,score\nq0,d1", "test.csv:2: has 2 cells; expected 3, as the header has"),
        ("test.csv", 'query-id,corpus-id,score\nq0,"d1,1', "test.csv:2: not CSV: unexpected end of data"),
        ("test.csv", "score,score\n1,1", 'test.csv:1: has two columns "score"'),
        ("test.jsonl.gz", "x", "test.jsonl.gz: not packed by gzip: Not a gzipped file (b'x')"),
        ("test.parquet", "x", "test.parquet: not Parquet: "),
    ],
)  # fmt: skip
def test_judgements_that_could_mean_anything_else_are_refused(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    folder = write(tmp_path, {"corpus": CORPUS, "queries": QUERIES})
    (folder / "qrels").mkdir()
    (folder / "qrels" / name).write_text(content)
    with pytest.raises(SourceError) as caught:
        read_retrieval(folder, candidates=False)
    assert str(caught.value).startswith(f"{folder}/qrels/{expected}")


@pytest.mark.parametrize("title", [{}, {"title": None}, {"title": ""}])
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_no_title_is_no_title_however_it_is_written(tmp_path: Path, title: dict[str, Any], ending: str) -> None:
    if title or ending == ".jsonl":
        plain = [{"_id": "d0", "title": "t", "text": "x"}, {"_id": "d1", **title, "text": "y"}]
        write(tmp_path, {"corpus": plain}, ending)
        rows = list(read_lines(tmp_path / "corpus.jsonl", Document))
        assert [row.get("title") or "" for row in rows] == ["t", ""]


@pytest.mark.parametrize("label", [1, 1.0, "a"])
def test_a_label_is_a_text_or_a_whole_number(tmp_path: Path, label: Any) -> None:
    rows: Rows = [{"text": "x", "label": label}, {"text": "y", "label": 2 if label != "a" else "b"}]
    for ending in WRITERS:
        write(tmp_path / ending, {"test": rows}, ending)
        assert str(next(iter(read_lines(tmp_path / ending / "test.jsonl", LabelledText)))["label"]).startswith(
            str(label)[0]
        )


def test_two_files_of_one_table_are_one_too_many(tmp_path: Path) -> None:
    for ending in (".jsonl", ".csv.gz"):
        write(tmp_path, DATA["STS"], ending)
    task: Any = make_task(describe("STS", tmp_path), "0" * 64)
    with pytest.raises(SourceError) as caught:
        task.load_data()
    assert str(caught.value) == f"{tmp_path}: holds both test.jsonl and test.csv.gz; keep one"


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(deadline=None)
@given(texts=st.lists(CELLS, min_size=1, max_size=6), ending=st.sampled_from([".jsonl", ".csv", ".parquet"]),
       packed=st.booleans(), scores=st.lists(st.integers(-9, 9), min_size=6, max_size=6))  # fmt: skip
def test_texts_and_scores_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ending: str, scores: list[int], *, packed: bool
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    corpus: Rows = [{"_id": f"d{n}", "title": text, "text": text} for n, text in enumerate(texts)]
    judged: Rows = [{"query-id": "q", "corpus-id": f"d{n}", "score": scores[n]} for n in range(len(texts))]
    write(folder, {"corpus": corpus, "judged": judged}, ending + ".gz" * packed)
    assert list(read_lines(folder / "corpus.jsonl", Document)) == corpus
    assert list(read_lines(folder / "judged.jsonl", Judgement)) == judged


@pytest.mark.parametrize("score", ["1_0", " 2", "٣", "inf", "nan", "1e999", "", "0x1", "1,5"])
def test_a_cell_that_is_no_number_is_none(tmp_path: Path, score: str) -> None:
    rows: Rows = [
        {"sentence1": "x", "sentence2": "y", "score": 1},
        {"sentence1": "x", "sentence2": "y", "score": score},
    ]
    write(tmp_path, {"test": rows}, ".csv")
    with pytest.raises(SourceError, match=r"test.csv:3: score "):
        read_lines(tmp_path / "test.jsonl", ScoredPair)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(["x"]), pa.array(["y"]), pa.array(["z"])], names=["text", "text", "label"])
    pq.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(SourceError, match=r"has two columns of one name"):
        read_lines(tmp_path / "test.jsonl", LabelledText)


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    """Categories, dates, gaps, and in CSV its index."""
    table = {
        "text": pa.array(["x", "y"]),
        "label": pa.array(["a", "b"]).dictionary_encode(),
        "when": pa.array([0, 1], pa.timestamp("s")),
        "part": pa.array([1.0, float("nan")]),
        "year": pa.array([1.0, 2.0]),
    }
    pq.write_table(pa.table(table), tmp_path / "test.parquet")
    (tmp_path / "train.csv").write_text(",text,label,year\n0,x,a,1.0\n1,y,b,2.0\n")
    expected = [({"text": t, "label": label}, {"field:year": n}) for t, label, n in (("x", "a", 1.0), ("y", "b", 2.0))]
    assert list(read_lines(tmp_path / "test.jsonl", LabelledText).with_fields()) == expected
    assert list(read_lines(tmp_path / "train.jsonl", LabelledText).with_fields()) == expected


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".jsonl.gz", gzip.compress(b" " * (1 << 27), mtime=0)),
        (".parquet.gz", gzip.compress(b"\0" * (1 << 27), mtime=0)),
        (".parquet", write_parquet([{"text": "x", "label": 1}] * 100_000)),
        (".csv", b'text,label\n"x' + b"," * (1 << 26)),
        (".jsonl.gz", gzip.compress(write_jsonl([{"text": "x", "label": 1}]), mtime=0)[:-9]),
    ],
    ids=["spaces", "zeros", "one row repeated", "one cell", "cut"],
)
def test_what_is_hostile_or_half_is_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    (tmp_path / f"test{ending}").write_bytes(content)
    with pytest.raises(SourceError, match=r"32 times|more than any data|longer than|not packed by gzip"):
        read_lines(tmp_path / "test.jsonl", LabelledText)


WRONG: list[tuple[str, str, Rows, str]] = [
    ("MultilabelClassification", "test", [{"text": "x", "label": "a"}], ":1: label should be a valid array"),
    ("MultilabelClassification", "test", [{"text": "x", "label": ["alpha", "alpha"]}], ":1: label names one twice"),
    (
        "MultilabelClassification",
        "test",
        [{"text": "x", "label": ["new", "alpha"]}],
        ':1: label "new" is not in train.jsonl',
    ),
    (
        "MultilabelClassification",
        "test",
        [{"text": "x", "label": ["alpha"]}] * 2,
        ": has fewer than two labels; nothing",
    ),
    ("MultilabelClassification", "train", LABELS[1:5], ": has fewer than 5 texts with labels, which mteb's classifier"),
    ("BitextMining", "test", [{"sentence1": "x"}], ':1: needs a key "sentence2"'),
    ("BitextMining", "test", PAIRS[:1], ": holds one pair; expected two or more, to find a translation among"),
    (
        "Summarization",
        "test",
        [SUMMARIES[0] | {"relevance": [1]}],
        ":1: relevance needs one score for each of machine_",
    ),
    ("Summarization", "test", [SUMMARIES[0] | {"human_summaries": []}], ":1: human_summaries is empty"),
    ("Summarization", "test", [SUMMARIES[2]], ": every text's relevance is the same; nothing could be told apart"),
    ("InstructionRetrieval", "queries", QUERIES, ':1: needs a key "instruction"'),
    ("Retrieval", "corpus", [{"_id": "d1", "text": " "}], ": no document has a title or a text"),
]


@pytest.mark.parametrize(("kind", "name", "rows", "expected"), WRONG)
def test_what_cannot_be_scored_is_one_sentence(tmp_path: Path, kind: str, name: str, rows: Rows, expected: str) -> None:
    task: Any = make_task(describe(kind, write(tmp_path, DATA[kind] | {name: rows})), "0" * 64)
    with pytest.raises(SourceError) as caught:
        task.load_data()
    assert str(caught.value).startswith(f"{tmp_path / name}.jsonl{expected}")


def test_notes_of_the_data_are_warnings_of_the_run(tmp_path: Path, tiny: OpenModel, store: Store) -> None:
    info = describe("Retrieval", write(tmp_path, SEARCH))
    with pytest.warns(UserWarning, match="Mine: ") as warned:
        measured(info, tiny, store)
    ours = [str(one.message) for one in warned if str(one.message).startswith("Mine: ")]
    assert [one.partition("jsonl: ")[2][:10] for one in ours] == [
        "2 of 39 ju",
        "1 of 8 que",
        "1 of 9 que",
        "1 of 20 do",
    ]


def names_of(info: TaskInfo) -> list[str]:
    return [name for name, _ in files_of(info)]


def test_the_identity_of_data_is_of_what_is_measured(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "flat", DATA["STS"])
    flat = describe("STS", tmp_path / "flat")
    before = identify_data(flat, Case(alias="a", task=flat, suite="s").source, store)
    assert names_of(flat) == ["test.jsonl"]
    for name in ("deu-Latn", "fra-Latn"):  # beside data of its own, folders are nothing
        write(tmp_path / "flat" / name, DATA["STS"])
        write(tmp_path / "parted" / name, DATA["STS"])
    assert describe("STS", tmp_path / "flat") == flat
    assert identify_data(flat, Case(alias="a", task=flat, suite="s").source, store) == before
    custom = (CustomTask(name="Mine", type="STS", path=tmp_path / "parted"),)
    (both,) = find_tasks(Selection(custom=custom), "my.toml")
    (one,) = find_tasks(Selection(custom=custom, subsets={"Mine": ("fra-Latn",)}), "my.toml")
    assert names_of(both) == ["deu-Latn/test.jsonl", "fra-Latn/test.jsonl"]
    assert (names_of(one), one.subsets, one.languages) == (["fra-Latn/test.jsonl"], ("fra-Latn",), ("fra-Latn",))


@pytest.mark.parametrize(
    ("folders", "language", "expected"),
    [
        (
            ("de", "eng-Latn"),
            "",
            'Mine: give the language of its subsets, or name each subset by its languages: "de" is not a code such as',
        ),
        (("a b",), "eng-Latn", ': a subset cannot be called "a b"; expected A-Z a-z'),
        (("default",), "eng-Latn", ': a subset cannot be called "default"; expected A-Z a-z'),
    ],
)
def test_a_subset_has_a_name_and_languages(
    tmp_path: Path, folders: Iterable[str], language: str, expected: str
) -> None:
    for name in folders:
        write(tmp_path / name, DATA["STS"])
    with pytest.raises(ConfigError) as caught:
        describe("STS", tmp_path, language=language)
    assert expected in str(caught.value)

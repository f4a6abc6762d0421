"""``touchstone data check``: what a folder is understood to be."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.readme import ROOT, blocks
from touchstone.__main__ import main


def write(folder: Path, **files: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        path = folder / f"{name.replace('_test', '/test')}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def check(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str]]:
    code = main(["data", "check", *map(str, arguments)])
    return code, capsys.readouterr().out.splitlines()


SEARCH: dict[str, list[dict[str, Any]]] = {
    "corpus": [
        {"_id": "d1", "title": "One", "text": "a text"},
        {"_id": "d2", "title": None, "text": "what is it?"},
        {"_id": "d3", "title": "what is it?", "text": ""},
        {"_id": "d4", "text": "what is it?"},
    ],
    "queries": [{"_id": "q1", "text": "what is it?"}, {"_id": "q2", "text": "what else?"}, {"_id": "q3", "text": "-"}],
    "qrels_test": [
        {"query-id": "q1", "corpus-id": "d3", "score": 1.0},
        {"query-id": "q1", "corpus-id": "d9", "score": 1},
        {"query-id": "q2", "corpus-id": "d2", "score": 0},
    ],
}


def test_a_search_is_counted_with_its_leaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "own", **SEARCH)
    assert check(capsys, folder) == (
        0,
        [
            f"{folder} as Retrieval",
            "  measured by ndcg_at_10",
            '  corpus: 4 rows, the longest text has 11 characters, in "d2"',
            "  corpus: 1 row with the texts of another",
            '  queries: 2 rows, the longest text has 11 characters, in "q1"',
            "  judgements: 3, 2 of them relevant",
            f"  note: {folder}/qrels/test.jsonl: 1 of 3 judged documents not in the corpus, counted as not"
            " found, as in mteb",
            f"  note: {folder}/qrels/test.jsonl: 1 of 2 queries without a relevant document, scored 0, as in mteb",
            f"  note: {folder}/qrels/test.jsonl: 1 of 3 queries without a judgement, left out, as in mteb",
            "  leak: 1 query with the text or the title of a relevant document",
        ],
    )


def test_a_query_that_is_a_document_which_is_not_relevant_is_no_leak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = [{"query-id": "q1", "corpus-id": "d1", "score": 1}, {"query-id": "q1", "corpus-id": "d2", "score": 0}]
    own = {**SEARCH, "queries": SEARCH["queries"][:1], "qrels_test": judged}
    code, lines = check(capsys, write(tmp_path / "own", **own))
    assert code == 0
    assert not [line for line in lines if "leak" in line or "note" in line]


def test_test_rows_that_were_trained_are_a_leak_and_each_type_that_fits_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"text {n}", "label": n % 2, "topic": "x"} for n in range(6)]
    for name in ("de", "en"):
        (tmp_path / "own").mkdir(exist_ok=True)
        write(tmp_path / "own" / name, train=rows[:4], test=[*rows[3:], rows[5]])
    code, lines = check(capsys, tmp_path / "own")
    assert code == 0
    assert [line for line in lines if " as " in line] == [
        f"{tmp_path}/own as {n}" for n in ("Classification", "Clustering")
    ]
    assert lines[1:7] == [
        "  measured by accuracy",
        "  de: train: 4 rows, the longest text has 6 characters, in row 1",
        "  de: test: 4 rows, the longest text has 6 characters, in row 1",
        "  de: test: 1 row with the texts of another",
        "  de: test: topic: not read, but slices may be made by them",
        "  de: test: 2 labels",
    ]
    assert lines[7] == "  de: leak: 1 row of test with the text of a row of train"


def test_what_no_type_reads_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "own", test=[{"sentence1": "a", "sentence2": "a", "score": 1}])
    code, lines = check(capsys, folder, "--type", "STS")
    assert (code, lines) == (
        1,
        [
            f"{folder}: no data of any type",
            f"  as STS: {folder}/test.jsonl: every score is the same; nothing could be told apart",
        ],
    )
    code, lines = check(capsys, folder)
    assert code == 1
    assert not [line for line in lines if "no such file" in line]


def test_tables_of_other_names_are_named_beside_what_each_type_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("articles.csv", "questions\x1b.csv"):
        (tmp_path / name).write_text("_id,text\n1,a")
    code, lines = check(capsys, tmp_path)
    assert code == 1
    assert lines[0] == f"{tmp_path}: no data of any type; it holds articles.csv, questions\\x1b.csv"
    assert lines[1] == "  Retrieval, InstructionRetrieval: corpus.jsonl, queries.jsonl, qrels/test.jsonl"
    assert lines[-1].startswith("  .jsonl may be .csv or .parquet, in qrels also .tsv or .txt")
    assert len(check(capsys, tmp_path, "--type", "STS")[1]) == 3


@pytest.mark.parametrize(
    ("table", "kinds", "fault"),
    [
        ("corpus.csv\n_id,text\n1,a", "Retrieval", ": there is no folder qrels with test.jsonl, "),
        ("corpus.csv\nid,text\n1,a", "Retrieval or InstructionRetrieval", '/corpus.csv: has no column "_id"; its '),
        ("test.csv\ntext,tag\na,b", "Clustering", '/test.csv: has no column "label"; its columns are "text", "tag"'),
        ('test.jsonl\n\n{"text": "a", "tag": 1}', "Clustering", '/test.jsonl:2: needs a key "label"; it has "text"'),
    ],
)
def test_only_the_types_that_come_nearest_say_what_is_wrong(
    table: str, kinds: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content = table.split("\n", 1)
    (tmp_path / name).write_text(content)
    if name == "corpus.csv":
        write(tmp_path, queries=[{"_id": "q", "text": "a"}])
    _, *lines = check(capsys, tmp_path)[1]
    assert len(lines) == 1
    assert lines[0].startswith(f"  as {kinds}: {tmp_path}{fault}")


def test_the_tables_that_the_page_shows_are_read_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tables, said = (block.splitlines()[1:] for block in blocks("text", (ROOT / "docs/how-to/data.md").read_text()))
    for part in "\n".join(tables).split("==> ")[1:]:
        name, content = part.split(" <==\n")
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    assert check(capsys, "data/tickets") == (0, said)


def test_a_text_paired_with_itself_is_a_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "own", test=[{"sentence1": "a", "sentence2": "a"}, {"sentence1": "b", "sentence2": "c"}])
    assert check(capsys, folder)[1][-1] == "  leak: 1 row of test with the same text twice"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nowhere",), "there is no folder nowhere"),
        ((".", "--type", "Sts"), '--type = "Sts"; expected one of Retrieval, Reranking, STS, '),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", *arguments]) != 0
    assert expected in capsys.readouterr().err


def test_columns_that_a_type_does_not_read_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs with one wrong score are no data of STS, and look like a search of translations."""
    rows = [{"sentence1": text, "sentence2": f"{text}s", "score": text} for text in ("a", "b")]
    folder = write(tmp_path / "own", test=rows)
    code, lines = check(capsys, folder)
    assert (code, lines[0]) == (0, f"{folder} as BitextMining")
    assert lines[-1] == "  test: score: not read, but slices may be made by them"


def test_judgements_are_no_subset_of_another_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = {name: SEARCH[name] for name in ("queries", "qrels_test")}
    folder = write(tmp_path / "own", articles=SEARCH["corpus"], **tables)
    _, lines = check(capsys, folder)
    why = f"{folder}: holds no corpus.jsonl, .csv or .parquet; it holds articles.jsonl, qrels/, queries.jsonl"
    assert lines == [f"{folder}: no data of any type", f"  as Retrieval or InstructionRetrieval: {why}"]

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import SourceError
from touchstone.task_types import corpora
from touchstone.task_types.folders import (
    Document,
    Lines,
    RetrievalFolder,
    read_labelled_pairs,
    read_labelled_texts,
    read_lines,
    read_retrieval,
    read_scored_pairs,
)

D1, D2 = '{"_id": "d1", "title": "T", "text": "one"}', '{"_id": "d2", "text": "two"}'
Q1, Q2 = '{"_id": "q1", "text": "first"}', '{"_id": "q2", "text": "second"}'
JUDGED, RANKED = "qrels/test.jsonl", "top_ranked.jsonl"
HEADER = "query-id\tcorpus-id\tscore"


def judged(query: str, document: str, score: str) -> str:
    return f'{{"query-id": "{query}", "corpus-id": "{document}", "score": {score}}}'


def ranked(query: str, documents: str) -> str:
    return f'{{"query-id": "{query}", "corpus-ids": {documents}}}'


GOOD = {
    "corpus.jsonl": [D1, D2],
    "queries.jsonl": [Q1, Q2],
    "qrels/test.jsonl": [judged("q1", "d1", "2"), judged("q1", "d2", "0"), judged("q2", "d2", "1")],
    "top_ranked.jsonl": [ranked("q1", '["d1", "d2"]'), ranked("q2", '["d2"]')],
}


def write(folder: Path, **files: list[str] | None) -> Path:
    """Write a folder that is right but for the files given; None leaves one out."""
    for name, lines in {**GOOD, **files}.items():
        if lines is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("\n".join(lines) + "\n" if lines else "", encoding="utf-8")
    return folder


def retrieval_sentence(folder: Path, **files: list[str] | None) -> str:
    """The error of a folder, its own path left out."""
    write(folder, **files)
    with pytest.raises(SourceError) as caught:
        read_retrieval(folder, candidates=True)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def read_documents(folder: Path, content: bytes) -> list[tuple[int, Any]]:
    (folder / "c.jsonl").write_bytes(content)
    return list(read_lines(folder / "c.jsonl", Document).rows)


def documents_sentence(folder: Path, content: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        read_documents(folder, content)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[1]", "should be an object"),
        ("null", "should be an object"),
        ('{"_id": "d"}', 'needs a key "text"'),
        ('{"text": "x"}', 'needs a key "_id"'),
        ('{"_id": "", "text": "x"}', "_id is empty"),
        ('{"_id": 7, "text": "x"}', "_id should be a valid string"),
        ('{"_id": "d", "text": null}', "text should be a valid string"),
        ('{"_id": "d", "text": ["x"]}', "text should be a valid string"),
        ('{"_id": "d", "title": 3, "text": "x"}', "title should be a valid string"),
    ],
)
def test_a_wrong_line_is_named_by_file_line_and_key(tmp_path: Path, line: str, expected: str) -> None:
    assert documents_sentence(tmp_path, f"{D1}\n\n{line}\n{D2}".encode()) == f"c.jsonl:3: {expected}"


@pytest.mark.parametrize(
    ("line", "why"),
    [("{", "EOF while parsing"), ("{'_id': 1}", "key must be a string"), (D1 + D2, "trailing characters"), ("x", "")],
)
def test_a_line_that_is_not_json_has_one_line_number_and_it_is_the_files(tmp_path: Path, line: str, why: str) -> None:
    message = documents_sentence(tmp_path, f"{D1}\n{line}".encode())
    assert message.startswith(f"c.jsonl:2: not JSON: {why}")
    assert "line 1" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "c.jsonl: holds no line"),
        (b"\n  \n", "c.jsonl: holds no line"),
        (b"\xff", "c.jsonl: not UTF-8 at byte 0"),
        (D1.encode() + b"\n\xe9", f"c.jsonl: not UTF-8 at byte {len(D1) + 1}"),
    ],
)
def test_a_file_that_holds_no_text_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    assert documents_sentence(tmp_path, content) == expected


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.jsonl", "top_ranked.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    sentence = retrieval_sentence(tmp_path, **{name: None})
    fault = "there is no folder qrels with test.jsonl, .tsv, .txt, .csv or .parquet"
    if not name.startswith("qrels"):
        fault = f"holds no {name}, .csv or .parquet"
    there = sorted({"corpus.jsonl", "qrels/", "queries.jsonl", "top_ranked.jsonl"} - {name, f"{Path(name).parent}/"})
    assert sentence == f"{tmp_path}: {fault}; it holds {', '.join(there)}"


def test_line_numbers_count_the_blank_lines_that_are_passed_over(tmp_path: Path) -> None:
    rows = read_documents(tmp_path, f"\n{D1}\r\n \n{D2}".encode())
    assert [(number, row["_id"]) for number, row in rows] == [(2, "d1"), (4, "d2")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_unicode_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path, separator: str) -> None:
    text = f"one{separator}two"
    content = json.dumps({"_id": "d", "text": text}, ensure_ascii=False)
    assert read_documents(tmp_path, content.encode()) == [(1, {"_id": "d", "text": text})]


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip), min_size=1, max_size=5),
       escaped=st.booleans())  # fmt: skip
def test_documents_read_back_as_they_were_dumped(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], escaped: bool
) -> None:
    documents = [{"_id": f"d{number}", "text": text, "url": "ignored"} for number, text in enumerate(texts)]
    lines = [json.dumps(document, ensure_ascii=escaped) for document in documents]
    rows = read_documents(tmp_path_factory.mktemp("dumped"), "\n".join(lines).encode())
    assert [(number, row["_id"], row["text"]) for number, row in rows] == [
        (number, f"d{number - 1}", text) for number, text in enumerate(texts, start=1)
    ]


def test_a_good_folder_is_read_with_its_grades_and_candidates(tmp_path: Path) -> None:
    data = read_retrieval(write(tmp_path), candidates=True)
    assert data.corpus.table["text"].to_pylist() == ["one", "two"]
    assert [query["_id"] for query in data.queries] == ["q1", "q2"]
    assert data.judgements == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}
    assert data.candidates == {"q1": ["d1", "d2"], "q2": ["d2"]}


@pytest.mark.parametrize("lines", [[HEADER, "q1\td1\t2"], ["q1\td1\t2."], ["", HEADER + "\r", "q1\td1\t+2\r"]])
def test_judgements_may_be_tab_separated_with_or_without_a_header(tmp_path: Path, lines: list[str]) -> None:
    write(tmp_path, **{"qrels/test.jsonl": None, "qrels/test.tsv": lines})
    data: RetrievalFolder = read_retrieval(tmp_path, candidates=False)
    assert data.judgements == {"q1": {"d1": 2}}


@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("corpus.jsonl", [D1, D2, D1], ':3: _id "d1" is also in line 1'),
        ("queries.jsonl", [Q1, "", Q1], ':3: _id "q1" is also in line 1'),
        (JUDGED, [judged("q9", "d1", "1")], ':1: query-id "q9" is not in queries'),
        (JUDGED, ["", judged("q1", "d9", "1")], ": no relevant document is in the corpus; do the ids match?"),
        (JUDGED, [judged("q1", "d1", "-1"), judged("q2", "d1", "0")], ": no query has a relevant document"),
        (JUDGED, [judged("q1", "d1", "1.5")], ":1: score should be a valid integer"),
        (JUDGED, [judged("q1", "d1", '"1"')], ":1: score should be a valid integer"),
        (JUDGED, [judged("q1", "d1", "1")] * 2, ':2: query "q1" and document "d1" are judged twice'),
        (JUDGED, [judged("q1", "d1", "1e999")], ":1: score = inf; expected a number that is finite"),
        (RANKED, [ranked("q9", '["d1"]')], ':1: query-id "q9" is not in queries'),
        (RANKED, [ranked("q1", '["d1", "d9"]')], ':1: corpus-ids "d9" is not in corpus'),
        (RANKED, [ranked("q1", "[]")], ":1: corpus-ids is empty or names a document twice"),
        (RANKED, [ranked("q1", '["d1", "d1"]')], ":1: corpus-ids is empty or names a document twice"),
        (RANKED, [ranked("q1", '"d1"')], ":1: corpus-ids should be a valid array"),
        (RANKED, [ranked("q1", "[1]")], ":1: corpus-ids[0] should be a valid string"),
        (RANKED, [ranked("q1", '["d1"]')] * 2, ':2: query "q1" has two lists of candidates'),
        (RANKED, [ranked("q1", '["d1"]')], ': has no candidates for query "q2"'),
    ],
)
def test_ids_that_do_not_fit_together_are_named_with_their_line(
    tmp_path: Path, name: str, lines: list[str], expected: str
) -> None:
    assert retrieval_sentence(tmp_path, **{name: lines}) == f"{name}{expected}"


def test_judgements_in_both_forms_are_one_too_many(tmp_path: Path) -> None:
    message = retrieval_sentence(tmp_path, **{"qrels/test.tsv": ["q1\td1\t1"]})
    assert message == "qrels: holds both test.tsv and test.jsonl; keep one"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("q1 d1 1", "expected query, document and score between tabs, or the four columns of TREC"),
        ("q1\t\t1", "expected query, document and score between tabs, or the four columns of TREC"),
        ("q1\t0\td1\t1", "has 4 columns; expected 3, as the lines before"),
        ("q1\td1\t1.5", 'the score "1.5" is not a whole number'),
        ("q1\td1\tyes", 'the score "yes" is not a whole number'),
        ("q1\td1\t--1", 'the score "--1" is not a whole number'),
        ("q1\td1\t²", 'the score "²" is not a whole number'),
        ("q1\td1\t" + "9" * 5000, f'the score "{"9" * 59}…" is not a whole number'),
        ("q9\td1\t1", 'query-id "q9" is not in queries'),
        ("q1\td1\t1\nq1\td1\t1", 'query "q1" and document "d1" are judged twice'),
        ("d" * 200_000 + "\td1\t1", ""),
    ],
    ids=lambda value: value[:20],
)
def test_a_wrong_tab_separated_line_is_named(tmp_path: Path, line: str, expected: str) -> None:
    message = retrieval_sentence(tmp_path, **{"qrels/test.jsonl": None, "qrels/test.tsv": [HEADER, line]})
    assert message.startswith(f"qrels/test.tsv:{2 + line.count(chr(10))}: {expected}")


def test_tab_separated_judgements_that_are_not_text_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"qrels/test.jsonl": None, "qrels/test.tsv": []})
    file = tmp_path / "qrels" / "test.tsv"
    for content, expected in ((b"q1\t\xff\t1", "not UTF-8 at byte 3"), (f"{HEADER}\n".encode(), "holds no judgement")):
        file.write_bytes(content)
        with pytest.raises(SourceError) as caught:
            read_retrieval(tmp_path, candidates=False)
        assert str(caught.value) == f"{file}: {expected}"


def texts_with(folder: Path, *more: str) -> Lines[Any]:
    """A file of classified texts, each with more keys, written as JSON."""
    lines = [f'{{"text": "t{number}", "label": {number}{keys and f", {keys}"}}}' for number, keys in enumerate(more)]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return read_labelled_texts(folder / "test.jsonl")


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (["1", "-2"], [1, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        (['"x"', '""'], ["x", ""]),
        (["true", "false"], ["true", "false"]),
        (["1", '"x"'], ["1", "x"]),
        (["1", "true"], ["1", "true"]),
        ([str(1 << 62), "1"], [str(1 << 62), "1"]),
        (['"é"', f'"{"x" * 64}"'], ["é", "x" * 64]),
    ],
)
def test_a_key_that_every_line_has_is_a_field_of_numbers_or_texts(
    tmp_path: Path, values: list[str], column: list[Any]
) -> None:
    lines = texts_with(tmp_path, *(f'"a.b-1": {value}' for value in values))
    found = [fields for _, fields in lines.with_fields()]
    assert found == [{"field:a.b-1": value} for value in column]
    assert [list(map(type, fields.values())) for fields in found] == [[type(value)] for value in column]


@pytest.mark.parametrize("value", ["null", "[1]", "{}", f'"{"x" * 65}"'])
def test_a_key_that_holds_no_short_value_everywhere_is_ignored(tmp_path: Path, value: str) -> None:
    lines = texts_with(tmp_path, '"a b": 1', f'"a b": {value}')
    assert [fields for _, fields in lines.with_fields()] == [{}, {}]


def test_a_key_that_some_lines_have_is_ignored(tmp_path: Path) -> None:
    lines = texts_with(tmp_path, '"a b": 1, "c": 1', '"c": 2')
    assert [fields for _, fields in lines.with_fields()] == [{"field:c": 1}, {"field:c": 2}]


@pytest.mark.parametrize("name", ["a b", "", ".a", "é", "a:b", "x" * 129, "a.list.element"])
def test_a_key_that_can_be_no_field_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    lines = texts_with(tmp_path, *[f'"{name}": 1'] * 2)
    with pytest.raises(SourceError) as caught:
        list(lines.with_fields())
    said = str(caught.value)
    assert said.startswith(f'{tmp_path / "test.jsonl"}:1: "{name[:20]}')
    assert said.endswith(" cannot be a field of samples; expected A-Z a-z 0-9 _ and, not first, . + -")


def test_a_file_has_at_most_thirty_fields(tmp_path: Path) -> None:
    keys = [f'"{number}": 0' for number in range(31)]
    assert all(len(fields) == 30 for _, fields in texts_with(tmp_path, *[", ".join(keys[:30])] * 2).with_fields())
    with pytest.raises(SourceError, match=r"test\.jsonl:1: 31 keys are fields of samples; expected at most 30$"):
        list(texts_with(tmp_path, *[", ".join(keys)] * 2).with_fields())


READERS: dict[str, Callable[[Path], Iterable[Any]]] = {
    "pair": read_labelled_pairs,
    "scored": read_scored_pairs,
    "text": read_labelled_texts,
}
TEMPLATES = {
    "pair": '{{"sentence1": "a", "sentence2": "b", "label": {}}}',
    "scored": '{{"sentence1": "a", "sentence2": "b", "score": {}}}',
    "text": '{{"text": "a", "label": {}}}',
}
SAME = "every {} is the same; nothing could be told apart"


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("pair", ["0", "2"], ":2: label = 2; expected 0 or 1"),
        ("pair", ["-1", "1"], ":1: label = -1; expected 0 or 1"),
        ("pair", ["0", '"1"'], ":2: label should be a valid integer"),
        ("pair", ["0", "true"], ":2: label should be a valid integer"),
        ("pair", ["1", "1"], f": {SAME.format('label')}"),
        ("scored", ["1", '"5"'], ":2: score should be a valid number"),
        ("scored", ["1", "null"], ":2: score should be a valid number"),
        ("scored", ["4", "4.0"], f": {SAME.format('score')}"),
        ("text", ['"a"', '"a"'], f": {SAME.format('label')}"),
        ("text", ["1", '"1"'], f": {SAME.format('label')}"),
    ],
)
def test_a_label_or_score_that_cannot_be_is_named_with_its_line(
    tmp_path: Path, kind: str, values: list[str], expected: str
) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(TEMPLATES[kind].format(value) for value in values))
    with pytest.raises(SourceError) as caught:
        READERS[kind](file)
    assert str(caught.value) == f"{file}{expected}"


@pytest.mark.parametrize(
    ("kind", "value", "start"),
    [
        ("scored", "NaN", "score "),
        ("scored", "Infinity", "score "),
        ("scored", "1e999", "score "),
        ("text", '" "', "label is empty"),
        ("text", "1.5", "label should be "),
        ("text", "null", "label should be "),
        ("text", "true", "label should be "),
        ("text", "[]", "label should be "),
    ],
)
def test_a_score_is_a_number_that_there_is_and_a_class_a_word_or_a_whole_number(
    tmp_path: Path, kind: str, value: str, start: str
) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(TEMPLATES[kind].format(text) for text in ("0", "1", value)))
    with pytest.raises(SourceError) as caught:
        READERS[kind](file)
    # NaN and Infinity are not JSON, so it may also be said that way.
    starts = (start, "not JSON") if kind == "scored" else (start,)
    assert str(caught.value).startswith(tuple(f"{file}:3: {words}" for words in starts))


def test_labels_may_be_words_or_numbers_and_scores_any_numbers(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl"
    good: dict[str, list[Any]] = {"pair": [0, 1, 0], "scored": [-0.5, 3, 5.25], "text": ["a", 7, "b"]}
    for kind, values in good.items():
        file.write_text("\n".join(TEMPLATES[kind].format(json.dumps(value)) for value in values))
        key = "score" if kind == "scored" else "label"
        assert [row[key] for row in READERS[kind](file)] == values


def test_a_corpus_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "DOCUMENTS_AT_ONCE", 3)
    lines = [json.dumps({"_id": f"d{number}", "title": f"T{number}", "text": f"text {number}"}) for number in range(11)]
    lines.insert(4, "")  # of no document, and counted as a line
    corpus = read_retrieval(write(tmp_path, **{"corpus.jsonl": lines}), candidates=False).corpus
    assert [column.to_pylist() for column in corpus.table.columns] == [
        [name % number for number in range(11)] for name in ("d%s", "T%s", "text %s")
    ]
    assert all(f"d{number}" in corpus.names for number in range(11))
    assert not any(name in corpus.names for name in ("d11", "", "D1", "zz"))
    write(tmp_path, **{"corpus.jsonl": [*lines, json.dumps({"_id": "d3", "text": "again"})]})
    with pytest.raises(SourceError, match=r"corpus\.jsonl:13: _id \"d3\" is also in line 4$"):
        read_retrieval(tmp_path, candidates=False)


def test_a_block_has_so_many_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "CHARACTERS_AT_ONCE", 10)
    rows = [(number, {"_id": str(number), "text": "x" * 6}) for number in range(1, 6)]
    blocks = list(corpora._blocks(iter(rows)))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert corpora.read_corpus(tmp_path, iter(rows)).table["text"].to_pylist() == ["x" * 6] * 5

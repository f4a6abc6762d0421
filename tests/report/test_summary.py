import random

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row
from touchstone.records.runs import Record
from touchstone.report.summary import summarize

MIXED = [
    make_row("STS13", outcome="failed", verdict="regressed", texts=10, phases={"model": 1.0, "encode": 2.0}),
    make_row("STS16", verdict="pass", texts=5, phases={"data": 0.5, "encode": 1.0}, device="cuda:1"),
    make_row("NFCorpus", type="Retrieval", verdict="improved", device="cuda:0"),
    make_row("NFCorpus", type="Retrieval", verdict="inconclusive", limit=100, device="cuda:0"),
    make_row("STS13", alias="jina"),
    make_row("STS16", alias="jina", outcome="error", error="boom"),
    make_row("STS17", alias="jina", outcome="not measured"),
]


def test_a_summary_counts_outcomes_texts_seconds_and_devices() -> None:
    summary = summarize(MIXED)

    assert dict(summary.counts) == {"failed": 1, "error": 1, "not measured": 1, "passed": 4}
    assert summary.texts == 15
    assert dict(summary.seconds) == {"model": 1.0, "encode": 3.0, "data": 0.5}
    assert summary.devices == ["cuda:0", "cuda:1"]


def test_rows_go_by_model_then_type_then_task_then_limit() -> None:
    rows = {a: [(r.task, r.limit) for r in records] for a, records in summarize(MIXED).by_model.items()}

    assert rows == {
        "jina": [("STS13", None), ("STS16", None), ("STS17", None)],
        "minilm": [("NFCorpus", None), ("NFCorpus", 100), ("STS13", None), ("STS16", None)],
    }


def test_whatever_is_not_a_plain_pass_is_to_be_looked_at() -> None:
    looked_at = {(r.alias, r.task, r.limit) for r in summarize(MIXED).look}

    assert looked_at == {(r.alias, r.task, r.limit) for r in MIXED} - {
        ("jina", "STS13", None),
        ("minilm", "STS16", None),
    }


@given(st.permutations(MIXED))
def test_the_order_of_records_does_not_matter(records: list[Record]) -> None:
    shuffled, plain = summarize(records), summarize(MIXED)

    assert shuffled == plain
    assert list(shuffled.by_model) == list(plain.by_model)
    assert list(shuffled.counts) == list(plain.counts)


def test_sums_of_seconds_are_the_same_to_the_last_bit_in_any_order() -> None:
    rows = [make_row(phases={"encode": random.Random(i).random()}, alias=f"m{i}") for i in range(9)]

    assert summarize(rows[::-1]).seconds == summarize(rows).seconds

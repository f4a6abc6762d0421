"""Run files of TREC: scored as other tools score them; what is odd is told, what is wrong refused."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG

from touchstone.errors import ConfigError
from touchstone.importing.trec import TrecRun, read_qrels, read_trec_run

_qrels: Any = ir_measures.read_trec_qrels  # neither has types
_run: Any = ir_measures.read_trec_run
QRELS = "q1 0 d1 1\nq1 0 d2 2\nq2 0 d1 1\n"
RUN = "q1 Q0 d1 1 0.9 x\nq1 Q0 d2 2 0.8 x\nq2 Q0 d3 1 0.7 x\n"
MEASURES = {
    "ndcg_at_10": nDCG @ 10, "ndcg_at_3": nDCG @ 3, "map_at_5": AP @ 5, "recall_at_2": R @ 2, "precision_at_5": P @ 5,
    "hit_rate_at_3": Success @ 3, "mrr_at_100": RR,
}  # fmt: skip


def read(folder: Path, run: str | bytes = RUN, qrels: str | bytes = QRELS, metric: str = "ndcg_at_10") -> TrecRun:
    for name, content in (("a.run", run), ("q.qrels", qrels)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_trec_run(folder / "a.run", read_qrels(folder / "q.qrels"), metric)


def values(found: TrecRun) -> dict[str, float]:
    assert found.samples.value is not None
    return dict(zip(found.samples.id.tolist(), found.samples.value.tolist(), strict=True))


# Equal as they are, equal in single precision alone, and others; ids that are sorted otherwise as numbers.
SCORES = st.sampled_from(["0.5", "0.50000001", "1", "1e0", "-2.5", "+.25", "1e-50", "0", "3.0000000001", "3"])
DOCUMENTS = st.sampled_from(["d1", "d2", "d10", "D1", "é", "z", "99", "100"])
RUNS = st.dictionaries(st.sampled_from(["q1", "q2", "q3", "u"]), st.dictionaries(DOCUMENTS, SCORES, min_size=1))
GOLD = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3", "q4"]), st.dictionaries(DOCUMENTS, st.integers(-1, 3), min_size=1), min_size=1
)


@pytest.mark.parametrize("metric", MEASURES)
@settings(max_examples=60)
@given(run=RUNS, gold=GOLD)
def test_each_query_and_the_mean_are_those_of_ir_measures(
    metric: str, run: Mapping[str, Any], gold: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not run.keys() & gold.keys():
        return
    folder = tmp_path_factory.mktemp("trec")
    found = read(
        folder,
        "".join(f"{q} Q0 {d} 1 {score} x\n" for q, one in run.items() for d, score in one.items()),
        "".join(f"{q} 0 {d} {grade}\n" for q, one in gold.items() for d, grade in one.items()),
        metric,
    )
    files = (
        list(_qrels(str(folder / "q.qrels"))),
        list(_run(str(folder / "a.run"))),
    )
    measure = MEASURES[metric]
    theirs = {one.query_id: one.value for one in ir_measures.iter_calc([measure], *files)}
    # What it does not give are judged queries that are not in the run: its own mean counts 0 for them.
    assert values(found) == pytest.approx(dict.fromkeys(gold, 0.0) | theirs, abs=1e-12)
    assert found.measurement.score == pytest.approx(ir_measures.calc_aggregate([measure], *files)[measure], abs=1e-12)


def test_beirs_judgements_are_read_with_a_header_and_without(tmp_path: Path) -> None:
    rows = "q1\td1\t1\nq1\td2\t2\nq2\td1\t1.0\n"
    expected = values(read(tmp_path))
    assert values(read(tmp_path, qrels=f"query-id\tcorpus-id\tscore\n{rows}")) == expected
    assert values(read(tmp_path, qrels=f"\ufeff{rows}")) == expected
    assert values(read(tmp_path, qrels=QRELS.replace("\n", "\r\n\r\n"), run=RUN.replace("\n", "\r\n"))) == expected


def test_the_same_judgements_have_one_hash_in_any_layout_and_order(tmp_path: Path) -> None:
    layouts = (QRELS, "query-id\tcorpus-id\tscore\nq2\td1\t1.0\nq1\td2\t2\nq1\td1\t1\n", QRELS.replace(" ", " \t"))
    one, two, three, other = (
        read(tmp_path, qrels=each).measurement.data_sha256 for each in (*layouts, QRELS.replace("2\n", "3\n"))
    )
    assert one == two == three != other


def test_a_run_and_its_judgements_may_be_packed(tmp_path: Path) -> None:
    expected = values(read(tmp_path))
    for name in ("a.run", "q.qrels"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    qrels = read_qrels(tmp_path / "q.qrels.gz")
    assert values(read_trec_run(tmp_path / "a.run.gz", qrels, "ndcg_at_10")) == expected


def test_samples_are_those_of_a_measured_retrieval_case(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.samples.type, found.samples.metric, found.samples.stratum[0]) == (
        "Retrieval",
        "ndcg_at_10",
        "test/default",
    )
    assert found.samples.top == [["d1", "d2"], ["d3"]]
    assert found.samples.units is not None
    one, two = map(set, found.samples.units)
    assert len(one & two) == 1, "both queries want d1"
    assert found.measurement.n == 2


def test_an_even_score_puts_the_last_id_first_and_that_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, run="q1 Q0 d2 1 0.50000001 x\nq1 Q0 d9 2 0.5 x\nq2 Q0 d1 1 1 x\n")
    assert found.samples.top == [["d9", "d2"], ["d1"]]
    assert found.notes == (
        "1 query with equal scores, to single precision, that the first 10 depend on, of which the last id goes first, "
        "as in trec_eval",
    )


@pytest.mark.parametrize(("depth", "told"), [(1, False), (2, True), (3, True)])
def test_equal_scores_are_told_where_they_decide_what_is_among_the_first(
    tmp_path: Path, depth: int, told: bool
) -> None:
    run = "q1 Q0 d1 1 3 x\nq1 Q0 d2 2 2 x\nq1 Q0 d3 3 2 x\n"
    notes = read(tmp_path, run=run, qrels="q1 0 d1 1\n", metric=f"recall_at_{depth}").notes
    assert any("equal scores" in note for note in notes) == told


@pytest.mark.parametrize(
    ("run", "qrels", "note"),
    [
        (f"{RUN}u Q0 d1 1 1 x\n", QRELS, "1 query not judged, and left out"),
        (RUN, f"{QRELS}q3 0 d1 1\nq4 0 d1 1\n", "2 queries judged and not in the run, counted as 0 (its option -c)"),
        (RUN.replace("q2", "q3"), f"{QRELS}q3 0 d1 0\n", "1 query without a relevant document, counted as 0"),
        (RUN.replace("0.9", "0.1"), QRELS, "1 query with ranks that contradict the scores, which count"),
    ],
)
def test_what_trec_eval_passes_over_is_counted_in_a_note(tmp_path: Path, run: str, qrels: str, note: str) -> None:
    assert f"{note}, as in trec_eval" in read(tmp_path, run, qrels).notes


@pytest.mark.parametrize("ranks", [("1", "2"), ("0", "0"), ("-", "-"), ("10", "9999999999999")])
def test_an_ordinary_run_has_no_notes(tmp_path: Path, ranks: tuple[str, str]) -> None:
    run = f"q1 Q0 d1 {ranks[0]} 0.8 x\nq1 Q0 d2 {ranks[1]} 0.7 x\nq2 Q0 d3 1 0.7 x\n"
    assert read(tmp_path, run=run).notes == ()


def test_a_judged_query_that_is_not_in_the_run_counts_as_nothing_found(tmp_path: Path) -> None:
    found = read(tmp_path, run="q2 Q0 d1 1 0.9 x\n")
    assert values(found) == {"q1": 0.0, "q2": 1.0}
    assert found.measurement.score == 0.5


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ("", "a.run: holds no line of a run"),
        ("q1 Q0 d1 1 0.9\n", "a.run:1: has 5 columns; expected query, Q0, document, rank, score and tag"),
        (f"\n{RUN}q1 Q0 d9 1 0.9 x y\n", "a.run:5: has 7 columns; expected query"),
        (f"{RUN}q1 Q0 d1 3 0.1 x\n", 'a.run:4: the document "d1" is there twice for its query'),
        *[(f"q1 Q0 d1 1 {score} x\n", f'a.run:1: the score "{score}" is not a number that single precision holds')
          for score in ("high", "nan", "inf", "-inf", "1e39", "1_0", "0x1", "", "1,5") if score],
        (f"q1 Q0 d1 1 {'9' * 200} x\n", "is not a number that single precision holds"),
        ("other Q0 d1 1 0.5 x\n", "a.run: of 1 query none is judged in "),
        (b"q\xff Q0 d1 1 0.5 x\n", "a.run: not UTF-8 at byte 1"),
        (f"{'q' * 501} Q0 d1 1 0.5 x\n", "a.run:1: an id is longer than 500 characters, or holds NUL"),
    ],
)  # fmt: skip
def test_a_run_that_could_be_read_in_two_ways_is_refused_in_a_sentence(
    tmp_path: Path, run: str | bytes, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, run)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("qrels", "sentence"),
    [
        ("", "q.qrels: holds no judgement"),
        ("query-id\tcorpus-id\tscore\n", "q.qrels: holds no judgement"),
        ("q1 d1 1\n", "q.qrels:1: expected query, document and score between tabs, or the four columns of TREC"),
        ("q1 0 d1 0.5\n", 'q.qrels:1: the score "0.5" is not a whole number'),
        ("query1 0 d1 0.5\n", 'q.qrels:1: the score "0.5" is not a whole number'),
        ("q1 0 d1 yes\n", 'q.qrels:1: the score "yes" is not a whole number'),
        (f"{QRELS}query-id\t0\tcorpus-id\tscore\n", 'q.qrels:4: the score "score" is not a whole number'),
        (f"{QRELS}q9\td1\t1\n", "q.qrels:4: has 3 columns; expected 4, as the lines before"),
        ("corpus-id\tquery-id\tscore\n", "q.qrels:1: names documents first; expected query-id, corpus-id and score"),
        (f"{QRELS}q1 0 d1 1\n", 'q.qrels:4: the document "d1" is there twice for its query'),
    ],
)
def test_judgements_that_are_none_are_refused_in_a_sentence(tmp_path: Path, qrels: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, qrels=qrels)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("metric", ["ndcg", "ndcg_cut_10", "ndcg_at_0", "ndcg_at_10001", "accuracy"])
def test_a_metric_that_there_is_not_is_named(tmp_path: Path, metric: str) -> None:
    with pytest.raises(ConfigError, match=f'^--metric = "{metric}" is none of ndcg_at_10, map_at_10, '):
        read(tmp_path, metric=metric)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.importing.trec.MAX_FILE_BYTES", 20)
    with pytest.raises(ConfigError, match=r"q.qrels: is larger than 0.0 kB$"):
        read(tmp_path)


def test_many_documents_are_ranked_whole(tmp_path: Path) -> None:
    chosen = np.random.default_rng(1).permutation(2000)
    run = "".join(f"q1 Q0 d{i} {place} {2000 - place} x\n" for place, i in enumerate(chosen))
    found = read(tmp_path, run=run, qrels=f"q1 0 d{chosen[1500]} 1\n", metric="mrr_at_2000")
    assert found.measurement.score == pytest.approx(1 / 1501)

"""What a run judges by: the entry, its anchor, or where the entry gives way to another its anchor alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import STRATUM, make_identity, make_outcome, make_reference
from touchstone.baselines.files import make_baseline
from touchstone.config.options import Options
from touchstone.errors import BaselineError
from touchstone.files.writing import to_json
from touchstone.judging.overall import judge_models
from touchstone.judging.pairing import Paired
from touchstone.records.baselines import Reference
from touchstone.records.cases import Case
from touchstone.records.flat import flatten
from touchstone.records.outcomes import Speed
from touchstone.records.runs import make_record
from touchstone.records.samples import Samples, encode_samples
from touchstone.records.verdicts import Verdict
from touchstone.session.reuse import suites_key, verdict_key
from touchstone.session.session import MeasuredCase, Session, open_session

N = 400


def samples(score: float) -> Samples:
    """Make queries of which so many found what they should."""
    ids = np.array([f"q{number:03}" for number in range(N)])
    value = (np.arange(N) < round(score * N)).astype(np.float64)
    return Samples(type="Retrieval", metric="ndcg_at_10", stratum=np.full(N, STRATUM), id=ids, value=value)


def measured(score: float) -> MeasuredCase:
    outcome = make_outcome(score, metric="ndcg_at_10", n=N, identity=make_identity(name="org/new"))
    return MeasuredCase(outcome=outcome, samples=samples(score))


@pytest.fixture
def refer(tmp_path: Path) -> Callable[..., Reference]:
    """Make a reference with its samples in a file."""

    def make(score: float, **changes: Any) -> Reference:
        file = tmp_path / f"{score}.parquet"
        file.write_bytes(encode_samples(samples(score)))
        return replace(make_reference(score, metric="ndcg_at_10"), samples=file, **changes)

    return make


def opened(folder: Path, reference: Reference | None, monkeypatch: pytest.MonkeyPatch, **typed: str) -> Session:
    """Open a run whose one case has a reference."""
    options = {"tasks": ["SmokeRetrieval"], "store": "store", **typed}
    session = open_session(Options.parse(options, root=folder, cwd=folder))
    monkeypatch.setattr(session.baselines, "find", lambda *_: reference)
    monkeypatch.setattr(session.baselines, "has_own", lambda *_: reference is not None)
    monkeypatch.setattr(session.baselines, "check_samples", check)
    return session


def check(reference: Reference) -> None:
    if reference.samples is not None and not reference.samples.is_file():
        raise BaselineError(f"{reference.samples}: no such file")


def judged(session: Session, score: float) -> Verdict:
    (case,) = session.plan.cases
    found = measured(score)
    verdict = session.judge(case, found.outcome, session.compare(case, found))
    assert verdict is not None
    return verdict


def test_the_samples_of_the_anchor_are_paired_too(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path, refer(0.6, anchor=refer(0.7)), monkeypatch)
    (case,) = session.plan.cases
    found = session.compare(case, measured(0.5))
    assert isinstance(found.paired, Paired)
    assert isinstance(found.anchored, Paired)
    assert (found.paired.difference.mean, found.anchored.difference.mean) == pytest.approx((-0.1, -0.2))


def test_a_lost_file_of_the_anchors_samples_is_an_error(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = replace(refer(0.7), samples=tmp_path / "lost.parquet")
    session = opened(tmp_path, refer(0.6, anchor=lost), monkeypatch)
    with pytest.raises(BaselineError, match=r"lost.parquet: no such file"):
        judged(session, 0.6)


@pytest.mark.parametrize(("own", "score", "word"), [(0.6, 0.7, "improved"), (0.9, 0.7, "improved"), (0.9, 0.5, "pass")])
def test_what_is_accepted_is_judged_by_its_anchor_and_not_by_what_it_replaces(
    tmp_path: Path,
    refer: Callable[..., Reference],
    monkeypatch: pytest.MonkeyPatch,
    own: float,
    score: float,
    word: str,
) -> None:
    session = opened(tmp_path, refer(own, anchor=refer(0.5)), monkeypatch, baseline="update")
    found = judged(session, score)
    assert (found.word, found.baseline) == (word, 0.5)
    assert found.reason.startswith(f"recorded {100 * score:.2f}, was {100 * own:.2f} (Δ ")
    assert ";" not in found.reason


def test_what_is_worse_than_its_anchor_fails_though_it_is_accepted_and_says_why(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path, refer(0.5, anchor=refer(0.8)), monkeypatch, baseline="update")
    found = judged(session, 0.6)
    assert (found.word, found.baseline) == ("regressed", 0.8)
    assert found.delta == pytest.approx(-0.2)
    assert found.reason.startswith("recorded 60.00, was 50.00 (Δ +10.00); ndcg_at_10 60.00, was 80.00 in minilm")


def test_what_is_its_own_anchor_is_judged_by_itself(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judged(opened(tmp_path, refer(0.8), monkeypatch, baseline="update"), 0.6)
    assert (found.word, found.baseline) == ("regressed", 0.8)


def test_what_is_recorded_for_the_first_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(opened(tmp_path, None, monkeypatch, baseline="update"), 0.6) == Verdict(
        word="pass", reason="recorded 60.00"
    )


def test_lost_samples_are_put_right_by_an_update_which_says_that_nothing_was_compared(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = refer(0.6)
    lost = replace(whole, samples=tmp_path / "lost.parquet")
    found = judged(opened(tmp_path, lost, monkeypatch, baseline="update"), 0.6)
    assert found.word == "incomparable"
    assert found.reason.startswith("recorded 60.00, was 60.00 (Δ +0.00); not comparable with minilm: ")
    assert "lost.parquet: no such file" in found.reason
    assert judged(opened(tmp_path, whole, monkeypatch), 0.6).word == "pass", "that verdict is of no other run"


def test_a_run_that_accepts_judges_its_suites_and_fails_with_a_case_that_is_worse(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path, refer(0.5, anchor=refer(0.8)), monkeypatch, baseline="update")
    monkeypatch.setattr(session.baselines, "write", lambda records, *_: [Path(r.task) for r in records])
    (case,) = session.plan.cases
    session.expect([case.id])
    found = replace(measured(0.6), outcome=replace(measured(0.6).outcome, samples_file="samples/x"))
    verdict = session.judge(case, found.outcome, session.compare(case, found))
    session.add(make_record(case, found.outcome, verdict, None))
    finished = session.finish()
    assert [suite.verdict for suite in finished.run.suites] == ["FAIL"]
    assert finished.exit_code == 1
    assert "wrote SmokeRetrieval: review and commit it" in finished.notes


def changed_anchor(case: Case, reference: Reference) -> tuple[Case, Reference]:
    return case, replace(reference, anchor=make_reference(0.9, metric="ndcg_at_10"))


def no_anchor(case: Case, reference: Reference) -> tuple[Case, Reference]:
    return case, replace(reference, anchor=None)


def other_level(case: Case, reference: Reference) -> tuple[Case, Reference]:
    return replace(case, policy=replace(case.policy, gated=41)), reference


def other_slices(case: Case, reference: Reference) -> tuple[Case, Reference]:
    return replace(case, slices=("language",)), reference


@pytest.mark.parametrize("change", [changed_anchor, no_anchor, other_level, other_slices])
def test_a_case_is_judged_again_when_what_it_is_judged_by_changes(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    session = opened(tmp_path, refer(0.6, anchor=refer(0.7)), monkeypatch)
    (case,), outcome = session.plan.cases, measured(0.6).outcome
    comparison = session.compare(case, measured(0.6))
    assert comparison.reference is not None
    other, reference = change(case, comparison.reference)
    known = verdict_key(case, outcome, comparison)
    assert known == verdict_key(case, outcome, comparison)
    assert known != verdict_key(other, outcome, replace(comparison, reference=reference))


def test_the_place_of_samples_decides_no_verdict(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = refer(0.6, anchor=refer(0.7))
    (case,) = opened(tmp_path, reference, monkeypatch).plan.cases
    assert reference.anchor is not None
    moved = replace(reference, samples=Path("x"), anchor=replace(reference.anchor, samples=Path("y")))
    keys = []
    for one in (reference, moved):
        comparison = opened(tmp_path, reference, monkeypatch).compare(case, measured(0.6))
        keys.append(verdict_key(case, measured(0.6).outcome, replace(comparison, reference=one)))
    assert keys[0] == keys[1]


def test_speed_decides_no_verdict(
    tmp_path: Path, refer: Callable[..., Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = refer(0.6)
    verdicts, keys, records = [], [], []
    for speed in (None, Speed(machine="here", texts_per_second=1.0), Speed(machine="there", query_p50=9.0)):
        session = opened(tmp_path / str(speed), reference, monkeypatch)
        (case,) = session.plan.cases
        one = replace(measured(0.5), outcome=replace(measured(0.5).outcome, speed=speed))
        comparison = session.compare(case, one)
        verdicts.append(session.judge(case, one.outcome, comparison))
        keys.append(verdict_key(case, one.outcome, comparison))
        records.append(make_record(case, one.outcome, verdicts[-1], None))
        assert records[-1].speed == speed
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert verdicts[0] is not None
    assert verdicts[0].word == "regressed"
    assert keys[0] == keys[1] == keys[2]
    assert len({to_json(suites_key((record,))) for record in records}) == 1
    assert len({repr(judge_models((record,))) for record in records}) == 1
    assert len({to_json(flatten(make_baseline(record, {}))) for record in records}) == 1

import json
from statistics import fmean
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DATA_REVISION, FINGERPRINT, MODEL, REVISION, STRATUM, make_case, make_outcome
from tests.report.suites import shown
from touchstone.records.cases import Policy
from touchstone.records.flat import flatten, read_record
from touchstone.records.outcomes import Measurement, Outcome, OutcomeWord, Settings
from touchstone.records.runs import Record, make_record
from touchstone.records.verdicts import Terms, Verdict, VerdictWord

FAILED = Verdict(word="regressed", rule="threshold", reason="lost", baseline=0.85, delta=-0.03)
PASSED = Verdict(word="pass", rule="reproduce", reason="same", baseline=0.82, delta=0.0)


def test_a_measured_and_judged_case_is_flattened_whole() -> None:
    outcome = make_outcome(0.82, chance=0.0, data_sha256="1" * 64, settings=Settings(pooling="mean"), limit=100)

    assert make_record(make_case(limit=100, policy=Policy(gated=3)), outcome, FAILED, None) == Record(
        case="minilm:STSBenchmark",
        alias="minilm",
        model=MODEL,
        revision=REVISION,
        task="STSBenchmark",
        type="STS",
        languages=("eng", "deu"),
        outcome="failed",
        metric="cosine_spearman",
        limit=100,
        measurement=Measurement(
            metric="cosine_spearman",
            score=0.82,
            subsets={STRATUM: 0.82},
            n=1379,
            chance=0.0,
            limit=100,
            dataset_revision=DATA_REVISION,
            data_sha256="1" * 64,
            fingerprint=FINGERPRINT,
            settings=Settings(pooling="mean"),
        ),
        baseline=0.85,
        delta=-0.03,
        verdict="regressed",
        rule="threshold",
        reason="lost",
        seconds=4.0,
        phases={"model": 1.25, "data": 0.5, "encode": 2.0, "score": 0.25},
        texts=2758,
        device="cpu",
        terms=Terms(gated=3),
    )


@pytest.mark.parametrize(
    ("outcome", "verdict", "error", "word"),
    [
        (None, None, None, "not measured"),
        (None, None, "NaN in the embeddings", "error"),
        (make_outcome(), None, "the baseline cannot be read", "error"),
        (make_outcome(), None, None, "passed"),
        (make_outcome(), PASSED, None, "passed"),
        (make_outcome(), FAILED, None, "failed"),
        (make_outcome(), PASSED, "teardown broke", "error"),
        (make_outcome(), FAILED, "teardown broke", "error"),
    ],
)
def test_what_became_of_a_case_is_one_word_and_an_error_wins(
    outcome: Outcome | None, verdict: Verdict | None, error: str | None, word: OutcomeWord
) -> None:
    record = make_record(make_case(), outcome, verdict, error)

    assert (record.outcome, record.error) == (word, error)
    assert record.score == (None if outcome is None else 0.82)


@pytest.mark.parametrize("word", get_args(VerdictWord))
def test_a_case_fails_exactly_when_its_verdict_is_not_ok(word: VerdictWord) -> None:
    verdict = Verdict(word=word, reason="so")

    assert make_record(make_case(), make_outcome(), verdict, None).outcome == ("passed" if verdict.ok else "failed")


@pytest.mark.parametrize("word", get_args(VerdictWord))
def test_samples_that_changed_are_kept_for_all_but_a_plain_pass(word: VerdictWord) -> None:
    record = make_record(make_case(), make_outcome(), Verdict(word=word, reason="so"), None, shown())

    assert record.shown == (None if word == "pass" else shown())
    assert read_record(json.loads(json.dumps(flatten(record)))) == record


@given(
    st.dictionaries(st.text(), st.floats(-1, 1), min_size=1),
    st.none() | st.dictionaries(st.text(), st.text()),
    st.none() | st.text(min_size=1),
    st.none() | st.sampled_from([PASSED, FAILED]),
)
def test_a_record_survives_json(
    subsets: dict[str, float], prompts: dict[str, str] | None, error: str | None, verdict: Verdict | None
) -> None:
    outcome = make_outcome(subsets, settings=Settings(prompts=prompts, max_length=256))
    record = make_record(make_case(), outcome, verdict, error)

    again = read_record(json.loads(json.dumps(flatten(record))))

    assert again == record
    assert again.score == fmean(subsets.values())


def test_a_record_of_nothing_measured_survives_json() -> None:
    record = make_record(make_case(), None, None, None)

    assert read_record(json.loads(json.dumps(flatten(record)))) == record


@pytest.mark.parametrize("said", [None, "cuts texts after about 1,100 characters"])
def test_what_a_server_does_with_long_texts_is_written_where_it_is_known(said: str | None) -> None:
    record = make_record(make_case(), make_outcome(settings=Settings(long_texts=said)), PASSED, None)
    plain = flatten(record)
    assert plain["settings"].get("long_texts", "left out") == (said or "left out")
    assert read_record(plain) == record

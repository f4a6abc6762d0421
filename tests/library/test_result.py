"""A result as a table, in a notebook, and as reports."""

import re
from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from touchstone import Result, load_run
from touchstone.errors import ConfigError
from touchstone.records.runs import SuiteVerdict, SuiteWord

HOSTILE = "<script>alert(1)</script>&\"'"


def make_result(*records: object, words: tuple[SuiteWord, ...] = (), store: Path = Path("store")) -> Result:
    from dataclasses import replace

    suites = tuple(
        SuiteVerdict(
            model=f"m{number}", verdict=word, reason=HOSTILE, delta=None, interval=None, paired=0, cases=1, by_type={}
        )
        for number, word in enumerate(words)
    )
    return Result(run=replace(make_run(*records), suites=suites), store=store)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), None), (("PASS",), "PASS"), (("PASS", "INCONCLUSIVE"), "INCONCLUSIVE"),
     (("INCONCLUSIVE", "FAIL", "INCOMPLETE"), "FAIL")],
)  # fmt: skip
def test_the_verdict_is_the_worst(words: tuple[SuiteWord, ...], expected: str | None) -> None:
    assert make_result(make_row(score=0.5), words=words).verdict == expected


@pytest.mark.parametrize("outcome", ["error", "not measured"])
def test_a_case_without_a_score_leaves_no_pass(outcome: str) -> None:
    result = make_result(make_row(outcome=outcome, error="gone" if outcome == "error" else None), words=("PASS",))
    assert result.verdict == "INCOMPLETE"
    assert result.exit_code == 1


def test_a_table_has_a_row_for_each_case_in_fractions() -> None:
    frame = make_result(
        make_row(score=0.82, baseline=0.8, delta=0.02), make_row("B", outcome="error", error="x")
    ).to_frame()
    assert list(frame["task"]) == ["STSBenchmark", "B"]
    assert frame.loc[0, ["score", "baseline", "delta"]].tolist() == [0.82, 0.8, 0.02]
    assert frame["score"].isna().tolist() == [False, True]
    assert list(frame["why"])[1] == "x"


def test_nothing_that_strangers_wrote_is_markup_in_a_notebook() -> None:
    row = make_row(HOSTILE, alias=HOSTILE, metric=HOSTILE, outcome="error", error=HOSTILE)
    result = make_result(row, words=("FAIL",))
    html = Result(run=result.run, store=result.store, notes=(HOSTILE,))._repr_html_()
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", html))
    assert tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6  # reason, model, task, metric, why, note


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    result = make_result(make_row(score=0.5), store=tmp_path)
    assert result.save(tmp_path / "run.json") == (f"wrote {tmp_path / 'run.json'}",)
    assert load_run(tmp_path / "run.json", store=tmp_path) == result
    result.save(tmp_path / "run.html")
    assert (tmp_path / "run.html").read_text().lstrip().startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="its suffix says the format"):
        result.save(tmp_path / "run.doc")

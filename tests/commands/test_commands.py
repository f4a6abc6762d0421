"""The `evals` command: what it prints, and the exit code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from touchstone.__main__ import main
from touchstone.config.options import Options
from touchstone.records.runs import make_record
from touchstone.session.session import open_session


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stored runs of real models on embedded data: minilm, and half of its dimensions."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("a", "minilm"), ("b", "minilm@truncate_dim=64")):
        typed = {
            "models": [model],
            "tasks": ["SmokeRetrieval", "SmokeReranking"],
            "device": "cpu",
            "baseline": "off",
            "reports": [f"{name}.json"],
        }
        session = open_session(Options.parse(typed, root=folder, cwd=folder))
        session.expect(case.id for case in session.plan.cases)
        for case in session.plan.cases:
            with session.measure(case, lambda _: None) as measured:
                verdict = session.judge(case, measured.outcome, session.compare(case, measured))
            session.add(make_record(case, measured.outcome, verdict, None))
        session.finish()
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_plan_lists_the_cases_of_the_default_suite(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "plan")
    assert code == 0
    assert "minilm:SmokeRetrieval" in out
    assert out.strip().endswith("1 Classification, 1 Clustering, 1 PairClassification, 1 Reranking, 1 Retrieval, 1 STS")


def test_plan_says_how_long_it_will_take_from_past_runs_and_from_the_amount_of_text(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    _, out, _ = run(capsys, "plan", "--device", "cpu")
    assert "times: 2 in the store already; 4 by the amount of text" in out
    assert len([line for line in out.splitlines() if line.split()[5:] == ["0", "s"]]) == 2
    monkeypatch.setattr("touchstone.session.reuse.Known.ids", lambda *_: frozenset())
    code, out, _ = run(capsys, "plan", "--workers", "3", "--workers", "1", "--device", "cpu")
    assert code == 0
    cases, types, workers, rest = (block.splitlines() for block in out.strip().split("\n\n"))
    times = {line.split()[0]: line.split()[5] for line in cases}
    assert times["case"] == "time"
    assert {name for name, time in times.items() if time.startswith("~")} == {
        f"minilm:Smoke{name}" for name in ("STS", "Classification", "PairClassification", "Clustering")
    }
    assert types[0].split() == ["type", "minilm"]
    assert types[-1].startswith("all ")
    assert [line.split()[0] for line in workers] == ["workers", "3", "1"]
    assert rest[0] == "times: 2 timed here before; 4 by the amount of text, which can be wrong by a factor of 4"
    code, out, err = run(capsys, "plan", "--workers", "none")
    assert (code, err) == (4, 'touchstone: --workers = "none"; expected a whole number of 1 or more\n')


def test_plan_puts_models_side_by_side_and_is_a_table_in_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    chosen = ("plan", "--model", "minilm", "--model", "minilm@truncate_dim=64", "--task", "SmokeS*", "--device", "cpu")
    _, plain, _ = run(capsys, *chosen)
    assert "type  minilm  minilm+truncate_dim-64  all" in plain.splitlines()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, shown, _ = run(capsys, *chosen)
    assert "\x1b[1m" in shown
    assert "\x1b" not in plain
    assert [line.split() for line in re.sub(r"\x1b\[\d*m", "", shown).splitlines()] == [
        line.split() for line in plain.splitlines()
    ]


def test_mistake_is_one_sentence_and_exit_code_4(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "plan", "--suite", "engish")
    assert (code, out) == (4, "")
    named = "neither a file (.toml, .json, .yaml, .py) nor a built-in suite"
    assert err == f'touchstone: --suite = "engish" is {named}; did you mean "english"?\n'


def test_baselines_are_shown_with_where_they_are_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "baselines", "show", "--alias", "minilm")
    assert code == 0
    assert any(line.split() == ["minilm:STSBenchmark", "cosine_spearman", "82.03", "results-repo@f4cc6c8b"]
               for line in out.splitlines())  # fmt: skip


def test_compare_judges_stored_runs_as_a_run_would(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "compare", "a.json", "b.json")
    assert code == 1
    assert "SmokeRetrieval regressed: ndcg_at_10 38.03, was 66.03 in a.json (Δ −28.00, 95 % [" in out
    assert "b.json: FAIL: " in out
    better, out, _ = run(capsys, "compare", "b.json", "a.json")
    assert better == 0
    assert "improved" in out


def test_compare_of_a_run_with_the_baseline_of_its_own_model_reproduces(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "compare", "minilm", "a.json")
    assert code == 0
    assert "a.json: PASS" in out
    assert "only in minilm, not compared: " in out


def test_power_says_what_could_be_detected(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "compare", "a.json", "b.json", "--power")
    lines = out.strip().splitlines()
    assert code == 0
    assert [line.partition(":")[0] for line in lines] == ["SmokeRetrieval", "SmokeReranking", "the mean over 2 tasks"]
    assert all("−" in line for line in lines)


@pytest.mark.parametrize(
    ("sides", "sentence"),
    [
        (("minlm", "a.json"), 'did you mean "minilm"?'),
        (("gone.json", "a.json"), "gone.json: no such file"),
        (("a.json:minlm", "a.json"), 'has no model "minlm"; did you mean "minilm"?'),
        (("broken.json", "a.json"), "broken.json: "),
        (("a.json", "other.json"), "a.json and other.json have no case in common"),
    ],
)
def test_side_that_cannot_be_read_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    sides: tuple[str, str],
    sentence: str,
) -> None:
    monkeypatch.chdir(runs)
    (runs / "broken.json").write_text("{")
    content: dict[str, Any] = json.loads((runs / "a.json").read_text())
    for one in content["records"]:
        one["task"] = f"Other{one['task']}"
        one["case"] = f"{one['alias']}:{one['task']}"
    (runs / "other.json").write_text(json.dumps(content))
    code, out, err = run(capsys, "compare", *sides)
    assert (code, out) == (4, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_task_that_the_candidate_could_not_measure_is_not_passed_over(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    content: dict[str, Any] = json.loads((runs / "a.json").read_text())
    content["records"][0] |= {"score": None, "subsets": None, "outcome": "error", "error": "CUDA out of memory"}
    (runs / "lost.json").write_text(json.dumps(content))
    code, out, _ = run(capsys, "compare", "a.json", "lost.json")
    assert code == 1
    assert "1 error" in out


def test_prompt_that_no_text_would_get_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = tmp_path / "m.toml"
    models.write_text('[x]\nid = "o/x"\nprompts = { SmokeRetrieval = "fine: ", passages = "lost: " }')
    code, _, error = run(capsys, "plan", "--models", str(models), "--model", "x")
    assert code == 4
    assert error.startswith('touchstone: [x] prompts.passages: "passages" is no task, task type or role of mteb')
    models.write_text('[x]\nid = "o/x"\nprompts = { SmokeRetrieval-query = "fine: ", STS = "fine: " }')
    assert run(capsys, "plan", "--models", str(models), "--model", "x")[0] == 0


def test_trend_shows_the_scores_of_a_stores_runs(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "trend", "--task", "*Retrieval")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines[1:]] == ["minilm:SmokeRetrieval", "minilm+truncate_dim-64:SmokeRetrieval"]
    assert lines[1][1:] == ["ndcg_at_10", "1", "▄", "66.03", "66.03"]
    assert len(run(capsys, "trend", "--model", "minilm", "--type", "Reranking")[1].splitlines()) == 2
    assert len(run(capsys, "trend", "--type", "retrieval", "--type", "reranking")[1].splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("trend", "--model", "minlm"), 'touchstone: --model = "minlm" is in no run; did you mean "minilm"?'),
        (("trend", "--type", "STS"), 'touchstone: --type = "sts" is in no run; known: reranking, retrieval'),
        (("trend", "--task", "X*"), ".touchstone: no case of its 4 is of that model, task and type"),
        (
            ("trend", "--store", "nowhere"),
            "nowhere: has no runs that measured anything; a run adds itself",
        ),
        (("report", "c.json"), "c.json: no such run record or store"),
        (
            ("report", "a.json", "--out", "a.pdf"),
            'touchstone: --out = "a.pdf"; its suffix says the format, one of .html',
        ),
        (("report", "a.json", "--out", "github"), "touchstone: --report github needs a step of GitHub Actions"),
    ],
)
def test_what_history_does_not_have_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(runs)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (4, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_report_renders_a_stored_run_again_as_it_was(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert run(capsys, "report", "a.json", "--out", "again.json")[:2] == (0, f"wrote {runs / 'again.json'}\n")
    assert (runs / "again.json").read_bytes() == (runs / "a.json").read_bytes()
    code, out, _ = run(capsys, "report", ".touchstone")
    assert code == 0
    assert "minilm+truncate_dim-64\n" in out
    assert "mean over tasks" not in out


def test_report_puts_the_models_of_several_runs_side_by_side(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "report", "a.json", "b.json", "a.json")
    assert code == 0
    table = {
        line.split()[0]: line.split()[-2:] for line in out.partition("mean over tasks (2)")[2].splitlines() if line
    }
    scores = {task: [float(cell) for cell in table[task]] for task in ("SmokeRetrieval", "SmokeReranking")}
    means = [float(cell) for cell in out.partition("mean over tasks (2)")[2].split()[:2]]
    assert means == pytest.approx([sum(pair) / 2 for pair in zip(*scores.values(), strict=True)], abs=0.011)
    assert scores["SmokeRetrieval"][0] == 66.03
    assert "minilm:SmokeRetrieval: in two runs, taken from " in out
    run(capsys, "report", "a.json", "b.json", "--out", "both.html")
    page = (runs / "both.html").read_text()
    assert "Models side by side" in page
    assert page.count("<polyline") == 0, "each model ran once: there is no line yet"
    run(capsys, "report", "a.json", "b.json", "--out", "both.md")
    assert "All 4 cases" in (runs / "both.md").read_text()


def test_a_page_with_a_damaged_past_says_so_and_is_written(
    capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "2026.json").write_text("{")
    code, out, _ = run(capsys, "report", "a.json", "--out", str(tmp_path / "x.html"), "--store", str(tmp_path))
    assert code == 0
    assert (tmp_path / "x.html").is_file()
    assert out.splitlines()[1].startswith(f"no lines over past runs in the report: {tmp_path / 'runs' / '2026.json'}: ")

"""The `evals` command: what it prints, and the exit code."""

import json
import re
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from ir_measures import nDCG

import touchstone
from tests.builders import make_baseline, make_baseline_file
from touchstone.__main__ import main
from touchstone.baselines.files import render_baseline_file
from touchstone.commands import find_commands
from touchstone.config.options import Options
from touchstone.records.runs import make_record
from touchstone.session.session import open_session


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stored runs of real models on embedded data: minilm, and half of its dimensions."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("a", "minilm"), ("b", "minilm@truncate_dim=64")):
        measure(folder, name, models=[model], tasks=["SmokeRetrieval", "SmokeReranking"], baseline="off")
    return folder


def measure(folder: Path, name: str, **typed: Any) -> None:
    options = Options.parse(typed | {"device": "cpu", "reports": [f"{name}.json"]}, root=folder, cwd=folder)
    session = open_session(options)
    session.expect(case.id for case in session.plan.cases)
    for case in session.plan.cases:
        with session.measure(case, lambda _: None) as measured:
            verdict = session.judge(case, measured.outcome, session.compare(case, measured))
        session.add(make_record(case, measured.outcome, verdict, None))
    session.finish()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("pln", '"pln" is no command of touchstone; did you mean "plan"?'),
        ("baselines shw", '"shw" is no action of touchstone baselines; did you mean "show"?'),
        ("plan --sute x", 'touchstone plan does not take "--sute"; did you mean "--suite"?'),
        ("plan --sute=x", 'touchstone plan does not take "--sute=x"; did you mean "--suite"?'),
        ("plan x", 'touchstone plan does not take "x"; touchstone plan --help says what there is'),
        ("baselines show --metrics man", '--metrics = "man" is not one of its values; did you mean "main"?'),
        ("compare a", "touchstone compare needs B; touchstone compare --help says what there is"),
        ("plan --limit", "argument --limit: expected one argument; touchstone plan --help says what there is"),
        ("", "touchstone needs COMMAND; touchstone --help says what there is"),
    ],
)
def test_a_mistake_in_a_command_is_one_sentence_and_exit_code_4(
    capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    assert run(capsys, *words.split()) == (4, "", f"touchstone: {sentence}\n")


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
    monkeypatch.setattr("touchstone.session.reuse.OutcomeCache.ids", lambda *_: frozenset())
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


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which one entry was replaced since the first release, and one was not."""
    first = make_baseline(0.9, recorded="2026-11-01")
    tasks = {"STS16": make_baseline(0.8, recorded="2026-11-20"), "STS13": first}
    (tmp_path / "baselines").mkdir()
    file = tmp_path / "baselines" / "walked.json"
    file.write_text(render_baseline_file(make_baseline_file(tasks, anchors={"STS16": first})), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return file


def test_an_anchor_is_shown_and_moved_with_a_reason(capsys: pytest.CaptureFixture[str], walked: Path) -> None:
    shown = ("baselines", "show", "--alias", "walked")
    assert [line.split()[5:] for line in run(capsys, *shown)[1].splitlines()] == [
        [], ["anchor", "90.00", "2026-11-01"],
    ]  # fmt: skip
    code, out, _ = run(capsys, "baselines", "anchor", "--move", "walked", "--reason", " other data ")
    assert code == 0
    assert out.splitlines() == [
        "walked:STS16: 90.00 2026-11-01 → 80.00 2026-11-20",
        "their own anchors already, 1: STS13",
    ]
    assert re.search(r"2026-11-20 +anchor moved \d{4}-\d\d-\d\d: other data\n$", run(capsys, *shown)[1])


def test_anchors_in_json_stand_with_their_entries(capsys: pytest.CaptureFixture[str], walked: Path) -> None:
    plain, shown = json.loads(walked.read_text()), ("baselines", "show", "--alias", "walked", "--json")
    before = json.loads(run(capsys, *shown)[1])["walked"]
    assert before == plain["tasks"] | {"STS16": plain["tasks"]["STS16"] | {"anchor": plain["anchors"]["STS16"]}}
    run(capsys, "baselines", "anchor", "--move", "walked", "--task", "STS*", "--reason", "other data")
    after, moved = json.loads(run(capsys, *shown)[1])["walked"], json.loads(walked.read_text())["moved"]
    assert after == plain["tasks"] | {"STS16": plain["tasks"]["STS16"] | {"moved": moved["STS16"]}}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ((), 'touchstone: --reason = ""; expected why the anchor moves, one line of 1 to 200 characters'),
        (("--reason", " "), 'touchstone: --reason = ""; expected why'),
        (("--reason", "x", "--task", "STS61"), 'has no such entry; did you mean "STS16"?'),
    ],
)
def test_an_anchor_that_cannot_move_is_one_sentence(
    capsys: pytest.CaptureFixture[str], walked: Path, typed: tuple[str, ...], sentence: str
) -> None:
    before = walked.read_bytes()
    code, out, err = run(capsys, "baselines", "anchor", "--move", "walked", *typed)
    assert (code, out) == (4, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert walked.read_bytes() == before


def test_compare_judges_stored_runs_as_a_run_would(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    code, out, _ = run(capsys, "compare", "a.json", "b.json")
    assert code == 1
    assert "SmokeRetrieval regressed: ndcg_at_10 38.03, was 66.03 in minilm (Δ −28.00, 95 % [" in out
    assert "minilm+truncate_dim-64: FAIL of 2 of 6 cases: " in out
    assert " < 0.025/6, " in out, "the level of the whole suite, of which two tasks were run"
    better, out, _ = run(capsys, "compare", "b.json", "a.json")
    assert better == 0
    assert "improved" in out


@pytest.fixture
def trec(capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """The same two runs as run files of TREC, written by the command, and the judgements of their data."""
    monkeypatch.chdir(runs)
    files = []
    for name, alias in (("a", "minilm"), ("b", "minilm+truncate_dim-64")):
        code, out, _ = run(capsys, "report", f"{name}.json", "--out", f"{name}/runs/")
        assert (code, out.splitlines()[0]) == (0, f"run files written into {runs / name / 'runs'}: 1")
        assert f"{alias}:SmokeReranking: no run file: the store has no ranking of it; only what " in out
        files.append(f"{name}/runs/{alias}.SmokeRetrieval.test.default.run")
    judged = (Path(touchstone.__file__).parent / "data/articles/qrels/test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in judged]
    lines = [f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}\n" for row in rows]
    (runs / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    (runs / "qrels.txt").write_text("".join(f"{r['query-id']} 0 {r['corpus-id']} {r['score']}\n" for r in rows))
    return files[0], files[1], "qrels.tsv"


def test_run_files_of_a_run_have_its_score_by_ir_measures(runs: Path, trec: tuple[str, str, str]) -> None:
    judged: Any = ir_measures.read_trec_qrels
    found: Any = ir_measures.read_trec_run
    for name, file in zip("ab", trec, strict=False):
        measured = ir_measures.calc_aggregate([nDCG @ 10], list(judged(str(runs / "qrels.txt"))), list(found(file)))
        (record,) = (r for r in json.loads((runs / f"{name}.json").read_text())["records"] if r["type"] == "Retrieval")
        assert record["recomputed"] == pytest.approx(measured[nDCG @ 10], abs=1e-12)


def test_the_verdict_on_run_files_is_that_on_the_same_data_run_here(
    capsys: pytest.CaptureFixture[str], runs: Path, trec: tuple[str, str, str]
) -> None:
    one, two, qrels = trec
    for report, sides in (("trec.json", (one, two, "--qrels", qrels)), ("here.json", ("a.json", "b.json"))):
        assert run(capsys, "compare", *sides, "--report", report)[0] == 1
    theirs, ours = (
        next(r for r in json.loads((runs / name).read_text())["records"] if r["type"] == "Retrieval")
        for name in ("trec.json", "here.json")
    )
    for name in ("score", "baseline", "delta"):
        assert theirs[name] == pytest.approx(ours[name], abs=1e-5), "mteb rounds to five digits"
    for name in ("n", "verdict", "rule", "suspect", "outcome", "metric"):
        assert theirs[name] == ours[name], name
    for name in ("error", "degrees", "interval", "p", "n", "changed", "units", "worst", "best", "skew", "effect"):
        assert theirs["evidence"][name] == pytest.approx(ours["evidence"][name], rel=1e-9), name
    assert [one["id"] for one in theirs["shown"]["lost"]] == [one["id"] for one in ours["shown"]["lost"]]
    assert theirs["shown"]["lost"][0]["documents"], "with the places of documents before and after"


def test_a_run_file_that_was_imported_is_the_baseline_that_its_run_would_be(
    capsys: pytest.CaptureFixture[str], runs: Path, trec: tuple[str, str, str]
) -> None:
    one, two, qrels = trec
    typed = ("baselines", "import", one, "--qrels", qrels, "--into", "imported")
    assert run(capsys, *typed, "--task", "SmokeRetrieval", "--alias", "theirs")[0] == 0
    assert run(capsys, "compare", "theirs", "b.json", "--baselines", "imported", "--report", "x.json")[0] == 1
    assert run(capsys, "compare", "a.json", "b.json", "--report", "here.json")[0] == 1
    theirs, ours = (
        next(r for r in json.loads((runs / name).read_text())["records"] if r["type"] == "Retrieval")
        for name in ("x.json", "here.json")
    )
    assert theirs["baseline"] == pytest.approx(ours["baseline"], abs=1e-5), "mteb rounds to five digits"
    assert (theirs["verdict"], theirs["n"]) == (ours["verdict"], ours["n"])
    for name in ("error", "p", "interval", "changed", "units"):
        assert theirs["evidence"][name] == pytest.approx(ours["evidence"][name], rel=1e-9), name
    # Called as its judgements are, it is compared with other run files.
    assert run(capsys, *typed, "--alias", "alone")[0] == 0
    code, out, _ = run(capsys, "compare", "alone", two, "--qrels", qrels, "--baselines", "imported")
    assert code == 1
    assert "qrels regressed: ndcg_at_10 38.0" in out


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ((), "neither a card, a tree of results nor a run record, which --kind names, nor a run file with --qrels"),
        (("--kind", "card", "--task", "x"), "--task is for run files of TREC, and "),
        (("--qrels", "qrels.tsv", "--task", "XQuADRetrieval"), '--stratum = ""; expected the part of XQuADRetrieval'),
        (("--qrels", "qrels.tsv", "--task", "STS13"), '"STS13" is a task of type STS, and a run file is of one that'),
        (("--qrels", "qrels.tsv", "--stratum", "test"), '--stratum = "test"; expected SPLIT/SUBSET'),
        (("--qrels", "qrels.tsv", "--task", "a/b"), '--task = "a/b" is not a name that a case can have'),
        (("--kind", "trec"), "a run file needs its judgements, --qrels FILE"),
    ],
)
def test_a_run_file_that_cannot_be_a_baseline_is_one_sentence(
    capsys: pytest.CaptureFixture[str], trec: tuple[str, str, str], typed: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run(capsys, "baselines", "import", trec[0], "--into", "imported", *typed)
    assert (code, out, len(err.splitlines())) == (4, "", 1)
    assert sentence in err


def test_several_run_files_are_one_table_with_ties_and_a_shared_level(
    capsys: pytest.CaptureFixture[str], runs: Path, trec: tuple[str, str, str]
) -> None:
    one, two, qrels = trec
    (runs / "again.run").write_bytes((runs / one).read_bytes())
    reports = [word for name in ("t.html", "t.json", "t.md") for word in ("--report", name)]
    code, out, _ = run(capsys, "compare", one, two, "again.run", "--qrels", qrels, *reports)
    rows = [re.split(r"  +", line) for line in out.splitlines()[:4]]
    assert code == 1
    assert [(row[0], row[-1]) for row in rows] == [
        ("model", "not told apart from"), (one, "again.run"), ("again.run", one), (two, "none"),
    ]  # fmt: skip
    assert "each of 2 candidates is judged at 0.025; two models" in out
    assert "one of 3 pairs is below 0.017" in out
    assert {row["terms"]["alpha"] for row in json.loads((runs / "t.json").read_text())["records"]} == {0.025}
    assert "; not told apart from a/runs/minilm.SmokeRetrieval.test.default.run" in (runs / "t.md").read_text().replace(
        "\\", ""
    )
    assert run(capsys, "report", "t.json")[0] == 0, "what was written can be read"
    assert all("qrels" in (runs / name).read_text() for name in ("t.html", "t.md"))
    assert "lost or gained: all in a list" in (runs / "t.html").read_text()


def test_what_is_odd_in_a_run_file_is_told_in_the_terminal_and_in_reports(
    capsys: pytest.CaptureFixture[str], runs: Path, trec: tuple[str, str, str]
) -> None:
    one, two, qrels = trec
    lines = (runs / two).read_text().splitlines(keepends=True)
    (runs / "less.run").write_text("".join(line for line in lines if not line.startswith("q-001 ")))
    note = "less.run: 1 query judged and not in the run, counted as 0 (its option -c), as in trec_eval"
    _, out, _ = run(
        capsys, "compare", one, "less.run", "--qrels", qrels, "--report", "less.md", "--report", "less.json"
    )
    assert note in out
    assert note in json.loads((runs / "less.json").read_text())["records"][0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a.run", "b.run"), "a.run: a file; a run record ends in .json, and a run file of TREC needs --qrels FILE"),
        (("a.run", "b.run", "--qrels", "gone"), "gone: no such file"),
        (("a.json", "b.json", "--metric", "map_at_10"), "--metric is what run files are scored by; it needs --qrels"),
        (("a.json", "b.json", "./b.json"), 'two of these are called "b.json"; expected each once'),
        (("a.json", "b.json", "--report", "x.pdf"), '--report = "x.pdf"; its suffix says the format'),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(runs)
    (runs / "a.run").write_text("q1 Q0 d1 1 0.5 x\n")
    code, out, error = run(capsys, "compare", *arguments)
    assert (code, out, error.count("\n")) == (4, "", 1)
    assert sentence in error


def test_published_scores_are_put_side_by_side_and_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "compare", "bge-large-en", "sfr-embedding-mistral")
    lines = [re.split(r"  +", line) for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["scores only: without samples nothing says which differences are more than chance"]
    assert ["mean over tasks", "56", "63.99", "67.56", "+3.57"] in lines
    assert ["STS", "10", "81.56", "85.05", "+3.49"] in lines
    tasks = [line for line in lines if line[-1] in ("lower", "higher")]
    assert tasks[0] == ["EmotionClassification", "accuracy", "52.71", "50.24", "−2.47", "lower"], "the worst first"
    assert len(tasks) == 56
    assert lines[-1][0].startswith("only in bge-large-en, not compared: 12: CQADupstackAndroidRetrieval, ")
    assert not re.search("regressed|FAIL|PASS|worse|None|draws|passed|failed", out)


def test_a_rule_that_is_typed_judges_published_scores_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "compare", "bge-large-en", "sfr-embedding-mistral", "--gate", "threshold")
    assert code == 1
    assert "SCIDOCS regressed: " in out


def test_a_report_of_published_scores_has_no_verdicts_either(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = [tmp_path / f"report{suffix}" for suffix in (".html", ".md", ".json")]
    reports = [word for file in files for word in ("--report", str(file))]
    assert run(capsys, "compare", "bge-large-en", "sfr-embedding-mistral", *reports)[0] == 0
    page, summary, record = (file.read_text() for file in files)
    for text in (re.sub("<(style|script).*?</(style|script)>", "", page, flags=re.DOTALL), summary):
        assert "lower" in text
        assert not re.search(r"\bregressed\b|\bdrifted\b|\bFAIL\b|\bNone\b", text)
    assert {one["verdict"] for one in json.loads(record)["records"]} == {None}
    assert run(capsys, "report", str(files[2]))[0] == 0


def test_compare_takes_what_is_typed_of_the_gate(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    wide = ("--margin", "0.49", "--suite-margin", "0.49")
    code, out, _ = run(capsys, "compare", "a.json", "b.json", *wide)
    assert (code, "regressed" in out) == (0, False)
    bounds = {bound: run(capsys, "compare", "a.json", "b.json", *wide, "--gate", "equivalent", "--bound", bound)[0]
              for bound in ("0.45", "0.01")}  # fmt: skip
    assert bounds == {"0.45": 0, "0.01": 1}


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


def test_the_page_of_a_stored_run_lists_what_changed_as_long_as_the_samples_are_there(
    capsys: pytest.CaptureFixture[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    measure(runs, "c", models=["minilm@truncate_dim=64"], tasks=["SmokeReranking"], against="minilm")
    for stores, words in (
        ((), "101 samples lost or gained: all in a list"),
        (("--store", "x"), "does not have its samples"),
    ):
        assert run(capsys, "report", "c.json", "--out", "c.html", *stores)[0] == 0
        assert words in (runs / "c.html").read_text()


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


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models of a project: one has an easy task more, and more subsets of another."""
    monkeypatch.chdir(tmp_path)
    shared = {"STSBenchmark": make_baseline(0.5), "SICK-R": make_baseline(0.7)}
    more = {"STS12": make_baseline(0.99), "STS17": make_baseline({"test/en-en": 0.9, "test/ko-ko": 0.3})}
    models = {
        "more": {"STSBenchmark": make_baseline(0.4), "SICK-R": make_baseline(0.6), **more},
        "less": {**shared, "STS17": make_baseline({"test/en-en": 0.9})},
    }
    (tmp_path / "baselines").mkdir()
    for alias, tasks in models.items():
        (tmp_path / "baselines" / f"{alias}.json").write_text(render_baseline_file(make_baseline_file(tasks)))


def test_averages_never_put_models_in_order_by_other_tasks(capsys: pytest.CaptureFixture[str], several: None) -> None:
    chosen = ("--alias", "more", "--alias", "less")
    code, out, _ = run(capsys, "baselines", "show", "--by-type", *chosen)
    assert code == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["model", "tasks", "average", "STS"], ["more", "2", "50.00", "50.00"], ["less", "2", "60.00", "60.00"],
    ]  # fmt: skip
    assert out.splitlines()[3:] == [
        "less lacks 1: STS12",
        "of other subsets, so in no average, 1: STS17",
        "averages of today's main scores, over the tasks that all 2 have; --alias takes some of them",
    ]
    found = json.loads(run(capsys, "baselines", "show", "--by-type", "--json", *chosen)[1])
    assert {alias: one["tasks"] for alias, one in found.items()} == {"more": 2, "less": 2}
    assert run(capsys, "baselines", "show", "--by-type", "--alias", "more")[1].splitlines()[1].split()[1] == "4"


def test_baselines_of_the_package_are_shown_where_they_are_asked_for_or_there_are_no_others(
    capsys: pytest.CaptureFixture[str], several: None, tmp_path: Path
) -> None:
    *rows, note = run(capsys, "baselines", "show")[1].splitlines()
    assert {row.partition(":")[0] for row in rows if not row.startswith("  ")} == {"less", "more"}
    assert note.startswith("not shown, of the package: ")
    assert "minilm" in note
    assert run(capsys, "baselines", "show", "--alias", "minilm")[1].startswith("minilm:")
    for file in (tmp_path / "baselines").iterdir():
        file.unlink()
    assert "\nminilm:" in run(capsys, "baselines", "show")[1]


def test_each_command_is_one_line_of_80_columns_in_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert all(re.match("    [a-z]+ +[a-z]+", line) for line in listed)
    assert len(listed) == len(find_commands())


def test_a_multilingual_task_shows_its_subsets(capsys: pytest.CaptureFixture[str], several: None) -> None:
    lines = [line.split() for line in run(capsys, "baselines", "show", "--alias", "more")[1].splitlines()]
    at = next(number for number, line in enumerate(lines) if line[0] == "more:STS17")
    assert lines[at][:3] == ["more:STS17", "cosine_spearman", "60.00"]
    assert lines[at + 1 : at + 3] == [["test/en-en", "90.00"], ["test/ko-ko", "30.00"]]
    assert run(capsys, "baselines", "show", "--alias", "less")[1].count("test/") == 0

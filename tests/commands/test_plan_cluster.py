"""`touchstone plan` for what runs elsewhere: GPUs of a cluster, models that have no room there, and costs of shards."""

import json
from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from tests.commands.test_commands import run
from tests.encoders import save_tiny_model
from touchstone.config.models import load_models
from touchstone.files.writing import to_json
from touchstone.models.kinds import find_model
from touchstone.models.weights.size import count_parameters, needed_bytes
from touchstone.records.flat import flatten
from touchstone.session.shards import read_costs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".touchstone" / "runs").mkdir(parents=True)
    rows = [make_row(f"Smoke{name}", type=name, score=0.8, seconds=seconds, device="cpu", phases={})
            for name, seconds in (("Retrieval", 30.0), ("STS", 10.04))]  # fmt: skip
    (tmp_path / ".touchstone" / "runs" / "a.json").write_text(to_json(flatten(make_run(*rows))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_corpus_that_is_divided_ends_no_later_and_keeps_more_gpus_busy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "plan", "--suite", "english-v1", "--engine", "ray", "--gpus", "8", "--gpus", "64")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith(("8 ", "64 "))]
    eight, many = ([float(word.rstrip("%")) for word in row if word.endswith("%")] for row in rows)
    assert eight[0] >= 95  # in use, where MSMARCO is divided
    assert eight[1] < 80
    assert many[0] > many[1]
    assert "56 by the amount of text" in out


def test_where_nothing_is_divided_both_are_alike(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "plan", "--suite", "english-v1", "--engine", "ray", "--gpus", "8",
                    "--split-texts", "100000000")  # fmt: skip
    (row,) = (line.split() for line in out.splitlines() if line.startswith("8 "))
    shares = [word for word in row if word.endswith("%")]
    assert shares[0] == shares[1]


def test_what_a_gpu_has_no_room_for_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("plan", "--suite", "english", "--task", "BIOSSES", "--engine", "ray", "--gpus", "2")
    _, out, _ = run(capsys, *chosen, "--model", "sfr-embedding-mistral", "--gpu-memory", "24")
    assert "sfr-embedding-mistral: 7.1 billion parameters take about 34 GB, a GPU has 24; a smaller dtype" in out
    _, out, _ = run(capsys, *chosen, "--model", "sfr-embedding-mistral")
    assert "billion" not in out
    save_tiny_model(folder / "tiny")
    _, out, _ = run(capsys, *chosen, "--model", "tiny")
    assert "nobody says" not in out


def test_parameters_are_counted_by_headers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_model(tmp_path / "tiny")
    model = find_model("tiny", load_models(), tmp_path, "--model")
    loaded = SentenceTransformer(str(folder), device="cpu")
    count = sum(each.numel() for each in loaded.parameters())
    assert count_parameters(model) == count
    assert needed_bytes(model, 1000) == pytest.approx(4800)
    (folder / "model.safetensors").write_bytes(b"no header")
    assert count_parameters(model) is None
    (folder / "model.safetensors").unlink()
    assert count_parameters(model) is None


def test_costs_are_what_cases_took(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", "--device", "cpu", "--write-costs", "costs.json")
    assert (code, out.strip()) == (0, f"wrote {folder / 'costs.json'}: what 2 cases of 6 took; commit it")
    assert read_costs(folder / "costs.json") == {"minilm:SmokeRetrieval": 30.0, "minilm:SmokeSTS": 10.0}
    assert json.loads((folder / "costs.json").read_text()).keys() == {"seconds"}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--gpus", "8"], "--gpus belongs to --engine ray"),
        (["--engine", "ray", "--gpus", "0"], '--gpus = "0"; expected a whole number of 1 or more'),
        (["--engine", "ray", "--gpus", "8", "--gpu-memory", "x"], '--gpu-memory = "x"; expected a whole number'),
        (["--engine", "spark"], '--engine = "spark" is not one of its values'),
        (["--task", "SmokeClustering", "--write-costs", "c.json"], "no run in the store has timed a case of this plan"),
    ],
)
def test_what_makes_no_plan_is_one_sentence(
    folder: Path, typed: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, "plan", "--device", "cpu", *typed)
    assert code == 4
    assert expected in error

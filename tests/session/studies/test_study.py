"""Studies: variants from one encoding that score what they score by themselves, and what the command says of them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import save_tiny_model
from touchstone.__main__ import main
from touchstone.encoding.quantization import BITS
from touchstone.records.studies import Row, Study
from touchstone.report.studies.study import render_study, render_study_page
from touchstone.session.studies.search_time import bytes_of, search_seconds
from touchstone.session.studies.study import make_variants

TASKS = ("--suite", "smoke", "--task", "SmokeRetrieval", "--task", "SmokeSTS")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_tiny_model(folder / "model")
    (folder / "models.toml").write_text('[tiny]\npath = "model"\n')
    return folder


def study(project: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, dict[str, Any]]:
    monkeypatch.chdir(project)
    file = project / "study.json"
    code = main(["study", *words, *TASKS, "--models", "models.toml", "--report", str(file)])
    return code, json.loads(file.read_text())


def test_variants_score_what_they_score_by_themselves_and_encode_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = study(
        project, monkeypatch, "tiny", "--dimensions", "16,8", "--quantize", "int8,binary", "--dtype", "bfloat16",
        "--max-seq-length", "4", "--store", "one",
    )  # fmt: skip
    rows = {row["name"]: row for row in found["rows"]}
    assert [row["bytes"] for row in found["rows"]] == sorted(row["bytes"] for row in found["rows"])
    assert {name: row["bytes"] for name, row in rows.items()} == {
        "32": 128, "int8": 32, "binary": 4, "16": 64, "16 int8": 16, "16 binary": 2, "8": 32, "8 int8": 8,
        "8 binary": 1, "bfloat16": 128, "4 tokens": 128,
    }  # fmt: skip
    anew = {name for name, row in rows.items() if row["encoded"] > 0}
    assert anew == {"32", "bfloat16", "4 tokens"}
    assert found["whole"] == "32"
    assert rows["32"]["verdict"] == ""
    out = capsys.readouterr()
    assert all(name in out.out for name in rows)
    assert "run.json" not in out.out, "no file that is gone by now is named"
    assert "test_task[tiny:SmokeSTS]" in out.err
    for name in ("8 int8", "4 tokens"):
        alone = re.sub(r"\+", "@", rows[name]["alias"], count=1).replace("+", ",")
        typed = re.sub(r"(truncate_dim|quantize|max_seq_length)-", r"\1=", alone)
        _, one = study(project, monkeypatch, typed, "--dtype", "float32", "--store", f"store {name}")
        (own,) = (row for row in one["rows"] if row["verdict"] == "")
        assert own["score"] == pytest.approx(rows[name]["score"], abs=1e-6)
        assert own["encoded"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to compare; name --dimensions, --quantize, --dtype, --max-seq-length or another model"),
        (("minilm",), "minilm is named twice; give one of them another name, as in FOLDER=NAME"),
        (("--dimensions", "16,half"), '--dimensions = "half"; expected whole numbers with commas between them'),
        (("--dimensions", "0"), '--dimensions = "0"; expected whole numbers'),
        (("--quantize", "int4"), '--quantize = "int4"; expected some of float16, int8, uint8, binary'),
        (("--dtype", "int8"), '--dtype = "int8"; expected some of bfloat16'),
        (("--report", "study.md", "--dimensions", "8"), '--report = "study.md"; its suffix says the format'),
    ],
)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "minilm", *words]) == 4
    assert said in capsys.readouterr().err


def test_a_model_that_cannot_be_measured_is_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    (project / "lost.toml").write_text('[lost]\npath = "nowhere"\n')
    assert main(["study", "lost", "--dimensions", "8", *TASKS, "--models", "lost.toml"]) == 4
    assert capsys.readouterr().err.splitlines()[-1].startswith("touchstone: lost: ")


def row(name: str, size: int, delta: float | None, verdict: str, score: float | None = 0.8) -> Row:
    interval = None if delta is None else (delta - 0.01, delta + 0.01)
    return Row(name=name, alias=name, dimensions=size, precision="int8", bytes=size, index=size * 1_000_000,
               search=0.01, score=score, delta=delta, interval=interval, verdict=verdict, reason=f"of {name}",
               encoded=0)  # fmt: skip


FOUND = Study(
    model="<b>model</b>", suite="small", tasks=("A", "B"), margin=0.005, whole="64",
    rows=(row("8", 8, -0.2, "FAIL", 0.6), row("16", 16, None, "ERROR", None), row("32", 32, 0.001, "PASS"),
          row("48", 48, -0.01, "INCONCLUSIVE"), row("64", 64, None, "")),
)  # fmt: skip


def test_the_smallest_that_passed_is_named() -> None:
    assert FOUND.smallest is not None
    assert FOUND.smallest.name == "32"
    text = render_study(FOUND, width=120, color=False)
    assert "the smallest proven to lose less than 0.50 points is 32: 32 bytes a vector, 2 times fewer than 64" in text
    assert "16 ERROR: of 16" in text
    none = replace(FOUND, rows=FOUND.rows[:2] + FOUND.rows[4:])
    assert "no variant is proven to lose less than 0.50 points" in render_study(none, width=60, color=True)


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_of_the_table_fits_the_terminal(width: int) -> None:
    lines = render_study(FOUND, width=width, color=False).splitlines()
    assert max(map(len, lines[:6])) <= width
    assert not any("…" in line for line in lines[:6])


def test_the_page_holds_every_variant_and_no_markup_of_others() -> None:
    page = render_study_page(FOUND)
    assert "<b>model" not in page
    assert all(f"<th>{one.name}</th>" in page for one in FOUND.rows)
    assert page.count('<circle class="point"') == 4
    assert "http-equiv" in page


@pytest.mark.parametrize("precision", BITS)
def test_time_grows_with_the_width(precision: str) -> None:
    assert search_seconds(64, precision) > 0
    assert bytes_of(10, precision) == {"float32": 40, "float16": 20, "int8": 10, "uint8": 10, "binary": 2}[precision]


def test_variants_are_every_width_in_every_precision() -> None:
    found = make_variants([256], ["int8"], ["bfloat16"], [64])
    assert [one.text("m") for one in found] == [
        "m", "m@quantize=int8", "m@truncate_dim=256", "m@truncate_dim=256,quantize=int8", "m@dtype=bfloat16",
        "m@max_seq_length=64",
    ]  # fmt: skip
    assert found[1].text("m@normalize=true") == "m@normalize=true,quantize=int8"

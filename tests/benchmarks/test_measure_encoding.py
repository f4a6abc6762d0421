"""The share of the device's own rate, counted and measured."""

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks import measure_encoding
from tests.encoders import save_tiny_model


def test_operations_are_those_of_the_formula_of_a_bert(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(save_tiny_model(tmp_path / "model", dimension=32)), device="cpu")
    # Four products of H by H and two of H by 2 H a layer, and attention's two of L by L by H; each is 2 operations.
    expected = 2 * (2 * (4 * 32 * 32 + 2 * 32 * 64) * 10 + 4 * 10 * 10 * 32)
    assert measure_encoding.operations(model, [10]) == expected
    assert measure_encoding.operations(model, [10, 10]) == 2 * expected


@pytest.mark.parametrize("name", ["tiny", "minilm"])
def test_rows_are_measured_in_turns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    asked = ["--model", name, "--texts", "short", "--count", "20", "--rounds", "1", "--json", str(report)]
    monkeypatch.setattr(sys, "argv", ["measure_encoding", *asked])
    monkeypatch.setattr(measure_encoding, "BATCH_SIZES", (8, 32))
    measure_encoding.main()
    rows = json.loads(report.read_text())
    assert [row["way"] for row in rows][:3] == ["encode, batches of 32", rows[1]["way"], "ours, padded"]
    assert all(row["rate"] > 0 and 0 < row["share"] < 2 and row["idle"] < 1 for row in rows)
    assert "GFLOP/s" in capsys.readouterr().out

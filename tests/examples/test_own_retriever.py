"""The example of a search of one's own runs as its README says, with the scores that it tells."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs/examples/own_retriever"


def commands() -> list[str]:
    return re.findall(r"^pytest (.+)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *command.split(), "-q", "-p", "no:randomly"],
        cwd=folder, capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[subprocess.CompletedProcess[str]]:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("example") / "shop"))
    return [run(folder, command) for command in commands()]


def test_recording_writes_a_baseline_for_each(outputs: list[subprocess.CompletedProcess[str]]) -> None:
    assert re.findall(r"wrote .*/(\w+)\.json: review and commit it", outputs[0].stdout) == ["shop", "minilm", "both"]
    assert "both:SmokeRetrieval: ndcg_at_10 by stage: shop 8.96 (found before), minilm 66.03" in outputs[0].stdout


def test_the_search_may_not_replace_the_model(outputs: list[subprocess.CompletedProcess[str]]) -> None:
    assert outputs[1].returncode == 1
    assert "regressed: ndcg_at_10 8.96, was 66.03 in minilm" in " ".join(outputs[1].stdout.split())


def test_the_hybrid_beats_the_search_and_searches_nothing(outputs: list[subprocess.CompletedProcess[str]]) -> None:
    assert outputs[2].returncode == 0, outputs[2].stdout
    assert re.search(r"SmokeRetrieval +ndcg_at_10 +38\.57 +8\.96 +\+29\.61 +151 +improved", outputs[2].stdout)

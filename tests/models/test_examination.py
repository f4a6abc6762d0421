from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.architectures import save_bare
from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from touchstone.__main__ import main
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec, RegistrySpec
from touchstone.models.examination import PAIRS, check_scores, check_vectors, examine, render
from touchstone.store.folder import Store
from touchstone.task_types.registry import all_types
from touchstone.tasks.catalog import known_tasks

COUNT = len(PAIRS)
HEALTHY = ["every number is finite", "texts are told apart", "similar texts are closer than unrelated ones",
           "vectors are the same at batch sizes 1 and 7"]  # fmt: skip


def vectors(seed: int = 0) -> Any:
    """Make vectors in which the two texts of a pair are much alike."""
    chosen = np.random.default_rng(seed)
    meanings = chosen.normal(size=(COUNT, 16))
    return np.vstack([meanings, meanings + 0.1 * chosen.normal(size=(COUNT, 16))]).astype(np.float32)


def failed(first: Any, second: Any = None, dtype: str = "float32") -> list[str]:
    return [check.name for check in check_vectors({1: first, 7: first if second is None else second}, dtype)
            if not check.ok]  # fmt: skip


def test_healthy_vectors_pass_every_check() -> None:
    assert [check.name for check in check_vectors({1: vectors(), 7: vectors()}, "float32")] == HEALTHY
    assert failed(vectors()) == []


def test_each_ailment_is_told() -> None:
    spoilt, zeroed, shuffled, moved = vectors(), vectors(), vectors(), vectors()
    spoilt[3, 2] = np.nan
    zeroed[5] = 0
    shuffled[COUNT:] = np.roll(shuffled[COUNT:], 1, axis=0)
    moved[4] += 0.05
    assert failed(spoilt) == HEALTHY[:1]
    assert failed(vectors(), spoilt) == HEALTHY[:1]
    assert failed(zeroed) == ["no vector is zero"]
    assert failed(1 + 1e-3 * vectors()) == [HEALTHY[1]]
    assert failed(shuffled) == [HEALTHY[2]]
    assert failed(vectors(), moved) == [HEALTHY[3]]
    assert failed(vectors(), moved, "bfloat16") == [], "sixteen bits move more"


def test_each_type_is_shown_by_a_task_that_there_is() -> None:
    tasks = known_tasks()
    shown = [(one.name, *example) for one in all_types() for example in one.examples]
    assert len(shown) == 10
    for name, label, task, role in shown:
        kind = label if role is None else label.split()[0]
        assert tasks[task] == name
        assert name.lower() == kind.replace(" ", "").lower()


def test_what_is_said_and_by_whom_is_shown(tmp_path: Path) -> None:
    folder = save_bare("mistral", tmp_path / "bare")
    spec = EncoderSpec(
        path=folder, pooling="lasttoken", padding_side="left", normalize=True, max_seq_length=99, batch_size=4,
        prompts={"STS": "same: ", "passage": "lost: "}, instruction="Instruct: {instruction}\nQuery: {query}",
    )  # fmt: skip
    text = render(*examine(Model(alias="x", spec=spec, text="x"), "cpu", Store(tmp_path / "store")))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        "modules Transformer(MistralModel) > Pooling the model's files",
        "pooling lasttoken the specification",
        "padding side left the specification",
        "longest text 99 tokens the specification",
        "dimensions 32 the model's files",
        "length 1 yes the specification",
        "dtype float32 the model's files",
        "attention sdpa model_kwargs, or what transformers found best here",
        "device cpu --device",
        "batch at most 4 texts the specification",
        "remote code no default",
        'retrieval query "Instruct: Given a question, retrieve relevant documents that best answer the '
        'question\\nQuery: " instruction of the specification',
        "retrieval passage nothing none is said",
        'STS "same: " prompts.STS of the specification',
        'clustering "Instruct: Identify the topic or theme of the given news articles\\nQuery: " '
        "instruction of the specification",
        'note: no text gets prompts.passage of the specification, "lost: ": mteb has nothing of that name',
    ):
        assert expected in lines, text


def test_model_of_mtebs_registry_is_examined_too(tmp_path: Path) -> None:
    spec = RegistrySpec(name="mteb/baseline-random-encoder")
    (seen,) = examine(Model(alias="x", spec=spec, text="x"), "cpu", Store(tmp_path))
    assert not seen.sane, "random vectors know no paraphrases"
    assert "before each text of\n  not known" in render(seen)


def test_healthy_model_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "minilm", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("\nlooks sane\n")


def test_sick_model_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_tiny_model(tmp_path / "tiny") / "model.safetensors"
    same = {name: tensor.fill_(0.01) for name, tensor in load_file(weights).items()}
    save_file(same, weights, metadata={"format": "pt"})
    assert main(["doctor", str(tmp_path / "tiny"), "--store", str(tmp_path / "store")]) == 1
    assert "BAD  texts are told apart" in capsys.readouterr().out


def test_model_that_cannot_be_loaded_exits_1_and_one_that_is_not_there_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    store = ["--store", str(tmp_path / "store")]
    assert main(["doctor", str(tmp_path / "empty"), *store]) == 1
    assert capsys.readouterr().out.endswith("holds no model files\nnot sane: a run would refuse it\n")
    assert main(["doctor", "minilmm", *store]) == 4
    assert 'ALIAS = "minilmm" is not in models.toml; did you mean "minilm"?' in capsys.readouterr().err


def test_a_reranker_and_both_stages_of_a_pipeline_are_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_cross_encoder(tmp_path / "judge")
    save_tiny_model(tmp_path / "tiny")
    file = tmp_path / "models.toml"
    file.write_text(
        '[judge]\nkind = "cross-encoder"\npath = "judge"\n[tiny]\npath = "tiny"\n'
        '[pipe]\nkind = "pipeline"\nretriever = "tiny"\nreranker = "judge"\n'
    )
    more = ["--models", str(file), "--store", str(tmp_path / "store")]
    assert main(["doctor", "judge", *more]) == 1, "random weights know no paraphrases"
    text = capsys.readouterr().out
    for part in ("found         a CrossEncoder: ", "41 of 41 tensors are from the files", "BAD  the like is scored",
                 "ok   scores are the same at batch sizes 1 and 7", "--task AskUbuntuDupQuestions"):  # fmt: skip
        assert part in text
    assert text.endswith("\ndoes not look sane\n")
    assert main(["doctor", "pipe", *more]) == 1
    text = capsys.readouterr().out
    assert ("\njudge: " in text, text.startswith("tiny: ")) == (True, True)


def test_tensors_that_reach_nothing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_tiny_model(tmp_path / "tiny") / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(weights).items() if "pooler" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    main(["doctor", str(tmp_path / "tiny"), "--store", str(tmp_path / "store")])
    expected = "37 of 39 tensors are from the files; the others reach nothing, first pooler.dense.weight"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scores", "bad"),
    [
        (np.eye(COUNT), []),
        (np.roll(np.eye(COUNT), 1, axis=0), ["the like is scored best"]),
        (np.full((COUNT, COUNT), np.nan), ["every number is finite"]),
    ],
)
def test_scores_of_a_reranker_are_looked_at(scores: Any, bad: list[str]) -> None:
    single = scores.astype(np.float32)
    assert [check.name for check in check_scores({1: single, 7: single}, "float32") if not check.ok] == bad


def test_scores_that_depend_on_their_batch_are_told() -> None:
    scores = np.eye(COUNT, dtype=np.float32)
    checks = check_scores({1: scores, 7: scores + np.float32(0.01)}, "float32")
    assert [check.name for check in checks if not check.ok] == ["scores are the same at batch sizes 1 and 7"]

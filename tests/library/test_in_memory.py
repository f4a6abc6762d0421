"""A model in memory is known by all that can change a score, and nothing stale is served for it."""

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import vectors_by_text
from tests.encoders import save_tiny_cross_encoder
from tests.library.changing import shake
from touchstone import Model, Result, measure
from touchstone.library.measure import hash_program
from touchstone.models.in_memory import measured_as_is, process_settings
from touchstone.models.weights.fingerprint import take_fingerprint
from touchstone.session.session import Session

STS: Any = {"tasks": "smoke", "select": ["SmokeSTS"]}


def only(result: Result) -> Any:
    (record,) = result.records
    return record


def test_it_scores_what_its_folder_scores_and_stays_as_it_was(project: Path, tiny: Any, folder: Path) -> None:
    import torch

    tiny.train()
    before, state = take_fingerprint(tiny), torch.get_rng_state()
    random.seed(5)
    np.random.seed(5)  # the generator that libraries share
    here, there = only(measure(tiny, **STS)), only(measure(Model(folder, "f"), baseline="off", **STS))
    assert here.score == there.score
    assert here.measurement.settings == there.measurement.settings
    assert tiny.training
    assert torch.equal(torch.get_rng_state(), state)
    assert (random.random(), np.random.random()) == (random.Random(5).random(), np.random.RandomState(5).random())
    with measured_as_is(tiny):
        assert not tiny.training
        assert take_fingerprint(tiny)[0] == take_fingerprint(tiny)[0]
    assert before[1] == ()


def test_what_did_not_change_is_not_measured_again_and_what_was_trained_is_another_model(
    project: Path, tiny: Any
) -> None:
    first, again = only(measure(tiny, **STS)), only(measure(tiny, **STS))
    assert (first.reused, again.reused) == (False, True)
    assert again.score == first.score
    shake(tiny)
    trained = only(measure(tiny, **STS))
    assert not trained.reused
    assert trained.fingerprint != first.fingerprint
    tiny.save(str(project / "trained"), create_model_card=False)
    assert trained.score == only(measure(Model(project / "trained", "t"), baseline="off", **STS)).score != first.score


def set_token(model: Any) -> None:
    model.tokenizer.backend_tokenizer.add_tokens(["zebra"])


CHANGES: dict[str, Callable[[Any], object]] = {
    "a weight": lambda model: next(model.parameters()).data.view(-1)[7].add_(1e-6),
    "a buffer in no file": lambda model: model[0].auto_model.embeddings.position_ids.add_(1),
    "prompts": lambda model: model.prompts.update(query="query: "),
    "a prompt that is called as an attribute is": lambda model: model.prompts.update(training="query: "),
    "the default prompt": lambda model: setattr(model, "default_prompt_name", "query"),
    "the longest text": lambda model: setattr(model, "max_seq_length", 16),
    "the width": lambda model: setattr(model, "truncate_dim", 16),
    "the pooling": lambda model: setattr(model[1], "include_prompt", False),
    "the precision": lambda model: model.half(),
    "another module": lambda model: model.append(normalize()),
    "a module's setting": lambda model: setattr(model[0].auto_model.encoder.layer[0].output.LayerNorm, "eps", 1e-3),
    "the similarity": lambda model: setattr(model, "similarity_fn_name", "dot"),
    "the side of the padding": lambda model: setattr(model.tokenizer, "padding_side", "left"),
    "a word": set_token,
}


def normalize() -> Any:
    from sentence_transformers.sentence_transformer.modules import Normalize

    return Normalize()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_all_that_can_change_a_score_is_in_the_fingerprint(tiny: Any, change: Callable[[Any], object]) -> None:
    with measured_as_is(tiny):
        before = take_fingerprint(tiny)
    change(tiny)
    with measured_as_is(tiny):
        after = take_fingerprint(tiny)
    assert after[0] != before[0]
    assert before[1] == after[1] == ()


def test_where_a_model_came_from_is_no_setting_of_it(tiny: Any, folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    shutil.copytree(folder, tmp_path / "copy")
    again = SentenceTransformer(str(tmp_path / "copy"), device="cpu")
    with measured_as_is(tiny), measured_as_is(again):
        assert take_fingerprint(again) == take_fingerprint(tiny)


def test_a_call_is_no_change(tiny: Any) -> None:
    with measured_as_is(tiny):
        before = take_fingerprint(tiny)
        tiny.encode(["a", "b " * 100])
        tiny.similarity(np.ones((1, 4)), np.ones((1, 4)))
        assert take_fingerprint(tiny) == before


def patch_class(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(model[1])
    monkeypatch.setattr(kind, "forward", lambda self, features, **kw: features)


class Reader:
    """An object that leaves its words out when it is written down."""

    def __init__(self) -> None:
        self.words = ["a"]

    def __getstate__(self) -> dict[str, Any]:
        return {"words": None}


UNKNOWN: dict[str, Callable[[Any, pytest.MonkeyPatch], object]] = {
    "a hook": lambda model, _: model[0].register_forward_hook(lambda *_: None),
    "a method of its own": lambda model, patch: patch.setattr(
        model, "forward", lambda features: features, raising=False
    ),
    "a patched class": patch_class,
    "a lock": lambda model, patch: setattr(model[0], "extra", threading.Lock()),
}


@pytest.mark.parametrize("change", UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_can_look_at_is_said(
    tiny: Any, change: Callable[[Any, pytest.MonkeyPatch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(tiny, monkeypatch)
    assert take_fingerprint(tiny)[1]


def test_what_an_object_leaves_out_of_its_state_is_said(tiny: Any) -> None:
    tiny[0].extra = Reader()
    assert any("extra.words: a list that is left out" in said for said in take_fingerprint(tiny)[1])


def test_a_model_that_nobody_can_look_at_is_measured_each_time(project: Path, tiny: Any) -> None:
    tiny[0].register_forward_hook(lambda *_: None)
    first, again = only(measure(tiny, **STS)), only(measure(tiny, **STS))
    assert not again.reused
    assert again.encoded == first.encoded != 0
    assert again.fingerprint != first.fingerprint
    assert again.score == first.score


def test_weights_that_move_while_they_are_measured_are_an_error(project: Path, tiny: Any) -> None:
    def move(said: str) -> None:
        if said.startswith("encoding"):
            shake(tiny, size=0.01)

    record = only(measured := measure(tiny, progress=move, **STS))
    assert "changed while it was measured" in record.error
    assert record.score is None
    assert (measured.verdict, measured.exit_code) == ("INCOMPLETE", 1)
    assert only(measure(tiny, **STS)).reused is False


def test_weights_that_move_after_their_last_case_are_an_error_too(
    project: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(tiny, **STS)

    def move(*_: Any) -> None:
        shake(tiny, size=0.01)

    monkeypatch.setattr(Session, "write_so_far", move)
    record = only(measure(tiny, **STS))  # it is known from before
    assert "another model than when the run began" in record.error
    assert record.score is None


def test_a_cross_encoder_of_low_precision_is_measured_as_mteb_does_and_stays_as_it_was(project: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    saved = save_tiny_cross_encoder(project / "ranker")
    model = CrossEncoder(str(saved), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    before = take_fingerprint(model)
    asked: dict[str, Any] = {"select": ["SmokeReranking"], "limit": 5}
    here = measure(model, "smoke", **asked)
    there = measure(Model(saved, "ranker", kind="cross-encoder", dtype="bfloat16"), "smoke", baseline="off", **asked)
    assert only(here).score == only(there).score
    assert take_fingerprint(model) == before
    assert before[1] == ()
    assert only(measure(model, "smoke", **asked)).reused


class Own:
    """An object that encodes; it counts the texts, and notes the thread that it is asked in."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[int] = set()

    def encode(self, texts: Any, role: Any) -> Any:
        self.count += len(texts)
        self.threads.add(threading.get_ident())
        return vectors_by_text(texts)


def test_an_object_of_ones_own_is_asked_each_time_in_the_thread_that_made_it(project: Path) -> None:
    own = Own()
    first = only(measure(own, **STS))
    asked = own.count
    again = only(measure(own, **STS))
    assert (first.reused, again.reused) == (False, False)
    assert own.count == 2 * asked > 2 * 202
    assert own.threads == {threading.get_ident()}
    assert first.score == again.score
    # Random vectors know nothing of similarity: far below a model's 0.77.
    assert abs(first.score) < 0.2


def test_the_code_beside_counts_and_so_does_a_setting_of_torch() -> None:
    import torch

    before = hash_program()
    assert before == hash_program() != ""  # this test is such code
    assert list(process_settings()) == []
    torch.set_float32_matmul_precision("high")
    try:
        assert list(process_settings()) == ["float32_matmul_precision high"]
        assert hash_program() != before
    finally:
        torch.set_float32_matmul_precision("highest")

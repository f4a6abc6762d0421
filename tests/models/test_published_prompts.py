"""The prompts of mteb's registry, and a model that is measured with them there and without a word of them here."""

import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import sentence_transformers
import torch
from mteb.types import PromptType

from tests.encoders import save_tiny_model
from touchstone.config.models import Model, load_models
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.encoder import task_text
from touchstone.encoding.prompts import ROLES
from touchstone.errors import ModelError
from touchstone.models.base import prompting_of
from touchstone.models.kinds import identify, open_encoder
from touchstone.models.weights.published_prompts import as_lines, settings_in_mteb
from touchstone.seams import find
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type
from touchstone.tasks.catalog import known_tasks

E5 = 'prompts = { query = "query: ", document = "passage: " }'


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def registry() -> dict[str, Any]:
    found: dict[str, Any] = find("mteb.models.model_implementations:MODEL_REGISTRY")
    return found


class Listening(sentence_transformers.SentenceTransformer):
    """What mteb's wrappers load here, of whatever name: it keeps what is put before the texts of a call."""

    max_seq_length: Any = 1

    def __init__(self, *_: Any, **__: Any) -> None:
        torch.nn.Module.__init__(self)
        self.prompts: Any = {"query": "", "document": ""}
        self.default_prompt_name = None

    def encode(self, inputs: Any, prompt_name: Any = None, prompt: Any = None, **_: Any) -> Any:  # type: ignore[override]
        self.heard = prompt if prompt is not None else self.prompts.get(prompt_name) or ""
        return np.zeros((len(inputs), 2))


class OneText:
    """What mteb's wrappers read of a data loader."""

    class dataset:  # noqa: N801
        features = ("text",)

    def __iter__(self) -> Iterator[dict[str, list[str]]]:
        yield {"text": ["one text"]}


def calls() -> Iterator[tuple[Any, PromptType | None]]:
    for task, kind in known_tasks().items():
        ranks = find_type(kind).searches is not None
        metadata = mteb.get_task(task).metadata
        # Without a role mteb puts a task's whole dictionary into a template; we take the queries' instruction.
        if ranks or not isinstance(metadata.prompt, dict):
            yield from ((metadata, role) for role in (map(PromptType, ROLES) if ranks else (None,)))


def test_lines_put_before_the_texts_of_every_task_what_mteb_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", Listening)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tasks that are new or superseded
        every, inputs = list(calls()), OneText()
    for name, meta in registry().items():
        if not (settings := settings_in_mteb(meta)):
            continue
        prompting = prompting_of(EncoderSpec(id=name, **tomllib.loads("\n".join(as_lines(settings)))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = meta.loader(name, revision=meta.revision, **meta.loader_kwargs)
            for task, role in every:
                theirs.encode(inputs, task_metadata=task, prompt_type=role, hf_split="test", hf_subset="default")
                assert prompting.find(task_text(task, role)).text == theirs.model.heard, (name, task.name, role)


def test_all_models_to_which_mteb_gives_prompts_are_known() -> None:
    found = {name: settings_in_mteb(meta) for name, meta in registry().items()}
    given = {
        name for name, meta in registry().items()
        if {"model_prompts", "instruction_template", "prompts_dict"} & meta.loader_kwargs.keys()
    }  # fmt: skip
    assert len(given) >= 191
    assert not [name for name in given if found[name] == {}]
    assert len([name for name, settings in found.items() if settings]) >= 125
    assert len([name for name, settings in found.items() if settings is None]) >= 202


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("intfloat/e5-base-v2", [E5]),
        ("Salesforce/SFR-Embedding-Mistral", [r'instruction = "Instruct: {instruction}\nQuery: {query}"']),
        ("BeastyZ/e5-R-mistral-7b", [r'instruction = "{instruction}\n{query}"', 'instruct = "all"']),
        ("sentence-transformers/all-MiniLM-L6-v2", []),
        ("moka-ai/m3e-base", []),
        ("nomic-ai/nomic-embed-text-v1.5", None),  # by a class of its own
        ("GritLM/GritLM-7B", None),  # something before a text for which there is no instruction
        ("llamaindex/vdr-2b-multi-v1", None),  # the template itself, unfilled
    ],
)
def test_settings_of_a_model_in_mteb(name: str, lines: list[str] | None) -> None:
    settings = settings_in_mteb(registry()[name])
    assert (None if settings is None else as_lines(settings)) == lines


def at(path: Path, **settings: Any) -> Model:
    return Model(alias="tiny", spec=EncoderSpec(path=path, **settings), text=str(path))


def test_model_that_mteb_measures_with_prompts_is_not_measured_without_a_word(tiny: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    silent = at(tiny, model="intfloat/e5-base-v2")
    with pytest.raises(ModelError) as caught:
        open_encoder(silent, "cpu", store)
    assert str(caught.value) == (
        "tiny: mteb measures intfloat/e5-base-v2 with prompts, and neither the model's files nor models.toml give any; "
        f"write {E5} in models.toml, or prompts = {{}} for none"
    )
    none = at(tiny, model="intfloat/e5-base-v2", prompts={})
    assert open_encoder(none, "cpu", store).settings.prompts == {}
    theirs = at(tiny, model="intfloat/e5-base-v2", **tomllib.loads(E5))
    assert open_encoder(theirs, "cpu", store).settings.prompts == {"query": "query: ", "document": "passage: "}
    assert len({identify(model, store).fingerprint for model in (silent, none, theirs)}) == 3


@pytest.mark.parametrize(("name", "said"), [("Qwen/Qwen3-Embedding-0.6B", True), ("nobody/nothing", False),
                                            ("BAAI/bge-m3", False), (None, False)])  # fmt: skip
def test_prompts_that_no_setting_can_say_are_those_of_the_card(
    tiny: Path, tmp_path: Path, name: str | None, said: bool
) -> None:
    if not said:
        open_encoder(at(tiny, model=name), "cpu", Store(tmp_path))
        return
    with pytest.raises(ModelError, match=r"that code of its own chooses, .*; write those of its card as prompts in"):
        open_encoder(at(tiny, model=name), "cpu", Store(tmp_path))


def test_prompts_of_the_models_files_are_enough(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(tiny), device="cpu", prompts={"query": "q: "})
    loaded.save(str(tmp_path / "own"), create_model_card=False)
    opened = open_encoder(at(tmp_path / "own", model="intfloat/e5-base-v2"), "cpu", Store(tmp_path))
    assert opened.settings.prompts == {"query": "q: "}
    none = open_encoder(at(tmp_path / "own", prompts={}), "cpu", Store(tmp_path))
    assert none.settings.prompts == {}


def test_named_models_say_their_prompts() -> None:
    for spec in load_models().values():
        if isinstance(spec, EncoderSpec) and spec.prompts is None and spec.instruction is None:
            assert settings_in_mteb(registry()[str(spec.published)]) == {}

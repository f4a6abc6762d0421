"""Hub ids are snapshots first: what is loaded is one commit's files, and a failing answer is an error."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest

from tests.encoders import save_tiny_model
from tests.hub import Handler, Hub, files_in, not_found, other_bytes, page, serve_to_client, unavailable
from tests.importing.documents import make_block, make_front, write_card
from touchstone.__main__ import main
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.errors import ModelError
from touchstone.models.kinds import identify, open_encoder
from touchstone.store.folder import Store
from touchstone.store.hub import Entry, Snapshot, open_snapshot

NAME = "org/name"
LOADED = {
    "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "config.json", "tokenizer.json",
    "tokenizer_config.json", "1_Pooling/config.json", "model.safetensors",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = save_tiny_model(tmp_path_factory.mktemp("saved") / "model")
    for name in ("README.md", ".gitattributes", "pytorch_model.bin", "onnx/model.onnx", "checkpoint-1/config.json"):
        (found / name).parent.mkdir(exist_ok=True)
        (found / name).write_text("not needed")
    return found


@pytest.fixture
def hub(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_to_client(monkeypatch, tmp_path / "cache") as served:
        served.add(NAME, files_in(folder))
        yield served


def named(**more: Any) -> Model:
    return Model(alias="x", spec=EncoderSpec(id=NAME, **more), text="x")


def at(folder: Path) -> Model:
    return Model(alias="x", spec=EncoderSpec(path=folder), text="x")


def vectors(model: Model, store: Store) -> Any:
    encoder = open_encoder(model, "cpu", store).encoder
    assert encoder is not None
    return encoder.encode(["a text", "another"])


def store_of(tmp_path: Path, run: str | None = None) -> Store:
    return Store(tmp_path / "store", run=run)


def test_a_hub_id_is_what_its_files_are(hub: Hub, folder: Path, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert np.array_equal(vectors(named(), store), vectors(at(folder), store))
    assert {path.rpartition("/resolve/")[2].partition("/")[2] for path in hub.asked("/resolve/")} == LOADED
    (commit,) = hub.repositories[f"models/{NAME}"].commits
    known, local = identify(named(), store), identify(at(folder), store)
    assert (known.name, known.revision, known.unmodified) == (NAME, commit, True)
    assert known.fingerprint == local.fingerprint


@pytest.mark.parametrize("revision", ["main", "v1", None])
def test_each_way_to_name_a_commit_is_that_commit(hub: Hub, revision: str | None, tmp_path: Path) -> None:
    repository = hub.repositories[f"models/{NAME}"]
    repository.branches["v1"] = commit = repository.branches["main"]
    assert identify(named(revision=revision or commit), store_of(tmp_path)).revision == commit


def test_what_is_there_is_not_asked_for_again(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = vectors(named(), store_of(tmp_path))
    commit = hub.repositories[f"models/{NAME}"].branches["main"]
    hub.requests.clear()
    vectors(named(), store_of(tmp_path))
    assert len(hub.requests) == 1, "which commit main is now"
    vectors(named(revision=commit), store_of(tmp_path))
    assert len(hub.requests) == 1
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    for model in (named(), named(revision=commit)):
        assert np.array_equal(vectors(model, store_of(tmp_path)), first)
    assert hub.requests == []


def test_a_readme_changes_the_commit_and_weights_the_model(hub: Hub, folder: Path, tmp_path: Path) -> None:
    files = files_in(folder)
    first = identify(named(), store_of(tmp_path))
    hub.add(NAME, {**files, "README.md": b"new"})
    second = identify(named(), store_of(tmp_path))
    assert (second.fingerprint == first.fingerprint, second.revision == first.revision) == (True, False)
    hub.add(NAME, {**files, "model.safetensors": files["model.safetensors"][:-1] + b"x"})
    assert identify(named(), store_of(tmp_path)).fingerprint != first.fingerprint


def test_main_is_one_commit_for_a_run_whichever_process_asks(hub: Hub, folder: Path, tmp_path: Path) -> None:
    first = identify(named(), store_of(tmp_path, "run"))
    hub.add(NAME, {**files_in(folder), "config_sentence_transformers.json": b"{}"})
    assert identify(named(), store_of(tmp_path, "run")) == first
    assert identify(named(), store_of(tmp_path, "another")).revision != first.revision


def cut(handler: Handler) -> None:
    handler.send(200, b"", X_Repo_Commit="0" * 40, ETag='"abc"', Content_Length="20000")
    handler.close_connection = True


# Of the first file, one in the middle, the last, and of the question for them all.
@pytest.mark.parametrize(
    ("file", "answer"),
    [*((file, answer) for file in ("modules.json", "config_sentence_transformers.json", "model.safetensors")
       for answer in (not_found, other_bytes, page, unavailable)),
     *((file, not_found) for file in ("tokenizer.json", "config.json", "1_Pooling/config.json")),
     ("/api/", not_found), ("/api/", page), ("/api/", unavailable), ("model.safetensors", cut)],
)  # fmt: skip
def test_a_failing_answer_is_an_error_and_never_another_model(
    hub: Hub, folder: Path, file: str, answer: Any, tmp_path: Path
) -> None:
    def fault(handler: Handler, path: str) -> bool:
        hit = file in path if file == "/api/" else path.endswith(f"/{file}")
        if hit:
            answer(handler)
        return hit

    hub.fault = fault
    store = store_of(tmp_path)
    with pytest.raises(ModelError, match=r"^x: ") as caught:
        vectors(named(), store)
    assert "\n" not in str(caught.value)
    hub.fault = None
    assert np.array_equal(vectors(named(), store_of(tmp_path)), vectors(at(folder), Store(tmp_path / "other")))


@pytest.mark.parametrize(
    ("needs", "says"),
    [(403, r"gated.*ask for access at .*/org/name, then set HF_TOKEN"), (401, r"missing or private.*HF_TOKEN")],
)
def test_what_is_not_for_everybody_says_what_to_do(hub: Hub, needs: int, says: str, tmp_path: Path) -> None:
    hub.repositories[f"models/{NAME}"].needs = needs
    with pytest.raises(ModelError, match=says):
        identify(named(), store_of(tmp_path))


def test_a_cache_that_another_program_filled_is_read_offline_if_it_is_whole(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub.snapshot_download(NAME, cache_dir=tmp_path / "cache", endpoint=hub.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    store = store_of(tmp_path)
    assert np.array_equal(vectors(named(), store), vectors(at(folder), store))
    huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE.clear()
    for path in [*(tmp_path / "cache").rglob(".gitattributes"), *(tmp_path / "cache").glob("*/trees/*")]:
        path.unlink()
    with pytest.raises(
        ModelError, match=r'^x: "org/name" is not in the cache, or not all of it, and the run is offline'
    ):
        identify(named(), Store(tmp_path / "fresh"))


def test_a_folder_of_the_same_name_is_not_taken_for_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = vectors(named(), store_of(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_tiny_model(tmp_path / NAME, seed=3)
    assert np.array_equal(vectors(named(), Store(tmp_path / "other")), expected)


CODE = """
from transformers import BertModel
class Own(BertModel):
    SAID = {said}
    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        found.last_hidden_state = found.last_hidden_state * self.SAID
        return found
"""


@pytest.mark.parametrize("repository", [NAME, "org/code"])
def test_trusted_python_is_that_of_one_commit(hub: Hub, folder: Path, repository: str, tmp_path: Path) -> None:
    files = files_in(folder)
    prefix = "" if repository == NAME else f"{repository}--"
    config = {**json.loads(files["config.json"]), "auto_map": {"AutoModel": f"{prefix}modeling_own.Own"}}
    files["config.json"] = json.dumps(config).encode()
    trusted = named(trust_remote_code=True)
    found, prints = [], []
    for said in (1, 2):
        code = {"modeling_own.py": CODE.format(said=said).encode()}
        hub.add(NAME, files | (code if repository == NAME else {}))
        hub.add("org/code", code)
        store = store_of(tmp_path, run=f"run {said}")
        found.append(vectors(trusted, store))
        prints.append(identify(trusted, store).fingerprint)
    assert np.allclose(found[0] * 2, found[1], rtol=1e-5, atol=1e-5)
    assert prints[0] != prints[1]
    with pytest.raises(ModelError, match="needs Python that its publisher wrote"):
        identify(named(), store_of(tmp_path))


def test_the_doctor_tells_the_commit_and_how_to_take_what_the_card_claims(
    hub: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    card = write_card(tmp_path, make_front(make_block("STSBenchmark", "STS"), name=NAME)).read_bytes()
    hub.add(NAME, {**files_in(folder), "README.md": card})
    main(["doctor", NAME])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    commit = identify(named(), store_of(tmp_path)).revision
    assert f"commit {commit} org/name, main, when this began" in lines
    (take,) = (line for line in lines if line.startswith("touchstone "))
    assert take == f"touchstone baselines import org/name --alias name --revision {commit}"
    assert main(shlex.split(take)[1:]) == 0
    capsys.readouterr()
    main(["doctor", NAME])
    text = capsys.readouterr().out
    assert "the real test is the known score of org/name on STSBenchmark, 82.50 by card:name:\n  pytest evals" in text


@pytest.mark.parametrize("local", [True, False])
def test_an_adapter_is_known_by_its_base_too(hub: Hub, folder: Path, local: bool, tmp_path: Path) -> None:
    base = shutil.copytree(folder, tmp_path / "base") if local else None
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    said = {"base_model_name_or_path": NAME if base is None else str(base), "task_type": "FEATURE_EXTRACTION"}
    (adapter / "adapter_config.json").write_text(json.dumps(said))
    (adapter / "adapter_model.safetensors").write_text("x")
    before = identify(at(adapter), store_of(tmp_path, "one")).fingerprint
    if base is None:
        hub.add(NAME, {**files_in(folder), "config.json": b"{}"})
    else:
        (base / "config.json").write_text("{}")
    assert identify(at(adapter), store_of(tmp_path, "two")).fingerprint != before
    with pytest.raises(ModelError, match=r"is an adapter, which needs the package peft: pip install peft$"):
        open_encoder(at(adapter), "cpu", store_of(tmp_path))


BASES: dict[str, dict[str, Any]] = {
    "CrossEncoder": {"config.json": {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}},
    "SparseEncoder": {"config_sentence_transformers.json": {"model_type": "SparseEncoder"}},
    "MultiVectorEncoder": {"config.json": {"architectures": ["HF_ColBERT"]}},
}


@pytest.mark.parametrize("kind", BASES)
def test_the_base_of_an_adapter_is_of_a_kind_too(kind: str, tmp_path: Path) -> None:
    its = {"base_model_name_or_path": str(tmp_path / "base")}
    both = (
        ("base", {**BASES[kind], "model.safetensors": {}}),
        ("adapter", {"adapter_config.json": its, "adapter_model.safetensors": {}}),
    )
    for name, files in both:
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=rf"base is a {kind}, which an adapter does not make an encoder$"):
        identify(at(tmp_path / "adapter"), store_of(tmp_path))
    reranker = Model(alias="x", spec=CrossEncoderSpec(path=tmp_path / "adapter"), text="x")
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**its, "task_type": "SEQ_CLS"}))
    assert identify(reranker, store_of(tmp_path)).fingerprint


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\b", "", "a//b", "a\0b"])
def test_a_list_of_files_names_none_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^org/name at [0-9a-f]{40} lists \".*\", which is no name of a file$"):
        Snapshot(
            repository="org/name", kind="model", commit="0" * 40, folder=tmp_path, listed={name: Entry()},
            store=Store(tmp_path),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("repository", "revision"),
    [("../x", None), ("org/..", None), ("a/b/c", None), ("org/na me", None), ("org/name", "../x"), ("org/name", "-x")],
)
def test_only_names_of_repositories_and_revisions_are_asked_for(
    repository: str, revision: str | None, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is no name of a repository and a revision of it"):
        open_snapshot(repository, revision, Store(tmp_path))

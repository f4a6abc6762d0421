"""Faults of a hub, on each file and each question: an error of one sentence, and nothing wrong is kept."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.encoders import save_tiny_model
from tests.hub import Files, Handler, Hub, files_in, hash_of, large, serve
from tests.models.test_hub import at, vectors
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.errors import ModelError
from touchstone.models.kinds import identify, open_encoder
from touchstone.models.weights import loading
from touchstone.models.weights.identity import locate
from touchstone.store.folder import Store

NAME = "org/name"
WEIGHTS, POOLING, TOKENIZER = "model.safetensors", "1_Pooling/config.json", "tokenizer.json"
FILES = ("modules.json", "config_sentence_transformers.json", "config.json", TOKENIZER, WEIGHTS, POOLING)
TOKEN = "hf_" + "s" * 34
MISSING = (
    '"{}" is not in the cache, or not all of it, and the run is offline; run once online, or bring it '
    "with: hf download --repo-type model {} --revision {}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def truth(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the model is known by."""
    return identify(at(folder), Store(tmp_path_factory.mktemp("store"))).fingerprint


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    found = files_in(folder)
    assert large(found[WEIGHTS])
    return {**found, **dict.fromkeys((".gitattributes", "README.md", "pytorch_model.bin"), b"not loaded")}


@pytest.fixture
def hub(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from transformers import dynamic_module_utils

    with serve() as served:
        served.add(NAME, files)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "ENDPOINT": served.address, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN_PATH": str(tmp_path / "token"),
        }.items():  # fmt: skip
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for module in ("utils._http", "file_download"):  # the client waits between its attempts
            impatient = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
            monkeypatch.setattr(f"huggingface_hub.{module}.time", impatient)
        monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "python"))
        # A test before this one may have left the folder of another cache on the path.
        monkeypatch.setattr(sys, "path", [one for one in sys.path if not Path(one, "transformers_modules").is_dir()])
        monkeypatch.setattr("touchstone.retrying.FIRST_WAIT_S", 0.02)
        monkeypatch.setattr("touchstone.store.hashes.TICK", 0)  # a wait for each file that is new
        forget_python()
        yield served
    forget_python()


def forget_python() -> None:
    """Forget the Python of publishers, which each test keeps in a folder of its own."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        del sys.modules[name]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def named(name: str = NAME, **more: Any) -> Model:
    return Model(alias="x", spec=EncoderSpec(id=name, **more), text="x")


def refusal(model: Model, store: Store) -> str:
    with pytest.raises(ModelError, match=r"^x: ") as caught:
        open_encoder(model, "cpu", store)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("x: ")


def commit_of(hub: Hub, name: str = NAME) -> str:
    return hub.repositories[f"models/{name}"].branches["main"]


def edit(hub: Hub, changes: Files, name: str = NAME) -> None:
    hub.add(name, {**hub.repositories[f"models/{name}"].commits[commit_of(hub, name)], **changes})


def offline(*, on: bool = True) -> None:
    constants.HF_HUB_OFFLINE = on  # the fixture puts it back


def send_body(handler: Handler, body: bytes, content: bytes) -> None:
    """Send a body under the headers of another content."""
    handler.send_response(200)
    sha = commit_of(handler.hub)
    for key, value in {"Content-Length": str(len(content)), "X-Repo-Commit": sha, "ETag": hash_of(content)}.items():
        handler.send_header(key, value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def strike(handler: Handler, trouble: Any, content: bytes) -> None:
    """Answer one request wrongly."""
    if trouble == 404:
        sha = commit_of(handler.hub)  # with which the client notes in its cache that there is no such file
        handler.send(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found", X_Repo_Commit=sha)
    elif isinstance(trouble, int):
        handler.send(trouble)
    elif trouble == "page":
        handler.send(200, b"<html>sign in</html>", Content_Type="text/html")
    elif trouble == "wrong":
        send_body(handler, content[::-1], content)
    elif trouble == "cut":
        send_body(handler, content[: len(content) // 2], content)
    else:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()


def check_cache(tmp_path: Path, files: Files) -> None:
    """See that a cache holds files of the repository under their own names, and the names of commits."""
    for path in (tmp_path / "cache").glob("models--*/**/*"):
        kind, *inside = path.relative_to(tmp_path / "cache").parts[1:]
        if not path.is_dir():
            assert kind in ("blobs", "refs", "snapshots"), path
            assert kind != "blobs" or path.read_bytes() in files.values()
            assert kind != "snapshots" or path.read_bytes() == files["/".join(inside[1:])]


# A file is asked for twice: what it is, and then its body, which of a large one lies in another place.
@pytest.mark.parametrize(
    ("trouble", "method"),
    [*((one, "HEAD") for one in (503, 500, 404, 429, "reset", "page")),
     *((one, "GET") for one in (503, 404, "reset", "page", "cut", "wrong"))],
)  # fmt: skip
@pytest.mark.parametrize("name", FILES)
def test_a_failing_answer_for_a_file_is_an_error_and_nothing_wrong_is_kept(
    hub: Hub,
    store: Store,
    *,
    folder: Path,
    truth: str,
    files: Files,
    tmp_path: Path,
    name: str,
    trouble: Any,
    method: str,
) -> None:
    struck = []

    def fault(handler: Handler, path: str) -> bool:
        hit = handler.command == method and path.partition("/resolve/")[2].partition("/")[2] == name
        if hit and trouble in ("cut", "wrong") and large(files[name]) and "localhost" not in handler.headers["Host"]:
            return False  # the redirect has no body
        if hit:
            struck.append(path)
            strike(handler, trouble, files[name])
        return hit

    hub.fault = fault
    said = refusal(named(), store)
    assert struck
    assert NAME in said
    assert name in said
    assert "http:" not in said
    check_cache(tmp_path, files)
    hub.fault = None
    assert identify(named(), Store(store.folder)).fingerprint == truth
    check_cache(tmp_path, files)


@pytest.mark.parametrize("trouble", [503, 404, 429, "cut", "reset", "page", "wrong"])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_failing_list_is_an_error_and_is_not_remembered(
    hub: Hub, store: Store, *, folder: Path, truth: str, tmp_path: Path, trouble: Any, pinned: bool
) -> None:
    def fault(handler: Handler, path: str) -> bool:
        hit = path.startswith("/api/models")
        if hit:
            strike(handler, trouble, b'{"sha": "1"}')
        return hit

    hub.fault = fault
    model = named(revision=commit_of(hub)) if pinned else named()
    assert NAME in refusal(model, store)
    assert not (tmp_path / "cache").exists()
    hub.fault = None
    patient = Store(store.folder, patience=5)  # the client may have kept a connection that was closed
    assert identify(model, patient).fingerprint == truth


@pytest.mark.parametrize(
    ("change", "pinned"),
    [({"siblings": []}, False), ({"siblings": None}, True), ({"sha": None}, False), ({"sha": "main"}, False),
     ({"sha": "0" * 40}, True)],
)  # fmt: skip
def test_a_list_that_says_too_little_is_an_error_and_is_not_remembered(
    hub: Hub, store: Store, folder: Path, truth: str, change: dict[str, Any], pinned: bool
) -> None:
    model = named(revision=commit_of(hub)) if pinned else named()
    real = huggingface_hub.HfApi.model_info

    def less(*args: Any, **kwargs: Any) -> Any:
        info = real(*args, **kwargs)
        vars(info).update(change)
        return info

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.HfApi, "model_info", less)
        assert refusal(model, store).startswith(f'the hub gives no model "{NAME}"')
    assert identify(model, Store(store.folder)).fingerprint == truth


def test_what_fails_once_is_brought_at_the_second_try(hub: Hub, store: Store, folder: Path, files: Files) -> None:
    waiting: list[Any] = [503, 429, "cut"]

    def fault(handler: Handler, path: str) -> bool:
        hit = path.endswith(WEIGHTS) and (waiting[:1] == [503] or (
            handler.command == "GET" and "localhost" in handler.headers["Host"] and bool(waiting)))  # fmt: skip
        if hit:
            strike(handler, waiting.pop(0), files[WEIGHTS])
        return hit

    hub.fault = fault
    patient = Store(store.folder, patience=5)
    assert np.array_equal(vectors(named(), patient), vectors(at(folder), store))
    assert not waiting


def test_each_file_and_the_list_are_asked_for_once(hub: Hub, store: Store) -> None:
    open_encoder(named(), "cpu", store)
    asked = [(method, path) for method, path, _ in hub.requests if "agent-harnesses" not in path]
    assert [path.partition("?")[0] for _, path in asked if "/api/" in path] == [f"/api/models/{NAME}/revision/main"]
    heads = [path for method, path in asked if method == "HEAD"]
    assert len(heads) == len(set(heads))
    assert len(asked) == 1 + 2 * len(heads)


def test_a_hub_that_does_not_answer_is_not_waited_for(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("touchstone.store.hub.TIMEOUT_S", "huggingface_hub.file_download._ETAG_RETRY_TIMEOUT"):
        monkeypatch.setattr(place, 0.05)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.05)
    waited: list[str] = ["/api/models"]

    def fault(handler: Handler, path: str) -> bool:
        if waited[0] in path:
            time.sleep(0.2)
            handler.close_connection = True
        return waited[0] in path

    hub.fault = fault
    assert "ReadTimeout" in refusal(named(), store)
    waited[0] = "config.json"
    assert "not config.json: no connection, or no answer in time" in refusal(named(), store)


def test_no_network_and_no_such_revision_are_one_sentence(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = f'"{NAME}" has no branch, tag or commit "v9"; its main branch is at {commit_of(hub)}'
    assert refusal(named(revision="v9"), store) == says
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    says = f'the hub gives no model "{NAME}", not the list of files at main: ConnectError: [Errno 111] '
    assert refusal(named(), store).startswith(says)


@pytest.mark.parametrize(
    ("needs", "says"), [(403, "is gated; ask for access at"), (401, "is missing or private; mend")]
)
def test_a_gated_file_says_what_to_do_and_no_token_is_told(
    hub: Hub, store: Store, truth: str, needs: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub lists the files of what is gated to everybody."""
    seen: dict[str, bool] = {}

    def fault(handler: Handler, path: str) -> bool:
        host = handler.headers["Host"].partition(":")[0]
        seen[host] = seen.get(host, False) or TOKEN in handler.headers.get("Authorization", "")
        refused = "/resolve/" in path and host == "127.0.0.1" and not seen[host]
        if refused:
            handler.refuse(needs, "GatedRepo" if needs == 403 else "")
        return refused

    hub.fault = fault
    assert says in refusal(named(), store)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    seen.clear()
    assert identify(named(), store).fingerprint == truth
    assert seen == {"127.0.0.1": True, "localhost": False}
    hub.repositories.clear()
    assert TOKEN not in refusal(named("org/none"), store)


def forget_lists(tmp_path: Path) -> None:
    """Make a cache what clients before version 2 leave, which keep no lists."""
    huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE.clear()
    for folder in (tmp_path / "cache").glob("models--*/trees"):
        shutil.rmtree(folder)


def test_offline_a_cache_that_was_brought_whole_is_read(hub: Hub, store: Store, truth: str) -> None:
    huggingface_hub.snapshot_download(NAME)
    hub.requests.clear()
    offline()
    for model in (named(), named(revision=commit_of(hub)), named(revision="main")):
        assert identify(model, store).fingerprint == truth
    assert hub.requests == []
    assert refusal(named("org/none"), store) == MISSING.format("org/none", "org/none", "main")
    assert refusal(named(revision="v2"), store) == MISSING.format(NAME, NAME, "v2")


@pytest.mark.parametrize("some", [["*.json", WEIGHTS], [".gitattributes", "*.json", "pytorch_model.bin"]])
def test_offline_a_cache_with_some_files_is_one_sentence(
    hub: Hub, store: Store, truth: str, tmp_path: Path, some: list[str]
) -> None:
    huggingface_hub.snapshot_download(NAME, allow_patterns=some)
    if ".gitattributes" not in some:
        forget_lists(tmp_path)
    offline()
    assert refusal(named(), store) == MISSING.format(NAME, NAME, commit_of(hub))
    offline(on=False)
    assert identify(named(), store).fingerprint == truth


def test_offline_nothing_is_guessed(hub: Hub, store: Store, truth: str, tmp_path: Path) -> None:
    """A cache that a client without lists brought but for one file looks whole."""
    huggingface_hub.snapshot_download(NAME, ignore_patterns=["config_sentence_transformers.json"])
    forget_lists(tmp_path)
    offline()
    assert refusal(named(), store) == MISSING.format(NAME, NAME, commit_of(hub))
    offline(on=False)
    assert identify(named(), store).fingerprint == truth


@pytest.mark.parametrize("name", [WEIGHTS, POOLING])
def test_what_is_damaged_in_the_cache_is_told(hub: Hub, store: Store, name: str, tmp_path: Path) -> None:
    identify(named(), store)
    path = tmp_path / "cache" / "models--org--name" / "snapshots" / commit_of(hub) / name
    path.write_bytes(path.read_bytes()[::-1])
    for kept in (store, Store(store.folder), Store(tmp_path / "new")):
        assert refusal(named(), kept) == (
            f"{path} is damaged, it is not what the hub says of it; remove it and run again"
        )


def test_a_cache_that_can_only_be_read_is_read(
    hub: Hub, store: Store, truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(named(), store)
    real = Path.write_text, Path.mkdir

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if "cache" in path.parts and "refs" in path.parts:
            raise PermissionError(13, "read-only")
        return real[0](path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr("touchstone.store.hub.write_atomically", refuse, raising=False)
    assert identify(named(), Store(tmp_path / "new")).fingerprint == truth


def test_main_is_one_commit_for_another_process_of_the_run_too(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "store"
    first = identify(named(), Store(place, run="r"))
    edit(hub, {WEIGHTS: b"new"})
    program = (
        "import sys; from pathlib import Path; from tests.models.test_hub_faults import *\n"
        "print(identify(named(), Store(Path(sys.argv[1]), run='r')).revision)"
    )
    told = {
        "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": constants.HF_HUB_CACHE, "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }  # fmt: skip
    hub.requests.clear()
    ran = subprocess.run(
        [sys.executable, "-c", program, str(place)], capture_output=True, text=True, env=os.environ | told, check=False
    )
    assert ran.stdout.strip() == first.revision, ran.stderr
    assert hub.requests == []
    assert identify(named(), Store(place, run="s")).revision == commit_of(hub)


CODE = {
    "modeling_own.Own": """
import torch
from transformers import BertModel
from .beside import SAID

class Own(BertModel):
    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        found["last_hidden_state"] = found["last_hidden_state"] * SAID
        return found
""",
    "pooling_own.Own": """
from sentence_transformers.sentence_transformer.modules import Pooling
from .beside import SAID

class Own(Pooling):
    def forward(self, features):
        features = super().forward(features)
        features["sentence_embedding"] = features["sentence_embedding"] * SAID
        return features
""",
}


def python(class_: str, said: int) -> Files:
    return {
        f"{class_.partition('.')[0]}.py": CODE[class_].encode(),
        "beside.py": f"SAID = {said}.0\n".encode(), "unused.py": b"boom =",
    }  # fmt: skip


def naming(files: Files, class_: str, where: str = "") -> Files:
    """Name a class in a model's settings, of its own or of a repository."""
    if class_.startswith("pooling"):
        modules = json.loads(files["modules.json"])
        modules[1]["type"] = where + class_
        return {**files, "modules.json": json.dumps(modules).encode()}
    config = json.loads(files["config.json"]) | {"auto_map": {"AutoModel": where + class_}}
    return {**files, "config.json": json.dumps(config).encode()}


@pytest.mark.parametrize("where", ["", "other/code--"])
@pytest.mark.parametrize("class_", CODE)
def test_trusted_python_is_of_one_commit_of_every_repository_that_is_named(
    hub: Hub, files: Files, folder: Path, tmp_path: Path, class_: str, where: str
) -> None:
    place, trusted = tmp_path / "store", named("org/own", trust_remote_code=True)
    code = where.removesuffix("--") or "org/own"
    hub.add("org/own", naming(files, class_, where) | ({} if where else python(class_, 2)))
    if where:
        hub.add(code, python(class_, 2))
    assert "needs Python that its publisher wrote" in refusal(named("org/own"), Store(place))
    assert not [path for path in hub.asked() if path.endswith((".py", WEIGHTS)) or path.startswith("/other")]
    plain = vectors(at(folder), Store(place))
    first = identify(trusted, Store(place, run="r"))
    assert np.allclose(vectors(trusted, Store(place, run="r")), 2 * plain, rtol=1e-5, atol=1e-5)
    assert {path.rpartition("/")[2] for path in hub.asked(".py")} == {f"{class_.partition('.')[0]}.py", "beside.py"}
    edit(hub, {"beside.py": b"SAID = 3.0\n"}, code)
    assert np.allclose(vectors(trusted, Store(place, run="r")), 2 * plain, rtol=1e-5, atol=1e-5)
    assert identify(trusted, Store(place, run="r")) == first
    assert np.allclose(vectors(trusted, Store(place, run="s")), 3 * plain, rtol=1e-5, atol=1e-5)
    assert identify(trusted, Store(place, run="s")).fingerprint != first.fingerprint


def test_python_elsewhere_that_another_program_updates_meanwhile_is_an_error(
    hub: Hub, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("other/code", python("modeling_own.Own", 2))
    hub.add("org/own", naming(files, "modeling_own.Own", "other/code--"))
    trusted, place, real = named("org/own", trust_remote_code=True), tmp_path / "store", loading.construct

    def update_before(*args: Any, **kwargs: Any) -> Any:
        edit(hub, {"beside.py": b"SAID = 3.0\n"}, "other/code")
        huggingface_hub.snapshot_download("other/code")
        return real(*args, **kwargs)

    monkeypatch.setattr(loading, "construct", update_before)
    said = refusal(trusted, Store(place, run="r"))
    assert "models--other--code/refs" in said
    assert "changed while it was measured, and nothing of that is kept" in said
    monkeypatch.setattr(loading, "construct", real)
    assert "was updated" in refusal(trusted, Store(place, run="r"))
    vectors(trusted, Store(place, run="s"))


def test_another_run_that_finds_the_same_commit_does_not_disturb(hub: Hub, files: Files, tmp_path: Path) -> None:
    hub.add("other/code", python("modeling_own.Own", 2))
    hub.add("org/own", naming(files, "modeling_own.Own", "other/code--"))
    trusted = named("org/own", trust_remote_code=True)
    weights = locate(trusted, Store(tmp_path / "store", run="r"))
    locate(trusted, Store(tmp_path / "store", run="s"))
    weights.check_unchanged("x")


def test_python_elsewhere_that_a_module_in_a_folder_names_is_known(
    hub: Hub, files: Files, folder: Path, store: Store
) -> None:
    """The transformer of many models lies in a folder of its own."""
    hub.add("other/code", python("modeling_own.Own", 2))
    moved = naming(files, "modeling_own.Own", "other/code--")
    modules = json.loads(files["modules.json"])
    modules[0]["path"] = "0_Transformer"
    hub.add("org/own", {
        **{f"0_Transformer/{name}": content for name, content in moved.items() if "/" not in name},
        POOLING: files[POOLING], "modules.json": json.dumps(modules).encode(),
    })  # fmt: skip
    trusted = named("org/own", trust_remote_code=True)
    assert set(locate(trusted, store).facts["elsewhere"]) == {"other/code/modeling_own.py", "other/code/beside.py"}
    assert np.allclose(vectors(trusted, store), 2 * vectors(at(folder), store), rtol=1e-5, atol=1e-5)


def adapter(base: str) -> Files:
    settings = {"base_model_name_or_path": base, "task_type": "FEATURE_EXTRACTION"}
    return {"adapter_config.json": json.dumps(settings).encode(), "adapter_model.safetensors": b"tensors"}


def test_the_base_of_an_adapter_is_trusted_watched_and_followed_too(hub: Hub, files: Files, tmp_path: Path) -> None:
    hub.add("other/code", python("modeling_own.Own", 2))
    hub.add("org/base", naming(files, "modeling_own.Own", "other/code--"))
    hub.add("org/adapter", adapter("org/base"))
    place = tmp_path / "store"
    assert refusal(named("org/adapter"), Store(place)).startswith("org/base needs Python that its publisher wrote")
    trusted = named("org/adapter", trust_remote_code=True)
    weights = locate(trusted, Store(place, run="r"))
    assert {"other/code/beside.py", f"org/base/{WEIGHTS}"} <= weights.facts["elsewhere"].keys()
    assert list(weights.facts["files"]) == ["adapter_config.json", "adapter_model.safetensors"]
    edit(hub, {WEIGHTS: b"new"}, "org/base")
    huggingface_hub.snapshot_download("org/base")
    with pytest.raises(ModelError, match="changed while it was measured"):
        weights.check_unchanged("x")
    with pytest.raises(ModelError, match=r"^x: org/base, which org/adapter needs, was updated in the cache"):
        locate(trusted, Store(place, run="r"))


def test_sharded_weights_and_a_variant_are_brought_and_no_others(
    hub: Hub, store: Store, folder: Path, files: Files, tmp_path: Path
) -> None:
    tensors, made = load_file(folder / WEIGHTS), tmp_path / "made"
    names, without = sorted(tensors), {name: content for name, content in files.items() if name != WEIGHTS}
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, inside in shards.items():
        save_file({name: tensors[name] for name in inside}, made, metadata={"format": "pt"})
        without[shard] = made.read_bytes()
    index = {"metadata": {}, "weight_map": {name: shard for shard, inside in shards.items() for name in inside}}
    without["model.safetensors.index.json"] = json.dumps(index).encode()
    hub.add("org/sharded", without)
    assert np.array_equal(vectors(named("org/sharded"), store), vectors(at(folder), store))

    save_file({name: tensor.half() for name, tensor in tensors.items()}, made, metadata={"format": "pt"})
    hub.add("org/variant", {**files, "model.fp16.safetensors": made.read_bytes()})
    hub.requests.clear()
    model = named("org/variant", model_kwargs={"variant": "fp16"}, dtype="float32")
    assert np.allclose(vectors(model, store), vectors(at(folder), store), atol=1e-2)
    asked = {path.rpartition("/")[2] for path in hub.asked("/resolve/")}
    assert {name for name in asked if name.endswith((".safetensors", ".bin"))} == {"model.fp16.safetensors"}

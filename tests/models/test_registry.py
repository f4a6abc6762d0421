"""Python that publishers wrote is run by mteb's loaders only where the specification trusts it."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from touchstone.config.models import Model
from touchstone.config.specs import RegistrySpec
from touchstone.errors import ModelError
from touchstone.models import registry
from touchstone.models.kinds import identify
from touchstone.models.registry import find_in_registry, load_from_registry, trusts_by_itself
from touchstone.retrying import PassingError, may_pass
from touchstone.seams import find
from touchstone.store.folder import Store

ON = re.compile(r"""trust_remote_code["']?\]?(: bool)?\s*[=:,]\s*True""")
REGISTRY: dict[str, Any] = find("mteb.models.model_implementations:MODEL_REGISTRY")


@cache
def blocks(module: str) -> dict[str, str]:
    """Return the text of each function and class of a module of mteb's, by name."""
    source = inspect.getsource(sys.modules[module])
    lines = source.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(source).body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }  # fmt: skip


@cache
def mentions(loader: Any) -> bool:
    """Return whether any text of a loader, or of what it names from text to text in its file, turns it on."""
    known: dict[str, str] = {}
    for one in (*getattr(loader, "__mro__", ()), loader):
        known |= blocks(one.__module__) if one.__module__.startswith("mteb.") else {}
    waiting, seen = {loader.__qualname__.split(".")[0]}, set[str]()
    while waiting:
        text = known[name := waiting.pop()]
        seen.add(name)
        if ON.search(text):
            return True
        waiting |= (set(re.findall(r"\w+", text)) & known.keys()) - seen
    return False


def refused(name: str) -> bool:
    try:
        find_in_registry(RegistrySpec(name=name), "x")
    except ModelError as error:
        says = (
            f"x: mteb loads {name} with Python that its publisher wrote; set trust_remote_code = true to let that run"
        )
        return str(error) == says
    return False


def test_no_loader_that_turns_on_remote_code_is_run_untrusted() -> None:
    on = {
        name for name, meta in REGISTRY.items()
        if meta.loader_kwargs.get("trust_remote_code") or (meta.loader is not None and mentions(meta.loader))
    }  # fmt: skip
    assert {name for name in REGISTRY if refused(name)} == on
    assert len(on) >= 197, len(on)


@pytest.mark.parametrize("name", sorted({
    "sentence-transformers/all-MiniLM-L6-v2", "intfloat/e5-mistral-7b-instruct", "Qwen/Qwen3-Embedding-0.6B",
    "intfloat/e5-base-v2", "BAAI/bge-m3", "mteb/baseline-random-encoder",
}))  # fmt: skip
def test_loaders_that_run_no_code_of_publishers_need_no_trust(name: str) -> None:
    assert not refused(name)


@pytest.mark.parametrize("name", ["OpenSearch-AI/Ops-MoA-Conan-embedding-v1", "Quazim0t0/Byrne-Embed",
                                  "jinaai/jina-clip-v1", "llm-semantic-router/multi-modal-embed-large"])  # fmt: skip
def test_loaders_that_trust_by_themselves_are_refused_until_trusted(name: str) -> None:
    assert not REGISTRY[name].loader_kwargs.get("trust_remote_code")
    assert refused(name)
    assert find_in_registry(RegistrySpec(name=name, trust_remote_code=True), "x") is REGISTRY[name]


def loaders() -> Iterator[Any]:
    def by_default(model: str, *, device: str = "cpu", trust_remote_code: bool = True) -> None: ...

    def as_setting(model: str, **kwargs: Any) -> None:
        kwargs.setdefault("trust_remote_code", True)

    def as_item(model: str, **kwargs: Any) -> None:
        kwargs["trust_remote_code"] = True

    def of_a_tokenizer(model: str, **kwargs: Any) -> Any:
        return kwargs["load"](model, tokenizer_kwargs={"trust_remote_code": True})

    def either_way(model: str, trust_remote_code: bool = False, **kwargs: Any) -> Any:
        return kwargs["load"](model, trust_remote_code=trust_remote_code or True)

    def by_a_constant(model: str, **kwargs: Any) -> Any:
        return kwargs["load"](model, trust_remote_code=ON)

    settings = {"trust_remote_code": True}

    def enclosed(model: str, **kwargs: Any) -> Any:
        return kwargs["load"](model, **settings)

    yield from (by_default, as_setting, as_item, of_a_tokenizer, either_way, by_a_constant, enclosed)
    yield eval("lambda model, **kwargs: None")  # which has no source


@pytest.mark.parametrize("loader", list(loaders()), ids=lambda loader: loader.__name__)
def test_every_way_to_turn_it_on_is_seen(loader: Any) -> None:
    assert trusts_by_itself(loader)


def test_what_is_passed_on_or_off_is_nothing_of_the_loaders_own() -> None:
    def passes(model: str, trust_remote_code: bool = False, **kwargs: Any) -> Any:
        kwargs.pop("trust_remote_code", None)
        kwargs["load"](model, trust_remote_code=kwargs.get("trust_remote_code", False))
        return kwargs["load"](model, trust_remote_code=trust_remote_code)

    assert not trusts_by_itself(passes)
    assert not trusts_by_itself(None)


@pytest.mark.parametrize("by_itself", [True, False])
def test_trust_is_passed_on_where_the_loader_waits_for_it(monkeypatch: pytest.MonkeyPatch, by_itself: bool) -> None:
    import mteb

    asked: dict[str, Any] = {}
    monkeypatch.setattr(registry, "trusts_by_itself", lambda _: by_itself)
    monkeypatch.setattr(mteb, "get_model", lambda _, **kwargs: asked.update(kwargs))
    with pytest.raises(ModelError):
        load_from_registry(RegistrySpec(name="BAAI/bge-m3", trust_remote_code=True), "x", "cpu")
    assert asked == {"device": "cpu", "embed_dim": None} | ({} if by_itself else {"trust_remote_code": True})


def test_trust_belongs_to_who_a_model_is(tmp_path: Any) -> None:
    def who(**settings: Any) -> str:
        spec = RegistrySpec(name="BAAI/bge-m3", **settings)
        return identify(Model(alias="x", spec=spec, text="x"), Store(tmp_path)).fingerprint

    assert who(trust_remote_code=True) != who()


@pytest.mark.parametrize("kind", [OSError, MemoryError, KeyError, PassingError])
def test_no_frame_of_a_loader_that_fails_is_kept(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """Loaders of mteb's ask hubs and servers with keys of their own."""
    import mteb

    def fail(*_: Any, **__: Any) -> None:
        raise kind("no")

    monkeypatch.setattr(mteb, "get_model", fail)
    with pytest.raises(ModelError, match=rf"^x: mteb cannot load BAAI/bge-m3: {kind.__name__}: '?no'?$") as caught:
        load_from_registry(RegistrySpec(name="BAAI/bge-m3", trust_remote_code=True), "x", "cpu")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None or caught.value.__cause__.__traceback__ is None
    assert not any(entry.name == "fail" for entry in caught.traceback)
    assert may_pass(caught.value) is (kind is PassingError)

"""A mirror that we filled says what it holds, and what is not as it says is an error."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests.encoders import save_tiny_model
from tests.hub import Hub, files_in, serve_to_client
from touchstone.__main__ import main
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.errors import ConfigError, ModelError, SourceError
from touchstone.models.weights.identity import identify
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.store.hub import Kind, error_of, open_snapshot
from touchstone.store.mirrors import MANIFEST, open_mirrored, read_manifest, verify
from touchstone.store.mirrors import fill as fill_mirror
from touchstone.tasks.opening import open_task
from touchstone.tasks.registry import load_registry
from touchstone.tasks.sources import Reading

HELD_FILE = {"size": 1, "sha256": "x"}
MODEL, DATA = "org/model", "mteb/XQuADRetrieval"
SUITE = """models = ["org/model"]
[tasks]
include = ["XQuADRetrieval", "BIOSSES"]
subsets = { XQuADRetrieval = ["en"] }
"""
BIOSSES = TaskInfo(name="BIOSSES", type="STS", main_score="cosine_spearman")
XQUAD = TaskInfo(
    name="XQuADRetrieval", type="Retrieval", main_score="x", subsets=("en",), splits=("validation",)
)  # fmt: skip


@pytest.fixture
def hub(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.toml").write_text(SUITE)
    with serve_to_client(monkeypatch, tmp_path / "cache") as served:
        for name in ("XQuADRetrieval", "BIOSSES"):
            task = load_registry().tasks[name]
            served.pin(task.dataset, task.revision, files_in(mirror / task.dataset))
        served.add(
            MODEL, {**files_in(save_tiny_model(tmp_path / "model")), "README.md": b"x", "tf_model.h5": b"x" * 99}
        )
        yield served


def fetch(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[str, int]:
    code = main(["fetch", *more])
    return capsys.readouterr().out, code


def fill(capsys: pytest.CaptureFixture[str]) -> str:
    text, code = fetch(capsys, "--suite", "suite.toml", "--into", "there")
    assert code == 0, text
    return text


def go_away(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a machine without a network and without what the hub's client has kept."""
    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))


def read(store: Store, info: TaskInfo = BIOSSES, root: Path = Path("there")) -> tuple[Any, Any]:
    with open_task(info, Source(kind="mirror", path=root.absolute()), store) as opened:
        return opened.data_sha256, opened.dataset_revision


def model(**more: Any) -> Model:
    return Model(alias="x", spec=EncoderSpec(id=MODEL, **more), text="x")


def test_a_filled_mirror_is_read_without_a_network_and_names_commits(
    hub: Hub, mirror: Path, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = fill(capsys).splitlines()
    commit = hub.repositories[f"models/{MODEL}"].branches["main"]
    assert [line.split()[:2] for line in lines[:-1]] == [
        [DATA, load_registry().tasks["XQuADRetrieval"].revision[:12]],
        ["mteb/biosses-sts", load_registry().tasks["BIOSSES"].revision[:12]],
        [MODEL, commit[:12]],
    ]
    assert lines[-1].endswith(f"in all; wrote {tmp_path / 'there' / MANIFEST}")
    assert not (tmp_path / "there" / "models" / MODEL / "tf_model.h5").exists()
    assert not list((tmp_path / "there" / DATA).glob("es*"))
    go_away(hub, monkeypatch, tmp_path)
    store = Store(tmp_path / "store", mirrors=[tmp_path / "there"])
    for info in (XQUAD, BIOSSES):
        known, revision = read(store, info)
        assert revision == load_registry().tasks[info.name].revision
        assert known == read(store, info, mirror)[0]
    known = identify(model(), store)
    assert known.revision == commit
    assert known.fingerprint == identify(
        Model(alias="x", spec=EncoderSpec(path=tmp_path / "model"), text="x"), store
    ).fingerprint  # fmt: skip
    assert identify(model(revision=commit), store) == known
    assert not hub.requests


def test_a_second_fetch_asks_for_nothing_that_is_there(hub: Hub, capsys: Any) -> None:
    first = fill(capsys)
    hub.requests.clear()
    assert fill(capsys) == first
    assert not hub.asked("resolve")


def test_a_dry_run_says_how_many_bytes_and_brings_none(hub: Hub, capsys: Any, tmp_path: Path) -> None:
    text, code = fetch(capsys, "--suite", "suite.toml", "--into", "there", "--dry-run")
    assert code == 0
    assert not (tmp_path / "there").exists()
    assert not hub.asked("model.safetensors")
    assert [line.split()[0] for line in text.splitlines()[:-1]] == [DATA, "mteb/biosses-sts", MODEL]
    assert text.splitlines()[:-1] == fill(capsys).splitlines()[:-1]


CHANGES: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "cut": (DATA, lambda f: (f / "README.md").write_bytes(b"---\nx"), "has 5 bytes, not", "is damaged, it is not what"),
    "content": ("mteb/biosses-sts", lambda f: next(f.glob("*.gz")).write_bytes(
        next(f.glob("*.gz")).read_bytes()[::-1]), "has other content", "is damaged, it is not what its manifest says"),
    "gone": (DATA, lambda f: (f / "README.md").unlink(), "is not there", "lacks README.md of"),
    "more": (DATA, lambda f: (f / "x.jsonl").write_text("{}"), "is not in the manifest", "is not in the manifest of"),
    "weights": (f"models/{MODEL}", lambda f: (f / "model.safetensors").write_bytes(b"x"), "has 1 bytes, not",
                "is damaged, it is not what its manifest says of it; remove it and fetch it again"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_the_manifest_says_is_told(
    hub: Hub, *, change: str, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(capsys)
    there = tmp_path / "there"
    assert fetch(capsys, "--verify", "there") == (f"{there} is what its {MANIFEST} says\n", 0)
    where, spoil, verified, refused = CHANGES[change]
    spoil(there / where)
    text, code = fetch(capsys, "--verify", "there")
    assert (len(text.splitlines()), code) == (1, 1)
    assert verified in text
    store = Store(tmp_path / "store", mirrors=[there])
    with monkeypatch.context() as patch:
        go_away(hub, patch, tmp_path)
        look: dict[str, Any] = {f"models/{MODEL}": lambda: identify(model(), store), DATA: lambda: read(store, XQUAD)}
        with pytest.raises((SourceError, ModelError), match=refused):
            look.get(where, lambda: read(store))()
    if change != "more":
        fill(capsys)
        assert not list(verify(there))


def test_one_commit_of_a_repository_is_held(
    hub: Hub, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(capsys)
    before = hub.repositories[f"models/{MODEL}"].branches["main"]
    after = hub.add(MODEL, {**files_in(tmp_path / "model"), "README.md": b"new"})
    with pytest.raises(SystemExit):
        raise SystemExit(main(["fetch", "--suite", "suite.toml", "--into", "there"]))
    assert f'has "{MODEL}" at {before}, not at {after}; remove ' in capsys.readouterr().err
    go_away(hub, monkeypatch, tmp_path)
    store = Store(tmp_path / "store", mirrors=[tmp_path / "there"])
    assert identify(model(revision="main"), store).revision == before  # what was asked for when it was fetched
    with pytest.raises(ModelError, match=rf'has "{MODEL}" at {before}, not at {after}; fetch that '):
        identify(model(revision=after), store)


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "not JSON: .*; fill"), ('{"touchstone mirror": 2}', "a newer touchstone wrote it"), ("[]", "is damaged"),
     ('{"touchstone mirror": 1, "repositories": [{"kind": "x"}]}', "is damaged")],
)  # fmt: skip
def test_a_manifest_that_cannot_be_read_is_one_sentence(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ConfigError, match=says):
        read_manifest(tmp_path)


def test_there_must_be_a_manifest_to_verify(capsys: Any, tmp_path: Path) -> None:
    assert main(["fetch", "--verify", str(tmp_path)]) != 0
    assert f"{tmp_path} has no {MANIFEST}; touchstone fetch --into {tmp_path} fills" in capsys.readouterr().err


def test_a_mirror_may_be_moved(hub: Hub, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fill(capsys)
    shutil.move(tmp_path / "there", tmp_path / "elsewhere")
    go_away(hub, monkeypatch, tmp_path)
    assert read(Store(tmp_path / "store"), BIOSSES, tmp_path / "elsewhere")[0]
    assert json.loads((tmp_path / "elsewhere" / MANIFEST).read_text())["touchstone mirror"] == 1


def test_a_suite_with_nothing_of_the_hub_brings_nothing(capsys: Any, tmp_path: Path) -> None:
    text, code = fetch(capsys, "--suite", "smoke", "--into", str(tmp_path / "there"))
    assert (text, code) == ("no data set or model of the suite is on the hub; nothing to download\n", 0)
    assert not (tmp_path / "there").exists()


def test_data_of_another_revision_is_not_what_was_asked_for(
    hub: Hub, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(capsys)
    manifest = tmp_path / "there" / MANIFEST
    held, other = load_registry().tasks["BIOSSES"].revision, "a" * 40
    manifest.write_text(manifest.read_text().replace(held, other))
    go_away(hub, monkeypatch, tmp_path)
    with pytest.raises(SourceError, match=rf'has "mteb/biosses-sts" at {other}, not at {held}; fetch that '):
        read(Store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("asked", "then", "found"),
    [("main", "main", True), ("main", "", True), ("main", "v2", False), (None, "main", True), ("v2", "v2", True),
     ("v2", "main", False), ("", "", True), ("", "main", False)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_repository_is_found_by_what_it_was_fetched_by_or_its_commit(
    kind: Kind, asked: str | None, then: str, *, found: bool, hub: Hub, tmp_path: Path
) -> None:
    """mteb asks for data sets by a commit, its beginning, or a branch; "" stands for the commit."""
    store, commit = Store(tmp_path / "store"), hub.add("org/two", {"README.md": b"x"}, kind=f"{kind}s")
    hub.repositories[f"{kind}s/org/two"].branches["v2"] = commit
    fetched = open_snapshot("org/two", commit if asked == "" else asked, store, kind)
    fill_mirror(tmp_path / "there", fetched, commit if asked == "" else asked, ["README.md"])
    fill_mirror(tmp_path / "there", fetched, commit, ["README.md"])  # as another task may ask for it
    for short in (commit, commit[:7]):
        assert open_mirrored(tmp_path / "there", "org/two", short, store, kind)
    with nullcontext() if found else pytest.raises(error_of(kind), match=f"not at {then or commit}; fetch that"):
        assert open_mirrored(tmp_path / "there", "org/two", then or commit, store, kind)


def test_data_of_a_branch_is_read_from_a_mirror(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As eleven tasks of mteb's ask for it."""
    commit, store = hub.add("org/two", {"README.md": b"x", "a.txt": b"a"}, kind="datasets"), Store(tmp_path / "store")
    fill_mirror(tmp_path / "there", open_snapshot("org/two", "main", store, "dataset"), "main", ["README.md", "a.txt"])
    go_away(hub, monkeypatch, tmp_path)
    there = Source(kind="mirror", path=(tmp_path / "there").absolute())
    what = Reading(
        source=there,
        task="x",
        dataset="org/two",
        expected_revision="main",
        scope="x",
        needs_config=lambda _: True,
        store=store,
    )
    folder, _ = what.find("org/two", "main")
    assert folder is not None
    assert (folder / "a.txt").read_text() == "a"
    assert what.revisions == {"org/two": commit}


def test_what_the_manifest_does_not_name_is_no_data(hub: Hub, mirror: Path, capsys: Any, tmp_path: Path) -> None:
    """As after a fetch that was stopped while it copied."""
    fill(capsys)
    shutil.copytree(mirror / "mteb" / "RTE3", tmp_path / "there" / "mteb" / "RTE3")
    rte3 = TaskInfo(name="RTE3", type="PairClassification", main_score="x", subsets=("en",))
    says = rf'{MANIFEST} has no data set "mteb/RTE3" \(needed by RTE3\); fetch it$'
    with pytest.raises(SourceError, match=says):
        read(Store(tmp_path / "store"), rte3)
    assert list(verify(tmp_path / "there")) == [f"{tmp_path / 'there' / 'mteb' / 'RTE3'} is not in the manifest"]


def test_a_subset_that_was_left_out_is_lacking(
    hub: Hub, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(capsys)
    go_away(hub, monkeypatch, tmp_path)
    with pytest.raises(SourceError, match=r"lacks es/\S+ of mteb/XQuADRetrieval; fetch it again$"):
        read(Store(tmp_path / "store"), replace(XQUAD, subsets=("es",)))


@pytest.mark.parametrize("make", [lambda path: path.write_text("{}"), lambda path: path.symlink_to("/tmp")])
def test_a_file_beside_a_mirrored_model_is_refused(
    make: Callable[[Path], Any], hub: Hub, *, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(capsys)
    more = tmp_path / "there" / "models" / MODEL / "special_tokens_map.json"
    make(more)
    go_away(hub, monkeypatch, tmp_path)
    with pytest.raises(ModelError, match=rf"{more} is not in the manifest of mirror {tmp_path / 'there'}; remove it$"):
        identify(model(), Store(tmp_path / "store", mirrors=[tmp_path / "there"]))


@pytest.mark.parametrize("change", [{"commit": "junk"}, {"repository": "../x"}, {"files": {"../x": HELD_FILE}}])
def test_a_manifest_that_leads_elsewhere_is_damaged(change: dict[str, Any], tmp_path: Path) -> None:
    entry = {"kind": "model", "repository": "org/x", "commit": "a" * 40, "revision": "main", "files": {}} | change
    (tmp_path / MANIFEST).write_text(json.dumps({"touchstone mirror": 1, "repositories": [entry]}))
    with pytest.raises(ConfigError, match="is damaged"):
        read_manifest(tmp_path)


def test_a_mirror_that_cannot_be_filled_is_one_sentence(hub: Hub, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file")
    assert main(["fetch", "--suite", "suite.toml", "--into", "there"]) != 0
    assert "there cannot be read or filled: " in capsys.readouterr().err

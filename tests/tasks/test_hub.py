"""Data of the hub is a snapshot of the commit that mteb names, read from its folder alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests.hub import Handler, Hub, files_in, not_found, other_bytes, page, serve_to_client, unavailable
from touchstone.errors import SourceError
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.store.hub import open_snapshot
from touchstone.tasks.identity import identify_data
from touchstone.tasks.opening import needs, open_task
from touchstone.tasks.registry import load_registry
from touchstone.tasks.sources import wanted_files

TASKS = {
    "BIOSSES": ("STS", ("default",), ("test",)),
    "XQuADRetrieval": ("Retrieval", ("en",), ("validation",)),
    "RTE3": ("PairClassification", ("en",), ("test",)),
    "Tatoeba": ("BitextMining", ("deu-eng",), ("test",)),
}


@pytest.fixture
def hub(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_to_client(monkeypatch, tmp_path / "cache") as served:
        for name in TASKS:
            task = load_registry().tasks[name]
            served.pin(task.dataset, task.revision, files_in(mirror / task.dataset))
        yield served


def info(name: str) -> TaskInfo:
    type_, subsets, splits = TASKS[name]
    return TaskInfo(name=name, type=type_, main_score="x", subsets=subsets, splits=splits)


def opened(name: str, source: Source, store: Store) -> tuple[Any, ...]:
    with open_task(info(name), source, store) as found:
        return found.data_sha256, found.dataset_revision


@pytest.mark.parametrize("name", TASKS)
def test_data_of_the_hub_is_what_a_mirror_has(hub: Hub, mirror: Path, name: str, tmp_path: Path) -> None:
    store, task = Store(tmp_path / "store"), load_registry().tasks[name]
    known, revision = opened(name, Source(), store)
    assert (known, revision) == (opened(name, Source(kind="mirror", path=mirror), store)[0], task.revision)
    if name == "XQuADRetrieval":
        assert not hub.asked("/es/"), "the files of other subsets are not brought"


def test_what_was_brought_is_read_offline_without_a_request(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened("XQuADRetrieval", Source(), Store(tmp_path / "store"))
    hub.requests.clear()
    assert opened("XQuADRetrieval", Source(), Store(tmp_path / "store")) == first
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert opened("XQuADRetrieval", Source(), Store(tmp_path / "store")) == first
    assert hub.requests == []
    with pytest.raises(SourceError, match=r'^"mteb/biosses-sts" is not in the cache, or not all of it, and the run is'):
        opened("BIOSSES", Source(), Store(tmp_path / "store"))


@pytest.mark.parametrize("answer", [unavailable, not_found, other_bytes, page])
@pytest.mark.parametrize("part", ["README.md", "en/corpus/validation.jsonl.gz", "/api/"])
def test_a_failing_answer_is_an_error_and_never_other_data(
    hub: Hub, mirror: Path, part: str, answer: Any, tmp_path: Path
) -> None:
    def fault(handler: Handler, path: str) -> bool:
        if part in path:
            answer(handler)
        return part in path

    hub.fault = fault
    store = Store(tmp_path / "store")
    with pytest.raises(SourceError) as caught:
        opened("XQuADRetrieval", Source(), store)
    assert "\n" not in str(caught.value)
    hub.fault = None
    expected = opened("XQuADRetrieval", Source(kind="mirror", path=mirror), store)[0]
    assert opened("XQuADRetrieval", Source(), Store(tmp_path / "store"))[0] == expected


def test_data_of_another_commit_is_never_taken(hub: Hub, tmp_path: Path) -> None:
    """`datasets` gives the newest version in its cache where the one asked for cannot be had."""
    store, task = Store(tmp_path / "store"), load_registry().tasks["BIOSSES"]
    opened("BIOSSES", Source(), store)
    repository = hub.repositories[f"datasets/{task.dataset}"]
    repository.commits = {"0" * 40: repository.commits[task.revision]}
    with pytest.raises(SourceError, match=r'^the hub gives no data set "mteb/biosses-sts"'):
        opened("BIOSSES", Source(), Store(tmp_path / "another store"))


def test_a_list_that_lacked_a_file_is_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    store, task = Store(tmp_path / "store"), load_registry().tasks["BIOSSES"]
    known = hub.repositories[f"datasets/{task.dataset}"].commits
    whole = known[task.revision]
    known[task.revision] = {name: content for name, content in whole.items() if "test" not in name}
    with pytest.raises(SourceError, match="gave no readable data set") as caught:
        opened("BIOSSES", Source(), store)
    assert len(str(caught.value)) < 600
    known[task.revision] = whole
    assert opened("BIOSSES", Source(), store)[1] == task.revision


def searched(number: int, *, ranked: bool = False) -> dict[str, bytes]:
    """Return a data set of retrieval or reranking: two queries, three documents, other texts for each number."""
    rows: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"d{i}", "title": "", "text": f"document {i} of {number}"} for i in range(3)],
        "queries": [{"_id": f"q{i}", "text": f"query {i} of {number}"} for i in range(2)],
        "default": [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(2)],
    }
    if ranked:
        rows["top_ranked"] = [{"query-id": f"q{i}", "corpus-ids": ["d0", "d1", "d2"]} for i in range(2)]
    lines = [
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}.jsonl\n" for name in rows
    ]  # fmt: skip
    files = {f"{name}.jsonl": "".join(json.dumps(row) + "\n" for row in of).encode() for name, of in rows.items()}
    return {"README.md": ("---\nconfigs:\n" + "".join(lines) + "---\n").encode(), **files}


@pytest.mark.parametrize(
    ("name", "type_"), [("CQADupstackRetrieval", "Retrieval"), ("AskUbuntuDupQuestions", "Reranking")]
)
def test_children_of_an_aggregate_and_candidates_are_read_offline_too(
    hub: Hub, name: str, type_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load_registry()
    task = registry.tasks[name]
    for number, part in enumerate([registry.tasks[part.task] for part in task.parts] or [task]):
        hub.pin(part.dataset, part.revision, searched(number, ranked=type_ == "Reranking"))
    described, store = TaskInfo(name=name, type=type_, main_score="x"), Store(tmp_path / "store")

    def read() -> Any:
        with open_task(described, Source(), store) as found:
            data = [part.dataset["default"]["test"] for part in found.parts]  # type: ignore[index]
            return (
                [(one["queries"]["text"][0], len(one["corpus"]), one["top_ranked"] or {}) for one in data],
                found.data_sha256, found.dataset_revision,
            )  # fmt: skip

    first = read()
    ranked = {"q0": ["d0", "d1", "d2"], "q1": ["d0", "d1", "d2"]} if type_ == "Reranking" else {}
    assert first[0] == [(f"query 0 of {number}", 3, ranked) for number in range(len(task.parts) or 1)]
    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert read() == first
    assert identify_data(described, Source(), store)
    assert hub.requests == []


def test_data_is_known_by_the_commit_that_a_branch_is_now(hub: Hub, tmp_path: Path) -> None:
    task = load_registry().tasks["PublicHealthQA"]
    assert task.revision == "main"
    described = TaskInfo(name=task.name, type=task.type, main_score="x")
    for content in (b"a", b"b"):
        commit = hub.add(task.dataset, {"README.md": content}, "datasets")
        assert identify_data(described, Source(), Store(tmp_path / "store")) == f"{task.dataset}@{commit}"
    hub.fault = unavailable_all
    assert identify_data(described, Source(), Store(tmp_path / "store")) is None, "nobody knows what it is now"


def unavailable_all(handler: Handler, path: str) -> bool:
    del path
    unavailable(handler)
    return True


def test_data_that_a_loader_asks_for_without_a_revision_is_known_by_nothing(hub: Hub, tmp_path: Path) -> None:
    described = TaskInfo(name="SKQuadRetrieval", type="Retrieval", main_score="x")
    assert identify_data(described, Source(), Store(tmp_path / "store")) is None
    assert hub.requests == []


NAMES = (
    "README.md",
    "en/a.jsonl",
    "de/a.jsonl",
    "shared/de.jsonl",
    "data/en.jsonl",
    "data/x/en.jsonl",
    "data/de.jsonl",
)
BOTH = "- config_name: en\n  {}\n- config_name: de\n  {}\n"


@pytest.mark.parametrize(
    ("en", "de", "left_out"),
    [
        ("data_files: en/*", "data_files: de/*", {"de/a.jsonl"}),
        ("data_files: ['en/*', ./shared/*]", "data_files: ['de/*', shared/*]", {"de/a.jsonl"}),
        ("data_files: data/**/*en.jsonl", "data_files: data/*", {"data/de.jsonl"}),
        ("data_dir: data", "data_files: data/en.jsonl", set()),
        ("description: x", "data_files: data/en.jsonl", set()),
        ("data_files: data/[e]n.jsonl", "data_files: data/*", set()),
        ("data_files: data", "data_files: data/en.jsonl", set()),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_no_file_that_a_subset_may_need_is_left_out(
    hub: Hub, *, en: str, de: str, left_out: set[str], alone: bool, tmp_path: Path
) -> None:
    readme = f"---\nconfigs:\n{BOTH.format(en, de)}---\n".encode()
    more = {".huggingface.yaml": b"configs: []"} if alone else {}
    hub.add("org/data", {**dict.fromkeys(NAMES, b"{}"), "README.md": readme, **more}, "datasets")
    snapshot = open_snapshot("org/data", None, Store(tmp_path / "store"), kind="dataset")
    wanted = wanted_files(snapshot, needs(("en",), ("en", "de")))
    assert set(snapshot.listed) - set(wanted) == (set() if alone else left_out)

"""Data of the hub is a snapshot of the commit that mteb names, read from its folder alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests.hub import Handler, Hub, files_in, not_found, other_bytes, page, serve_to_client, unavailable
from touchstone.errors import SourceError
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.tasks.opening import open_task
from touchstone.tasks.registry import load_registry

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

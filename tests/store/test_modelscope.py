"""ModelScope through its real client library, over a hub that answers from a dictionary."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.encoders import save_tiny_model
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.config.suites import Selection, parse_source
from touchstone.errors import ModelError, SourceError
from touchstone.models.kinds import identify, open_encoder
from touchstone.records.cases import Source
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.opening import open_task

Files = dict[str, bytes]


class Hub:
    """What the hub holds, by ``models/org/name`` or ``datasets/org/name``; every request is counted."""

    def __init__(self) -> None:
        self.holds: dict[str, Files] = {}
        self.asked: list[str] = []
        self.lost: str | None = None
        self.damages = 0

    def send(self, request: Any, **_: Any) -> requests.Response:
        """Stand in for `requests.adapters.HTTPAdapter.send`."""
        url = urlsplit(request.url)
        self.asked.append(url.path)
        query = {key.lower(): values[0] for key, values in parse_qs(url.query).items()}
        for repository, files in self.holds.items():
            if repository not in url.path:
                continue
            if url.path.endswith(("/repo/files", "/repo/tree")):
                listed = [describe(name, content) for name, content in files.items()]
                return answer(request, 200, json.dumps({"Code": 200, "Success": True, "TotalCount": len(listed),
                                                        "Data": {"Files": listed}}).encode())  # fmt: skip
            name = query.get("filepath") or url.path.rpartition("/resolve/")[2].partition("/")[2]
            if name in files and self.damages and not name.startswith("README"):
                self.damages -= 1
                return answer(request, 200, files[name][::-1])
            if name in files and name != self.lost:
                return answer(request, 200, files[name])
        return answer(request, 404, b'{"Code": 404, "Message": "not found", "Success": false}')


def describe(name: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"Path": name, "Name": name.rpartition("/")[2], "Type": "blob", "Size": len(content), "Sha256": digest}


def answer(request: Any, status: int, content: bytes) -> requests.Response:
    from io import BytesIO

    from urllib3 import HTTPResponse

    response = requests.Response()
    response.status_code, response.request, response.url = status, request, request.url
    headers = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
    response.headers.update(headers)
    response.raw = HTTPResponse(BytesIO(content), headers=headers, status=status, preload_content=False)
    return response


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    made = Hub()
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", made.send)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits between its attempts
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def files_of(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model(name: str = "AI/tiny") -> Model:
    return Model(alias="m", spec=EncoderSpec(id=name, hub="modelscope"), text="m")


def test_model_is_fetched_and_is_its_files(hub: Hub, store: Store, tiny: Path) -> None:
    hub.holds["models/AI/tiny"] = files_of(tiny)
    opened = open_encoder(model(), "cpu", store)
    local = identify(Model(alias="m", spec=EncoderSpec(path=tiny), text="m"), store)
    assert opened.identity.fingerprint == local.fingerprint
    assert (opened.identity.name, opened.identity.revision) == ("AI/tiny", "master")
    assert opened.settings.pooling == "mean"


def test_model_that_the_hub_has_not_is_one_sentence(hub: Hub, store: Store) -> None:
    with pytest.raises(ModelError, match=r'^m: ModelScope has no model "AI/none": \w+: '):
        identify(model("AI/none"), store)


def test_offline_nothing_is_asked(hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r'^m: "AI/none" of ModelScope is not in the cache and the run is offline'):
        identify(model("AI/none"), store)
    with pytest.raises(SourceError, match=r'^modelscope:.* has no data set "mteb/biosses-sts" \(needed by BIOSSES\)'):
        open_biosses(Source(kind="modelscope", path=tmp_path / "data"), store)
    assert hub.asked == []


def open_biosses(source: Source, store: Store) -> tuple[str | None, str | None, int]:
    (info,) = find_tasks(Selection(include=("BIOSSES",)), "test")
    with open_task(info, source, store) as opened:
        return opened.dataset_revision, opened.data_sha256, len(opened.task.dataset["test"])  # type: ignore[index]


def test_data_set_is_fetched_once_into_a_mirror(hub: Hub, store: Store, mirror: Path, tmp_path: Path) -> None:
    hub.holds["datasets/mteb/biosses-sts"] = files_of((mirror / "mteb" / "biosses-sts").resolve())
    source = parse_source("modelscope:data", tmp_path, "--source")
    revision, sha256, rows = open_biosses(source, store)
    assert (revision, rows) == ("modelscope:master", 100)
    assert sha256 == open_biosses(Source(kind="mirror", path=mirror), store)[1], "the same bytes are the same data"
    asked = len(hub.asked)
    assert open_biosses(source, store) == (revision, sha256, rows)
    assert len(hub.asked) == asked
    assert open_biosses(Source(kind="mirror", path=tmp_path / "data"), store)[1] == sha256


def test_data_set_half_fetched_is_not_there(hub: Hub, store: Store, mirror: Path, tmp_path: Path) -> None:
    held = files_of((mirror / "mteb" / "biosses-sts").resolve())
    hub.holds["datasets/mteb/biosses-sts"] = held
    hub.lost = next(name for name in held if "test" in name)
    source = Source(kind="modelscope", path=tmp_path / "data")
    with pytest.raises(SourceError, match=r'^ModelScope has no data set "mteb/biosses-sts" \(needed by BIOSSES\): '):
        open_biosses(source, store)
    assert list((tmp_path / "data" / "mteb").iterdir()) == []
    hub.lost = None
    assert open_biosses(source, store)[2] == 100
    shutil.rmtree(tmp_path / "data")


@pytest.mark.parametrize("times", [1, 10**6])
def test_other_bytes_than_the_list_says_never_come_in(
    hub: Hub, store: Store, mirror: Path, times: int, tmp_path: Path
) -> None:
    hub.holds["datasets/mteb/biosses-sts"] = files_of((mirror / "mteb" / "biosses-sts").resolve())
    hub.damages = times
    source = Source(kind="modelscope", path=tmp_path / "data")
    if times == 1:
        assert open_biosses(source, store)[1] == open_biosses(Source(kind="mirror", path=mirror), store)[1]
    else:
        with pytest.raises(
            SourceError, match=r'^ModelScope has no data set "mteb/biosses-sts" \(needed by BIOSSES\): '
        ):
            open_biosses(source, store)
        assert list((tmp_path / "data" / "mteb").iterdir()) == []


@pytest.mark.parametrize("damage", ["changed", "gone", "note"])
def test_what_is_not_what_was_fetched_is_told(
    hub: Hub, store: Store, mirror: Path, damage: str, tmp_path: Path
) -> None:
    hub.holds["datasets/mteb/biosses-sts"] = files_of((mirror / "mteb" / "biosses-sts").resolve())
    source = Source(kind="modelscope", path=tmp_path / "data")
    open_biosses(source, store)
    folder = tmp_path / "data" / "mteb" / "biosses-sts"
    file = folder / (".modelscope.json" if damage == "note" else "test.jsonl.gz")
    file.unlink() if damage == "gone" else file.write_bytes(b"other")
    what = "is damaged" if damage == "note" else "is not what was fetched"
    with pytest.raises(SourceError, match=rf"^{file} {what}; remove {folder} and run again$"):
        open_biosses(source, store)


def test_weights_of_other_bytes_than_the_list_says_are_no_model(hub: Hub, store: Store, tiny: Path) -> None:
    hub.holds["models/AI/damaged"] = files_of(tiny)  # the client has one cache for a process
    hub.damages = 10**6
    with pytest.raises(ModelError, match=r'^m: ModelScope has no model "AI/damaged": '):
        identify(model("AI/damaged"), store)


def test_data_set_without_files_is_one_sentence(hub: Hub, store: Store, tmp_path: Path) -> None:
    hub.holds["datasets/mteb/biosses-sts"] = {}
    with pytest.raises(SourceError, match=r'^ModelScope\'s data set "mteb/biosses-sts" .* holds no files$'):
        open_biosses(Source(kind="modelscope", path=tmp_path / "data"), store)


def test_client_that_is_not_installed_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope.hub.snapshot_download", None)  # what import makes an error of
    with pytest.raises(
        ModelError, match=r'needs the package modelscope: pip install "touchstone-evals\[modelscope\]"$'
    ):
        identify(model(), store)

"""ModelScope through its real client, over a hub on loopback: what it lists is there, or nothing is."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import save_tiny_model
from tests.hub import files_in
from tests.models.api.test_key import carried
from tests.modelscope import TOKEN, Fault, Handler, Hub, serve
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.config.suites import Selection, parse_source
from touchstone.errors import ModelError, SourceError, TouchstoneError
from touchstone.measuring.case import measure
from touchstone.models.kinds import identify, open_encoder
from touchstone.records.cases import Case, Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.store.modelscope import NOTE, fetch_data, fetch_model
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.identity import identify_data
from touchstone.tasks.opening import bring_missing, open_task

DATA = "test.jsonl.gz"
COMMIT = "a" * 40


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr("touchstone.store.hashes.TICK", 10_000_000)  # that of the clocks of file systems here is less
    with serve(monkeypatch, tmp_path) as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def data(hub: Hub, mirror: Path, tmp_path: Path) -> Source:
    hub.holds["datasets/mteb/biosses-sts"] = files_in((mirror / "mteb" / "biosses-sts").resolve())
    return parse_source("modelscope:data", tmp_path, "--source")


@pytest.fixture
def small(hub: Hub) -> Hub:
    hub.holds["models/AI/small"] = {"config.json": b"{}", "1_Pooling/config.json": b"[]"}
    return hub


def model(name: str = "AI/tiny", **more: Any) -> Model:
    return Model(alias="m", spec=EncoderSpec(id=name, hub="modelscope", **more), text="m")


def biosses() -> TaskInfo:
    (info,) = find_tasks(Selection(include=("BIOSSES",)), "test")
    return info


def open_biosses(source: Source, store: Store) -> tuple[str | None, str | None, int]:
    with open_task(biosses(), source, store) as opened:
        return opened.dataset_revision, opened.data_sha256, len(opened.task.dataset["test"])  # type: ignore[index]


def fetch(data: Source, store: Store) -> Path:
    assert data.path is not None
    return fetch_data("mteb/biosses-sts", data.path, "BIOSSES", store)[0]


def only(part: str, answer: Any, times: int = 1000) -> Fault:
    """Answer so many requests for one file, or for the list, in a way of its own."""
    left = [times]

    def fault(handler: Handler, name: str) -> bool:
        if name != part or not left[0]:
            return False
        left[0] -= 1
        answer(handler)
        return True

    return fault


def cut(handler: Handler) -> None:
    handler.send(200, b"{", length=500)


def page(handler: Handler) -> None:
    handler.send(200, b"<html>sign in</html>", Content_Type="text/html")


def answers(status: int) -> Any:
    """Answer as the hub does, and say the token, as a server might that shows what it was sent."""
    return lambda handler: handler.say(status, Message=f"no {handler.headers['Authorization']}", RequestId="1")


def said_by(error: TouchstoneError) -> str:
    said = str(error)
    assert TOKEN not in said
    assert "\n" not in said
    return said


def test_model_is_fetched_and_is_its_files(hub: Hub, store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.holds["models/AI/tiny"] = files_in(tiny)
    opened = open_encoder(model(), "cpu", store)
    local = identify(Model(alias="m", spec=EncoderSpec(path=tiny), text="m"), store)
    assert opened.identity.fingerprint == local.fingerprint
    assert (opened.identity.name, opened.identity.revision) == ("AI/tiny", "master")
    assert opened.settings.pooling == "mean"
    assert hub.asked == ["", *files_in(tiny)], "the list is asked for once in a run, and each file"
    assert identify(model(), Store(store.folder)) == opened.identity
    assert hub.asked[len(files_in(tiny)) + 1 :] == [""], "a branch may be another one in each run"
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert identify(model(), Store(store.folder)) == opened.identity
    assert hub.asked == []


def test_commit_of_a_model_is_asked_for_once_for_good(small: Hub, store: Store) -> None:
    folder, revision = fetch_model("AI/small", COMMIT, store)
    assert (sorted(files_in(folder)), revision) == ([NOTE, "1_Pooling/config.json", "config.json"], COMMIT)
    assert fetch_model("AI/small", COMMIT, Store(store.folder)) == (folder, COMMIT)
    assert small.asked == ["", "config.json", "1_Pooling/config.json"]


def test_branch_that_has_moved_is_brought(small: Hub, store: Store) -> None:
    folder, _ = fetch_model("AI/small", None, store)
    small.holds["models/AI/small"]["config.json"] = b"{ }"
    assert (fetch_model("AI/small", None, store)[0] / "config.json").read_bytes() == b"{}", "not within a run"
    assert (fetch_model("AI/small", None, Store(store.folder))[0] / "config.json").read_bytes() == b"{ }"
    del small.holds["models/AI/small"]["1_Pooling/config.json"]
    with pytest.raises(ModelError) as refused:
        fetch_model("AI/small", None, Store(store.folder))
    gone = folder / "1_Pooling" / "config.json"
    assert said_by(refused.value) == (
        f'{gone} is not in ModelScope\'s list of the model "AI/small"; remove it and run again'
    )


def test_damaged_file_of_a_model_is_brought_again_and_refused_offline(
    small: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = fetch_model("AI/small", None, store)
    for _ in range(2):
        (folder / "config.json").write_bytes(b"{x")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(ModelError) as refused:
            fetch_model("AI/small", None, store)
        assert said_by(refused.value) == f"{folder}/config.json is not what was fetched; remove {folder} and run again"
        monkeypatch.delenv("HF_HUB_OFFLINE")
        fetch_model("AI/small", None, store)
        assert (folder / "config.json").read_bytes() == b"{}"


def test_model_that_another_program_brought_is_known_only_online(
    small: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import modelscope_hub

    api = modelscope_hub.HubApi(config=modelscope_hub.HubConfig())
    folder = api.download_repo("AI/small", "model")
    small.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"^\"AI/small\" of ModelScope is not in the cache, or not all of it, and"):
        fetch_model("AI/small", None, store)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert fetch_model("AI/small", None, store)[0] == folder
    assert small.asked == [""]


def test_cache_that_cannot_hold_a_model_is_one_sentence(small: Hub, store: Store, tmp_path: Path) -> None:
    (tmp_path / "cache" / "models" / "AI--small" / "snapshots" / "master" / "config.json").mkdir(parents=True)
    with pytest.raises(ModelError, match=r'/master cannot hold the model "AI/small": IsADirectoryError: ') as refused:
        fetch_model("AI/small", None, store)
    said_by(refused.value)


def test_model_that_the_hub_has_not_is_one_sentence(hub: Hub, store: Store) -> None:
    with pytest.raises(ModelError) as refused:
        identify(model("AI/none"), store)
    assert said_by(refused.value) == (
        'm: ModelScope gives no model "AI/none", not the list of files at master: there is none, or it is private; '
        "mend its name or its revision, or set MODELSCOPE_API_TOKEN"
    )


def test_offline_nothing_is_asked(hub: Hub, store: Store, data: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r'^m: "AI/none" of ModelScope is not in the cache, or not all of it, and the'):
        identify(model("AI/none"), store)
    with pytest.raises(SourceError, match=r'^modelscope:.* has no data set "mteb/biosses-sts" \(needed by BIOSSES\)'):
        open_biosses(data, store)
    assert hub.asked == []


def test_data_set_is_what_a_mirror_has_and_is_fetched_once(
    hub: Hub, data: Source, store: Store, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision, sha256, rows = open_biosses(data, store)
    assert (revision, rows) == ("modelscope:master", 100)
    assert sha256 == open_biosses(Source(kind="mirror", path=mirror), store)[1], "the same bytes are the same data"
    assert hub.asked == ["", "README.md", DATA]
    assert open_biosses(data, store) == (revision, sha256, rows), "the second case of a run"
    assert open_biosses(data, Store(store.folder)) == (revision, sha256, rows), "another run"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert open_biosses(data, Store(tmp_path / "other")) == (revision, sha256, rows)
    assert len(hub.asked) == 3
    assert open_biosses(Source(kind="mirror", path=data.path), store)[1] == sha256


def test_score_is_that_on_a_mirror(data: Source, store: Store, mirror: Path, tiny: Path) -> None:
    encoder = open_encoder(Model(alias="tiny", spec=EncoderSpec(path=tiny), text="tiny"), "cpu", store)
    scores = []
    for source in (data, Source(kind="mirror", path=mirror)):
        case = Case(alias="tiny", task=biosses(), suite="test", source=source)
        with measure(case, encoder, store, lambda _: None) as measured:
            scores.append(measured.outcome.measurement.score)
    assert scores[0] == scores[1]


def test_data_is_known_in_the_run_that_fetches_it(data: Source, store: Store) -> None:
    assert identify_data(biosses(), data, store) is None
    bring_missing(biosses(), data, store)
    assert identify_data(biosses(), data, store) is not None, "so what was measured is remembered"


LISTED = "not the list of files at master: "
CLOSED = "it is private or gated; ask for access to it, then set MODELSCOPE_API_TOKEN"
NONE = "there is none, or it is private; mend its name or its revision, or set MODELSCOPE_API_TOKEN"
NO_HUB = "what answers is no hub; look at MODELSCOPE_ENDPOINT, and at proxies on the way"
FAULTS: dict[str, tuple[Fault, str]] = {
    "list 404": (only("", answers(404)), LISTED + NONE),
    "list 403": (only("", answers(403)), LISTED + CLOSED),
    "list 401": (only("", answers(401)), LISTED + CLOSED),
    "list 400": (only("", answers(400)), LISTED + "HTTP 400"),
    "list 429": (only("", answers(429)), LISTED + "HTTP 429"),
    "list 503": (only("", answers(503)), LISTED + "HTTP 503"),
    "list is a page": (only("", page), LISTED + NO_HUB),
    "list is no list": (only("", lambda handler: handler.send(200, b"[3]")), LISTED + NO_HUB),
    "list is cut": (only("", cut), LISTED + "no whole answer in time, ProtocolError"),
    "list is a refusal": (only("", lambda handler: handler.say(200, Success=False)), "at master it lists no files; "
                          "mend its name or its revision"),
    "file 404": (only(DATA, answers(404)), f"not {DATA}: {NONE}"),
    "file 403": (only(DATA, answers(403)), f"not {DATA}: {CLOSED}"),
    "file 503": (only(DATA, answers(503)), f"not {DATA}: HTTP 503"),
    "file is a page": (only(DATA, page), f"{DATA} came damaged twice; run again"),
    "file is empty": (only(DATA, lambda handler: handler.send(200)), f"{DATA} came damaged twice; run again"),
    "file is cut": (only(DATA, cut), f"not {DATA}: no whole answer in time, "),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_answer_is_one_sentence_and_no_data(hub: Hub, data: Source, store: Store, fault: str) -> None:
    assert data.path is not None
    hub.fault, why = FAULTS[fault]
    with pytest.raises(SourceError) as refused:
        fetch(data, store)
    said = said_by(refused.value)
    link = ": " if "damaged" in why or "lists" in why else ", "
    assert said.startswith(f'ModelScope gives no data set "mteb/biosses-sts" (needed by BIOSSES){link}{why}')
    assert list((data.path / "mteb").iterdir()) == []
    hub.fault = None
    assert DATA in files_in(fetch(data, store)), "the next try gets it"


def test_no_network_is_one_sentence(data: Source, store: Store, small: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        SourceError, match=r"not the list of files at master: no whole answer in time, ConnectionError$"
    ):
        fetch(data, store)
    with pytest.raises(ModelError, match=r"^m: .* not the list of files at master: no whole answer in time"):
        identify(model("AI/small"), store)


def test_token_that_no_header_can_hold_is_not_told(data: Source, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", f"{TOKEN}\n")
    with pytest.raises(SourceError, match=r"InvalidHeader|Invalid header value") as refused:
        fetch(data, store)
    assert "***" in said_by(refused.value)


def lead_elsewhere(handler: Handler) -> None:
    place = handler.headers["Host"].replace("127.0.0.1", "localhost")
    handler.send(302, Location=f"http://{place}{handler.path}")


def echo(handler: Handler) -> None:
    said = " ".join(handler.headers.values())
    handler.send(400, said.encode(), Set_Cookie=f"a={TOKEN}", X_Request_Id=TOKEN)


def damage(handler: Handler) -> None:
    handler.send(200, TOKEN.encode() * 9)


@pytest.mark.parametrize("part", ["", DATA])
@pytest.mark.parametrize("answer", [echo, damage, page, cut, answers(401), answers(404), answers(503)])
def test_no_failure_shows_what_was_sent(
    data: Source, store: Store, request: pytest.FixtureRequest, part: str, answer: Any
) -> None:
    hub, caplog, capfd = map(request.getfixturevalue, ("hub", "caplog", "capfd"))
    caplog.set_level("DEBUG")
    hub.fault = only(part, answer, times=99)
    with pytest.raises(SourceError) as caught:
        fetch(data, store)
    written = [path.read_text("latin-1") for path in store.folder.rglob("*") if path.is_file()]
    shown = [*carried(caught.value), caplog.text, *capfd.readouterr(), *written]
    assert not [one[max(0, one.find(TOKEN[:8]) - 200) :][:300] for one in shown if TOKEN[:8] in one]


def test_no_token_goes_to_another_host(hub: Hub, data: Source, store: Store) -> None:
    seen: list[tuple[str, str]] = []

    def fault(handler: Handler, name: str) -> bool:
        host = handler.headers["Host"].partition(":")[0]
        seen.append((host, f"{handler.headers['Authorization']} {handler.headers['Cookie']}"))
        if name and host == "127.0.0.1":
            lead_elsewhere(handler)
            return True
        return False

    hub.fault = fault
    assert DATA in files_in(fetch(data, store))
    assert any(host == "localhost" for host, _ in seen)
    assert not [sent for host, sent in seen if host == "localhost" and TOKEN in sent]
    assert [sent for host, sent in seen if host == "127.0.0.1" and TOKEN in sent]


def test_a_password_of_the_address_is_not_written(
    hub: Hub, data: Source, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.address.replace("//", "//user:pass-word-0815@"))
    with suppress(SourceError):
        fetch(data, store)
    assert not [path for path in store.folder.rglob("*") if path.is_file() and b"pass-word" in path.read_bytes()]


@pytest.mark.parametrize(("part", "answer"), [(DATA, page), (DATA, cut), (DATA, answers(503)), ("", answers(503))])
def test_what_fails_once_is_brought_the_second_time(
    hub: Hub, data: Source, store: Store, part: str, answer: Any
) -> None:
    hub.fault = only(part, answer, times=1)
    assert DATA in files_in(fetch(data, store))


def test_hub_that_fails_for_now_is_asked_again_within_patience(hub: Hub, data: Source, tmp_path: Path) -> None:
    hub.fault = only("", cut, times=1)
    assert DATA in files_in(fetch(data, Store(tmp_path / "store", patience=30)))
    assert hub.asked == ["", "", "README.md", DATA]


@pytest.mark.parametrize("said", [{"Sha256": "0" * 64}, {"Sha256": None, "Size": 3}, {"Sha256": None, "Size": None}])
def test_file_that_is_not_as_listed_is_no_data(hub: Hub, data: Source, store: Store, said: dict[str, Any]) -> None:
    hub.listed[DATA] = said
    with pytest.raises(SourceError, match=rf"{DATA} came damaged twice; run again$"):
        fetch(data, store)
    assert hub.asked == ["", "README.md", DATA, DATA]


def test_file_of_which_no_hash_is_listed_has_the_size_listed(hub: Hub, data: Source, store: Store) -> None:
    hub.listed[DATA] = {"Sha256": None}
    assert DATA in files_in(fetch(data, store))
    assert hub.asked == ["", "README.md", DATA]


@pytest.mark.parametrize("name", ["../../up.txt", "/tmp/up.txt", NOTE])
def test_file_that_would_lie_elsewhere_is_refused(hub: Hub, data: Source, store: Store, name: str) -> None:
    hub.holds["datasets/mteb/biosses-sts"][name] = b"x"
    with pytest.raises(SourceError, match=r"at master it lists '[^ ]+'; mend its name or its revision$"):
        fetch(data, store)
    assert hub.asked == [""]


def test_data_set_without_files_is_one_sentence(hub: Hub, data: Source, store: Store) -> None:
    hub.holds["datasets/mteb/biosses-sts"] = {}
    with pytest.raises(SourceError, match=r'^ModelScope gives no data set ".*: at master it lists no files; mend'):
        fetch(data, store)


def test_mirror_that_is_not_what_was_fetched_is_refused(hub: Hub, data: Source, store: Store) -> None:
    assert data.path is not None
    folder = fetch(data, store)
    held, asked = files_in(folder), len(hub.asked)

    def said(name: str, content: bytes | None) -> str:
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)
        with pytest.raises(SourceError) as refused:
            fetch(data, Store(store.folder))
        (folder / name).unlink(missing_ok=True)
        if name in held:
            (folder / name).write_bytes(held[name])
        return said_by(refused.value)

    again = f"remove {folder} and run again"
    for content in (held[DATA] + b"\0", b"", None):
        assert said(DATA, content) == f"{folder / DATA} is not what was fetched; {again}"
    for note in (b"{", b"[]", b"{}", b'{"revision": "master", "files": [1]}'):
        assert said(NOTE, note) == f"{data.path}/mteb/biosses-sts/{NOTE} is damaged; {again}"
    assert said("train.jsonl", b"{}") == (
        f'{folder / "train.jsonl"} is not in ModelScope\'s list of the data set "mteb/biosses-sts" (needed by BIOSSES);'
        " remove it and run again"
    )
    assert open_biosses(data, Store(store.folder))[2] == 100
    assert len(hub.asked) == asked


def test_older_notes_and_folders_without_one_are_read(data: Source, store: Store, hub: Hub) -> None:
    assert data.path is not None
    folder = fetch(data, store)
    (folder / NOTE).write_text(json.dumps({"dataset": "mteb/biosses-sts", "revision": "master"}))
    assert open_biosses(data, store)[0] == "modelscope:master"
    (folder / NOTE).unlink()
    assert open_biosses(data, store)[0] == "modelscope:unknown"


def test_what_another_process_fetched_meanwhile_is_taken(hub: Hub, data: Source, store: Store, tmp_path: Path) -> None:
    assert data.path is not None
    other = Source(kind="modelscope", path=tmp_path / "other")
    known = open_biosses(other, store)
    folder = data.path / "mteb" / "biosses-sts"

    def fault(handler: Handler, name: str) -> bool:
        if name == DATA:
            shutil.copytree(tmp_path / "other" / "mteb" / "biosses-sts", folder)
        return False

    hub.fault = fault
    assert open_biosses(data, Store(store.folder)) == known
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_client_that_is_not_installed_is_told(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "modelscope_hub", None)  # what import makes an error of
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    what = r'needs the package modelscope: pip install "touchstone-evals\[modelscope\]"$'
    with pytest.raises(ModelError, match=what):
        identify(model(), store)
    with pytest.raises(SourceError, match=what):
        open_biosses(Source(kind="modelscope", path=tmp_path / "data"), store)

"""The inside of an actor, without Ray: what it measures, gives back, and refuses."""

import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.measuring.test_parts import case_of, engine_of, folder, outcome_of
from touchstone.config.models import load_models
from touchstone.errors import ConfigError
from touchstone.measuring.engines import ray as engine
from touchstone.measuring.engines.ray import ActorResult, Actors, Failed, Setup, Task, Worker, find_room, refuse_others
from touchstone.measuring.parts import Part
from touchstone.models.kinds import find_model
from touchstone.records.outcomes import ModelIdentity
from touchstone.session.examples import show
from touchstone.session.reuse import what_computes
from touchstone.store.folder import Store
from touchstone.store.gathering import take

__all__ = ["folder"]


@pytest.fixture
def setup(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setenv("TOUCHSTONE_RAY_STORE", str(tmp_path / "own"))
    model = find_model("tiny", load_models(), folder, "--model")
    return Setup(
        models={"tiny": model}, device="cpu", store=tmp_path / "driver", token=tmp_path / "token", run="r",
        reuse_api=False, overwrite=False, patience=0.0, offline=False, mirrors=(), folders=(),
        versions=engine.installed(), show=show, computes=what_computes,
    )  # fmt: skip


def test_an_actor_gives_back_what_the_drivers_store_lacks(folder: Path, tmp_path: Path, setup: Setup) -> None:
    case = case_of(folder)
    given = Worker(setup).measure(Task(case=case))
    assert isinstance(given, ActorResult)
    assert given.outcome is not None
    here = outcome_of(engine_of(folder, tmp_path / "here"), case)
    assert given.outcome.measurement == here.measurement
    driver = Store(setup.store)
    driver.make()
    for name, content in given.files.items():
        take(driver.folder, name, content)
    assert driver.read_samples(str(given.outcome.samples_file)) is not None
    kinds = {name.partition("/")[0] for name in given.files}
    assert kinds == {"results", "rankings", "samples"}
    assert any(name.endswith("model_meta.json") for name in given.files)
    assert not (setup.store / "embeddings").exists()


def test_what_an_actor_does_is_told_while_it_does_it(folder: Path, setup: Setup) -> None:
    worker, told = Worker(setup), set()

    def look(*_: Any) -> Callable[[], None]:
        told.add(worker.tell())
        return lambda: told.add(worker.tell())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "watch_data", look)
        worker.measure(Task(case=case_of(folder)))
        assert "" in told
        assert len(told) == 2
        worker.measure(Task(case=case_of(folder)))
    assert "loading the model" not in worker.tell()


def test_an_actor_that_sees_the_drivers_store_writes_there(folder: Path, setup: Setup) -> None:
    setup.token.write_text("")
    given = Worker(setup).measure(Task(case=case_of(folder)))
    assert isinstance(given, ActorResult)
    assert given.files == {}
    assert Store(setup.store).read_samples(str(given.outcome and given.outcome.samples_file)) is not None


def test_parts_go_to_the_driver_and_from_there_to_whoever_puts_them_together(
    folder: Path, tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(folder)
    files: dict[str, bytes] = {}
    for number in (1, 2):
        monkeypatch.setenv("TOUCHSTONE_RAY_STORE", str(tmp_path / f"machine{number}"))
        found = Worker(setup).measure(Task(case=case, part=Part(number=number, of=2)))
        assert isinstance(found, ActorResult)
        assert found.outcome is None
        files |= found.files
    monkeypatch.setenv("TOUCHSTONE_RAY_STORE", str(tmp_path / "machine3"))
    lacking = Worker(setup).measure(Task(case=case, parts=2))
    assert isinstance(lacking, Failed)
    assert "parts 1/2, 2/2 of its corpus are not in" in lacking.error
    given = Worker(setup).measure(Task(case=case, parts=2, files=files))
    assert isinstance(given, ActorResult)
    assert given.outcome is not None
    assert given.outcome.measurement == outcome_of(engine_of(folder, tmp_path / "here"), case).measurement


def test_what_is_on_the_drivers_machine_alone_is_one_sentence(folder: Path, setup: Setup) -> None:
    case, model = case_of(folder), setup.models["tiny"]
    gone = replace(model, spec=replace(model.spec, path=Path("/nowhere/model")))  # type: ignore[call-arg]
    for one, models in ((case_of(folder, "nowhere"), {"tiny": model}), (case, {"tiny": gone})):
        found = Worker(replace(setup, models=models)).measure(Task(case=one))
        assert isinstance(found, Failed)
        assert f"is not on {platform.node()}, where the case runs; put it where all machines" in found.error


def test_a_survey_says_who_is_there_and_what_computes(folder: Path, tmp_path: Path, setup: Setup) -> None:
    case = case_of(folder)
    found = Worker(setup).survey([case, replace(case, task=replace(case.task, folder=tmp_path / "nowhere"))])
    assert isinstance(found.identities["tiny"], ModelIdentity)
    assert found.computes == what_computes("cpu")
    refuse_others([found, found], setup.models)
    with pytest.raises(ConfigError, match=r"has mteb 1\.0, the machine of the run"):
        refuse_others([found, replace(found, versions={**found.versions, "mteb": "1.0"})], setup.models)
    other = replace(found, identities={"tiny": replace(found.identities["tiny"], fingerprint="0" * 12)}, host="b")
    with pytest.raises(ConfigError, match="tiny is not the same model on"):
        refuse_others([found, other], setup.models)


def test_a_machine_that_came_later_with_other_versions_measures_nothing(folder: Path, setup: Setup) -> None:
    other = replace(setup, versions={**setup.versions, "torch": "1.0"})
    found = Worker(other).measure(Task(case=case_of(folder)))
    assert isinstance(found, Failed)
    assert "the machine of the run 1.0; install the same versions everywhere" in found.error


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [
        ([{"CPU": 8.0}, {"CPU": 3.0}], 2, True, (False, [4, 1])),
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 64.0}], 2, True, (True, [4, 0])),
        ([{"CPU": 2.0, "GPU": 4.0}], 1, True, (True, [2])),
        ([{"CPU": 8.0, "GPU": 4.0}], 4, False, (False, [2])),
        ([{"GPU": 0.5, "CPU": 1.0}], 1, True, (False, [1])),
        ([{}], 1, True, (False, [0])),
    ],
)
def test_room_is_counted_by_machine(
    nodes: list[dict[str, float]], cpus: int, gpus: bool, expected: tuple[bool, list[int]]
) -> None:
    assert find_room(nodes, cpus, gpus=gpus) == expected


def test_without_ray_the_extra_is_named(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'touchstone-evals\[ray\]'"):
        Actors(setup, None, 1)


def test_ray_is_imported_only_when_asked_for() -> None:
    assert importlib.util.find_spec("ray") is not None
    source = Path(str(engine.__file__)).read_text()
    assert "\nimport ray" not in source
    assert "ray" not in {name.partition(".")[0] for name in vars(engine) if name != "ray"}


def test_a_failure_that_nobody_foresaw_is_one_line() -> None:
    class TaskError(Exception):
        cause: Any = ValueError("line one\nline two")

    assert engine._reason(TaskError()) == "ValueError: line one"
    assert engine._reason(RuntimeError("\n  the actor died\nbecause")) == "the actor died"
    assert engine._reason(RuntimeError()) == "RuntimeError"

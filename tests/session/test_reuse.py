"""What is measured again and what is judged again when something changes: a row of the README's table each."""

import json
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from tests.builders import make_case, make_identity, write_retrieval
from tests.encoders import save_tiny_model
from touchstone.config.options import Options
from touchstone.encoding.batching import BatchedModel, _Call
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.environment import describe_environment
from touchstone.errors import BaselineError, ModelError, MovedError, SourceError
from touchstone.judging.gate import Comparison, judge
from touchstone.measuring import case as case_module
from touchstone.measuring.case import OpenCase
from touchstone.models.kinds import KINDS
from touchstone.models.weights import loading
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.outcomes import Outcome, Speed, Stage
from touchstone.records.runs import Record, make_record
from touchstone.records.verdicts import Verdict
from touchstone.schedule.devices import name_devices
from touchstone.session import code_version
from touchstone.session import reuse as known
from touchstone.session.code_version import JUDGING_ROOMS, RUN_ROOMS, hash_code
from touchstone.session.reuse import outcome_key, what_computes
from touchstone.session.session import MeasuredCase, Session, open_session
from touchstone.store.folder import OUTCOMES, Store

SUITE = """
models = ["tiny"]
[[tasks.custom]]
name = "Tickets"
type = "Retrieval"
path = "data"
"""
MODEL = '[tiny]\npath = "model"\n'
SAME, JUDGED, MEASURED = (False, False), (False, True), (True, True)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run of the case: whether it was measured and judged, and what came out."""

    did: tuple[bool, bool]
    measured: MeasuredCase
    verdict: Verdict | None
    record: Record

    @property
    def shown(self) -> Shown:
        assert self.record.shown is not None
        return self.record.shown


@dataclass
class Project:
    """A suite of one case in a folder, and what its runs did."""

    folder: Path
    did: list[str] = field(default_factory=list)

    def open(self, **typed: Any) -> Session:
        known._installation.cache_clear()
        code_version.measuring_code.cache_clear()
        code_version.judging_code.cache_clear()
        code_version.showing_code.cache_clear()
        options = {
            "suites": [str(self.folder / "suite.toml")],
            "device": "cpu",
            "store": "store",
            "models_files": "models.toml",
        } | typed
        opened = open_session(Options.parse(options, root=self.folder, cwd=self.folder))
        measure = opened.engine.measure

        def watched(*args: Any, **named: Any) -> AbstractContextManager[OpenCase]:
            self.did.append("measured")
            return measure(*args, **named)

        opened.engine.measure = watched  # type: ignore[method-assign, assignment]
        return opened

    def run(self, **typed: Any) -> Ran:
        self.did.clear()
        opened = self.open(**typed)
        (case,) = opened.plan.cases
        opened.expect([case.id])
        with opened.measure(case, lambda _: None) as measured:
            comparison = opened.compare(case, measured)
            verdict = opened.judge(case, measured.outcome, comparison)
        return Ran(
            did=("measured" in self.did, "judged" in self.did),
            measured=measured,
            verdict=verdict,
            record=make_record(case, measured.outcome, verdict, None, comparison.shown),
        )

    def record(self) -> None:
        opened = self.open(baseline="update")
        (case,) = opened.plan.cases
        with opened.measure(case, lambda _: None) as measured:
            record = make_record(case, measured.outcome, None, None)
        opened.baselines.write([record], opened.env, opened.store)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project whose case was measured and judged once."""
    folder = tmp_path_factory.mktemp("project")
    save_tiny_model(folder / "model", seed=1)
    write_retrieval(folder / "data", 20, seed=1)
    (folder / "data" / "qrels").mkdir()
    (folder / "data" / "qrels.jsonl").rename(folder / "data" / "qrels" / "test.jsonl")
    (folder / "suite.toml").write_text(SUITE)
    (folder / "models.toml").write_text(MODEL)
    project = Project(folder)
    project.record()
    project.run()
    return folder


@pytest.fixture
def project(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it: nothing that is known names a place."""
    found = Project(shutil.copytree(measured, tmp_path / "project"))

    def watched(case: Case, outcome: Outcome, comparison: Comparison) -> Verdict:
        if comparison.verdict is None:
            found.did.append("judged")
        return judge(case, outcome, comparison)

    monkeypatch.setattr("touchstone.session.session.judge", watched)
    return found


def test_nothing_changed_nothing_done(project: Project) -> None:
    ran = project.run()
    assert ran.did == SAME
    assert ran.measured.outcome.reused
    assert (ran.measured.samples, ran.measured.predicted) == (None, None)
    assert ran.verdict is not None
    assert ran.verdict.word == "pass"


def test_what_is_known_is_what_was_measured(project: Project) -> None:
    known, new = project.run(), project.run(overwrite=True)
    assert known.verdict == new.verdict
    again, anew = known.measured.outcome, new.measured.outcome
    assert (again.reused, anew.reused) == (True, False)
    assert replace(again, phases=anew.phases, encoded=anew.encoded, speed=anew.speed, reused=False) == anew


def test_a_speed_is_that_of_the_run_which_measured(project: Project) -> None:
    opened = project.open()
    (case,) = opened.plan.cases
    found = opened.cache.find(case)
    assert found is not None
    key = opened.cache._keys[case.id]
    assert key is not None
    speed = Speed(machine="here", texts_per_second=1240.0)
    opened.cache.keep(case, replace(found, speed=speed))
    reused = project.run()
    assert reused.did == SAME
    assert (reused.measured.outcome.reused, reused.measured.outcome.speed) == (True, speed)
    plain = asdict(replace(found, speed=None))
    del plain["speed"]  # as it was written before there were any
    opened.store.put(OUTCOMES, key, json.dumps(plain).encode())
    older = project.run()
    assert older.did == SAME
    assert older.measured.outcome.speed is None


def change_weights(project: Project, seed: int = 2) -> None:
    for name in ("model", "model-bare"):
        shutil.rmtree(project.folder / name)
    save_tiny_model(project.folder / "model", seed=seed)


def change_prompt(project: Project) -> None:
    (project.folder / "models.toml").write_text(MODEL + 'prompts = { query = "find: " }\n')


def change_data(project: Project) -> None:
    file = project.folder / "data" / "corpus.jsonl"
    lines = file.read_text().splitlines()
    changed = {**json.loads(lines[0]), "text": "another text altogether"}
    file.write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")


def change_baseline(project: Project) -> None:
    file = project.folder / "baselines" / "tiny.json"
    content = json.loads(file.read_text())
    content["tasks"]["Tickets"]["score"] -= 0.01
    content["tasks"]["Tickets"]["subsets"]["test/default"] -= 0.01
    file.write_text(json.dumps(content))


def change_report(project: Project) -> None:
    (project.folder / "report.html").touch()


def spoil_samples(project: Project) -> None:
    for file in (project.folder / "store" / "samples").rglob("*.blob"):
        file.write_bytes(file.read_bytes()[:-1])


def spoil_outcomes(project: Project) -> None:
    spoil(project.folder / "store" / "outcomes", b'"score": 0.', b'"score": 0.1')


def spoil_verdicts(project: Project) -> None:
    spoil(project.folder / "store" / "verdicts", b'"pass"', b'"improved"')


def spoil(folder: Path, old: bytes, new: bytes) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert old in file.read_bytes()
        file.write_bytes(file.read_bytes().replace(old, new))


@pytest.mark.parametrize(("change", "does"), [
    (change_weights, MEASURED),
    (change_prompt, MEASURED),
    (change_data, MEASURED),
    (change_baseline, JUDGED),
    (change_report, SAME),
    (spoil_samples, MEASURED),
    (spoil_outcomes, MEASURED),
    (spoil_verdicts, JUDGED),
])  # fmt: skip
def test_a_changed_file_is_noticed(
    project: Project, change: Callable[[Project], None], does: tuple[bool, bool]
) -> None:
    change(project)
    did = project.run().did
    # A case that is measured again may come out the same to the last digit, and then has its verdict.
    assert did[0] == does[0]
    assert did == does or (change in (spoil_samples, spoil_outcomes) and not did[1])
    assert project.run().did == SAME


@pytest.mark.parametrize(("typed", "does"), [
    ({"limit": "10"}, MEASURED),
    ({"margin": "0.02"}, JUDGED),
    ({"alpha": "0.01"}, JUDGED),
    ({"gate": "threshold"}, JUDGED),
    ({"baseline": "off"}, SAME),
    ({"device": "auto"}, SAME),
    ({"overwrite": True}, MEASURED),
])  # fmt: skip
def test_a_changed_option_is_noticed(project: Project, typed: dict[str, Any], does: tuple[bool, bool]) -> None:
    if typed == {"device": "auto"} and name_devices(os.environ, platform.system()) != "cpu":
        pytest.skip("this machine has a GPU, which auto would take")
    assert project.run(**typed).did == does


@pytest.mark.parametrize("library", ["mteb", "torch", "sentence-transformers", "transformers", "scikit-learn"])
def test_another_version_of_what_computes_is_measured_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    there = describe_environment()
    monkeypatch.setattr("touchstone.session.reuse.describe_environment", lambda: there | {library: "99"})
    assert project.run().did[0]


def test_another_interpreter_or_kernel_is_judged_by_what_is_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = describe_environment()
    monkeypatch.setattr(
        "touchstone.session.reuse.describe_environment", lambda: there | {"python": "3.99", "platform": "other"}
    )
    assert not project.run().did[0]


def test_a_library_under_development_is_never_known(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "installed_for_good", lambda: False)
    assert project.run().did[0]
    assert project.run().did[0]


@pytest.mark.parametrize(("module", "does"), [
    ("measuring/case.py", MEASURED),
    ("metrics/ranking.py", MEASURED),
    ("tasks/new.py", MEASURED),
    ("seams.py", MEASURED),
    ("new_room/new.py", MEASURED),
    ("judging/gate.py", JUDGED),
    ("judging/statistics.py", JUDGED),
    ("formatting.py", JUDGED),
    ("report/html.py", SAME),
    ("plugin/marks.py", SAME),
    ("session/examples.py", SAME),
])  # fmt: skip
def test_changed_code_is_noticed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, does: tuple[bool, bool]
) -> None:
    package = copy_code(tmp_path / "package", monkeypatch)
    assert project.run().did == SAME  # the same code in another place
    change_code(package / module)
    assert project.run().did == does


def copy_code(package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in code_version.PACKAGE.rglob("*.py"):
        there = package / path.relative_to(code_version.PACKAGE)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(path.read_text())
    monkeypatch.setattr(code_version, "PACKAGE", package)
    return package


def change_code(module: Path) -> None:
    module.parent.mkdir(exist_ok=True)
    with module.open("a") as file:
        file.write("# changed\n")


def test_code_that_shows_examples_makes_them_again(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = copy_code(tmp_path / "package", monkeypatch)
    change_weights(project)
    assert project.run().shown.note is None
    change_code(package / "report/html.py")
    assert project.run().shown.note is None
    change_code(package / "session/examples.py")
    ran = project.run()
    assert ran.did == SAME
    assert ran.shown.note is not None
    assert "--overwrite" in ran.shown.note


def test_another_number_of_cases_is_judged_again(project: Project) -> None:
    opened = project.open()
    (case,) = opened.plan.cases
    opened.expect([case.id])
    project.did.clear()
    with opened.measure(case, lambda _: None) as measured:
        more = replace(case, policy=replace(case.policy, gated=2))
        opened.judge(more, measured.outcome, opened.compare(more, measured))
    assert project.did == ["judged"]


def test_what_was_accepted_is_judged_by_the_anchor_from_then_on_and_known_after_that(project: Project) -> None:
    change_weights(project, seed=2)
    project.record()
    ran = project.run()
    assert ran.record.rule == "reproduce", "it is what was accepted"
    assert ran.record.anchor is not None
    assert ran.record.anchor.delta != 0
    assert (ran.record.terms and ran.record.terms.anchored) is True
    accepted = project.run(baseline="update").record
    assert accepted.baseline == ran.record.anchor.baseline
    assert accepted.reason is not None
    assert "(Δ +0.00)" in accepted.reason, "of what it replaces"


def test_other_samples_to_compare_with_are_shown_without_texts_and_then_known(project: Project) -> None:
    change_weights(project, seed=2)
    first = project.run()
    assert first.did == MEASURED
    assert first.shown.lost[0].texts
    again = project.run()
    assert again.did == SAME
    assert again.shown == first.shown, "texts that were read once are known"
    change_weights(project, seed=3)
    project.record()
    change_weights(project, seed=2)
    other = project.run()
    assert other.did == JUDGED
    assert other.verdict is not None
    assert other.shown.note is not None
    assert "--overwrite" in other.shown.note
    assert not other.shown.lost[0].texts
    again = project.run()
    assert again.did == SAME
    assert again.shown == other.shown


def test_an_api_without_leave_to_reuse_is_never_known(project: Project) -> None:
    (project.folder / "models.toml").write_text('[tiny]\nkind = "api"\nurl = "http://127.0.0.1:9/v1"\nname = "x"\n')
    opened = project.open()
    (case,) = opened.plan.cases
    assert opened.cache._make_key(case) is None
    allowed = project.open(reuse_api=True)
    assert allowed.cache._make_key(case) is not None


def test_a_damaged_baseline_is_an_error_also_where_the_verdict_is_known(project: Project) -> None:
    assert project.run().did == SAME
    (file,) = (project.folder / "baselines" / "samples").rglob("*.parquet")
    file.write_bytes(b"")
    with pytest.raises(BaselineError, match="is not the file recorded"):
        project.run()


def test_the_key_of_a_case_names_everything(tmp_path: Path) -> None:
    case, identity, cpu = make_case(), make_identity(), what_computes("cpu")
    keys = [
        outcome_key(case, identity, "data", cpu),
        outcome_key(make_case(limit=3), identity, "data", cpu),
        outcome_key(case, make_identity(fingerprint="0" * 12), "data", cpu),
        outcome_key(case, identity, "other data", cpu),
        outcome_key(make_case(name="STS16"), identity, "data", cpu),
        outcome_key(case, identity, "data", replace(cpu, device="cuda of one model")),
        outcome_key(case, identity, "data", replace(cpu, libraries={"torch": "1.0"})),
        outcome_key(case, identity, "data", replace(cpu, kernels={"TORCH_X": "1"})),
    ]
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == len(keys)


def test_every_name_left_out_of_a_key_is_there() -> None:
    there = {path.stem for path in code_version.PACKAGE.iterdir()}
    assert there >= JUDGING_ROOMS | RUN_ROOMS


def test_the_hash_of_code_is_of_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    one = hash_code(tmp_path, set())
    assert hash_code(tmp_path, {"b"}) == one
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert hash_code(tmp_path, set()) != one
    assert hash_code(tmp_path, {"b"}) == hash_code(tmp_path / "nothing", set())


@pytest.mark.parametrize("moment", ["hashed", "loaded", "encoded"])
@pytest.mark.parametrize("back", [False, True])
def test_weights_that_change_while_they_are_measured_leave_nothing(
    project: Project, moment: str, back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer run of this by hand is tests/benchmarks/race.py."""
    weights = project.folder / "model" / "model.safetensors"
    own, other = weights.read_bytes(), save_tiny_model(tmp_path / "other", seed=9) / "model.safetensors"
    place = {
        "hashed": "touchstone.models.weights.loading.construct",
        "loaded": "touchstone.models.sentence_transformers.check_prompts",
        "encoded": "touchstone.measuring.case.evaluate",
    }[moment]
    call = resolve_name(place.rpartition(".")[0]).__dict__[place.rpartition(".")[2]]

    def changing(*args: Any, **kwargs: Any) -> Any:
        weights.write_bytes(other.read_bytes())
        found = call(*args, **kwargs)
        if back:
            weights.write_bytes(own)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(place, changing)
        with pytest.raises(ModelError, match="changed while it was measured, and nothing of that is kept"):
            project.run(overwrite=True)
    weights.write_bytes(other.read_bytes())
    changed = project.run()
    weights.write_bytes(own)
    assert changed.did[0], "nothing is known of the other weights"
    assert project.run().measured.outcome.measurement != changed.measured.outcome.measurement


@pytest.mark.parametrize("back", [False, True])
def test_data_that_changes_while_it_is_measured_leaves_nothing(
    project: Project, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.folder / "data" / "corpus.jsonl"
    own, evaluate = file.read_bytes(), case_module.evaluate

    def changing(*args: Any) -> Any:
        change_data(project)
        if back:
            file.write_bytes(own)
        return evaluate(*args)

    with monkeypatch.context() as patched:
        patched.setattr(case_module, "evaluate", changing)
        with pytest.raises(SourceError, match=r"corpus.jsonl changed while Tickets was measured"):
            project.run(overwrite=True)


def test_what_was_known_of_a_computation_that_gives_other_vectors_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known by what the controller is told, whichever worker took it for known, or found out."""
    opened = project.open(baseline="update")
    (case,) = opened.plan.cases
    opened.expect([case.id])
    with opened.measure(case, lambda _: None) as measured:
        opened.add(make_record(case, measured.outcome, None, None))
    assert measured.outcome.reused
    assert opened.records()[0].error is None
    assert opened._refuse_others(opened.records()) == opened.records(), "nobody has found anything"
    run = BatchedModel._run
    monkeypatch.setattr(BatchedModel, "_run", lambda *args: run(*args) * 2)
    monkeypatch.setattr(
        BatchedModel, "_check", lambda self, role: run(self, list(CANARIES), _Call(role, {}, Meter())) * 2
    )
    worker = Store(opened.store.folder, run=opened.options.run)
    KINDS["sentence-transformers"].open(opened.plan.models["tiny"], "cpu", worker)
    before = {file: file.read_bytes() for file in (project.folder / "baselines").rglob("*.json")}
    finished = opened.finish()
    (record,) = finished.run.records
    assert (record.score, record.outcome, finished.exit_code) == (None, "error", 1)
    assert record.error == "was measured before by a computation that gives other vectors now; run again"
    assert {file: file.read_bytes() for file in (project.folder / "baselines").rglob("*.json")} == before
    assert project.run().did[0], "it is forgotten"


def test_one_alias_is_one_model_in_a_run_whichever_worker_reports(project: Project) -> None:
    opened = project.open()
    (case,) = opened.plan.cases
    cases = [replace(case, task=replace(case.task, name=name)) for name in ("One", "Two", "Three")]
    opened.plan = replace(opened.plan, cases=tuple(cases))
    opened._cases = {one.id: one for one in cases}
    opened.expect([one.id for one in cases])
    with opened.measure(case, lambda _: None) as measured:
        pass
    other = replace(measured.outcome, measurement=replace(measured.outcome.measurement, fingerprint="ba9876543210"))
    stage = Stage(alias="tiny", model="local/tiny", fingerprint="ba9876543210", metric="x", score=0.5)
    outcomes = (other, measured.outcome, replace(measured.outcome, stages=(stage,)))
    for one, outcome in reversed(list(zip(cases, outcomes, strict=True))[:2]):
        opened.add(make_record(one, outcome, None, None))
    opened.add(make_record(cases[2], outcomes[2], None, None))
    said = "tiny: it is another model than when the run began; run again when it no longer changes"
    assert [record.error for record in opened.finish().run.records] == [said, None, said]


def test_a_model_whose_files_are_others_than_when_the_run_began_is_refused(project: Project) -> None:
    opened = project.open(overwrite=True)
    (case,) = opened.plan.cases
    opened.cache.ids([case])
    change_weights(project)
    with (
        pytest.raises(ModelError, match="tiny: it is another model than when the run began"),
        opened.measure(case, lambda _: None),
    ):
        pass


def test_a_model_that_moved_and_came_back_is_loaded_anew_for_the_next_case(project: Project) -> None:
    opened = project.open(overwrite=True)
    (case,) = opened.plan.cases
    with opened.engine.measure(case, lambda _: None) as first:
        pass
    loaded = opened.engine._open["tiny"]
    weights = project.folder / "model" / "model.safetensors"
    own = weights.read_bytes()
    weights.write_bytes(own[:-8] + bytes(8))
    weights.write_bytes(own)
    with opened.engine.measure(case, lambda _: None) as again:
        assert again.outcome.measurement == first.outcome.measurement
    assert opened.engine._open["tiny"] is not loaded


def test_a_model_that_moves_while_it_is_loaded_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = project.open(overwrite=True)
    (case,) = opened.plan.cases
    construct, weights = loading.construct, project.folder / "model" / "model.safetensors"

    def construct_and_touch(*args: Any, **kwargs: Any) -> Any:
        found = construct(*args, **kwargs)
        os.utime(weights)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(loading, "construct", construct_and_touch)
        with pytest.raises(MovedError, match="changed while it was measured"), opened.measure(case, lambda _: None):
            pass
    with opened.measure(case, lambda _: None) as measured:
        assert not measured.outcome.reused


def test_an_error_about_a_model_names_the_command_that_examines_it(project: Project) -> None:
    (project.folder / "model" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    opened = project.open()
    (case,) = opened.plan.cases
    opened.expect([case.id])
    with pytest.raises(ModelError) as caught, opened.measure(case, lambda _: None):
        pass
    opened.add(make_record(case, None, None, str(caught.value)))
    (note,) = (note for note in opened.finish().notes if "doctor" in note)
    command = f"touchstone doctor tiny --models {project.folder / 'models.toml'} --device cpu"
    assert note == f"tiny: look at what was found with: {command}"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_was_sealed_and_is_no_outcome_is_not_known(content: bytes, tmp_path: Path) -> None:
    store, key = Store(tmp_path), {"fingerprint": "0123456789ab", "task": "STS22"}
    store.put(OUTCOMES, key, content)
    assert known.OutcomeCache({}, "cpu", store).recall(Outcome, key) is None

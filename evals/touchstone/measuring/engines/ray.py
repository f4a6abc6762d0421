"""Where cases run: in actors of a Ray cluster, each with one model in memory.

Ray places the actors, starts those again that died, and moves what they are given and give back. Which case goes to
which actor is for whoever drives them to say.
"""

import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from touchstone.config.models import Model
from touchstone.environment import PACKAGES, available_cores, describe_environment
from touchstone.errors import ConfigError, TouchstoneError, first_line
from touchstone.measuring.engines.local import LocalEngine
from touchstone.measuring.parts import Part
from touchstone.models.kinds import identify, kind_of
from touchstone.own_code import look_in
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.names import slug
from touchstone.records.outcomes import ModelIdentity, Outcome
from touchstone.records.samples import Samples, encode_samples
from touchstone.store.folder import Store
from touchstone.store.gathering import MEASURED_FILE, META, take
from touchstone.store.verifying import BLOB, RESULT
from touchstone.tasks.identity import identify_data, watch_data
from touchstone.tasks.opening import bring_missing
from touchstone.tasks.sources import go_offline

NO_RAY = "--engine ray needs Ray: pip install 'touchstone-evals[ray]', on every machine of the cluster"
# Makes examples of the samples that changed most, as `session.examples.show`.
Show = Callable[[Samples, Samples, Any], Shown | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What every actor is told once: the models, the options of its store, and functions that rooms above have.

    ``store`` is the driver's, which an actor uses too where it sees ``token`` in it; else it has one of its own.
    ``folders`` are where Python of the user's own is looked for, and ``versions`` what the driver's machine has
    installed. ``show`` makes examples, ``computes`` says what computes there.
    """

    models: Mapping[str, Model]
    device: str
    store: Path
    token: Path
    run: str
    reuse_api: bool
    overwrite: bool
    patience: float
    offline: bool
    mirrors: tuple[Path, ...]
    folders: tuple[str, ...]
    versions: Mapping[str, str]
    show: Show
    computes: Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an actor is to measure: a case, or ``part`` of its corpus.

    ``parts`` is into how many a whole case's corpus was divided, and ``files`` hold what those found, where the actor's
    store may lack them. ``reference`` are the samples of the baseline, by which examples are chosen.
    """

    case: Case
    part: Part | None = None
    parts: int = 1
    reference: Samples | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorResult:
    """Result of an actor: files that the driver's store lacks, and of a whole case its outcome and examples.

    ``computes`` is what computed there.
    """

    outcome: Outcome | None
    computes: Any = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    shown: Shown | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why a case could not be measured, in a sentence."""

    error: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An actor went away: what it ran is to be run again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What an actor finds on its machine: who models are, what data is there, what computes, and which versions.

    ``identities`` are by alias, or why one is not known; ``data`` is by case id.
    """

    host: str
    versions: Mapping[str, str]
    computes: Any
    identities: Mapping[str, ModelIdentity | str]
    data: Mapping[str, str | None]


class Worker:
    """The inside of an actor: measures one case after the other, and keeps everything in a store.

    Args:
        setup: what all actors are told.
        workers: actors on one machine.
    """

    def __init__(self, setup: Setup, workers: int = 1) -> None:
        if setup.offline:
            go_offline()
        for place in setup.folders:
            look_in(Path(place))
        self._setup = setup
        self._doing = ""
        self._shared = setup.token.is_file()
        folder = setup.store if self._shared else _own_store()
        self._store = Store(
            folder, run=setup.run, reuse_api=setup.reuse_api, overwrite=setup.overwrite, patience=setup.patience,
            mirrors=setup.mirrors,
        )  # fmt: skip
        self._store.make()
        self._engine = LocalEngine(setup.models, setup.device, self._store, workers=workers)

    def ping(self) -> bool:
        """Answer, once this is ready."""
        return True

    def tell(self) -> str:
        """Return what is being done, in a few words; answered while something is measured."""
        return self._doing

    def _note(self, text: str) -> None:
        self._doing = text

    def survey(self, cases: Sequence[Case]) -> Survey:
        """Look at what is on this machine, without loading a model."""
        aliases = dict.fromkeys(case.alias for case in cases)
        return Survey(
            host=platform.node(),
            versions=installed(),
            computes=self._setup.computes(self._setup.device),
            identities={alias: self._identify(alias) for alias in aliases},
            data={case.id: _identify_data(case, self._store) for case in cases},
        )

    def _identify(self, alias: str) -> ModelIdentity | str:
        try:
            return identify(self._setup.models[alias], self._store)
        except TouchstoneError as error:
            return str(error)

    def measure(self, task: Task) -> ActorResult | Failed:
        """Measure a case, or a part of its corpus; what the user can fix is one sentence."""
        case = task.case
        self._note("")
        try:
            refuse_versions(self._setup.versions, installed(), platform.node())
            _refuse_absent(case, self._setup.models[case.alias])
            for name, content in task.files.items():
                take(self._store.folder, name, content)
            self._store.written_files.clear()
            bring_missing(case.task, case.source, self._store)
            check_data = watch_data(case.task, case.source, self._store)
            if task.part is not None:
                self._engine.measure_part(case, task.part, self._note)
                check_data()
                return ActorResult(outcome=None, files=self._files(BLOB), notes=self._store.notes)
            return self._measure(task, check_data)
        except TouchstoneError as error:
            return Failed(error=str(error), notes=self._store.notes)

    def _measure(self, task: Task, check_data: Callable[[], None]) -> ActorResult:
        case, shown = task.case, None
        with self._engine.measure(case, self._note, parts=task.parts) as opened:
            check_data()
            outcome, samples = opened.outcome, opened.samples
            if samples is not None:
                name = slug(case.key, also="@")
                file = self._store.write_samples(outcome.identity.fingerprint, name, encode_samples(samples))
                outcome = replace(outcome, samples_file=file)
                if task.reference is not None:
                    shown = self._setup.show(samples, task.reference, opened.predicted)
        return ActorResult(
            outcome=outcome,
            computes=self._setup.computes(self._setup.device),
            files=self._files(MEASURED_FILE),
            shown=shown,
            notes=self._store.notes,
        )

    def _files(self, pattern: re.Pattern[str]) -> dict[str, bytes]:
        """Return what was written to the store that the driver's has not; nothing where they are one."""
        names = [] if self._shared else [name for name in self._store.written_files if pattern.fullmatch(name)]
        metadata = {f"{name.rpartition('/')[0]}/{META}" for name in names if RESULT.fullmatch(name)}
        names += [name for name in sorted(metadata) if (self._store.folder / name).is_file()]
        return {name: (self._store.folder / name).read_bytes() for name in names}


def _own_store() -> Path:
    """Return where an actor keeps what it makes, where the driver's store is not seen: later actors find it there."""
    return Path(os.environ.get("TOUCHSTONE_RAY_STORE") or Path.home() / ".cache" / "touchstone" / "ray")


def _identify_data(case: Case, store: Store) -> str | None:
    try:
        return identify_data(case.task, case.source, store)
    except (TouchstoneError, OSError):  # measuring says what is missing
        return None


def _refuse_absent(case: Case, model: Model) -> None:
    """Refuse what is only on the machine of the driver: a folder is named where nobody here can read it."""
    specs = [stage.spec for stage in model.family]
    paths = [getattr(spec, "path", None) for spec in specs if getattr(spec, "package", None) is None]
    for path in (*paths, case.task.folder, case.source.path):
        if path is not None and not Path(path).exists():
            raise ConfigError(
                f"{path} is not on {platform.node()}, where the case runs; put it where all machines of the cluster "
                "see it under that name, or name a model or data of the hub"
            )


class Actors:
    """The actors of one run, by their numbers, each doing one thing at a time.

    Args:
        setup: what each is told.
        address: of a cluster; None for the one that ``RAY_ADDRESS`` names, else one on this machine.
        cpus: of each actor, where there is no GPU for it.

    Raises:
        ConfigError: there is no Ray, no such cluster, or no room in it.
    """

    def __init__(self, setup: Setup, address: str | None, cpus: int) -> None:
        self._ray = _import_ray()
        self._connect(address)
        gpus = setup.device == "auto" or setup.device.startswith("cuda")
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._gpu, rooms = find_room(nodes, cpus, gpus=gpus)
        if not sum(rooms):
            self.close()
            raise ConfigError(f"no machine of the cluster has {cpus} CPUs for an actor; say fewer with --ray-cpus")
        kind = self._ray.remote(
            num_cpus=1 if self._gpu else cpus,
            num_gpus=1 if self._gpu else 0,
            # The case that an actor runs when it dies is given to whoever is free; the actor comes back by itself.
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={TELL_GROUP: 1},
        )(Worker)
        self._actors = [kind.remote(setup, workers=max(rooms)) for _ in range(sum(rooms))]
        self._running: dict[Any, tuple[int, str]] = {}
        for number in range(len(self._actors)):
            self._call(number, "ping")

    def _connect(self, address: str | None) -> None:
        is_local = address is None and not os.environ.get("RAY_ADDRESS")
        # What a library prints in every actor is nothing for whoever reads the run.
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "touchstone"}
        local = {"num_cpus": available_cores(), "include_dashboard": False} if is_local else {}
        try:
            self._ray.init(address=address, ignore_reinit_error=True, **quiet, **local)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise ConfigError(f"--ray-address {address or os.environ.get('RAY_ADDRESS', 'here')}: no cluster answers: "
                              f"{first_line(error)}") from None  # fmt: skip

    def __len__(self) -> int:
        return len(self._actors)

    def survey(self, cases: Sequence[Case]) -> tuple[Survey, ...]:
        """Ask every actor that is ready by now what it finds on its machine, at least one.

        Raises:
            ConfigError: none can be asked.
        """
        pings = {ref: number for ref, (number, method) in self._running.items() if method == "ping"}
        ready, waiting = self._ray.wait(list(pings), num_returns=len(pings), timeout=START_TIMEOUT)
        if not ready:
            ready, _ = self._ray.wait(waiting, num_returns=1, timeout=BUSY_TIMEOUT)
        if not ready:
            raise ConfigError(
                f"no actor could begin within {START_TIMEOUT + BUSY_TIMEOUT:g} s: the cluster is busy; run later"
            )
        try:
            self._ray.get(ready)
            surveys: list[Survey] = self._ray.get([self._actors[pings[ref]].survey.remote(cases) for ref in ready])
        except self._ray.exceptions.RayError as error:
            raise ConfigError(f"an actor could not begin: {_reason(error)}; install this version of touchstone-evals "
                              "on every machine of the cluster") from None  # fmt: skip
        return tuple(surveys)

    def measure(self, number: int, task: Task) -> None:
        """Let a free actor measure something."""
        self._call(number, "measure", task)

    def tell(self, number: int) -> str:
        """Return what an actor is doing, in a few words; ``""`` if it does not say so at once."""
        request = self._actors[number].tell.options(concurrency_group=TELL_GROUP).remote()
        try:
            ready, _ = self._ray.wait([request], timeout=TELL_TIMEOUT_S)
            return str(self._ray.get(ready[0])) if ready else ""
        except self._ray.exceptions.RayError:
            return ""

    def _call(self, number: int, method: str, *arguments: Any) -> None:
        self._running[getattr(self._actors[number], method).remote(*arguments)] = number, method

    def wait(self, seconds: float) -> Iterator[tuple[int, ActorResult | Failed | Lost | None]]:
        """Yield the actors that are free now, each with what it gave back; None for one that begins.

        One that is lost is yielded with the reason, and again when it has begun anew.
        """
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        for ref in ready:
            number, method = self._running.pop(ref)
            try:
                result = self._ray.get(ref)
            except self._ray.exceptions.RayTaskError as error:  # nobody foresaw it
                yield number, None if method == "ping" else Failed(error=_reason(error))
            except self._ray.exceptions.RayError as error:
                self._call(number, "ping")
                yield number, Lost(reason=_reason(error))
            else:
                yield number, None if method == "ping" else result

    def close(self) -> None:
        """Let the cluster go; actors end with their driver."""
        with suppress(Exception):
            self._ray.shutdown()


# How long all actors may take to begin, in seconds, before those that are there begin without the others.
START_TIMEOUT = 60.0
# How long the first may take then: a cluster may have to start machines.
BUSY_TIMEOUT = 900.0
# Of each actor's threads the one that reports what another does, and how long that may take, in seconds.
TELL_GROUP, TELL_TIMEOUT_S = "telling", 0.2


def find_room(nodes: Sequence[Mapping[str, float]], cpus: int, *, gpus: bool) -> tuple[bool, list[int]]:
    """Return whether actors get a GPU each, and how many of them each machine has room for.

    Args:
        nodes: the resources of each machine, as Ray has them.
        cpus: of an actor without a GPU.
        gpus: whether a GPU may be used.
    """
    if gpus and any(node.get("GPU", 0) >= 1 for node in nodes):
        return True, [int(min(node.get("GPU", 0), node.get("CPU", 0))) for node in nodes]
    return False, [int(node.get("CPU", 0) // cpus) for node in nodes]


def installed() -> dict[str, str]:
    """Return the versions of what can change a score on this machine."""
    return {name: version for name, version in describe_environment().items() if name in PACKAGES}


def refuse_versions(drivers: Mapping[str, str], versions: Mapping[str, str], host: str) -> None:
    """Refuse a machine that has other versions than that of the driver.

    Raises:
        ConfigError: saying which.
    """
    for name in sorted(drivers.keys() | versions.keys()):
        if drivers.get(name) != versions.get(name):
            raise ConfigError(
                f"{host} has {name} {versions.get(name, 'not at all')}, the machine of the run "
                f"{drivers.get(name, 'not at all')}; install the same versions everywhere"
            )


def refuse_others(surveys: Sequence[Survey], models: Mapping[str, Model]) -> None:
    """Refuse machines that would not measure what this one would, or of which one alias means two models.

    Raises:
        ConfigError: saying what differs, and where.
    """
    for survey in surveys:
        refuse_versions(installed(), survey.versions, survey.host)
    for alias in surveys[0].identities:
        hosts = {identity.fingerprint: survey.host for survey in surveys
                 if isinstance(identity := survey.identities[alias], ModelIdentity)}  # fmt: skip
        if len(hosts) > 1 and not kind_of(models[alias]).served:
            raise ConfigError(f"{alias} is not the same model on {' and '.join(hosts.values())}; put it there anew")


def _reason(error: Exception) -> str:
    """Return the error of an actor in one line: of an exception inside a task, that exception."""
    cause = getattr(error, "cause", None)
    if cause is not None:
        return first_line(cause)
    message = getattr(error, "error_msg", None) or str(error)
    return next((line.strip() for line in str(message).splitlines() if line.strip()), type(error).__name__)


def _import_ray() -> Any:
    # It reports how it is used to its makers, where nobody says that it must not.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(NO_RAY) from None
    return ray

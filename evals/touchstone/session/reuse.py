"""Cache of earlier outcomes and verdicts, keyed by everything that can change them.

A case is measured again when anything in `outcome_key` has changed, and judged again when anything in `verdict_key`
has. A cached outcome costs no import of torch, mteb, scipy or scikit-learn.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, TypeVar

from touchstone.config.models import Model
from touchstone.environment import describe_environment, installed_for_good, kernel_settings
from touchstone.errors import ModelError, TouchstoneError
from touchstone.files.validation import check_json
from touchstone.files.writing import to_json
from touchstone.judging.gate import Comparison
from touchstone.models.kinds import KINDS, identify, kind_of
from touchstone.records.baselines import Reference
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.outcomes import ModelIdentity, Outcome
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.records.samples import Samples, decode_samples
from touchstone.records.verdicts import Verdict
from touchstone.schedule.devices import name_devices
from touchstone.session.code_version import judging_code, measuring_code, showing_code
from touchstone.store.folder import EXAMPLES, OUTCOMES, VERDICTS, Store
from touchstone.tasks.identity import identify_data
from touchstone.tasks.registry import package_digest

T = TypeVar("T")
# Of the environment, what computes. An interpreter's or a kernel's patch level does not.
NOT_COMPUTING = {"python", "platform", "touchstone-evals"}


# The name in the environment of a run record for the hash of the code beside ours.
PLUGINS = "plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suites:
    """What the cases of a run came to, model by model."""

    suites: tuple[SuiteVerdict, ...]


# The folder of the store for each kind of cached value.
CACHE_OF: Mapping[type[Any], str] = {Outcome: OUTCOMES, Verdict: VERDICTS, Suites: VERDICTS, Shown: EXAMPLES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Computes:
    """Device, libraries and kernels of a machine, for a key; ``complete`` if nothing else can change a number."""

    device: str
    libraries: Mapping[str, Any]
    kernels: Mapping[str, str]
    complete: bool


def what_computes(device: str) -> Computes:
    """Return what computes in this process on a device as asked for, without importing torch."""
    installed = _installation()
    return Computes(
        device=_name_device(device),
        libraries=installed["libraries"],
        kernels=kernel_settings(os.environ),
        complete=installed["known"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Other machines, which measure: the identities of models there, or why there are none, and of data, by case.

    ``computes`` is what computes on all of them, and ``per_machine`` what does on each.
    """

    computes: Computes
    per_machine: tuple[Computes, ...]
    identities: Mapping[str, ModelIdentity | str]
    data: Mapping[str, str | None]


class OutcomeCache:
    """Cache of the outcomes, verdicts and examples of a run's cases.

    Args:
        models: those that cases may name, by alias.
        device: auto, cpu, cuda, cuda:N or mps.
        store: holds the cache; one that overwrites returns nothing.
        plugins: returns the hash of the code beside ours in this process; asked when everything is loaded.
        elsewhere: the machines that measure; None for this process.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        device: str,
        store: Store,
        plugins: Callable[[], str] = str,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._models = models
        self._device = device
        self._store = store
        self._plugins = plugins
        self._keys: dict[str, dict[str, Any] | None] = {}
        self._identities: dict[str, ModelIdentity | ModelError] = {}

    def find(self, case: Case) -> Outcome | None:
        """Return the earlier outcome of a case, if nothing that decides it has changed since.

        Raises:
            ModelError: the model's weights are not there, or are not the ones pinned.
        """
        key = self._keys[case.id] = self._make_key(case)  # its data may have changed since it was asked for
        outcome = None if key is None else self.recall(Outcome, key)
        if outcome is None:
            return None
        if outcome.samples_file is not None and self._store.read_samples(outcome.samples_file) is None:
            return None
        return replace(outcome, reused=True, encoded=None if outcome.encoded is None else 0)

    def ids(self, cases: Iterable[Case]) -> frozenset[str]:
        """Return the ids of the cases that `find` has an outcome of; a case whose model is missing is none of them."""
        return frozenset(case.id for case in cases if self._has(case))

    def _has(self, case: Case) -> bool:
        try:
            return self.find(case) is not None
        except TouchstoneError:
            return False

    def keep(self, case: Case, outcome: Outcome) -> None:
        """Cache the outcome of a case that `find` did not find."""
        key = self._keys.get(case.id)
        if key is not None:
            self.remember(key, replace(outcome, phases={}))

    def check_model(self, alias: str, identity: ModelIdentity) -> None:
        """Refuse a model that is not the one that its alias named when the run began.

        Raises:
            ModelError: their fingerprints differ.
        """
        if self._identity(alias).fingerprint != identity.fingerprint:
            raise ModelError(others_than_before(alias))

    def samples(self, outcome: Outcome) -> Samples | None:
        """Return the samples of an outcome, from the store; None where it has none or they are gone."""
        if outcome.samples_file is None:
            return None
        content = self._store.read_samples(outcome.samples_file)
        return None if content is None else decode_samples(content, outcome.samples_file)

    def recall(self, kind: type[T], key: Mapping[str, Any]) -> T | None:
        """Return the `Verdict`, `Shown` or `Suites` that was cached under its key; None for another version's shape."""
        content = self._store.get(CACHE_OF[kind], key)
        try:
            return None if content is None else check_json(kind, content, "", TouchstoneError)
        except TouchstoneError:  # what was sealed is no JSON, or of another shape
            return None

    def remember(self, key: Mapping[str, Any], value: Outcome | Verdict | Shown | Suites) -> None:
        """Cache a value for `recall`."""
        self._store.put(CACHE_OF[type(value)], key, to_json(asdict(value)).encode())

    def _make_key(self, case: Case) -> dict[str, Any] | None:
        model = self._models[case.alias]
        kinds = [kind_of(stage) for stage in model.family]
        if any(kind.served for kind in kinds) and self._store.run_of_apis is not None:
            return None
        computes = what_computes(self._device) if self._elsewhere is None else self._elsewhere.computes
        # The code of a kind that another package adds is in no key.
        if not computes.complete or any(kind.name not in KINDS for kind in kinds):
            return None
        data = self._identify_data(case)
        if data is None:
            return None
        return outcome_key(case, self._identity(case.alias), data, computes) | {PLUGINS: self._plugins()}

    def _identify_data(self, case: Case) -> str | None:
        if self._elsewhere is not None:
            return self._elsewhere.data.get(case.id)
        return identify_data(case.task, case.source, self._store)

    def _identity(self, alias: str) -> ModelIdentity:
        """Return who a model is; its files are looked at, or its server is asked, once, not for each of its cases."""
        if alias not in self._identities:
            self._identities[alias] = self._identify(self._models[alias])
        identity = self._identities[alias]
        if isinstance(identity, ModelError):
            raise identity
        return identity

    def _identify(self, model: Model) -> ModelIdentity | ModelError:
        """Return who a model is, or the error of a server that did not answer: retrying took as long as it may."""
        if self._elsewhere is not None:
            identity = self._elsewhere.identities[model.alias]
            return ModelError(identity) if isinstance(identity, str) else identity
        try:
            return identify(model, self._store)
        except ModelError as error:
            if any(kind_of(stage).served for stage in (model, *model.stages)):
                return error
            raise


def others_than_before(alias: str) -> str:
    """Return the error for an alias that means two models in one run."""
    return f"{alias}: it is another model than when the run began; run again when it no longer changes"


def outcome_key(case: Case, identity: ModelIdentity, data: str, computes: Computes) -> dict[str, Any]:
    """Return everything that decides what measuring a case gives.

    Args:
        case: what is measured.
        identity: of its model.
        data: from `identify_data`.
        computes: what computes where it is measured.
    """
    task = case.task
    return {
        "fingerprint": identity.fingerprint,
        "model": f"{identity.name} {identity.revision} {identity.unmodified}",
        "task": [task.name, task.type, task.main_score, list(task.splits), list(task.subsets)],
        "data": data,
        "limit": case.limit,
        "stage_folders": case.stage_folders,
        "device": computes.device,
        "code": measuring_code(),
        "libraries": computes.libraries,
        "kernels": computes.kernels,
    }


def verdict_key(case: Case, outcome: Outcome, comparison: Comparison) -> dict[str, Any]:
    """Return everything that decides the verdict on a measured case.

    Args:
        case: with its policy.
        outcome: what was measured.
        comparison: with the reference, its anchor and the environment.
    """
    reference = comparison.reference
    assert reference is not None
    return {
        "fingerprint": outcome.identity.fingerprint,
        "task": [case.task.name, case.task.type],
        "outcome": _digest_outcome(outcome),
        "reference": _digest_reference(reference),
        "anchor": reference.anchor and _digest_reference(reference.anchor),
        "policy": asdict(case.policy),
        "slices": list(case.slices),
        "env": dict(comparison.env),
        "code": judging_code(),
    }


def examples_key(outcome: Outcome, reference: Reference) -> dict[str, Any]:
    """Return everything that decides which samples of an outcome are shown, and how."""
    return {
        "fingerprint": outcome.identity.fingerprint,
        "outcome": _digest_outcome(outcome),
        "against": reference.baseline.samples,
        "code": showing_code(),
    }


def suites_key(records: tuple[Record, ...]) -> dict[str, Any]:
    """Return everything that decides what the cases of a run come to."""
    decided = [
        [r.case, r.alias, r.task, r.type, r.outcome, r.verdict, r.rule, r.delta, r.suspect]
        + [part and asdict(part) for part in (r.evidence, r.terms, r.anchor)]
        for r in records
    ]
    return {"fingerprint": "suites", "records": _digest(decided), "code": judging_code()}


@cache
def _installation() -> dict[str, Any]:
    """Return the versions of all that computes, and whether they say everything about it."""
    versions = {name: value for name, value in describe_environment().items() if name not in NOT_COMPUTING}
    package = package_digest()
    return {"known": package is not None and installed_for_good(), "libraries": versions | {"mteb files": package}}


@cache
def _name_device(device: str) -> str:
    """Return the name of the device that a run would get here, without importing torch."""
    devices = name_devices(os.environ, platform.system())
    return f"cpu {platform.machine()}" if device == "cpu" or devices == "cpu" else f"{device} of {devices}"


def _digest_outcome(outcome: Outcome) -> str:
    """Return the hash of an outcome, without how long it took, how fast, and what of it was cached."""
    return _digest(asdict(replace(outcome, phases={}, encoded=None, speed=None, reused=False)))


def _digest_reference(reference: Reference) -> str:
    """Return the hash of an entry and whose it is, wherever its samples lie."""
    return _digest([reference.alias, reference.model, reference.revision, asdict(reference.baseline)])


def _digest(value: Any) -> str:
    return hashlib.sha256(to_json(value).encode()).hexdigest()

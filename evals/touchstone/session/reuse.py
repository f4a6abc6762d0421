"""What is known from before: a case's outcome and its verdict, under everything that decides them.

Measured again is a case of which anything in `outcome_key` changed; judged again one of which anything in `verdict_key`
did. What is found there costs no import of torch, mteb, scipy or scikit-learn.
"""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from touchstone.config.models import Model
from touchstone.environment import describe_environment, installed_for_good
from touchstone.errors import TouchstoneError
from touchstone.files.writing import to_json
from touchstone.measuring.examples import show
from touchstone.models.kinds import KINDS, identify, kind_of
from touchstone.records.baselines import Reference
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.outcomes import ModelIdentity, Outcome, Scores
from touchstone.records.runs import Record, SuiteVerdict, make_record, to_dict
from touchstone.records.samples import Samples, decode_samples
from touchstone.records.verdicts import Verdict
from touchstone.schedule.devices import name_devices
from touchstone.session.code_version import judging_code, measuring_code
from touchstone.store.folder import OUTCOMES, VERDICTS, Store
from touchstone.tasks.identity import identify_data
from touchstone.tasks.registry import package_digest

T = TypeVar("T")
# Of the environment, what computes. An interpreter's or a kernel's patch level does not.
NOT_COMPUTING = {"python", "platform", "touchstone-evals"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An outcome as it is kept: its record, the samples that it showed as changed most, and against which samples."""

    record: Record
    shown: Shown | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An outcome of before, without its samples, and which samples of a baseline it was compared with then."""

    outcome: Outcome
    against: str | None

    def shows_against(self, reference: Reference | None) -> bool:
        """Say whether the samples that it shows are those that changed most against a reference."""
        return reference is None or reference.baseline.samples in (None, self.against)


class Known:
    """What a store knows of the cases of a run.

    Args:
        models: by alias, what cases may name.
        device: auto, cpu, cuda, cuda:N or mps.
        store: where it is kept; one that overwrites knows nothing.
    """

    def __init__(self, models: Mapping[str, Model], device: str, store: Store) -> None:
        self._models = models
        self._device = device
        self._store = store
        self._keys: dict[str, dict[str, Any] | None] = {}
        self._identities: dict[str, ModelIdentity] = {}

    def find(self, case: Case) -> Found | None:
        """Return what a case gave before, if nothing that decides it has changed since.

        Raises:
            ModelError: the model's weights are not there, or are not the ones pinned.
        """
        key = self._key(case)
        kept = None if key is None else _read(Kept, self._store.kept(OUTCOMES, key))
        if kept is None:
            return None
        if kept.record.samples is not None and self._store.read_samples(kept.record.samples) is None:
            return None
        return Found(outcome=_outcome(kept.record, self._identity(case.alias), kept.shown), against=kept.against)

    def ids(self, cases: Iterable[Case]) -> frozenset[str]:
        """Return which cases `find` would give; one whose model is not there is none of them."""
        return frozenset(case.id for case in cases if self._has(case))

    def _has(self, case: Case) -> bool:
        try:
            return self.find(case) is not None
        except TouchstoneError:
            return False

    def show_again(self, found: Found, reference: Samples | None) -> Outcome:
        """Return an outcome with the samples that changed most against others, without their texts."""
        own = self.samples(found.outcome)
        shown = None if own is None or reference is None else show(own, reference, None)
        return replace(found.outcome, shown=shown)

    def keep(self, case: Case, outcome: Outcome, reference: Reference | None = None) -> None:
        """Remember what a case gave, and the samples of which baseline it was compared with."""
        key = self._key(case)
        if key is not None:
            against = None if reference is None else reference.baseline.samples
            kept = Kept(record=make_record(case, outcome, None, None), shown=outcome.shown, against=against)
            self._store.keep(OUTCOMES, key, asdict(kept))

    def samples(self, outcome: Outcome) -> Samples | None:
        """Return the samples of an outcome, read from the store where they are not in memory."""
        if outcome.samples is not None or outcome.samples_file is None:
            return outcome.samples
        content = self._store.read_samples(outcome.samples_file)
        return None if content is None else decode_samples(content, outcome.samples_file)

    def find_verdict(self, key: Mapping[str, Any]) -> Verdict | None:
        """Return what was decided before under a `verdict_key`."""
        return _read(Verdict, self._store.kept(VERDICTS, key))

    def find_suites(self, key: Mapping[str, Any]) -> tuple[SuiteVerdict, ...] | None:
        """Return what all cases came to before, under a `suites_key`."""
        content = self._store.kept(VERDICTS, key)
        return None if content is None else _read(tuple[SuiteVerdict, ...], content["suites"])

    def keep_verdict(self, key: Mapping[str, Any], verdict: Verdict) -> None:
        """Remember a decision."""
        self._store.keep(VERDICTS, key, asdict(verdict))

    def keep_suites(self, key: Mapping[str, Any], suites: tuple[SuiteVerdict, ...]) -> None:
        """Remember what all cases came to."""
        self._store.keep(VERDICTS, key, {"suites": [asdict(suite) for suite in suites]})

    def _key(self, case: Case) -> dict[str, Any] | None:
        if case.id not in self._keys:
            self._keys[case.id] = self._make_key(case)
        return self._keys[case.id]

    def _make_key(self, case: Case) -> dict[str, Any] | None:
        model = self._models[case.alias]
        kinds = [kind_of(stage) for stage in (model, *model.stages)]
        if any(kind.served for kind in kinds) and self._store.run_of_apis is not None:
            return None
        # The code of a kind that another package adds is in no key.
        if not _installation()["known"] or any(kind.name not in KINDS for kind in kinds):
            return None
        data = identify_data(case.task, case.source, self._store)
        if data is None:
            return None
        return outcome_key(case, self._identity(case.alias), data, self._device)

    def _identity(self, alias: str) -> ModelIdentity:
        """Return who a model is; its files are looked at once, not for each of its cases."""
        if alias not in self._identities:
            self._identities[alias] = identify(self._models[alias], self._store)
        return self._identities[alias]


def outcome_key(case: Case, identity: ModelIdentity, data: str, device: str) -> dict[str, Any]:
    """Say all that decides what measuring a case gives.

    Args:
        case: what is measured.
        identity: of its model.
        data: from `identify_data`.
        device: as asked for.
    """
    task = case.task
    return {
        "fingerprint": identity.fingerprint,
        "model": f"{identity.name} {identity.revision} {identity.unmodified}",
        "task": [task.name, task.type, task.main_score, list(task.splits), list(task.subsets)],
        "data": data,
        "limit": case.limit,
        "stage_folders": case.stage_folders,
        "device": _name_device(device),
        "code": measuring_code(),
        "libraries": _installation()["libraries"],
    }


def verdict_key(
    case: Case, outcome: Outcome, reference: Reference, gated: int, env: Mapping[str, str]
) -> dict[str, Any]:
    """Say all that decides the verdict on a measured case.

    Args:
        case: with its policy.
        outcome: what was measured.
        reference: what it is compared with.
        gated: how many cases share the error rate.
        env: the versions of the libraries that measured.
    """
    record = make_record(case, replace(outcome, phases={}, reused=False), None, None)
    return {
        "fingerprint": outcome.identity.fingerprint,
        "unmodified": outcome.identity.unmodified,
        "record": _digest(to_dict(replace(record, encoded=None))),
        "reference": _digest([reference.alias, reference.model, reference.revision, asdict(reference.baseline)]),
        "policy": asdict(case.policy),
        "gated": gated,
        "env": dict(env),
        "code": judging_code(),
    }


def suites_key(records: tuple[Record, ...]) -> dict[str, Any]:
    """Say all that decides what the cases of a run come to."""
    decided = [
        [r.case, r.alias, r.task, r.type, r.outcome, r.verdict, r.delta, r.evidence and asdict(r.evidence)]
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
def _name_device(asked: str) -> str:
    """Return what a device asked for is here, without importing torch."""
    there = name_devices(os.environ, platform.system())
    return f"cpu {platform.machine()}" if asked == "cpu" or there == "cpu" else f"{asked} of {there}"


def _outcome(record: Record, identity: ModelIdentity, shown: Shown | None) -> Outcome:
    """Undo `make_record`, as far as an outcome needs it; nothing of it took time now."""
    return Outcome(
        identity=identity,
        scores=Scores(
            metric=record.metric,
            score=record.score or 0.0,
            subsets=record.subsets or {},
            n=record.n,
            chance=record.chance,
            recomputed=record.recomputed,
        ),
        settings=record.settings,  # type: ignore[arg-type]  # a measured case has them
        device=record.device or "",
        dataset_revision=record.dataset_revision,
        data_sha256=record.data_sha256,
        phases={},
        texts=record.texts or 0,
        encoded=None if record.encoded is None else 0,
        prompts=record.prompts,
        samples_file=record.samples,
        shown=shown,
        stages=record.stages,
        reused=True,
    )


def _read(kind: type[T], content: Any) -> T | None:
    try:
        return None if content is None else TypeAdapter(kind).validate_python(content)
    except ValidationError:
        return None  # of another version of its shape


def _digest(value: Any) -> str:
    return hashlib.sha256(to_json(value).encode()).hexdigest()

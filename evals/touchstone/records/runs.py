"""Run records: one record for each case, and a verdict for each model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from touchstone.records.cases import BaselineMode, Case
from touchstone.records.examples import Shown
from touchstone.records.outcomes import Measurement, Of, Outcome, OutcomeWord, Settings, Speed, Stage
from touchstone.records.verdicts import Anchored, Evidence, Rule, Slice, Terms, Verdict, VerdictWord

SuiteWord = Literal["PASS", "FAIL", "INCOMPLETE", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One case of a run, as the run record holds it. Fields that were not reached are None.

    ``samples`` is a path inside the store; ``prompts``, ``stages`` and ``speed`` are as in `Outcome`; ``command`` runs
    and judges this case alone; ``shown`` are the samples that changed most, unless the verdict is a plain pass.
    ``reused``: an earlier run measured the case, and nothing that decides it has changed; ``seconds`` are then 0.
    """

    case: str
    alias: str
    model: str | None
    revision: str | None
    task: str
    type: str
    languages: tuple[str, ...]
    outcome: OutcomeWord
    metric: str
    limit: int | None = None
    measurement: Measurement | None = None
    samples: str | None = None
    baseline: float | None = None
    delta: float | None = None
    verdict: VerdictWord | None = None
    rule: Rule | None = None
    reason: str | None = None
    evidence: Evidence | None = None
    terms: Terms | None = None
    suspect: bool = False
    anchor: Anchored | None = None
    slices: tuple[Slice, ...] = ()
    error: str | None = None
    seconds: float | None = None
    phases: Mapping[str, float] | None = None
    texts: int | None = None
    encoded: int | None = None
    prompts: Mapping[str, tuple[str, ...]] | None = None
    device: str | None = None
    command: str | None = None
    shown: Shown | None = None
    stages: tuple[Stage, ...] = ()
    speed: Speed | None = None
    reused: bool = False

    score = Of[float | None]()
    subsets = Of[Mapping[str, float] | None]()
    n = Of[int | None]()
    chance = Of[float | None]()
    recomputed = Of[float | None]()
    dataset_revision = Of[str | None]()
    data_sha256 = Of[str | None]()
    fingerprint = Of[str | None]()
    settings = Of[Settings | None]()

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """The measured models: each alias with its fingerprint, also for the stages of a pipeline."""
        pairs = () if self.fingerprint is None else ((self.alias, self.fingerprint),)
        return (*pairs, *((stage.alias, stage.fingerprint) for stage in self.stages))

    @property
    def known_before(self) -> tuple[str, ...]:
        """The fingerprints of models with results of an earlier run in this record."""
        if self.reused:
            return tuple(fingerprint for _, fingerprint in self.models)
        return tuple(stage.fingerprint for stage in self.stages if stage.reused)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVerdict:
    """The verdict on all cases of one model.

    ``delta`` and ``interval`` (95 %) are of the mean over the ``paired`` cases with samples, None with fewer than two;
    ``by_type`` has the same for each task type, and ``verdicts`` the verdict on each type. ``over_types`` is the mean
    over the types' means, and ``anchor`` the mean against the anchors, each with its interval. ``planned`` counts the
    cases in the plan of the suite's file.
    """

    model: str
    verdict: SuiteWord
    reason: str
    delta: float | None
    interval: tuple[float, float] | None
    paired: int
    cases: int
    by_type: Mapping[str, tuple[float, float, float]]
    verdicts: Mapping[str, SuiteWord] = field(default_factory=dict)
    over_types: tuple[float, float, float] | None = None
    anchor: tuple[float, float, float] | None = None
    planned: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The part of a run that was run here: shard ``number`` of ``of``, which measures and decides nothing.

    ``cases`` are those of this shard, and ``parts`` the numbers of the parts of a case that is divided among all
    shards. ``plan`` is the hash of everything that the shards of one run have in common; ``baseline`` is the mode in
    which the whole run is judged or recorded.
    """

    number: int
    of: int
    plan: str = ""
    cases: tuple[str, ...] = ()
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    baseline: BaselineMode = "check"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run, as ``--report run.json`` writes it. ``schema`` is the version of this shape.

    ``commit`` is that of the project, with a plus if files differed from it; None if there is none. With a ``shard``
    the records are of all cases of the whole run, and the cases of the other shards are not measured.
    """

    schema: Literal[1] = 1
    suite: str
    started: str
    environment: Mapping[str, str]
    commit: str | None = None
    records: tuple[Record, ...]
    suites: tuple[SuiteVerdict, ...] = ()
    shard: Shard | None = None


def make_record(
    case: Case, outcome: Outcome | None, verdict: Verdict | None, error: str | None, shown: Shown | None = None
) -> Record:
    """Return the record of a case, with its outcome and verdict if it has them.

    An error overrides a verdict; a case without outcome and error was not measured.
    """
    record = Record(
        case=case.id,
        alias=case.alias,
        model=None,
        revision=None,
        task=case.task.name,
        type=case.task.type,
        languages=case.task.language_codes,
        outcome="error" if error else "not measured",
        metric=case.task.main_score,
        limit=case.limit,
        error=error,
    )
    if outcome is not None:
        record = replace(_with_outcome(record, outcome), terms=Terms(**asdict(case.policy)))
    if verdict is not None:
        record = replace(
            record,
            outcome="error" if error else "passed" if verdict.ok else "failed",
            verdict=verdict.word,
            rule=verdict.rule,
            reason=verdict.reason,
            baseline=verdict.baseline,
            delta=verdict.delta,
            evidence=verdict.evidence,
            terms=verdict.terms or record.terms,
            suspect=verdict.suspect,
            anchor=verdict.anchor,
            slices=verdict.slices,
            shown=shown if verdict.word != "pass" else None,
        )
    return record


def _with_outcome(record: Record, outcome: Outcome) -> Record:
    return replace(
        record,
        outcome="error" if record.error else "passed",
        model=outcome.identity.name,
        revision=outcome.identity.revision,
        metric=outcome.measurement.metric,
        measurement=outcome.measurement,
        samples=outcome.samples_file,
        seconds=round(sum(outcome.phases.values()), 3),
        phases={name: round(seconds, 3) for name, seconds in outcome.phases.items()},
        texts=outcome.texts,
        encoded=outcome.encoded,
        prompts=outcome.prompts,
        device=outcome.device,
        reused=outcome.reused,
        stages=outcome.stages,
        speed=outcome.speed,
    )

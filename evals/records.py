"""The nouns of the package, as frozen data: what is run, what came out, what was expected, what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal

from evals.naming import baseline_key, snake_case
from evals.samples import Samples
from evals.shown import Shown
from evals.terms import Terms

VerdictWord = Literal["pass", "improved", "unresolved", "regressed", "drifted", "incomparable", "missing"]
OK_VERDICTS: frozenset[VerdictWord] = frozenset({"pass", "improved", "unresolved"})
Rule = Literal["reproduce", "paired", "threshold", "floor", "chance"]
GateRule = Literal["auto", "reproduce", "paired", "threshold"]
BaselineMode = Literal["check", "record", "update", "off"]
OutcomeWord = Literal["passed", "failed", "error", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the bytes of a data set are.

    ``path`` is the root of a mirror, laid out as ``<path>/<org>/<name>/``; None for the hub. ``modelscope`` is a mirror
    that fetches from ModelScope what it lacks.
    """

    kind: Literal["hub", "mirror", "modelscope"] = "hub"
    path: Path | None = None

    def __str__(self) -> str:
        return self.kind if self.path is None else f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What collecting needs to know of a task: no data, no library object.

    ``type`` is mteb's spelling. ``subsets`` and ``splits`` are those selected. ``languages`` are the codes of
    the selected subsets, such as ``deu-Latn``. ``folder`` is set for a custom task only.
    """

    name: str
    type: str
    main_score: str
    splits: tuple[str, ...] = ("test",)
    subsets: tuple[str, ...] = ("default",)
    languages: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("text",)
    folder: Path | None = None

    @property
    def mark(self) -> str:
        """The pytest mark of the type: ``PairClassification`` is ``pair_classification``."""
        return snake_case(self.type)

    @property
    def language_codes(self) -> tuple[str, ...]:
        """The languages without their scripts: ``deu-Latn`` is ``deu``."""
        return tuple(dict.fromkeys(language.partition("-")[0] for language in self.languages))

    @property
    def strata(self) -> tuple[str, ...]:
        """The ``split/subset`` names whose scores are averaged."""
        return tuple(f"{split}/{subset}" for split in self.splits for subset in self.subsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a case is judged. ``margin``, ``floor`` and ``alpha`` are fractions, not points.

    ``rule`` names the rule to judge by; auto takes the strictest that the baseline allows.
    """

    margin: float = 0.01
    floor: float | None = None
    alpha: float = 0.05
    rule: GateRule = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model on one task: one pytest item. ``limit`` keeps that many queries, rows or pairs.

    ``stage_folders``: the results of a pipeline's two models are also kept apart, in ``stage1`` and ``stage2``.
    """

    alias: str
    task: TaskInfo
    suite: str
    source: Source = Source()
    policy: Policy = Policy()
    limit: int | None = None
    stage_folders: bool = False

    @property
    def id(self) -> str:
        """``alias:task``, the pytest id; an alias holds no colon."""
        return f"{self.alias}:{self.task.name}"

    @property
    def key(self) -> str:
        """The case's name in a baseline file: another limit is another entry."""
        return baseline_key(self.task.name, self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A task's main score and the strata it is the mean of, in [0, 1] or [-1, 1] for correlations.

    ``n`` counts samples (queries, texts, pairs or test items; clustering counts its draws).
    ``chance`` is what guessing gets, ``recomputed`` the score again by our own formula, None where there is none.
    """

    metric: str
    score: float
    subsets: Mapping[str, float]
    n: int | None = None
    chance: float | None = None
    recomputed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model was run, in the clear. None means not known.

    ``prompts`` are all that the model has, by name; an instruction template is called ``instruction``. ``max_length``
    is in tokens; ``max_characters`` is where texts are cut before a server gets them.
    """

    prompts: Mapping[str, str] | None = None
    pooling: str | None = None
    max_length: int | None = None
    max_characters: int | None = None
    dtype: str | None = None
    dimension: int | None = None
    quantize: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Who was measured.

    ``name`` and ``revision`` are the published model that the weights stand for; ``unmodified`` says that
    nothing in the specification changes what that model computes. ``fingerprint`` is 12 hex digits over the
    weights and every setting that can change a score.
    """

    name: str
    revision: str | None
    unmodified: bool
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One of a pipeline's two models, and the score of what it ranked.

    The first stage's is what its model has alone, over all documents it retrieves; the second's is the pipeline's.
    ``reused``: the documents were known from an earlier run.
    """

    alias: str
    model: str
    fingerprint: str
    metric: str
    score: float
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a measured case gives to the gate.

    ``phases`` are seconds: model, data, encode, rerank, score. ``samples_file`` is where the samples are, inside the
    store. ``prompts`` are those really put before texts, by role (``query``, ``document``) or, for texts without one,
    by task type; ``""`` is none, and None means not known. ``texts`` were asked for, of which ``encoded`` were not
    known from before, None where that is not ours to know; a pair that is scored counts as one of both.
    ``stages`` are a pipeline's; settings and prompts are then those of its reranker. ``shown`` are the samples that
    changed most, if any are compared. ``reused``: nothing was measured, all is known from an earlier run.
    """

    identity: ModelIdentity
    scores: Scores
    settings: Settings
    device: str
    dataset_revision: str | None
    data_sha256: str | None
    phases: Mapping[str, float]
    texts: int
    encoded: int | None = None
    prompts: Mapping[str, tuple[str, ...]] | None = None
    samples: Samples | None = None
    samples_file: str | None = None
    shown: Shown | None = None
    stages: tuple[Stage, ...] = ()
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One entry of a baseline file. A *recorded* entry has a fingerprint; an *imported* one has none.

    ``source`` says where the number is from, ``recorded`` on which day, ``env`` with which library versions;
    ``samples`` is the sha256 of its file of samples. ``metrics`` has, by name and stratum, other metrics that published
    tables average, such as ``cosine_ap``.
    """

    metric: str
    score: float
    subsets: Mapping[str, float]
    source: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n: int | None = None
    limit: int | None = None
    dataset_revision: str | None = None
    data_sha256: str | None = None
    fingerprint: str | None = None
    settings: Settings = Settings()
    env: Mapping[str, str] = field(default_factory=dict)
    recorded: str | None = None
    samples: str | None = None

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, score in {"score": self.score, **self.subsets}.items():
            if not -1 <= score <= 1:
                hint = f"; {score} percent are {score / 100:g}" if 1 < abs(score) <= 100 else ""
                raise ValueError(f"{name} = {score} is not a fraction{hint}")
        if self.subsets and abs(fmean(self.subsets.values()) - self.score) > 1e-9:
            raise ValueError(f"score = {self.score} is not the mean of its subsets, {fmean(self.subsets.values())}")
        for name, values in self.metrics.items():
            if set(values) != set(self.subsets) or not all(-1 <= value <= 1 for value in values.values()):
                raise ValueError(f"metrics.{name} needs a fraction for each of {', '.join(self.subsets)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFile:
    """A whole ``<alias>.json``: the model that the numbers belong to, and its entries by `Case.key`."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    schema: Literal[1] = 1
    model: str
    revision: str | None = None
    tasks: Mapping[str, Baseline] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a case is judged by: an entry, whose it is, and the file of its samples where it has one."""

    alias: str
    model: str
    revision: str | None
    baseline: Baseline
    samples: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What paired samples say of a difference, in fractions.

    Its standard error with degrees of freedom (None: normal), the two-sided 95 % interval, the one-sided p of a loss,
    how many of n samples changed, and the smallest loss that would be called regressed four times in five.
    """

    error: float
    degrees: float | None
    interval: tuple[float, float]
    p: float
    n: int
    changed: int
    detectable: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate decided and why. ``baseline`` and ``delta`` are fractions, over the strata compared."""

    word: VerdictWord
    reason: str
    rule: Rule | None = None
    baseline: float | None = None
    delta: float | None = None
    evidence: Evidence | None = None
    terms: Terms | None = None

    @property
    def ok(self) -> bool:
        """Whether the case passes."""
        return self.word in OK_VERDICTS

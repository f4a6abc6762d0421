"""Outcomes: the results of measuring a case."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, cast

OutcomeWord = Literal["passed", "failed", "error", "not measured"]
# The error if an earlier outcome was reused, and then another process found out that it does not hold.
OF_ANOTHER_COMPUTATION = "was measured before by a computation that gives other vectors now; run again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a model, in plain text. None means not known.

    ``prompts`` are all that the model has, by name; an instruction template is called ``instruction``. ``max_length``
    is in tokens; ``max_characters`` is where texts are truncated before they are sent to a server.
    """

    prompts: Mapping[str, str] | None = None
    pooling: str | None = None
    max_length: int | None = None
    max_characters: int | None = None
    dtype: str | None = None
    dimension: int | None = None
    quantize: str | None = None
    long_texts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A task's main score, with everything that identifies what was measured.

    ``subsets`` are the strata that the score is the mean of, by ``split/subset``; scores are in [0, 1], or [-1, 1] for
    correlations. ``n`` counts samples (queries, texts, pairs or test items; clustering counts its draws). ``chance`` is
    the score of guessing, ``recomputed`` the score by our own formula, None if there is none. ``limit`` is as in
    `Case`. ``fingerprint`` is the model's, None for a number that was published without one.
    """

    metric: str
    score: float
    subsets: Mapping[str, float]
    n: int | None = None
    chance: float | None = None
    recomputed: float | None = None
    limit: int | None = None
    dataset_revision: str | None = None
    data_sha256: str | None = None
    fingerprint: str | None = None
    settings: Settings = field(default_factory=Settings)


T = TypeVar("T")


class Of(Generic[T]):
    """Attribute of the measurement inside an object, by the same name; None if there is no measurement."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, holder: Any, owner: type | None = None) -> T:
        measurement = None if holder is None else holder.measurement
        return cast(T, None if measurement is None else getattr(measurement, self._name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The identity of a measured model.

    ``name`` and ``revision`` are those of the published model; ``unmodified``: nothing in the specification changes
    what that model computes. ``fingerprint`` is 12 hex digits over the weights and every setting that can change a
    score.
    """

    name: str
    revision: str | None
    unmodified: bool
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One of a pipeline's two models, and the score of its ranking.

    The score of the first stage is that of its model alone, over all documents that it retrieves; the score of the
    second is the pipeline's. ``reused``: the documents were cached by an earlier run.
    """

    alias: str
    model: str
    fingerprint: str
    metric: str
    score: float
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The speed of a model in one measurement, which no verdict depends on. None means not known, or of too few texts.

    ``texts_per_second`` and ``tokens_per_second`` are of distinct texts, or ``unit`` pairs of them, that were not
    cached: from text to vector or score, without the model's first batches. For an API the time includes waiting.
    ``query_p50`` and ``query_p95`` are percentiles of the seconds in which a single query is answered. ``machine`` is
    the hardware and its load: speeds of two machines cannot be compared.
    """

    machine: str
    unit: Literal["text", "pair"] = "text"
    texts_per_second: float | None = None
    tokens_per_second: float | None = None
    query_p50: float | None = None
    query_p95: float | None = None

    def like(self, other: "Speed") -> bool:
        """Return True if two speeds can be compared: of the same machine and unit."""
        return (self.machine, self.unit) == (other.machine, other.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of measuring a case.

    ``phases`` are seconds: model, data, encode, rerank, score. ``samples_file`` is the path of the samples inside the
    store. ``prompts`` are those really put before texts, by role (``query``, ``document``) or, for texts without one,
    by task type; ``""`` is none, and None means not known. ``texts``: number of requested texts; ``encoded``: number
    of those not cached, None if the model batches by itself; a scored pair counts as one in both. ``stages`` are a
    pipeline's; settings, prompts and speed are then those of its reranker. ``reused``: nothing was measured, the
    outcome and its speed are an earlier run's.
    """

    identity: ModelIdentity
    measurement: Measurement
    device: str
    phases: Mapping[str, float] = field(default_factory=dict)
    texts: int = 0
    encoded: int | None = None
    prompts: Mapping[str, tuple[str, ...]] | None = None
    samples_file: str | None = None
    stages: tuple[Stage, ...] = ()
    speed: Speed | None = None
    reused: bool = False

"""Outcomes: what measuring a case gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from touchstone.records.examples import Shown
from touchstone.records.samples import Samples

OutcomeWord = Literal["passed", "failed", "error", "not measured"]


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

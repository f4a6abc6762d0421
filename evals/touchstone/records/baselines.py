"""Baselines: committed measurements, one file for each alias."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from touchstone.files.validation import Strict
from touchstone.records.outcomes import Measurement, Of, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(Strict):
    """One entry of a baseline file. A *recorded* entry has a fingerprint; an *imported* one has none.

    ``source`` is where the number is from, ``recorded`` the day, ``env`` the versions of libraries; ``samples`` is the
    sha256 of its file of samples. ``metrics`` has, by name and stratum, other metrics that published
    tables average, such as ``cosine_ap``. ``gated`` and ``plan`` are as in `Policy`, of the run that recorded it.
    """

    measurement: Measurement
    source: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    recorded: str | None = None
    samples: str | None = None
    gated: int | None = None
    plan: str | None = None

    metric = Of[str]()
    score = Of[float]()
    subsets = Of[Mapping[str, float]]()
    n = Of[int | None]()
    limit = Of[int | None]()
    dataset_revision = Of[str | None]()
    data_sha256 = Of[str | None]()
    fingerprint = Of[str | None]()
    settings = Of[Settings]()

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
class BaselineFile(Strict):
    """A whole ``<alias>.json``: the model that the numbers belong to, and its entries by `Case.key`.

    ``anchors`` has, by the same keys, the first of the entries that were replaced; without one an entry is its own
    anchor. ``moved`` has the day on which an anchor was moved to the present entry, and the reason.
    """

    schema: Literal[1] = 1
    model: str
    revision: str | None = None
    tasks: Mapping[str, Baseline] = field(default_factory=dict)
    anchors: Mapping[str, Baseline] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The baseline that a case is judged by: an entry, its model, and the file of its samples if it has one.

    ``anchor`` is the reference of the anchor, None if the entry is its own.
    """

    alias: str
    model: str
    revision: str | None
    baseline: Baseline
    samples: Path | None = None
    anchor: "Reference | None" = None

"""Cases: one model on one task, from a source, judged by a policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from touchstone.records.names import baseline_key, snake_case

# The inputs of a model: texts, pairs of texts, or, for a pipeline, first texts and then pairs.
Reads = Literal["texts", "pairs", "both"]
GateRule = Literal["auto", "reproduce", "equivalent", "paired", "threshold"]
BaselineMode = Literal["check", "record", "update", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The place of data sets.

    ``path`` is the root of a mirror with folders ``<path>/<org>/<name>/``, None for the hub. ``modelscope`` is a mirror
    that fetches what it lacks from ModelScope.
    """

    kind: Literal["hub", "mirror", "modelscope"] = "hub"
    path: Path | None = None

    def __str__(self) -> str:
        return self.kind if self.path is None else f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """The facts of a task that collecting needs, without its data and without an object of mteb's.

    ``type`` is mteb's spelling. ``subsets`` and ``splits`` are those selected. ``languages`` are the codes of
    the selected subsets, such as ``deu-Latn``. ``folder`` is set for a custom task only, and ``code``, as
    ``module:name``, for a class of the user's; ``loads_itself``: the class loads its data, not a source.
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
    code: str | None = None
    loads_itself: bool = False

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
    """The terms by which a case is judged. All numbers are fractions, not points.

    ``margin`` is the loss that a case may have, ``suite_margin`` that of the mean over a model's cases, and ``bound``
    the difference of two scores that still count as the same. ``alpha`` is the rate of false alarms. ``rule`` names the
    rule to judge by; auto is the strictest that the baseline allows. ``gated`` is the number of this model's cases in
    the plan of the suite's file, whatever was selected of them, and ``plan`` is that plan's hash.
    """

    margin: float = 0.01
    floor: float | None = None
    alpha: float = 0.05
    rule: GateRule = "auto"
    bound: float = 0.002
    suite_margin: float = 0.005
    gated: int = 1
    plan: str | None = None

    @property
    def confidence(self) -> float:
        """The confidence of the one-sided bound by which a case passes."""
        return 1 - self.alpha

    def level(self, *, anchored: bool = False) -> float:
        """Return the level that the p-value of a case's loss must stay below: half of alpha, shared among the cases.

        The mean over the cases has the other half. ``anchored``: the case is judged by two references.
        """
        return self.mean_level(anchored=anchored) / self.gated

    def mean_level(self, *, anchored: bool = False) -> float:
        """Return the level that the p-value of the mean over the cases must stay below."""
        return self.alpha / (4 if anchored else 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model on one task: one pytest item. ``limit`` keeps that many queries, rows or pairs.

    ``stage_folders``: the results of a pipeline's two models are also kept apart, in ``stage1`` and ``stage2``.
    ``slices`` are the fields of samples by which reports have figures.
    """

    alias: str
    task: TaskInfo
    suite: str
    source: Source = Source()
    policy: Policy = Policy()
    limit: int | None = None
    stage_folders: bool = False
    slices: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``alias:task``, the pytest id; an alias holds no colon."""
        return f"{self.alias}:{self.task.name}"

    @property
    def data(self) -> str:
        """The origin of its data, in a word."""
        return "folder" if self.task.folder else "class" if self.task.loads_itself else str(self.source)

    @property
    def key(self) -> str:
        """The case's name in a baseline file: another limit is another entry."""
        return baseline_key(self.task.name, self.limit)

"""What the cases of a plan could detect, and the limits by which they reach a goal at the least cost."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from touchstone.baselines.files import Baselines
from touchstone.formatting import count
from touchstone.judging import power
from touchstone.judging.power import Change, Choice, Criterion, allocate, mean_error
from touchstone.records.cases import Case, TaskInfo
from touchstone.records.runs import Record, Run
from touchstone.schedule.workload import find_sizes, statistics_folder
from touchstone.session.forecast import make_forecast
from touchstone.session.plan import Plan
from touchstone.task_types.registry import find_type

Limits = Mapping[str, Sequence[int | None]]
Seconds = Mapping[tuple[str, int | None], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard deviation of the differences of samples, as a fraction, and where it is from.

    ``rough``: it is that of means of samples in [0, 1], which the score is not.
    """

    value: float
    source: str
    rough: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePower:
    """A case with its choices, the last of which is all of its samples, and that of the plan as it is.

    ``sizes`` are the samples of each stratum in the plan as it is; without them or a spread there are no choices.
    ``anchored``: the case will be judged by an anchor, too.
    """

    case: Case
    sizes: tuple[int, ...]
    spread: Spread | None
    seconds: float
    now: Choice | None = None
    choices: tuple[Choice, ...] = ()
    anchored: bool = False

    @property
    def criterion(self) -> Criterion:
        """What counts as a loss of the case."""
        policy = self.case.policy
        return Criterion(margin=policy.margin, level=policy.level(anchored=self.anchored))

    def detects(self, choice: Choice) -> float:
        """Return the smallest loss that the case finds with a choice, as a fraction."""
        return self.criterion.detects(choice.error, choice.shift)

    @property
    def lacking(self) -> tuple[int, int] | None:
        """The samples that count for a pass and how many it takes; None where these are enough."""
        largest = find_type(self.case.task.type).largest_loss
        if largest is None or not self.sizes or has_draws(self.case.task):
            return None
        counted, least = min(self.sizes) * len(self.sizes), power.passable(self.case.policy, largest)
        return (counted, least) if counted < least else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPower:
    """The cases of one model."""

    alias: str
    cases: tuple[CasePower, ...]

    @property
    def known(self) -> tuple[CasePower, ...]:
        """Those with choices, whose mean stands for the suite."""
        return tuple(case for case in self.cases if case.choices)

    @property
    def criterion(self) -> Criterion:
        """What counts as a loss of the mean over the known cases, or of the only one."""
        if len(self.known) == 1:
            return self.known[0].criterion
        policy = self.known[0].case.policy
        level = policy.mean_level(anchored=any(case.anchored for case in self.known))
        return Criterion(margin=policy.suite_margin, level=level)

    def fitted(self, goal: float) -> "ModelPower":
        """Return the cases with a margin of the mean by which a loss of the goal can be found."""
        if len(self.known) < 2:
            return self
        margin = power.fitting_margin(self.criterion.margin, goal, self.criterion.level)
        cases = [
            replace(item, case=replace(item.case, policy=replace(item.case.policy, suite_margin=margin)))
            for item in self.cases
        ]
        return replace(self, cases=tuple(cases))

    def detects(self, choices: Sequence[Choice]) -> float:
        """Return the smallest loss of the mean that is found with a choice of each known case, as a fraction."""
        return self.criterion.detects(*_figures(choices))

    def times_needed(self, goal: float) -> float:
        """Return how many times all samples detect a loss of the mean; infinite where no number does."""
        return self.criterion.times_needed(goal, *_figures([case.choices[-1] for case in self.known]))

    def allocate(self, goal: float) -> list[Choice] | None:
        """Return the cheapest choice of each known case by which a loss of the mean is found; None: there are none."""
        if len(self.known) == 1:
            choices = [choice for choice in self.known[0].choices if self.detects([choice]) <= goal]
            return [min(choices, key=lambda choice: choice.seconds)] if choices else None
        return allocate([case.choices for case in self.known], self.criterion.largest_error(goal)) if self.known else []


def _figures(choices: Sequence[Choice]) -> tuple[float, float]:
    """Return the error of the mean, and its shift, which counts for a single case only: in a mean it is small."""
    return mean_error([choice.error for choice in choices]), choices[0].shift if len(choices) == 1 else 0.0


def find_power(
    plan: Plan, runs: Sequence[Run], *, baselines: Baselines, device: str, change: Change
) -> tuple[ModelPower, ...]:
    """Return what each model's cases could detect, by earlier runs and else by the kind of change that is expected."""
    gated = Counter(case.alias for case in plan.cases)
    cases = tuple(
        replace(case, policy=replace(case.policy, gated=max(case.policy.gated, gated[case.alias])))
        for case in plan.cases
    )
    sizes = {case.task.name: _find_sizes(case.task, baselines, gated) for case in cases}
    limits = {case.task.name: _find_limits(case, sizes[case.task.name]) for case in cases}
    seconds = _find_seconds(replace(plan, cases=cases), runs, device=device, sizes=sizes, limits=limits)
    records = [record for run in runs for record in run.records]
    powers = []
    for case in cases:
        name = case.task.name
        spread = _find_spread(case, sizes[name], records=records, change=change)
        reference = baselines.find(case.alias, case.key)
        case_power = _make_power(case, sizes[name], spread=spread, limits=limits[name], seconds=seconds)
        powers.append(replace(case_power, anchored=reference is not None and reference.anchor is not None))
    return tuple(ModelPower(alias=alias, cases=tuple(p for p in powers if p.case.alias == alias)) for alias in gated)


def find_goal(models: Sequence[ModelPower], goal: float) -> dict[str, Choice] | None:
    """Return the choice of each known case, by id, by which every model's mean finds a loss of the goal.

    A task has one limit, the largest that a model needs. None: not even all samples do.
    """
    limits: dict[str, float] = {}
    for model in models:
        allocated = model.allocate(goal)
        if allocated is None:
            return None
        for entry, choice in zip(model.known, allocated, strict=True):
            limit = math.inf if choice.limit is None else choice.limit
            limits[entry.case.task.name] = max(limit, limits.get(entry.case.task.name, 0))
    return {
        entry.case.id: next((c for c in entry.choices if c.limit == limits[entry.case.task.name]), entry.choices[-1])
        for model in models
        for entry in model.known
    }


def has_draws(task: TaskInfo) -> bool:
    """Return True if a limit does not change the number of samples: these are draws of the rows."""
    return find_type(task.type).sample_word == "draws"


def _limit_sizes(task: TaskInfo, sizes: Sequence[int], limit: int | None) -> tuple[int, ...]:
    return power.limit_sizes(sizes, None if has_draws(task) else limit)


def _find_sizes(task: TaskInfo, baselines: Baselines, first: Iterable[str]) -> tuple[int, ...]:
    """Return all samples of each stratum, by the baseline of any model, else by statistics; none where not known."""
    candidates = (_sizes_of_baseline(task, baselines, alias) for alias in dict.fromkeys((*first, *baselines.aliases())))
    sizes = next(filter(None, candidates), ()) or (() if has_draws(task) else find_sizes(task, statistics_folder()))
    strata = len(task.strata)
    return sizes if not sizes or len(sizes) == strata else (max(1, round(sum(sizes) / strata)),) * strata


def _sizes_of_baseline(task: TaskInfo, baselines: Baselines, alias: str) -> tuple[int, ...]:
    """Return the samples of each stratum, or of all together; none where the baseline has not all strata."""
    reference = baselines.find(alias, task.name)
    if reference is None or not reference.baseline.n or not set(task.strata) <= set(reference.baseline.subsets):
        return ()
    if len(task.strata) > 1 and (samples := baselines.load_samples(reference)) is not None:
        return tuple(len(rows) for name, rows in samples.by_stratum().items() if name in task.strata)
    return (round(reference.baseline.n * len(task.strata) / len(reference.baseline.subsets)),)


def _find_limits(case: Case, sizes: Sequence[int]) -> Sequence[int | None]:
    if not sizes or has_draws(case.task):
        return [case.limit]
    return power.find_limits(math.ceil(power.passable(case.policy) / len(sizes)), sizes)


def _find_seconds(
    plan: Plan, runs: Sequence[Run], *, device: str, sizes: Mapping[str, Sequence[int]], limits: Limits
) -> dict[tuple[str, int | None], float]:
    """Return the seconds of each case at each limit: those of the plan, times the ratio of the amounts of text."""
    current, by_text = make_forecast(plan, runs, device).estimates, make_forecast(plan, (), device).estimates
    seconds = {(case.id, case.limit): current[case.id].seconds for case in plan.cases}
    before = {case.id: case.limit for case in plan.cases}
    for step in range(max(map(len, limits.values()), default=0)):
        steps_of = [(case, limits[case.task.name]) for case in plan.cases]
        cases = tuple(replace(case, limit=steps[step]) for case, steps in steps_of if step < len(steps))
        estimates = make_forecast(replace(plan, cases=cases), (), device).estimates
        for case in cases:
            text, full = by_text[case.id], sizes[case.task.name]
            share = estimates[case.id].seconds / text.seconds if text.seconds else 1.0
            if text.basis == "unknown" and full:  # then by the samples
                limited, planned = (_limit_sizes(case.task, full, limit) for limit in (case.limit, before[case.id]))
                share = sum(limited) / sum(planned)
            seconds.setdefault((case.id, case.limit), current[case.id].seconds * share)
    return seconds


def _find_spread(case: Case, sizes: Sequence[int], *, records: Sequence[Record], change: Change) -> Spread | None:
    """Return the median over earlier comparisons of this model, else of others, else that of the kind of change.

    A model that was compared with itself shows none.
    """
    same_task = [r for r in records if r.task == case.task.name and r.rule != "reproduce"]
    for group, suffix in (([r for r in same_task if r.alias == case.alias], ""), (same_task, " of other models")):
        # One comparison that was judged again is one.
        errors = {(r.evidence.error, r.evidence.n, r.limit) for r in group if r.evidence and r.evidence.error > 0}
        if errors and sizes:
            spreads = [power.spread_of(error, n, _limit_sizes(case.task, sizes, limit)) for error, n, limit in errors]
            return Spread(value=median(spreads), source=f"{count(len(spreads), 'earlier comparison')}{suffix}")
    if has_draws(case.task):
        return None
    return Spread(value=power.SPREADS[change], source=change, rough=find_type(case.task.type).largest_loss is None)


def _make_power(
    case: Case, sizes: tuple[int, ...], *, spread: Spread | None, limits: Sequence[int | None], seconds: Seconds
) -> CasePower:
    """Return the power of a case; its choices are empty where the samples or their spread are not known."""
    draws, largest = has_draws(case.task), find_type(case.task.type).largest_loss

    def choose(limit: int | None) -> Choice:
        counts = _limit_sizes(case.task, sizes, limit)
        error = spread.value / math.sqrt(power.effective(counts)) if spread else math.inf
        shift = 0.0 if draws or not largest else largest / (min(counts) + 1) / len(counts)
        return Choice(limit=limit, n=sum(counts), error=error, seconds=seconds[case.id, limit], shift=shift)

    has_choices = bool(sizes and spread)
    return CasePower(
        case=case,
        sizes=_limit_sizes(case.task, sizes, case.limit),
        spread=spread,
        seconds=seconds[case.id, case.limit],
        now=choose(case.limit) if has_choices else None,
        choices=tuple(map(choose, limits)) if has_choices else (),
    )

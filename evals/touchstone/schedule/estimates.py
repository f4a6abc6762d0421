"""How long a case will take: by earlier runs, by other models, by the text it has. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from touchstone.records.cases import Case, Reads
from touchstone.records.runs import Record, Run
from touchstone.schedule.workload import Workload

Basis = Literal["in the store", "timed", "other model", "text statistics", "unknown"]
# Seconds a character where this machine has measured nothing: all-MiniLM-L6-v2 took 6e-5 to 1e-4 on one CPU core. Those
# of other devices are guesses.
SECONDS_A_CHARACTER: Mapping[str, float] = {"cpu": 7e-5, "cuda": 1e-6, "mps": 1e-5, "api": 1e-5}
# What a text costs beside its characters: special tokens, padding, its place in the cache and in the score.
CHARACTERS_PER_TEXT = 40.0
# A case of which nothing at all is known, where nothing else is known either.
UNKNOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The seconds of a case without loading its model, and what they rest on."""

    seconds: float
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a case took once, without loading its model, and how much of its text was new then."""

    alias: str
    fingerprint: str | None
    task: str
    limit: int | None
    device: str
    seconds: float
    encoded: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Inputs of an estimate.

    ``timings`` are of earlier runs, oldest first, ``workloads`` by case id. ``devices`` and ``reads`` are by alias:
    cpu, cuda, mps or api, and what a model reads. ``cached_ids`` are those of cases whose outcome is in the store.
    """

    timings: Sequence[Timing] = ()
    workloads: Mapping[str, Workload | None]
    devices: Mapping[str, str]
    reads: Mapping[str, Reads]
    cached_ids: Collection[str] = frozenset()


def find_timings(runs: Iterable[Run]) -> tuple[Timing, ...]:
    """Return what earlier runs took for the cases that they measured, in the order of the runs."""
    records = (record for run in runs for record in run.records)
    return tuple(_timing(record) for record in records if record.score is not None and not record.reused)


def find_loading(runs: Iterable[Run]) -> dict[str, float]:
    """Return the seconds to load each model, by alias: the median of the times that it was loaded."""
    by_alias: dict[str, list[float]] = {}
    for record in (record for run in runs for record in run.records):
        seconds = (record.phases or {}).get("model", 0.0)
        if seconds > 0.01:  # less is to find that it is loaded
            by_alias.setdefault(record.alias, []).append(seconds)
    return {alias: median(seconds) for alias, seconds in by_alias.items()}


def estimate(cases: Sequence[Case], sight: Sight) -> dict[str, Estimate]:
    """Return the estimated seconds of each case, by id.

    The first that is known of: the case's own timings; those of other models on its task, by how much faster this one
    is on tasks that both ran; the amount of its text, at the speed of its model here; the mean of its task type.
    """
    by_place = _by_place(sight.timings)
    timed = {case.id: seconds for case in cases if (seconds := _own_seconds(case, sight, by_place)) is not None}
    speeds = _speeds(cases, sight, by_place)
    factors = _factors(by_place)
    estimates: dict[str, Estimate] = {}
    for case in cases:
        of_others = _by_others(case, sight, by_place, factors)
        amount = _amount(case, sight)
        if case.id in sight.cached_ids:
            estimates[case.id] = Estimate(seconds=0.0, basis="in the store")
        elif case.id in timed:
            estimates[case.id] = Estimate(seconds=timed[case.id], basis="timed")
        elif of_others is not None:
            estimates[case.id] = Estimate(seconds=of_others, basis="other model")
        elif amount is not None:
            estimates[case.id] = Estimate(seconds=amount * speeds[case.alias], basis="text statistics")
    return {case.id: estimates.get(case.id) or _unknown(case, cases, estimates) for case in cases}


def device_kind(device: str) -> str:
    """Return the kind of a device: ``cuda:1`` is ``cuda``."""
    return device.partition(":")[0]


def _timing(record: Record) -> Timing:
    phases = record.phases or {}
    return Timing(
        alias=record.alias,
        fingerprint=record.fingerprint,
        task=record.task,
        limit=record.limit,
        device=device_kind(record.device or "cpu"),
        seconds=max(0.0, (record.seconds or 0.0) - phases.get("model", 0.0)),
        encoded=record.encoded,
    )


# A shorter case does not show how fast a model is.
MIN_SECONDS = 1e-3
Place = tuple[str, int | None, str]
# Timings by task, limit and device, and then by alias.
ByPlace = Mapping[Place, Mapping[str, Sequence[Timing]]]


def _by_place(timings: Iterable[Timing]) -> ByPlace:
    by_place: dict[Place, dict[str, list[Timing]]] = {}
    for timing in timings:
        place = (timing.task, timing.limit, timing.device)
        by_place.setdefault(place, {}).setdefault(timing.alias, []).append(timing)
    return by_place


def _place(case: Case, sight: Sight) -> Place:
    return case.task.name, case.limit, sight.devices.get(case.alias, "cpu")


def _own_seconds(case: Case, sight: Sight, by_place: ByPlace) -> float | None:
    """Return the median over the weights of the newest run.

    What a run encodes is kept for the next one of the same weights: only the first of these was slow.
    """
    timings = by_place.get(_place(case, sight), {}).get(case.alias, ())
    same_weights = [timing.seconds for timing in timings if timing.fingerprint == timings[-1].fingerprint]
    return median(same_weights) if same_weights else None


def _factors(by_place: ByPlace) -> dict[tuple[str, str, str], float]:
    """Return how much longer one model takes than another on the same device: the median over tasks that both ran."""
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for (_, _, device), by_alias in by_place.items():
        longest = {alias: max(timing.seconds for timing in timings) for alias, timings in by_alias.items()}
        for model, seconds in longest.items():
            for reference, base in longest.items():
                if model != reference and base >= MIN_SECONDS:
                    ratios.setdefault((model, reference, device), []).append(seconds / base)
    return {pair: median(values) for pair, values in ratios.items()}


def _by_others(
    case: Case,
    sight: Sight,
    by_place: ByPlace,
    factors: Mapping[tuple[str, str, str], float],
) -> float | None:
    """Return the median over what other models took at their longest, when nothing of it was known; None without any.

    A model of which no task is shared counts as fast as this one.
    """
    place = _place(case, sight)
    seconds = [
        max(timing.seconds for timing in timings) * factors.get((case.alias, alias, place[2]), 1.0)
        for alias, timings in by_place.get(place, {}).items()
        if alias != case.alias
    ]
    return median(seconds) if seconds else None


def _amount(case: Case, sight: Sight) -> float | None:
    """Return how much a case has to read, in characters."""
    load = sight.workloads.get(case.id)
    if load is None:
        return None
    texts = load.characters + CHARACTERS_PER_TEXT * load.texts
    pairs = load.pair_characters + CHARACTERS_PER_TEXT * load.pairs
    return {"texts": texts, "pairs": pairs, "both": texts + pairs}[sight.reads.get(case.alias, "texts")]


def _speeds(cases: Sequence[Case], sight: Sight, by_place: ByPlace) -> dict[str, float]:
    """Return each model's seconds a character: as measured, else that of the others here, else the default."""
    measured: dict[str, tuple[float, float]] = {}
    for case in cases:
        amount, load = _amount(case, sight), sight.workloads.get(case.id)
        timings = by_place.get(_place(case, sight), {}).get(case.alias, ())
        # Those of which at least half of the texts were new.
        cold = [t.seconds for t in timings if load and (t.encoded is None or t.encoded * 2 >= load.texts)]
        if cold and amount:
            seconds, characters = measured.get(case.alias, (0.0, 0.0))
            measured[case.alias] = (seconds + max(cold), characters + amount)
    known_speeds = {alias: seconds / characters for alias, (seconds, characters) in measured.items() if seconds > 0}
    speeds = {}
    for alias in {case.alias for case in cases}:
        device = sight.devices.get(alias, "cpu")
        peers = [speed for other, speed in known_speeds.items() if sight.devices.get(other, "cpu") == device]
        default = median(peers) if peers else SECONDS_A_CHARACTER.get(device, SECONDS_A_CHARACTER["cpu"])
        speeds[alias] = known_speeds.get(alias, default)
    return speeds


def _unknown(case: Case, cases: Sequence[Case], estimates: Mapping[str, Estimate]) -> Estimate:
    """Return the mean of the case's task type, else of all cases, in this run."""
    timed = [(other, estimates[other.id].seconds) for other in cases if other.id in estimates]
    pairs = [(other.task.type, seconds) for other, seconds in timed if seconds > 0]
    same_type = [seconds for type_name, seconds in pairs if type_name == case.task.type] or [s for _, s in pairs]
    return Estimate(seconds=fmean(same_type) if same_type else UNKNOWN_SECONDS, basis="unknown")

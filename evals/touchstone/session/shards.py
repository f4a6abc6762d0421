"""Which cases of a run a shard has: a pure function of the cases, of what they cost, and of how many shards there are.

No job knows what another one has in its store, so no estimate here rests on a store: only on a file of costs that all
jobs have alike, and on the amount of text.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from touchstone.config.models import Model
from touchstone.config.options import Options
from touchstone.environment import describe_environment
from touchstone.errors import ConfigError
from touchstone.files.validation import Number, Strict, check_json
from touchstone.files.writing import read_bytes, to_json, write_atomically
from touchstone.models.base import MTEB_PREFIX
from touchstone.models.kinds import kind_of
from touchstone.records.cases import Case
from touchstone.records.runs import Shard
from touchstone.schedule.dispatch import Job
from touchstone.schedule.estimates import Sight, estimate
from touchstone.schedule.sharding import divide
from touchstone.schedule.workload import find_documents, find_workload, statistics_folder
from touchstone.session.plan import Plan
from touchstone.task_types.registry import find_type

# What measures and judges: shards of another version are of another run.
VERSIONS = ("touchstone-evals", "mteb")
MAX_COST_S = 1e9
# A part is worth it that has at least one part in so many of the largest corpus that is not divided.
PARTS_PER_LIMIT = 10


def cut(shard: Shard, plan: Plan, selected: Sequence[str], options: Options) -> Shard:
    """Return a shard with its cases and with the hash of what all shards of the run have in common.

    Args:
        shard: which of how many.
        plan: of the whole run.
        selected: the ids of its cases that were selected, in any order.
        options: with the file of costs and with what is judged how.

    Raises:
        ConfigError: the file of costs is none, or several shards have cases of a model behind an API.
    """
    cases = [case for case in plan.cases if case.id in set(selected)]
    costs = _find_costs(plan, cases, options.costs)
    jobs = []
    for at, case in enumerate(cases):
        parts = count_parts(case, plan.models[case.alias], options.split_texts, shard.of)
        jobs += make_parts(Job(items=(at,), seconds=costs[case.id], model=case.alias), parts)
    shares = [sorted(job.items for job in share) for share in divide(jobs, shard.of)]
    _refuse_unsure(plan, [{cases[items[0]].alias for items in share} for share in shares], options)
    own_parts: dict[int, list[int]] = {}
    for at, *part in shares[shard.number - 1]:
        own_parts.setdefault(at, []).extend(part)
    return replace(
        shard,
        plan=_hash(cases, shares, options),
        cases=tuple(cases[at].id for at in own_parts),
        parts={cases[at].id: tuple(part) for at, part in own_parts.items() if part},
        baseline=options.baseline,
    )


def _refuse_unsure(plan: Plan, shares: Sequence[set[str]], options: Options) -> None:
    """Refuse to let several shards measure what may be another model in each of them."""
    for alias in dict.fromkeys(alias for share in shares for alias in share):
        served = any(kind_of(stage).served for stage in plan.models[alias].family)
        if served and not options.reuse_api and sum(alias in share for share in shares) > 1:
            raise ConfigError(
                f"--shard: {alias} is behind an API, and no shard knows that another one asks the same model; add "
                "--reuse-api to take it for the same, or run it without --shard"
            )


def count_parts(case: Case, model: Model, max_documents: int, workers: int) -> int:
    """Return into how many parts a case's corpus is divided; 1 where it is not.

    As many as there are workers, if each part is worth it, and more where one would be larger than what is not divided.

    Args:
        case: what is measured.
        model: what measures it.
        max_documents: a corpus of more documents is divided.
        workers: among which it is.
    """
    kind, searched = kind_of(model), find_type(case.task.type).searches == "corpus"
    by_mteb = str(getattr(model.spec, "quantize", None) or "").startswith(MTEB_PREFIX)  # with the ranges of the whole
    if not kind.divides or by_mteb or kind.reads(model) != "texts" or not searched or case.limit or case.task.code:
        return 1
    documents = find_documents(case.task, statistics_folder())
    if documents <= max_documents:
        return 1
    limits = documents / max_documents
    return max(math.ceil(limits), min(workers, math.ceil(limits * PARTS_PER_LIMIT)))


def make_parts(job: Job, parts: int) -> list[Job]:
    """Return a job for each part of a case, each with an equal share of its time; the job itself for one part."""
    if parts == 1:
        return [job]
    return [replace(job, items=(*job.items, part), seconds=job.seconds / parts) for part in range(1, parts + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs(Strict):
    """A file of costs: the seconds of each case, by its id, without loading its model."""

    seconds: Mapping[str, Number]


def _find_costs(plan: Plan, cases: Sequence[Case], file: Path | None) -> dict[str, float]:
    """Return the seconds of each case: as a file says, else by the amount of its text."""
    statistics = statistics_folder()
    kinds = {case.alias: kind_of(plan.models[case.alias]) for case in cases}
    sight = Sight(
        workloads={case.id: find_workload(case, statistics) for case in cases},
        devices={alias: "api" if kind.served else "cpu" for alias, kind in kinds.items()},
        reads={alias: kind.reads(plan.models[alias]) for alias, kind in kinds.items()},
    )
    by_text = {id_: estimated.seconds for id_, estimated in estimate(cases, sight).items()}
    return by_text | ({} if file is None else read_costs(file))


def read_costs(file: Path) -> dict[str, float]:
    """Read what `write_costs` wrote.

    Raises:
        ConfigError: the file is damaged, or a number is no time.
    """
    costs = check_json(Costs, read_bytes(file, ConfigError), str(file)).seconds
    case_id = next((id_ for id_, seconds in costs.items() if not 0 <= seconds < MAX_COST_S), None)
    if case_id is not None:
        raise ConfigError(f"{file}: [seconds] {case_id} = {costs[case_id]}; expected seconds, 0 or more")
    return dict(costs)


def write_costs(file: Path, costs: Mapping[str, float]) -> None:
    """Write the seconds of cases, by their ids, to be committed."""
    write_atomically(file, to_json({"seconds": {id_: round(seconds, 1) for id_, seconds in costs.items()}}))


def _hash(cases: Sequence[Case], shares: Sequence[Sequence[tuple[int, ...]]], options: Options) -> str:
    """Return the hash of what is measured and how it is judged; not of where files are, which jobs have elsewhere."""
    of_cases = [
        [case.id, case.task.type, case.task.main_score, case.task.strata, case.limit, case.source.kind,
         asdict(case.policy), case.slices, case.stage_folders]
        for case in cases
    ]  # fmt: skip
    versions = {name: describe_environment().get(name) for name in VERSIONS}
    content = [of_cases, shares, options.baseline, options.against, versions]
    return hashlib.sha256(to_json(content).encode()).hexdigest()[:16]

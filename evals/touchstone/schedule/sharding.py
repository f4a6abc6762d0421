"""How the cases of a run are divided among jobs that know nothing of each other. Pure."""

from collections.abc import Sequence

from touchstone.schedule.dispatch import Job, Promised, longest_first, share_out

# Sums of the same seconds in another order may differ in their last digits.
ROUNDING = 1 + 1e-9


def divide(jobs: Sequence[Job], shards: int) -> list[list[Job]]:
    """Divide jobs, the longest first; one model's stay together where no shard ends later for that.

    Args:
        jobs: in any order.
        shards: at least one.

    Returns:
        The jobs of each shard; none for some where there are more shards than jobs.
    """
    spread = share_out([Promised()] * shards, longest_first(jobs), {})
    room = max(sum(job.seconds for job in share) for share in spread) * ROUNDING
    return _pack(jobs, shards, room) or spread


def _pack(jobs: Sequence[Job], shards: int, room: float) -> list[list[Job]] | None:
    """Fill shards model by model, so that none takes longer than ``room``; None where that cannot be seen to do."""
    by_model: dict[str, list[Job]] = {}
    for job in longest_first(jobs):
        by_model.setdefault(job.model or "", []).append(job)
    shares: list[list[Job]] = [[] for _ in range(shards)]
    ends = [0.0] * shards
    for group in sorted(by_model.values(), key=lambda group: (-sum(job.seconds for job in group), group[0].items)):
        has: set[int] = set()
        for job in group:
            fits = [number for number in range(shards) if ends[number] + job.seconds <= room]
            if not fits:
                return None
            with_model = [number for number in fits if number in has]
            chosen = max(with_model, key=ends.__getitem__) if with_model else min(fits, key=ends.__getitem__)
            has.add(chosen)
            ends[chosen] += job.seconds
            shares[chosen].append(job)
    return shares

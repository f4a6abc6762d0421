"""A card's block that repeats every metric: the parts of an aggregate under one part's name, or a mistake."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from evals.errors import BaselineError

# In points. Cards give a mean in full or to three digits.
ROUNDED = 1e-3


def has_repeats(metrics: Sequence[tuple[str, float]]) -> bool:
    """Say whether a metric is given more than once."""
    return len({name for name, _ in metrics}) < len(metrics)


def split_repeats(
    metrics: Sequence[tuple[str, float]], task: str, aggregates: Mapping[str, Sequence[str]], where: str
) -> dict[str, list[tuple[str, float]]]:
    """Take apart a block that has every metric once for each part of an aggregate and once for the aggregate.

    Such a block was written from files in the order of their names, so the aggregate's own number stands where its
    name does among them. It is recognised by being the mean of all the others, in every metric; nothing else tells
    it from a block that was repeated by mistake.

    Args:
        metrics: name and value in points, in the card's order.
        task: the name that the block has.
        aggregates: from `find_aggregates`.
        where: the block's place, for errors.

    Returns:
        The metrics by task name.

    Raises:
        BaselineError: metrics are repeated and it is not this.
    """
    by_name: dict[str, list[float]] = {}
    for name, value in metrics:
        by_name.setdefault(name, []).append(value)
    aggregate = next((name for name, parts in aggregates.items() if task in (name, *parts)), None)
    tasks = [] if aggregate is None else sorted((aggregate, *aggregates[aggregate]))
    if aggregate is None or any(len(values) != len(tasks) for values in by_name.values()):
        name, values = max(by_name.items(), key=lambda item: len(item[1]))
        raise BaselineError(f'{where}: has the metric "{name}" {len(values)} times; expected it once')
    mean_at = tasks.index(aggregate)
    for name, values in by_name.items():
        mean = fmean(values[:mean_at] + values[mean_at + 1 :])
        if not abs(values[mean_at] - mean) <= ROUNDED:
            own = f"number {mean_at + 1} is {values[mean_at]:g}, not the mean of the others, {mean:g}"
            raise BaselineError(
                f'{where}: has the metric "{name}" {len(values)} times, and {own}; '
                f"expected it once, or {aggregate} between its parts"
            )
    return {part: [(name, values[at]) for name, values in by_name.items()] for at, part in enumerate(tasks)}

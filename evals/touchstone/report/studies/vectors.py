"""The comparison of two models' vectors, as text and as a page."""

from collections.abc import Iterator, Sequence

from touchstone.formatting import columns, count, points, signed_points
from touchstone.metrics.geometry import Shape
from touchstone.records.studies import IndexVerdict, SameTexts, Searched
from touchstone.report.html import render_page
from touchstone.report.text import brief


def render_vectors(comparison: IndexVerdict) -> str:
    """Return the verdict, how each way to search scores, and how the vectors of the same texts differ."""
    lines = [
        brief(f"{comparison.new} on an index of {comparison.old}: {comparison.verdict}: {comparison.reason}", 4_000)
    ]
    if comparison.searched:
        lines += ["", *columns([HEADER, *map(searched_cells, comparison.searched)])]
    return "\n".join([*lines, "", *columns(list(same_rows(comparison.same_texts, comparison.old, comparison.new)))])


def render_vectors_page(comparison: IndexVerdict) -> str:
    """Return the same as one page of HTML."""
    return render_page(
        "vectors.html.jinja",
        comparison=comparison,
        header=HEADER,
        searched=list(map(searched_cells, comparison.searched)),
        same=list(same_rows(comparison.same_texts, comparison.old, comparison.new)),
    )


HEADER = ("queries", "on an index of", "mean", "Δ", "95 %", "verdict")


def searched_cells(way: Searched) -> tuple[str, ...]:
    """Return one way to search as a row: a mean over tasks, and its difference to old on old."""
    mean = sum(way.scores.values()) / len(way.scores)
    delta = "" if way.delta is None else signed_points(way.delta)
    interval = "" if way.interval is None else "[{}, {}]".format(*map(signed_points, way.interval))
    word = {"": "as it is", "PASS": "the same", "FAIL": "another"}.get(way.verdict, way.verdict.lower())
    return brief(way.queries), brief(way.index), points(mean), delta, interval, word


def same_rows(same: SameTexts, old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of facts about the vectors of the same texts."""
    yield "texts", str(same.texts)
    if same.quantiles is not None:
        least, low, middle = same.quantiles
        yield "cosine of a text's two vectors", f"median {middle:.6f}, 5 % below {low:.6f}, least {least:.6f}"
        yield "", "; ".join(f"{share:.1%} below {limit}" for limit, share in same.below.items())
    if same.moved is not None:
        yield "what moved", same.moved
    yield "ten nearest neighbours kept", f"{same.kept[0]:.1%}, of the worst text {same.kept[1]:.0%}"
    if same.ranks is not None:
        yield "rank correlation of similarities", f"{same.ranks:.6f}"
    yield "cosines of pairs of texts", f"99 % differ by {same.pairs:.1g} or less"
    for name, shape in zip((old, new), same.shapes, strict=True):
        yield brief(name), _shape(shape)
    for sample in same.worst if (same.quantiles or (1.0,))[0] < 1 - 1e-6 else ():
        yield f"cosine {sample.cosine:.4f}", brief(sample.text, 80)


def _shape(shape: Shape) -> str:
    least, middle, most = shape.norms
    norms = (
        "lengths 1"
        if abs(least - 1) < 1e-3 > abs(most - 1)
        else f"lengths {least:.3g} to {most:.3g}, median {middle:.3g}"
    )
    odd: Sequence[str] = [
        *([f"{count(shape.collapsed, 'dimension')} the same in all"] if shape.collapsed else []),
        *([f"{count(shape.duplicates, 'text')} with another's vector"] if shape.duplicates else []),
    ]
    return ", ".join([f"{shape.dimensions} dimensions", norms, f"mean cosine of pairs {shape.anisotropy:.3f}", *odd])

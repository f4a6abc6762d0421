"""What two models' vectors have in common, as people read it."""

from collections.abc import Iterator, Sequence

from touchstone.formatting import columns, count, points, signed_points
from touchstone.metrics.geometry import Shape
from touchstone.records.studies import IndexVerdict, SameTexts, Searched
from touchstone.report.html import render_page
from touchstone.report.text import brief


def render_vectors(found: IndexVerdict) -> str:
    """Return the verdict, how each way to search scores, and how the vectors of the same texts differ."""
    lines = [brief(f"{found.new} on an index of {found.old}: {found.verdict}: {found.reason}", 4_000)]
    if found.searched:
        lines += ["", *columns([HEADER, *map(searched_cells, found.searched)])]
    return "\n".join([*lines, "", *columns(list(same_rows(found.same_texts, found.old, found.new)))])


def render_vectors_page(found: IndexVerdict) -> str:
    """Return the same as one page of HTML."""
    return render_page(
        "vectors.html.jinja",
        found=found,
        header=HEADER,
        searched=list(map(searched_cells, found.searched)),
        same=list(same_rows(found.same_texts, found.old, found.new)),
    )


HEADER = ("queries", "on an index of", "mean", "Δ", "95 %", "verdict")


def searched_cells(one: Searched) -> tuple[str, ...]:
    """Return one way to search as a row: a mean over tasks, and its difference to old on old."""
    mean = sum(one.scores.values()) / len(one.scores)
    delta = "" if one.delta is None else signed_points(one.delta)
    interval = "" if one.interval is None else "[{}, {}]".format(*map(signed_points, one.interval))
    said = {"": "as it is", "PASS": "the same", "FAIL": "another"}.get(one.verdict, one.verdict.lower())
    return brief(one.queries), brief(one.index), points(mean), delta, interval, said


def same_rows(same: SameTexts, old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of what is seen of the vectors of the same texts."""
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
    for one in same.worst if (same.quantiles or (1.0,))[0] < 1 - 1e-6 else ():
        yield f"cosine {one.cosine:.4f}", brief(one.text, 80)


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

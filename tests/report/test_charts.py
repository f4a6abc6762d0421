import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.report.charts import dumbbell, forest_axis, forest_row, history, nice_reach, sparkline

FINITE = st.floats(-1, 1)


def places(svg: str, kind: str) -> list[tuple[str, ...]]:
    """Return where the marks of a class are: both ends of a line, the middle of a point."""
    marks = [mark for mark in ET.fromstring(svg).iter() if kind in (mark.get("class") or "").split()]
    names = ("x1", "x2") if marks and marks[0].tag == "line" else ("cx",)
    return [tuple(mark.get(name) or "" for name in names) for mark in marks]


def test_a_difference_lies_between_the_ends_of_its_interval() -> None:
    svg = forest_row(-0.05, (-0.1, 0.0), 0.1, "not measured", 'Δ "−5"')

    assert places(svg, "point") == [("25%",)]
    assert places(svg, "bar") == [("0%", "50%")]
    root = ET.fromstring(svg)
    assert root.get("class") == "forest v-not-measured"
    assert root.get("aria-label") == 'Δ "−5"'


def test_a_difference_without_an_interval_is_a_hollow_point() -> None:
    svg = forest_row(0.1, None, 0.1, "pass", "")

    assert places(svg, "hollow") == [("100%",)]
    assert places(svg, "bar") == []


@given(FINITE, FINITE, FINITE, st.floats(0.01, 1))
def test_nothing_is_drawn_outside_of_the_axis(delta: float, low: float, high: float, reach: float) -> None:
    svg = forest_row(delta, (min(low, high), max(low, high)), reach, "pass", "")

    ((point,),) = places(svg, "point")
    ((left, right),) = places(svg, "bar")
    assert 0 <= float(left[:-1]) <= float(right[:-1]) <= 100
    assert 0 <= float(point[:-1]) <= 100


@given(st.lists(FINITE, max_size=5))
def test_an_axis_reaches_every_value_and_not_much_farther(values: list[float]) -> None:
    reach = nice_reach(values)
    largest = max(map(abs, values), default=0.0)

    assert reach >= largest
    assert reach <= max(2 * largest, 0.01)


@pytest.mark.parametrize(
    ("value", "reach"), [(0.0, 0.01), (0.003, 0.01), (0.011, 0.012), (0.107, 0.12), (0.3, 0.3), (0.31, 0.4), (1.0, 1.0)]
)
def test_an_axis_ends_at_a_round_number(value: float, reach: float) -> None:
    assert nice_reach([-value]) == pytest.approx(reach)


def test_the_axis_is_labelled_in_points() -> None:
    assert [text.text for text in ET.fromstring(forest_axis(0.025)).iter("text")] == ["−2.5", "0", "+2.5"]


def test_a_score_and_its_baseline_share_an_axis_from_nought_to_one() -> None:
    svg = dumbbell(0.5, 0.25, "")

    assert places(svg, "point") == [("50%",), ("25%",)]
    assert places(svg, "hollow") == [("50%",)]
    assert places(dumbbell(-0.5, 0.0, ""), "point") == [("25%",), ("50%",)]
    assert places(dumbbell(None, 0.3, ""), "point") == [("30%",)]


def test_scores_over_runs_go_from_left_to_right_and_moves_are_marked() -> None:
    svg = history([0.5, 0.6, 0.6], [1], "three runs")
    root = ET.fromstring(svg)

    assert next(root.iter("polyline")).get("points") == "0,85 50,15 100,15"
    assert [(c.get("class"), c.get("cx"), c.get("cy")) for c in root.iter("circle")] == [
        ("moved", "50%", "15%"),
        ("last", "100%", "15%"),
    ]


def test_rounding_is_not_drawn_as_a_mountain() -> None:
    points = next(ET.fromstring(history([0.5, 0.5 + 1e-9], [], "")).iter("polyline")).get("points") or ""

    assert [round(float(place.split(",")[1])) for place in points.split()] == [50, 50]


def test_a_line_goes_straight_over_runs_that_changed_nothing() -> None:
    spark = ET.fromstring(sparkline([0.5, 0.5, 0.5, 0.6, 0.6]))

    assert next(spark.iter("polyline")).get("points") == "0,85 50,85 75,15 100,15"


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_every_run_has_a_place_inside(scores: list[float]) -> None:
    points = next(ET.fromstring(history(scores, [], "")).iter("polyline")).get("points") or ""
    places = [[float(number) for number in place.split(",")] for place in points.split()]

    assert 1 <= len(places) <= len(scores)
    assert places[-1][0] == (100 if len(scores) > 1 else 0)
    assert all(0 <= x <= 100 and 14.9 <= y <= 85.1 for x, y in places)


def test_a_label_is_text() -> None:
    assert '"&gt;&lt;script' not in forest_row(0.0, None, 1, "pass", "")
    assert ET.fromstring(forest_row(0.0, None, 1, "pass", '"><script>')).get("aria-label") == '"><script>'

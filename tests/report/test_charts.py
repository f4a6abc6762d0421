import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.report.charts import dumbbell, forest, forest_axis, history, nice_reach, scatter, sparkline

FINITE = st.floats(-1, 1)


def places(svg: str, kind: str) -> list[tuple[str, ...]]:
    """Return where the marks of a class are: both ends of a line, the middle of a point."""
    marks = [mark for mark in ET.fromstring(svg).iter() if kind in (mark.get("class") or "").split()]
    names = ("x1", "x2") if marks and marks[0].tag == "line" else ("cx",)
    return [tuple(mark.get(name) or "" for name in names) for mark in marks]


def draw(*args: Any, **named: Any) -> str:
    svg = forest(*args, **named)
    assert svg is not None
    return svg


def test_a_difference_lies_between_the_ends_of_its_interval() -> None:
    svg = draw(-0.05, (-0.1, 0.0), 0.1, "not measured", sides=(0.8, 0.75))

    assert places(svg, "point") == [("25%",)]
    assert places(svg, "bar") == [("0%", "50%")]
    assert places(svg, "margin") == []
    root = ET.fromstring(svg)
    assert root.get("class") == "forest v-not-measured"
    assert root.get("aria-label") == "80.00 → 75.00, Δ −5.00, 95 % from −10.00 to +0.00"


def test_a_difference_without_an_interval_is_a_hollow_point() -> None:
    svg = draw(0.1, None, 0.1, "pass")

    assert places(svg, "hollow") == [("100%",)]
    assert places(svg, "bar") == []
    assert forest(None, None, 0.1, "pass") is None


def test_the_margin_is_a_line_on_the_side_of_losses() -> None:
    assert places(draw(0.1, None, 0.1, "pass", 0.05), "margin") == [("25%", "25%")]


@given(FINITE, FINITE, FINITE, st.floats(0.01, 1), st.floats(0, 1))
def test_nothing_is_drawn_outside_of_the_axis(
    delta: float, low: float, high: float, reach: float, margin: float
) -> None:
    svg = draw(delta, (min(low, high), max(low, high)), reach, "pass", margin)

    ((point,),) = places(svg, "point")
    ((left, right),) = places(svg, "bar")
    ((line, _),) = places(svg, "margin")
    assert 0 <= float(left[:-1]) <= float(right[:-1]) <= 100
    assert 0 <= float(point[:-1]) <= 100
    assert 0 <= float(line[:-1]) <= 50


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

    assert places(svg, "point") == [("25%",)]
    assert places(svg, "baseline") == [("50%", "50%")]
    assert places(svg, "bar") == [("50%", "25%")]
    assert places(dumbbell(-0.5, 0.0, ""), "baseline") == [("25%", "25%")]
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
    svg = dumbbell(None, 0.5, '"><script>')

    assert '"><script>' not in svg
    assert ET.fromstring(svg).get("aria-label") == '"><script>'


@pytest.mark.parametrize("least", [None, 0.75])
def test_scores_by_cost_lie_on_a_logarithmic_axis_and_are_read_out(least: float | None) -> None:
    dots = [("a", 10.0, 0.7, None, "FAIL"), ("<b>", 20.0, 0.8, (0.75, 0.85), "PASS"), ("c", 40.0, 0.9, None, "PASS")]
    svg = scatter(dots, "texts per second", least)
    first, middle, last = (float(x[:-1]) for (x,) in places(svg, "point"))

    assert [first, middle, last] == pytest.approx([9.677, 50, 90.323], abs=0.01)
    label = "a: 10 texts per second, 70.00; <b>: 20 texts per second, 80.00; c: 40 texts per second, 90.00"
    assert ET.fromstring(svg).get("aria-label") == label
    words = [text.text for text in ET.fromstring(svg).iter("text")]
    assert words[:2] == ["10", "40"]
    assert words[2:-3] == (["70.00", "90.00"] if least is None else ["75.00, the least allowed"])


def test_one_point_has_a_place_too() -> None:
    assert places(scatter([("a", 10.0, 0.7, None, "PASS")], "bytes"), "point") == [("50%",)]

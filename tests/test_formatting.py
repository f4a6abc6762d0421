import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.formatting import points, render_latency, render_rate, signed_points

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(("fraction", "text"), [(0.93257, "93.26"), (1.0, "100.00"), (0.0, "0.00"), (0.00051, "0.05")])
def test_a_score_is_shown_in_percent_with_two_decimals(fraction: float, text: str) -> None:
    assert points(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0123, "+1.23"),
        (-0.0123, f"{MINUS}1.23"),
        (0.0001, "+0.01"),
        (0.00004, "+0.004"),
        (-0.0000321, f"{MINUS}0.003"),
        (1e-6, "+0.0001"),
        (9e-10, "+0.00"),
        (-9e-7, "+0.00"),
        (0.0, "+0.00"),
        (-0.0, "+0.00"),
    ],
)
def test_a_difference_keeps_its_sign_and_a_digit_that_tells_it_from_nothing(fraction: float, text: str) -> None:
    assert signed_points(fraction) == text


@given(st.floats(-1, 1).filter(bool))
def test_a_difference_reads_back_with_its_sign_and_near_its_size(fraction: float) -> None:
    text = signed_points(fraction)
    shown = float(text.replace(MINUS, "-")) / 100
    assert "-" not in text
    assert "e" not in text
    assert shown * fraction > 0 or abs(fraction) < 1e-6
    assert abs(shown - fraction) <= max(0.00005, abs(fraction) / 2) * 1.001


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.126, "0.13"), (0.994, "0.99"), (0.996, "1.0"), (9.94, "9.9"), (9.96, "10"), (1240.4, "1240"), (9999, "9999"),
        (9999.7, "10k"), (21_300, "21k"), (999_499, "999k"), (999_600, "1.0M"), (1.26e6, "1.3M"),
    ],
)  # fmt: skip
def test_a_rate_is_shown_in_few_digits(rate: float, text: str) -> None:
    assert render_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00042, "0.42 ms"), (0.0094, "9.4 ms"), (0.012, "12 ms"), (0.9994, "999 ms"), (1.26, "1.3 s")],
)
def test_a_latency_is_shown_in_few_digits(seconds: float, text: str) -> None:
    assert render_latency(seconds) == text

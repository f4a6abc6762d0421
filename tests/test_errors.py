import pytest

from touchstone.errors import first_line, suggest

TWELVE = [f"name{letter}" for letter in "abcdefghijkl"]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("smok", ["smoke", "english"], '; did you mean "smoke"?'),
        ("recrod", ["check", "record", "update"], '; did you mean "record"?'),
        ("NFCORPUS", ["ArguAna", "NFCorpus"], '; did you mean "NFCorpus"?'),
        ("minilm", ["MiniLM"], '; did you mean "MiniLM"?'),
        ("§", ["b", "a", "b"], "; known: a, b"),
        ("§", TWELVE, f"; known: {', '.join(TWELVE)}"),
    ],
)
def test_a_wrong_name_brings_the_nearest_known_one_or_all_of_them(name: str, known: list[str], hint: str) -> None:
    assert suggest(name, known) == hint


@pytest.mark.parametrize("known", [[], [*TWELVE, "namem"]], ids=["none", "too many to read"])
def test_a_hint_that_would_not_help_is_left_out(known: list[str]) -> None:
    assert suggest("§", known) == ""


def test_several_near_names_bring_the_nearest() -> None:
    assert suggest("truncate_dims", ["truncate", "truncate_dim", "trunk"]) == '; did you mean "truncate_dim"?'


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such revision\nTraceback: much more"), "ValueError: no such revision"),
        (OSError("\n  indented\nmore"), "OSError: indented"),
        (KeyError(), "KeyError"),
        (RuntimeError(" \n "), "RuntimeError"),
    ],
)
def test_a_foreign_error_becomes_one_line_with_its_type(error: Exception, text: str) -> None:
    assert first_line(error) == text

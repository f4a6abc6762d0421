import errno

import pytest

from touchstone.errors import SourceError, find_no_memory, find_no_space, first_line, suggest

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


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("can't allocate memory"), False),
        (OSError(errno.ENOENT, "no such file"), False),
    ],
)
def test_no_memory_is_found_in_what_an_error_came_from(error: Exception, *, found: bool) -> None:
    outside = SourceError("a data set")
    outside.__cause__ = error
    assert find_no_memory(outside) is (error if found else None)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (OSError("Not enough disk space. Needed: 1 TB"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("columns differ"), False),
    ],
)
def test_no_space_is_found_in_what_an_error_came_from(error: Exception, *, found: bool) -> None:
    outside = ValueError("while it was handled")
    outside.__context__ = error
    assert find_no_space(outside) is (error if found else None)

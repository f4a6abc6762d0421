"""What decides whether to try again survives; the frames that it came from, which hold tokens, do not."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from touchstone.errors import ModelError, find_no_memory
from touchstone.retrying import PassingError, may_pass, without_frames


def raising(*errors: BaseException) -> BaseException:
    """Raise errors, each while the one before is handled, out of frames that hold a token."""
    token = "hf_" + "t" * 30
    try:
        for place, error in enumerate(errors):
            try:
                raise error from errors[place - 1] if place else None
            except type(error):
                assert token
        raise errors[-1]
    except BaseException as last:
        return last


def passes(error: BaseException | None) -> bool:
    return may_pass(error)


def is_out_of_memory(error: BaseException | None) -> bool:
    return error is not None and find_no_memory(error) is not None


@pytest.mark.parametrize(
    ("errors", "says"),
    [
        ([PassingError("HTTP 503")], passes),
        ([PassingError("HTTP 503"), ModelError("x"), OSError("y")], passes),
        ([MemoryError("m")], is_out_of_memory),
        ([MemoryError("m"), ValueError("x")], is_out_of_memory),
        ([RuntimeError("can't allocate memory"), OSError("y")], is_out_of_memory),
        ([OSError("y")], lambda cause: cause is None),
        ([ValueError("x"), KeyError("z")], lambda cause: cause is None),
    ],
)
def test_a_cause_is_told_without_its_frames(errors: list[BaseException], says: Callable[[Any], bool]) -> None:
    cause = without_frames(raising(*errors))
    assert says(cause)
    try:
        raise ModelError("it failed") from cause
    except ModelError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "hf_ttt" not in shown
    assert "raising" not in shown

"""The engine that runs cases here: which models stay, and which are tried again."""

from pathlib import Path
from typing import Any

import pytest

from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.errors import ModelError, MovedError
from touchstone.measuring.engines.local import LocalEngine
from touchstone.records.cases import Case, TaskInfo
from touchstone.retrying import PassingError
from touchstone.store.folder import Store

CASE = Case(alias="x", task=TaskInfo(name="BIOSSES", type="STS", main_score="x"), suite="s")


def failing(error: Exception, cause: Exception | None) -> Any:
    def open_model(*_: Any) -> Any:
        opened.append(error)
        raise error from cause

    opened: list[Exception] = []
    return open_model, opened


@pytest.mark.parametrize(
    ("error", "cause", "times"),
    [
        (ModelError("x: it lacks tensors"), None, 1),  # loading it again would take as long and fail the same way
        (ModelError("x: HTTP 503"), PassingError("HTTP 503"), 3),
        (MovedError("x: its files moved"), None, 3),
    ],
)
def test_a_model_that_failed_for_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None, times: int, tmp_path: Path
) -> None:
    open_model, opened = failing(error, cause)
    monkeypatch.setattr("touchstone.models.kinds.open_model", open_model)
    model = Model(alias="x", spec=EncoderSpec(path=tmp_path), text="x")
    engine = LocalEngine({"x": model}, "cpu", Store(tmp_path / "store"))
    for _ in range(3):
        with pytest.raises(ModelError, match=str(error)), engine.measure(CASE, lambda _: None):
            pass
    assert len(opened) == times

"""A trial of the kinds that differ most, each in processes of its own; `python -m tests.faults` plays all of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.project import Project, essence
from tests.faults.trials import play


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("faults") / "base")
    ended = made.run()
    assert ended.code == 0, ended.said
    return made


@pytest.fixture(scope="module")
def truth(base: Project) -> dict[str, Any]:
    return essence(base.report())


@pytest.mark.parametrize(
    "name",
    ["kill a worker", "SIGTERM, two workers", "SIGINT twice", "small files", "no right to write", "no store",
     "updates at once", "no memory", "workers dead at once", "workers dead in each case", "a broken plug-in",
     "another order"],
)  # fmt: skip
def test_nothing_is_lost_and_no_number_is_wrong(
    name: str, base: Project, truth: dict[str, Any], tmp_path: Path
) -> None:
    assert play(name, base, tmp_path / "trial", truth, "short") == []

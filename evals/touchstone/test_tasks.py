"""The one test: a model on a task. Measuring is its fixture, judging its body.

So pytest itself tells *could not be measured* (an ERROR of the fixture) from *measured worse* (a FAILURE).
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from touchstone.errors import TouchstoneError
from touchstone.judging.gate import Comparison
from touchstone.measuring.parts import UnfinishedError
from touchstone.plugin import COMPARISON, OUTCOME, VERDICT, get_session
from touchstone.plugin.controller import show_progress
from touchstone.records.cases import Case
from touchstone.session.session import MeasuredCase

__all__ = ["comparison", "measured", "test_task"]


@pytest.fixture
def measured(case: Case, request: pytest.FixtureRequest) -> Iterator[MeasuredCase]:
    """Measure the case, with its data open until the test ends; what the user can fix is one sentence."""
    with ExitStack() as stack:
        try:
            with show_progress(request.config, case.id) as progress:
                opened = stack.enter_context(get_session(request.config).measure(case, progress))
        except UnfinishedError as error:
            pytest.skip(f"{case.id}: {error}; the shard that comes last measures it")
        except TouchstoneError as error:
            raise pytest.fail.Exception(f"{case.id}: {error}", pytrace=False) from None
        request.node.stash[OUTCOME] = opened.outcome
        yield opened


@pytest.fixture
def comparison(case: Case, measured: MeasuredCase, request: pytest.FixtureRequest) -> Comparison:
    """Read what is expected and pair its samples; a damaged baseline is no verdict either."""
    try:
        pairing = get_session(request.config).compare(case, measured)
    except TouchstoneError as error:
        raise pytest.fail.Exception(f"{case.id}: {error}", pytrace=False) from None
    request.node.stash[COMPARISON] = pairing
    return pairing


def test_task(case: Case, measured: MeasuredCase, comparison: Comparison, request: pytest.FixtureRequest) -> None:
    """Judge the case against its baseline."""
    session = get_session(request.config)
    verdict = session.judge(case, measured.outcome, comparison)
    request.node.stash[VERDICT] = verdict
    request.node.stash[COMPARISON] = session.read_texts(case, measured, comparison, verdict)
    if verdict is not None and not verdict.ok and session.shard is None:  # which measures, and decides nothing
        pytest.fail(f"{case.id} {verdict.word}: {verdict.reason}", pytrace=False)

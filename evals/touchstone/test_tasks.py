"""The one test: a model on a task. Measuring is its fixture, judging its body.

So pytest itself tells *could not be measured* (an ERROR of the fixture) from *measured worse* (a FAILURE).
"""

import pytest

from touchstone.errors import TouchstoneError
from touchstone.judging.gate import Circumstances
from touchstone.plugin import OUTCOME, VERDICT, get_session
from touchstone.plugin.controller import show_progress
from touchstone.records.cases import Case
from touchstone.records.outcomes import Outcome


@pytest.fixture
def outcome(case: Case, request: pytest.FixtureRequest) -> Outcome:
    """Measure the case; what the user can fix is one sentence, not a traceback."""
    try:
        with show_progress(request.config) as progress:
            measured = get_session(request.config).measure(case, progress)
    except TouchstoneError as error:
        raise pytest.fail.Exception(f"{case.id}: {error}", pytrace=False) from None
    request.node.stash[OUTCOME] = measured
    return measured


@pytest.fixture
def circumstances(case: Case, outcome: Outcome, request: pytest.FixtureRequest) -> Circumstances:
    """Read what is expected and pair its samples; a damaged baseline is no verdict either."""
    try:
        return get_session(request.config).circumstances(case, outcome)
    except TouchstoneError as error:
        raise pytest.fail.Exception(f"{case.id}: {error}", pytrace=False) from None


def test_task(case: Case, outcome: Outcome, circumstances: Circumstances, request: pytest.FixtureRequest) -> None:
    """Judge the case against its baseline."""
    verdict = get_session(request.config).judge(case, outcome, circumstances)
    request.node.stash[VERDICT] = verdict
    if verdict is not None and not verdict.ok:
        pytest.fail(f"{case.id} {verdict.word}: {verdict.reason}", pytrace=False)

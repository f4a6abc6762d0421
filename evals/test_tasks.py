"""The one test: a model on a task. Measuring is its fixture, judging its body.

So pytest itself tells *could not be measured* (an ERROR of the fixture) from *measured worse* (a FAILURE).
"""

import pytest

from evals.errors import EvalsError
from evals.plugin import OUTCOME, VERDICT, CaseProgress, get_session
from evals.records import Case, Outcome


@pytest.fixture
def outcome(case: Case, request: pytest.FixtureRequest) -> Outcome:
    """Measure the case; what the user can fix is one sentence, not a traceback."""
    try:
        with CaseProgress(request.config) as progress:
            measured = get_session(request.config).measure(case, progress)
    except EvalsError as error:
        pytest.fail(f"{case.id}: {error}", pytrace=False)
    request.node.stash[OUTCOME] = measured
    return measured


def test_task(case: Case, outcome: Outcome, request: pytest.FixtureRequest) -> None:
    """Judge the case against its baseline."""
    session = get_session(request.config)
    verdict = session.judge(case, outcome, session.find_reference(case))
    request.node.stash[VERDICT] = verdict
    if verdict is not None and not verdict.ok:
        pytest.fail(f"{case.id} {verdict.word}: {verdict.reason}", pytrace=False)

"""Every model of the suite on each of its tasks, judged against its baseline."""

from touchstone.test_tasks import *  # noqa: F403

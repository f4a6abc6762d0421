"""The conftest of a project that fails: it counts what its processes do, and ends one of them at a chosen moment.

``FAULT`` names the moment: who (``main``, a worker's id, or ``workers`` for any), what is done (``start``, ``fsync``,
``replace``, ``put``: a batch was encoded, or ``report``: a process heard of a case), the how many-th of these, and what
happens then, the name of a signal or of a function here. It happens once in a project, as a file ``struck`` says; with
an exclamation mark, each time. ``COUNT`` is a file for the counts, ``ORDER`` a seed
for another order of the cases.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from touchstone.store.vectors import Embeddings

ME = os.environ.get("PYTEST_XDIST_WORKER", "main")
COUNTS = Counter[str]()


def wait() -> None:
    """Be silent for longer than anybody waits."""
    time.sleep(60)


def fill_memory() -> None:
    """Do as if there were no more memory."""
    raise MemoryError("Unable to allocate 7.11 PiB for an array")


def fail() -> None:
    """Fail as a plug-in does."""
    raise RuntimeError("a plug-in failed")


def _strike(then: str) -> None:
    try:
        os.close(os.open("struck", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        if not then.endswith("!"):
            return
    then = then.rstrip("!")
    if then.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, then))
    else:
        globals()[then]()


def _counted(what: str, function: Callable[..., Any]) -> Any:
    def counted(*arguments: Any, **more: Any) -> Any:
        COUNTS[what] += 1
        who, when, number, then = os.environ.get("FAULT", "nobody never 0 nothing").split()
        is_me = who == ME or (who == "workers" and ME != "main")
        if is_me and (when, int(number)) == (what, COUNTS[what]):
            _strike(then)
        return function(*arguments, **more)

    return counted


os.fsync = _counted("fsync", os.fsync)
os.replace = _counted("replace", os.replace)
Embeddings.put = _counted("put", Embeddings.put)  # type: ignore[method-assign]
_report = _counted("report", lambda: None)
_counted("start", lambda: None)()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what the process hears of."""
    del report
    _report()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cases in another order, if ``ORDER`` is a seed for it."""
    if "ORDER" in os.environ:
        random.Random(os.environ["ORDER"]).shuffle(items)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Write the counts down."""
    if "COUNT" in os.environ:
        Path(f"{os.environ['COUNT']}-{ME}").write_text(json.dumps(COUNTS))

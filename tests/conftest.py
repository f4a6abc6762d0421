"""What all tests share: no network, reproducible property tests, and the mirror of real data."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import settings

from tests.long_tests import LONG

pytest_plugins = ("pytester",)

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")
# Commands that are printed begin with pytest only where that is the one of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

ROOT = Path(__file__).parent.parent
# More tests than these are the whole suite.
MANY = 5000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what runs the long tests, too."""
    parser.addoption("--long", action="store_true", help="run the tests, too, that take half a minute or more each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests, unless they were asked for or typed one by one."""
    names = {name: name.partition("[")[0] for item in items for name in (item.nodeid,)}
    if unknown := {*LONG} - {*names} - {*names.values()} if len(config.args) == 1 and len(items) > MANY else ():
        raise pytest.UsageError(f"tests/long_tests.py: no such test: {', '.join(sorted(unknown))}")
    if config.getoption("--long") or any("::" in argument for argument in config.args):
        return
    long = [item for item in items if {item.nodeid, names[item.nodeid]} & {*LONG}]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the keys of other tests: twelve characters that one of them has are hidden in all that is shown."""
    monkeypatch.setattr("touchstone.foreign._secrets", set())


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The directory of real MTEB data sets; `TOUCHSTONE_MIRROR` says where."""
    path = Path(os.environ.get("TOUCHSTONE_MIRROR", ROOT.parent / "shared" / "hub"))
    if not path.is_dir():
        pytest.skip(f"no mirror of MTEB data sets at {path}; set TOUCHSTONE_MIRROR to one")
    return path

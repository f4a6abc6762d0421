"""What all tests share: no network, reproducible property tests, and the mirror of real data."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import settings

pytest_plugins = ("pytester",)

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")
# Commands that are printed begin with pytest only where that is the one of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

ROOT = Path(__file__).parent.parent


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

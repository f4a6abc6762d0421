"""An EvalScope configuration becomes files that mean the same, and never overwrites others without a word."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.config.configurations import ONE_STAGE
from touchstone.__main__ import main
from touchstone.config.models import load_models
from touchstone.config.suites import load_suite
from touchstone.errors import ConfigError
from touchstone.importing.configurations import import_configuration
from touchstone.importing.request import Request


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "one.json").write_text(json.dumps(ONE_STAGE), encoding="utf-8")
    return Request(source="one.json", folder=tmp_path, into=tmp_path / "suites")


def test_the_files_mean_what_the_configuration_means(request_: Request, tmp_path: Path) -> None:
    printed = import_configuration(request_, overwrite=False, dry_run=False)
    direct = load_suite(str(tmp_path / "one.json"), tmp_path, load_models())
    models = load_models(tmp_path / "suites" / "one.models.toml")
    written = load_suite(str(tmp_path / "suites" / "one.toml"), tmp_path, models)
    assert written.suite.tasks == direct.suite.tasks
    assert written.suite.models == direct.suite.models
    assert {alias: models[alias] for alias in direct.models} == dict(direct.models)
    assert all(note in printed for note in direct.notes)
    assert printed.splitlines()[-1].startswith("run it with: pytest evals --suite ")


def test_importing_twice_changes_nothing_and_another_file_is_kept(request_: Request, tmp_path: Path) -> None:
    import_configuration(request_, overwrite=False, dry_run=False)
    suite = tmp_path / "suites" / "one.toml"
    before = suite.read_bytes()
    assert "already in" in import_configuration(request_, overwrite=False, dry_run=False)
    assert suite.read_bytes() == before
    suite.write_text("models = []", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"one.toml: is there already and says something else; --replace overwrites"):
        import_configuration(request_, overwrite=False, dry_run=False)
    import_configuration(request_, overwrite=True, dry_run=False)
    assert suite.read_bytes() == before


def test_a_dry_run_writes_nothing(request_: Request, tmp_path: Path) -> None:
    assert "would write" in import_configuration(request_, overwrite=False, dry_run=True)
    assert not (tmp_path / "suites").exists()


def test_the_command_takes_a_python_file_with_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.py").write_text(f"a = {ONE_STAGE!r}\nb = {ONE_STAGE!r}\n", encoding="utf-8")
    assert main(["baselines", "import", "both.py"]) == 4
    assert "name one, as in both.py:a" in capsys.readouterr().err
    assert main(["baselines", "import", "both.py:b"]) == 0
    assert (tmp_path / "b.toml").is_file()


@pytest.mark.parametrize("alias", ["../x", "/tmp/x", "a/b", "..", ".", "a\nb", "a\0", "x" * 300, "x" * 5000])
def test_a_name_that_is_none_of_a_file_is_refused(request_: Request, tmp_path: Path, alias: str) -> None:
    with pytest.raises(ConfigError, match=r"is no name of a file in a folder; name the suite with --alias$"):
        import_configuration(dataclasses.replace(request_, alias=alias), overwrite=True, dry_run=False)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_so_is_one_of_a_python_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "both.py").write_text(f"a = {ONE_STAGE!r}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is no name of a file"):
        import_configuration(Request(source=f"both.py:{name}", folder=tmp_path), overwrite=True, dry_run=False)


@pytest.mark.parametrize("name", ["one.toml", "one.models.toml"])
@pytest.mark.parametrize("there", [True, False])
def test_no_link_is_written_through(request_: Request, tmp_path: Path, name: str, there: bool) -> None:
    outside = tmp_path / "outside"
    if there:
        outside.write_text("mine")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / name).symlink_to(outside)
    with pytest.raises(ConfigError, match=rf"{name} leads out of "):
        import_configuration(request_, overwrite=True, dry_run=False)
    assert outside.exists() is there
    assert not there or outside.read_text() == "mine"


def test_a_folder_that_is_a_link_is_the_users(request_: Request, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "suites").symlink_to(tmp_path / "real")
    import_configuration(request_, overwrite=False, dry_run=False)
    assert (tmp_path / "real" / "one.toml").is_file()

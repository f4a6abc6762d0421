from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import make_run
from touchstone.errors import ConfigError
from touchstone.report import formats
from touchstone.report.formats import ReportFormat, find_target

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("file", ["run.htm", "run", "run.json.gz", "GitHub"])
def test_a_reports_suffix_must_say_a_format_that_there_is(tmp_path: Path, file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_target("--report", tmp_path, file)
    assert (
        str(caught.value)
        == f'--report = "{file}"; its suffix says the format, one of .html, .json, .md, eval_results/, runs/'
    )


def test_a_folder_in_the_place_of_a_report_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.html").mkdir()
    with pytest.raises(ConfigError, match=r'^--out = "r.html" is a folder$'):
        find_target("--out", tmp_path, "r.html")


def test_a_report_for_github_goes_to_the_file_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step"))
    (tmp_path / "step").write_text("earlier step\n")
    find_target("--report", tmp_path, "github").write(make_run(), (), tmp_path)
    assert (tmp_path / "step").read_text().startswith("earlier step\n## touchstone: ")


@pytest.mark.parametrize("value", [None, ""])
def test_a_report_for_github_outside_of_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    with pytest.raises(ConfigError) as caught:
        find_target("--report", tmp_path, "github")
    assert str(caught.value) == (
        "--report github needs a step of GitHub Actions, which sets GITHUB_STEP_SUMMARY; it is not set"
    )


def test_a_path_is_relative_to_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_target("--report", tmp_path, "r.json").path == tmp_path / "r.json"
    assert find_target("--report", tmp_path, "/tmp/x.json").path == Path("/tmp/x.json")
    assert find_target("--report", tmp_path, "~/r.json").path == tmp_path / "home" / "r.json"


def register(monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    load: Callable[[str], dict[str, Any]] = lambda group: found if group == "touchstone.reports" else {}  # noqa: E731
    monkeypatch.setattr(formats, "load_extensions", load)


def test_another_package_adds_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, csv=ReportFormat(name=".csv", render=lambda run, _: f"{run.suite}\n", print=lambda _: ["hi"]))
    target = find_target("--report", tmp_path, "r.csv")
    assert target.write(make_run(), (), tmp_path) == (f"wrote {tmp_path / 'r.csv'}", "hi")
    assert (tmp_path / "r.csv").read_text() == f"{make_run().suite}\n"


@pytest.mark.parametrize("found", ["a string", ReportFormat(name=".html", render=lambda *_: "")])
def test_what_another_package_registers_must_be_a_new_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Any
) -> None:
    register(monkeypatch, mine=found)
    with pytest.raises(ConfigError, match=r"^touchstone.reports: mine must be a ReportFormat with a name of its own$"):
        find_target("--report", tmp_path, "r.html")

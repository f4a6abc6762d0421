"""Report formats, by the suffix of a file or by a word, and where a report goes.

A format is one module of this package with a constant ``FORMAT``, listed in `BUILT_IN`; another package registers a
`ReportFormat` in the entry-point group ``touchstone.reports``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from touchstone.errors import ConfigError
from touchstone.extensions import load_extensions
from touchstone.files.writing import place, write_atomically
from touchstone.records.examples import Changed
from touchstone.records.runs import Run

BUILT_IN = ("html", "json", "markdown", "github", "exports.eval_results", "exports.trec")
GROUP = "touchstone.reports"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFormat:
    """A format of reports.

    Args:
        name: a suffix such as ``.html``, a word that is typed in the place of a file, or the name of a folder with a
            slash, such as ``runs/``, which may lie anywhere and begin with a dot.
        render: returns the report of a run; the second argument holds earlier runs, oldest first.
        history: True if the report shows earlier runs, so that these must be loaded.
        render_changed: replaces `render`; its third argument holds, by case, the samples that changed, or the reason
            why these are not known.
        find_file: returns the file that a word stands for; the report is appended to this file.
        print: returns lines for the terminal beside the report.
        write_folder: writes a run and its data from the store into a folder, and returns lines for the terminal.
    """

    name: str
    render: Callable[[Run, Sequence[Run]], str] = lambda _run, _earlier: ""
    history: bool = False
    render_changed: Callable[[Run, Sequence[Run], Mapping[str, Changed | str]], str] | None = None
    find_file: Callable[[], Path] | None = None
    print: Callable[[Run], Sequence[str]] = lambda _: ()
    write_folder: Callable[[Run, Path, Path], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A report to write: its format and its file."""

    format: ReportFormat
    path: Path

    def write(
        self, run: Run, history: Sequence[Run], store: Path, changed: Mapping[str, Changed | str] | None = None
    ) -> tuple[str, ...]:
        """Write the report, and return the lines to print. A folder is written from the run and the store.

        Raises:
            OSError: the file cannot be written.
        """
        if self.format.write_folder is not None:
            return tuple(self.format.write_folder(run, self.path, store))
        render = self.format.render_changed
        text = self.format.render(run, history) if render is None else render(run, history, changed or {})
        if self.format.find_file is None:
            write_atomically(self.path, text)
            return (f"wrote {self.path}", *self.format.print(run))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)  # the steps of a job share the file
        return tuple(self.format.print(run))


def load_formats() -> Mapping[str, ReportFormat]:
    """Return all report formats by name, those of other packages last.

    Raises:
        ConfigError: another package registers something else, or a name that is taken.
    """
    built_in = (import_module(f"touchstone.report.{name}").FORMAT for name in BUILT_IN)
    formats: dict[str, ReportFormat] = {report_format.name: report_format for report_format in built_in}
    for name, report_format in load_extensions(GROUP).items():
        if not isinstance(report_format, ReportFormat) or report_format.name in formats:
            raise ConfigError(f"{GROUP}: {name} must be a ReportFormat with a name of its own")
        formats[report_format.name] = report_format
    return formats


def find_target(option: str, folder: Path, text: str) -> Target:
    """Return the report that an option names.

    Args:
        option: its name, for messages.
        folder: what a path is relative to.
        text: a file, a folder with a slash behind it, or the word of a format.

    Raises:
        ConfigError: no format has this suffix or name, or there is a folder in the file's place, or the reverse.
    """
    formats = load_formats()
    word = formats.get(text)
    if word is not None and word.find_file is not None:
        return Target(format=word, path=word.find_file())
    path = place(folder, text)
    folder_format = formats.get(f"{path.name.removeprefix('.')}/")
    if text.endswith("/") and folder_format is not None:
        if path.exists() and not path.is_dir():
            raise ConfigError(f'{option} = "{text}" is a file; expected a folder')
        return Target(format=folder_format, path=path)
    suffixes = [name for name, report_format in formats.items() if report_format.find_file is None]
    if path.suffix not in suffixes:
        raise ConfigError(f'{option} = "{text}"; its suffix says the format, one of {", ".join(suffixes)}')
    if path.is_dir():
        raise ConfigError(f'{option} = "{text}" is a folder')
    return Target(format=formats[path.suffix], path=path)

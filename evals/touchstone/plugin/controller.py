"""The process that owns a run: the only one, or the controller of pytest-xdist's workers."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from touchstone.formatting import count
from touchstone.plugin.downloads import Downloads
from touchstone.plugin.endings import TERMINATED_CODE, Terminated, how_it_ended, uninterrupted
from touchstone.plugin.guard import guard_terminal
from touchstone.plugin.junit import add_verdicts
from touchstone.plugin.marks import find_near
from touchstone.plugin.nodeids import case_of, cases_of
from touchstone.plugin.terminal_line import CaseProgress, TerminalLine
from touchstone.records.flat import read_record
from touchstone.records.runs import Record, Run
from touchstone.report.summary import SEVERITY, summarize, verdict_word
from touchstone.report.text import brief, render_suite, render_summary
from touchstone.schedule.progress import Progress
from touchstone.session.forecast import Forecast, forecast_session
from touchstone.session.session import Finished, Session
from touchstone.store.asking import read_news

if TYPE_CHECKING:
    from touchstone.plugin.xdist import LongestFirst

NAME = "touchstone-controller"
UNDECIDED_CODE = 9
SUITE_COLORS = {"PASS": "green", "FAIL": "red", "INCOMPLETE": "red", "INCONCLUSIVE": "yellow"}
# Characters of an error in the last line.
ERROR_LENGTH = 300
PHASES = ("setup", "call", "teardown")


def show_progress(config: pytest.Config, case: str) -> CaseProgress:
    """Return what shows how far a case is; in a worker nobody sees it."""
    controller, line = config.pluginmanager.get_plugin(NAME), TerminalLine.of(config)
    if not isinstance(controller, Controller):
        return CaseProgress(line, lambda _: None, str)
    return CaseProgress(line, lambda text: controller.note(f"{case}: {text}"), controller.render_progress)


class Controller:
    """The hooks of the process that owns the run; it collects records, shows progress and writes everything.

    Args:
        session: the run.
        config: pytest's.
    """

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self.session = session
        self.finished: Finished | None = None
        self._config = config
        self._workers = len(config.getoption("tx", None) or ())
        self._progress = Progress(lambda: self.forecast.seconds_of_cases, self._workers)
        self._downloads: Downloads | None = None
        self._terminated: Terminated | None = None
        self._worker_ends: dict[str, str] = {}
        self._collected = False
        self._doing = ""

    @cached_property
    def _line(self) -> TerminalLine:
        """The line behind the dots; there is no terminal reporter yet when this object is made."""
        return TerminalLine.of(self._config)

    @cached_property
    def forecast(self) -> Forecast:
        """The estimates of this run's cases."""
        return forecast_session(self.session)

    def note(self, doing: str) -> None:
        """Note what a case is doing."""
        self._doing = doing

    def render_progress(self) -> str:
        """Return how many cases are done, how long the others will take, and what is being done."""
        with suppress(RuntimeError):  # asked by a thread while a case began or ended
            far = ", ".join(filter(None, (self._progress.render_done(), self._progress.render_left())))
            return "; ".join(filter(None, (far, self._doing)))
        return ""

    def pytest_report_header(self) -> list[str]:
        """Return what is about to run."""
        plan, options = self.session.plan, self.session.options
        models = ", ".join(dict.fromkeys(case.alias for case in plan.cases)) or "none"
        sources = " + ".join(sorted({case.data for case in plan.cases}))
        baseline = f"{options.baseline} against {options.against}" if options.against else options.baseline
        lines = [
            f"suite {plan.suite}: {count(len(plan.cases), 'case')}; models: {models}",
            *([f"shard {options.shard}: measures a part of them, and decides nothing"] if options.shard else []),
            f"data: {sources}; baseline: {baseline}; device: {options.device}",
            *self._hub(),
            *plan.omissions,
            *plan.notes,
            *self.session.warnings,
        ]
        return [f"touchstone: {line}" for line in lines]

    def _hub(self) -> Iterator[str]:
        """Yield a line on how the hub is asked, if a case may ask it."""
        session, options = self.session, self.session.options
        cases, models = session.plan.cases, session.plan.models
        if any(case.data == "hub" for case in cases) or any(
            getattr(models[case.alias].spec, "id", None) for case in cases
        ):
            yield (
                "hub: not asked, the run is offline"
                if options.offline
                else f"hub: asked again for {options.patience:g} s (--patience) when it fails and may recover"
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> "LongestFirst | None":
        """Take the place of xdist's default; another ``--dist`` was asked for."""
        if config.getvalue("dist") != "load":
            return None
        from touchstone.plugin.xdist import LongestFirst, make_jobs

        forecast = self.forecast
        return LongestFirst(config, lambda ids: make_jobs(ids, forecast.estimates), forecast.loading)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases; xdist's controller has no items and hears of them from a worker."""
        if session.items:
            self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note the cases, from a worker's collection."""
        self._expect(ids)

    def spread(self, workers: int) -> None:
        """Note that so many actors run cases at once."""
        self._workers = workers
        self._progress.spread(workers)

    def begin(self, case: str) -> None:
        """Note that an actor has begun a case."""
        self._progress.begin(case)

    def paint_progress(self, tell: Callable[[], str] = str) -> None:
        """Show how far the run is, where somebody looks; ``tell`` returns what is being done."""
        if self._line.shown:
            self._doing = tell()
            self._line.paint(self.render_progress())

    def _expect(self, nodeids: Sequence[str]) -> None:
        self._collected = True
        self._progress.collect(self.session.expect(cases_of(nodeids)))
        if not self._config.option.collectonly:
            self.session.write_so_far()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Guard what is shown, show what comes from a hub, and end well where the system asks to, from here on."""
        guard_terminal(session.config)
        self._terminated = Terminated(session)
        self._terminated.install()
        line = self._line
        paint, tell = (line.paint_by, str) if line.shown else (None, self.render_progress)
        self._downloads = Downloads(lambda: read_news(self.session.store.news), paint, tell)
        self._downloads.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note when a case began."""
        case = case_of(nodeid)
        if case is not None:
            self._progress.begin(case)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Count a suspect case by itself: pytest would count a loss that is not proven among what passed."""
        record = getattr(report, "touchstone_record", None)
        if (
            self.session.shard is not None
            or record is None
            or not record["suspect"]
            or not report.passed
            or report.when != "call"
        ):
            return None
        return "suspect", "?", ("SUSPECT", {"yellow": True})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the record of a case, or an error if its worker died; make room for what pytest writes."""
        self._line.clear()
        case = case_of(report.nodeid)
        is_lost = report.when not in PHASES
        if case is not None and is_lost:
            self._progress.lose(case)
        record = getattr(report, "touchstone_record", None)
        if record is not None:
            self.session.add(read_record(record), getattr(report, "touchstone_notes", ()))
        elif report.failed and is_lost:
            message = str(report.longrepr).strip().splitlines()[0]
            worker = getattr(getattr(report, "node", None), "gateway", None)
            error = self._worker_ends.get(getattr(worker, "id", ""), message)
            report.longrepr = f"{case or report.nodeid}: {error}"
            self.add_crash(report.nodeid, error)
        if case is not None:
            self.session.write_so_far()

    def add_crash(self, nodeid: str, error: str) -> None:
        """Add an error for the case in which a process ended."""
        self.session.add_crash(case_of(nodeid) or nodeid, error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Note how a worker ended that should not have."""
        if error is not None:
            self._worker_ends[node.gateway.id] = how_it_ended(node)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note how long a case took; with workers, whose own lines nobody sees, show how long the others will."""
        case = case_of(nodeid)
        if case is not None:
            self._progress.end(case)
            self._doing = ""
        if self._workers:
            self.paint_progress()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why cases are not measured: somebody, or the system, ended the run."""
        verb = "interrupted" if excinfo.errisinstance(KeyboardInterrupt) else "terminated"
        self.session.stop(f"the run was {verb} before it was measured")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write everything; a case that nobody reported fails the run."""
        with uninterrupted():
            if self._downloads is not None:
                self._downloads.stop()
            self._line.clear()  # leave the terminal as it was
            if session.config.option.collectonly or session.exitstatus == pytest.ExitCode.USAGE_ERROR:
                return
            self.finish()
        assert self.finished is not None
        self._tell_once()
        empty = session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.session.shard is not None
        if session.exitstatus == pytest.ExitCode.OK or empty or (self.finished.exit_code and not self._collected):
            session.exitstatus = self.finished.exit_code
        if self._terminated is not None and self._terminated.signalled:
            session.exitstatus = TERMINATED_CODE

    def _tell_once(self) -> None:
        """Name the model of an error once, and an error that several cases have once; JUnit has all for each."""
        first_cases: dict[str, str] = {}
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        for report in getattr(reporter, "stats", {}).get("error", ()):
            case, text = case_of(report.nodeid) or "", str(report.longrepr)
            if not case or not text.startswith(f"{case}: "):  # no sentence of ours
                continue
            message = text.removeprefix(f"{case}: ").removeprefix(f"{case.partition(':')[0]}: ")
            first = first_cases.setdefault(message, case)
            report.longrepr = f"{case}: {message if first == case else f'as {first}, above'}"

    def pytest_unconfigure(self) -> None:
        """Leave SIGTERM as it was, and add the verdicts to the file that pytest has written by now."""
        if self.finished is not None and (path := self._config.option.xmlpath):
            add_verdicts(Path(path), self.finished.run.suites, self.session.options.inconclusive)
        if self._terminated is not None:
            self._terminated.uninstall()

    def finish(self) -> None:
        """Write everything."""
        if self._workers and not self._collected:  # all died before one said what it found
            self.session.expect(case.id for case in self.session.plan.cases)
        self.finished = self.session.finish()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode) -> None:
        """Show the table."""
        nothing = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._config.option.markexpr and exitstatus in nothing:
            terminalreporter.write_line(self._marks())
        if self.finished is None or not self.finished.run.records:
            return
        writer = terminalreporter._tw
        # A log file has no width: its lines must not be folded at the 80 columns that pytest assumes.
        width = writer.fullwidth if writer.hasmarkup else max(writer.fullwidth, 120)
        text = render_summary(summarize(_records_to_show(self.finished.run)), width=width, color=writer.hasmarkup)
        terminalreporter.section(f"touchstone: {self.finished.run.suite}")
        for line in text.splitlines():  # by line: of one that a terminal cannot show pytest writes all in escapes
            terminalreporter.write_line(line)
        for suite in self.finished.run.suites:
            for line in render_suite(suite, width=width).splitlines():
                terminalreporter.write_line(line, bold=True, **{SUITE_COLORS[suite.verdict]: True})
        for note in self.finished.notes:
            terminalreporter.write_line(note)
        for reason in _exit_reason(self.finished):
            terminalreporter.write_line(reason, bold=True, red=self.finished.exit_code == 1)

    def _marks(self) -> str:
        """Return a sentence on what ``-m`` could select."""
        cases = self.session.plan.cases
        marks = sorted({case.task.mark for case in cases})
        typed = self._config.option.markexpr
        return (
            f'-m "{typed}" selects no case; the marks of suite {self.session.plan.suite} are {", ".join(marks)}, '
            f'language(code="…") and in_benchmark(name="…"){find_near(typed, self._config.getini("markers"))}'
        )


def _exit_reason(finished: Finished) -> Iterator[str]:
    """Yield the reason for the exit code of a run that does not simply pass: pytest counts a loss of all as passed."""
    suspect = [record for record in finished.run.records if record.suspect]
    undecided = [suite.model for suite in finished.run.suites if suite.verdict == "INCONCLUSIVE"]
    if finished.exit_code == 1:
        stopped = _count_stopped([record for record in finished.run.records if record.outcome != "passed"])
        failed = [f"{suite.model}: FAIL" for suite in finished.run.suites if suite.verdict == "FAIL"]
        if failed or stopped:
            hint = "; touchstone open shows what lost most" if failed else ""
            yield f"exit code 1: {', '.join(failed or stopped)}{hint}"
    elif finished.exit_code == UNDECIDED_CODE:
        reason = f"{count(len(suspect), 'case')} suspect" if suspect else f"inconclusive: {', '.join(undecided)}"
        option = "pass" if suspect else "warn"
        yield f"exit code 9: {reason}; touchstone open shows what lost most, --inconclusive {option} lets it through"
    elif finished.exit_code == 0 and undecided:
        yield f"exit code 0, though {', '.join(undecided)} is inconclusive; --inconclusive fail makes that 9"


def _count_stopped(records: Sequence[Record]) -> list[str]:
    """Return how many cases have which verdict; an error that all of them have is told with them."""
    words, errors = Counter(map(verdict_word, records)), {record.error for record in records if record.error}
    error = f": {brief(errors.pop() or '', ERROR_LENGTH)}" if len(errors) == 1 else ""
    names = {"error": f"with an error{error}", "missing": "without a baseline"}
    return [f"{count(words[word], 'case')} {names.get(word, word)}" for word in SEVERITY if words[word]]


def _records_to_show(run: Run) -> list[Record]:
    """Return the records for a summary: of a shard its own cases, with what was measured and no verdict."""
    if run.shard is None:
        return list(run.records)
    shard_records = [record for record in run.records if record.case in run.shard.cases]
    return [
        replace(record, verdict=None, outcome="passed", suspect=False, shown=None, baseline=None, delta=None)
        if record.score is not None and record.error is None
        else record
        for record in shard_records
    ]

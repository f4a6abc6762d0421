"""The pytest side: options, parameters, marks, records on their way to the controller. Decides nothing itself.

Loaded by ``-p evals.plugin`` or a root conftest's ``pytest_plugins``; does nothing in a session that does not
collect ``evals/test_tasks.py``.
"""

import argparse
import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from evals.config import Options
from evals.errors import EvalsError
from evals.marks import TYPE_MARKS, describe_marks, marks_of
from evals.overall import render_suite
from evals.recording import Record, make_record, to_dict
from evals.records import Case, Outcome, Verdict
from evals.report import render_summary, summarize
from evals.scheduling import NAME, Schedule, case_of, cases_of
from evals.session import Finished, Session, open_session
from evals.sources import go_offline
from evals.workers import available_cores, device_of_worker, share_threads, visible_devices

HOME = Path(__file__).parent
TEST_FILE = HOME / "test_tasks.py"
SESSION = pytest.StashKey[Session]()
OUTCOME = pytest.StashKey[Outcome]()
VERDICT = pytest.StashKey[Verdict | None]()
SUITE_COLORS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def get_session(config: pytest.Config) -> Session:
    """Return the run that this pytest session is."""
    return config.stash[SESSION]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all in one group."""
    group = parser.getgroup("touchstone", "embedding evaluation (pytest evals)")
    many: dict[str, Any] = {"action": "append", "default": []}
    options: dict[str, dict[str, Any]] = {
        "--suite": many | {"metavar": "NAME|PATH", "help": "a suite by name, or a file, TOML or EvalScope's"},
        "--model": many
        | {"metavar": "MODEL", "help": "ALIAS[@key=value], PATH[=name], hub id or api:URL#NAME; replaces the suite's"},
        "--models": {"metavar": "FILE", "dest": "evals_models_file", "help": "a TOML file with more named models"},
        "--task": many | {"metavar": "GLOB", "help": "only these tasks of the suite (repeatable)"},
        "--source": {
            "metavar": "hub|mirror:DIR|modelscope:DIR",
            "help": "where data sets are; replaces the suite's source",
        },
        "--offline": {"action": "store_true", "help": "promise no network call: models and data are on this machine"},
        "--overwrite": {"action": "store_true", "help": "measure all anew, whatever the store knows from before"},
        "--reuse-api": {"action": "store_true", "help": "ask an API only what no run has asked it before"},
        "--baseline": {
            "default": "check",
            "metavar": "check|record|update|off",
            "help": "judge by the baselines (default), write the missing or all measured ones, or only measure",
        },
        "--baselines": {"metavar": "DIR", "help": "the project's folder of baselines (default: baselines)"},
        "--against": {"metavar": "ALIAS", "help": "judge by another model's baselines"},
        "--gate": {"metavar": "auto|reproduce|paired|threshold", "help": "the rule to judge by (default: auto)"},
        "--margin": {"metavar": "FRACTION", "help": "the loss a case may have (default: 0.01, one point)"},
        "--alpha": {"metavar": "FRACTION", "help": "the share of false alarms among a model's cases (default: 0.05)"},
        "--inconclusive": {"metavar": "warn|fail", "help": "whether an undecided suite fails, with exit code 9"},
        "--limit": {"metavar": "N", "help": "at most N queries, rows or pairs of each split and subset"},
        "--on": {"default": "auto", "metavar": "auto|cpu|cuda[:N]|mps", "help": "the device (default: auto)"},
        "--store": {"metavar": "DIR", "help": "the folder for results and caches (default: the suite's, else .evals)"},
        "--report": many
        | {"metavar": "FILE", "help": "write a report; .html, .json or .md, or github: the job's summary (repeatable)"},
    }
    for name, settings in options.items():
        try:
            group.addoption(name, **{"dest": "evals_" + name.strip("-").replace("-", "_")} | settings)
        except (ValueError, argparse.ArgumentError):
            raise pytest.UsageError(
                f"evals.plugin: another plugin has the option {name} already; disable one"
            ) from None


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks; when our test is to be collected, check everything the user wrote before anything runs."""
    for line in describe_marks():
        config.addinivalue_line("markers", line)
    if not config.option.help and _collects_us(config):
        _share_machine(config)
        try:
            _start(config)
        except EvalsError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a parameter, with its marks, of each case."""
    if metafunc.definition.path != TEST_FILE:
        return
    if SESSION not in metafunc.config.stash:
        _start(metafunc.config)
    cases = get_session(metafunc.config).plan.cases
    for mark in {case.task.mark for case in cases} - set(TYPE_MARKS):
        metafunc.config.addinivalue_line("markers", f"{mark}: cases of that task type")
    metafunc.parametrize("case", [pytest.param(case, id=case.id, marks=marks_of(case)) for case in cases])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage while cases are collected: all of them stay, and looking took a fifth of the time."""
    if SESSION not in session.config.stash or not gc.isenabled():
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what must be reported and judged together; xdist's controller has no items and hears it from a worker."""
    if session.items and SESSION in session.config.stash:
        get_session(session.config).expect(cases_of(item.nodeid for item in session.items))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Take as many workers as there are devices for ``-n auto``; xdist decides where there are none."""
    return len(visible_devices(os.environ)) or None if _collects_us(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which run it is part of, and its device."""
    if SESSION not in node.config.stash:
        return
    node.workerinput["evals_run"] = get_session(node.config).options.run
    if node.config.option.evals_on in ("auto", "cuda"):
        node.workerinput["evals_device"] = device_of_worker(node.gateway.id, visible_devices(os.environ))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the case's record on the report that decides it, and its figures where JUnit finds them."""
    if item.path != TEST_FILE or call.when == "teardown" or (call.when == "setup" and call.excinfo is None):
        return (yield)
    case: Case = item.callspec.params["case"]  # type: ignore[attr-defined]  # set by parametrize
    outcome, verdict = item.stash.get(OUTCOME, None), item.stash.get(VERDICT, None)
    error = None
    if call.excinfo is not None and verdict is None:
        error = str(call.excinfo.value).removeprefix(f"{case.id}: ") or call.excinfo.typename
    record = make_record(case, outcome, verdict, error)
    for name in ("score", "baseline", "delta", "verdict"):
        item.user_properties.append((name, getattr(record, name)))
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(pytest.fail.Exception):
        report.sections.clear()  # one sentence says it all; the progress bars of libraries do not help
    report.evals_record = to_dict(record)  # type: ignore[attr-defined]  # reports may carry what plugins add
    return report


class Controller:
    """The hooks of the process that owns the run: the only one, or xdist's controller."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.finished: Finished | None = None

    def pytest_report_header(self) -> list[str]:
        """Say what is about to run."""
        plan, options = self.session.plan, self.session.options
        models = ", ".join(dict.fromkeys(case.alias for case in plan.cases)) or "none"
        sources = " + ".join(sorted({"folder" if case.task.folder else str(case.source) for case in plan.cases}))
        judged = f"{options.baseline} against {options.against}" if options.against else options.baseline
        lines = [
            f"evals: suite {plan.suite}: {len(plan.cases)} cases; models: {models}",
            f"evals: data: {sources}; baseline: {judged}; device: {options.device}",
        ]
        lines += [f"evals: {count} cases left out: {reason}" for reason, count in plan.left_out.items()]
        return lines + [f"evals: {note}" for note in plan.notes]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note what must be reported, from a worker's collection."""
        self.session.expect(cases_of(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a record, or that a worker went away while it ran a case."""
        found = getattr(report, "evals_record", None)
        if found is not None:
            self.session.add(TypeAdapter(Record).validate_python(found))
        elif report.failed and report.when not in ("setup", "call", "teardown"):
            self.session.add_crash(
                case_of(report.nodeid) or report.nodeid, str(report.longrepr).strip().splitlines()[0]
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write everything; a case that nobody reported fails the run."""
        if session.config.option.collectonly:
            return
        self.finished = self.session.finish()
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self.finished.exit_code

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table."""
        if self.finished is None or not self.finished.run.records:
            return
        writer = terminalreporter._tw
        # A log file has no width: its lines must not be folded at the 80 columns that pytest assumes.
        width = writer.fullwidth if writer.hasmarkup else max(writer.fullwidth, 120)
        text = render_summary(summarize(self.finished.run.records), width=width, color=writer.hasmarkup)
        terminalreporter.section(f"evals: {self.finished.run.suite}")
        terminalreporter.write(text)
        for suite in self.finished.run.suites:
            terminalreporter.write_line(render_suite(suite), bold=True, **{SUITE_COLORS[suite.verdict]: True})
        for note in self.finished.notes:
            terminalreporter.write_line(note)


def _share_machine(config: pytest.Config) -> None:
    """Give each worker its cores and its device, in time: numpy and torch look when they are imported."""
    device = getattr(config, "workerinput", {}).get("evals_device")
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    workers = getattr(config.option, "tx", None) or []
    if len(workers) > 1:
        os.environ |= share_threads(len(workers), available_cores(), os.environ)


def _start(config: pytest.Config) -> None:
    """Check the options and find the cases."""
    option = config.option
    if option.evals_offline:
        go_offline()
    typed: dict[str, Any] = {
        "suites": option.evals_suite,
        "models": option.evals_model,
        "models_file": option.evals_models_file,
        "tasks": option.evals_task,
        "source": option.evals_source,
        "offline": option.evals_offline,
        "baseline": option.evals_baseline,
        "baselines": option.evals_baselines,
        "against": option.evals_against,
        "limit": option.evals_limit,
        "gate": option.evals_gate,
        "margin": option.evals_margin,
        "alpha": option.evals_alpha,
        "inconclusive": option.evals_inconclusive,
        "device": option.evals_on,
        "reuse_api": option.evals_reuse_api,
        "overwrite": option.evals_overwrite,
        "run": getattr(config, "workerinput", {}).get("evals_run"),
        "store": option.evals_store,
        "reports": option.evals_report,
        "command": _command(config),
    }
    session = open_session(Options.parse(typed, config.rootpath, config.invocation_params.dir))
    config.stash[SESSION] = session
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Controller(session), "evals-controller")
        config.pluginmanager.register(Schedule(session, config), NAME)


def _command(config: pytest.Config) -> list[str]:
    """Return how this run was started, without our options: the start of the commands that we print."""
    if not config.option.pyargs:
        return ["pytest", "evals"]
    loaded = ["-p", "evals.plugin"] if "evals.plugin" in config.invocation_params.args else []
    return ["pytest", "--pyargs", "evals", *loaded]


def _collects_us(config: pytest.Config) -> bool:
    """Say whether the arguments name our test file, its folder, or the checkout around it."""
    for argument in config.args:
        place = argument.partition("::")[0]
        if config.option.pyargs and place in ("evals", "evals.test_tasks"):
            return True
        path = (config.invocation_params.dir / place).resolve()
        if path in (HOME, TEST_FILE) or path == HOME.parent == config.rootpath:
            return True
    return False

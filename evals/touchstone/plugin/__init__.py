"""The pytest side: options, parameters, marks, records on their way to the controller. Decides nothing itself.

Loaded by ``-p touchstone.plugin`` or a root conftest's ``pytest_plugins``; does nothing in a session that does not
collect `touchstone.test_tasks.test_task`.
"""

import argparse
import gc
import os
from collections.abc import Generator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pytest

from touchstone.config.models import Guess
from touchstone.config.options import OPTIONS, Options, typed_options
from touchstone.environment import available_cores
from touchstone.errors import ConfigError, TouchstoneError
from touchstone.foreign import one_line
from touchstone.judging.gate import Comparison
from touchstone.plugin.arguments import NearOptions, collects_us, command_of, root_of
from touchstone.plugin.controller import NAME, Controller
from touchstone.plugin.endings import end_at
from touchstone.plugin.guard import clean_report, guard_terminal
from touchstone.plugin.junit import figures
from touchstone.plugin.loaded import TEST_FILES, hash_plugins
from touchstone.plugin.marks import TYPE_MARKS, describe_marks, marks_of
from touchstone.plugin.nodeids import TEST_MODULE, case_of, cases_of
from touchstone.records.cases import Case
from touchstone.records.flat import flatten
from touchstone.records.outcomes import Outcome
from touchstone.records.runs import make_record
from touchstone.records.verdicts import Verdict
from touchstone.schedule.devices import device_of_worker, share_threads, visible_devices
from touchstone.session.session import Session, open_session
from touchstone.tasks.sources import go_offline

SESSION = pytest.StashKey[Session]()
OUTCOME = pytest.StashKey[Outcome]()
COMPARISON = pytest.StashKey[Comparison]()
VERDICT = pytest.StashKey[Verdict | None]()


def get_session(config: pytest.Config) -> Session:
    """Return the run that this pytest session is."""
    return config.stash[SESSION]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, all in one group."""
    parser.extra_info["touchstone"] = NearOptions(pluginmanager)
    group = parser.getgroup("touchstone", "embedding evaluation (pytest evals)")
    for option in OPTIONS:
        try:
            group.addoption(option.name, **option.settings())
        except (ValueError, argparse.ArgumentError):
            raise pytest.UsageError(
                f"touchstone.plugin: another plugin has the option {option.name} already; disable one"
            ) from None


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks; when our test is to be collected, check everything the user wrote before anything runs."""
    for line in describe_marks():
        config.addinivalue_line("markers", line)
    if not config.option.help and collects_us(config):
        _share_machine(config)
        try:
            _start(config)
        except TouchstoneError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a parameter, with its marks, of each case."""
    if not _is_ours(metafunc.function):
        return
    if SESSION not in metafunc.config.stash:
        _start(metafunc.config)
    metafunc.config.stash.setdefault(TEST_FILES, set()).add(metafunc.definition.path)
    cases = get_session(metafunc.config).plan.cases
    for mark in {case.task.mark for case in cases} - set(TYPE_MARKS):
        metafunc.config.addinivalue_line("markers", f"{mark}: cases of that task type")
    metafunc.parametrize("case", [pytest.param(case, id=case.id, marks=marks_of(case)) for case in cases])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Disable the garbage collector during collection: all cases stay, and looking took a fifth of the time."""
    if SESSION not in session.config.stash or not gc.isenabled():
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note in a worker what must be judged together; the controller does in the process that owns the run."""
    if session.items and SESSION in session.config.stash and hasattr(session.config, "workerinput"):
        get_session(session.config).expect(cases_of(item.nodeid for item in session.items))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each case once, and this shard's cases of those selected; other tests are run by the first shard."""
    if SESSION not in config.stash:
        return
    session, cases = get_session(config), [case_of(item.nodeid) for item in items]
    first = {case: at for at, case in reversed([*enumerate(cases)])}  # of two files that have it
    selected = [item for at, item in enumerate(items) if cases[at] is None or first[cases[at]] == at]
    if session.shard is not None:
        mine = session.take_shard(case for case in cases if case is not None)
        others = session.shard.number == 1
        selected = [item for item in selected if (others if (case := case_of(item.nodeid)) is None else case in mine)]
    if len(selected) < len(items):
        chosen = set(selected)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = selected


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Take as many workers as there are devices for ``-n auto``; xdist decides where there are none."""
    return len(visible_devices(os.environ)) or None if collects_us(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which run it is part of, what its servers were taken for, and its device."""
    if SESSION not in node.config.stash:
        return
    options = get_session(node.config).options
    node.workerinput["touchstone_run"] = options.run
    guesses = get_session(node.config).plan.guesses
    node.workerinput["touchstone_guesses"] = {key: asdict(guess) for key, guess in guesses.items()}
    if options.device in ("auto", "cuda"):
        node.workerinput["touchstone_device"] = device_of_worker(node.gateway.id, visible_devices(os.environ))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the case's record on the report that decides it, and its figures where JUnit finds them."""
    if not isinstance(item, pytest.Function) or not _is_ours(item.function):
        return (yield)
    if call.when == "teardown" or (call.when == "setup" and call.excinfo is None):
        return (yield)
    case = item.callspec.params["case"]
    assert isinstance(case, Case)
    outcome, verdict = item.stash.get(OUTCOME, None), item.stash.get(VERDICT, None)
    error = None
    waits = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
    if call.excinfo is not None and verdict is None and not waits:
        error = one_line(str(call.excinfo.value)).removeprefix(f"{case.id}: ") or call.excinfo.typename
    comparison = item.stash.get(COMPARISON, None)
    record = make_record(case, outcome, verdict, error, None if comparison is None else comparison.shown)
    if waits and call.excinfo is not None:  # for parts of its corpus that other shards measure
        record = replace(record, reason=one_line(str(call.excinfo.value)).removeprefix(f"{case.id}: "))
    item.user_properties += figures(record)
    if get_session(item.config).shard is None:
        item.user_properties.append(("verdict", record.verdict))
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(pytest.fail.Exception):
        report.sections.clear()  # one sentence says it all; the progress bars of libraries do not help
    clean_report(report)
    report.touchstone_record = flatten(record)  # type: ignore[attr-defined]  # reports may carry what plugins add
    report.touchstone_notes = get_session(item.config).store.notes  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Write everything before pytest-timeout's method thread ends the process that owns the run."""
    controller = item.config.pluginmanager.get_plugin(NAME)
    if settings.method != "thread" or not isinstance(controller, Controller):
        return None

    def note(seconds: float) -> None:
        controller.add_crash(item.nodeid, f"it took longer than {seconds:g} s, the limit of pytest-timeout")
        controller.finish()

    end_at(item, settings, note)
    return True


def _is_ours(function: object) -> bool:
    return getattr(function, "__module__", None) == TEST_MODULE


def _share_machine(config: pytest.Config) -> None:
    """Give each worker its cores and its device, in time: numpy and torch look when they are imported."""
    device = getattr(config, "workerinput", {}).get("touchstone_device")
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    workers = getattr(config.option, "tx", None) or []
    if len(workers) > 1:
        os.environ |= share_threads(len(workers), available_cores(), os.environ)


def _start(config: pytest.Config) -> None:
    """Check the options and find the cases."""
    guard_terminal(config)  # where a terminal is there already; else the session's start does
    typed = typed_options(config.option)
    if typed["offline"]:
        go_offline()
    worker_input = getattr(config, "workerinput", {})
    folder = config.invocation_params.dir
    run, command = worker_input.get("touchstone_run"), command_of(config)
    options = Options.parse(typed, root_of(config), folder, run=run, command=command)
    if options.engine == "ray" and (getattr(config.option, "tx", None) or getattr(config.option, "usepdb", False)):
        raise ConfigError("--engine ray spreads cases over a cluster itself; leave out -n and --pdb")
    guesses = {key: Guess(**guess) for key, guess in worker_input.get("touchstone_guesses", {}).items()}
    options = replace(options, workers=worker_input.get("workercount", 1), guesses=guesses)
    session = open_session(options, partial(hash_plugins, config))
    session.plan.refuse_empty()
    if not config.option.collectonly:
        session.store.make()
    config.stash[SESSION] = session
    if hasattr(config, "workerinput"):
        return
    controller = Controller(session, config)
    config.pluginmanager.register(controller, NAME)
    if options.engine == "ray":
        from touchstone.plugin.actors import Cluster

        config.pluginmanager.register(Cluster(session, controller), "touchstone-cluster")

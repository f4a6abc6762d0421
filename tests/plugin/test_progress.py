"""The schedule in real runs: who ran what with two workers, and what the terminal says of the time left."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.builders import make_case, make_row, make_run
from touchstone.formatting import render_duration
from touchstone.plugin.controller import NAME, Controller, show_progress
from touchstone.plugin.nodeids import case_of
from touchstone.records.flat import flatten
from touchstone.schedule.dispatch import lower_bound
from touchstone.schedule.progress import Progress

EVALS = (
    "--pyargs",
    "touchstone",
    "-p",
    "touchstone.plugin",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "--device",
    "cpu",
)
# The longest last: in collection order one worker would get it behind others.
SECONDS = (0.1, 0.3, 0.2, 0.4, 0.3, 0.5, 0.2, 1.0, 2.0)
# Measures nothing: every case takes the seconds that its name has, and says where and when it ran.
STAND_IN = """
import os
import time
from contextlib import contextmanager
from pathlib import Path
from touchstone.records.outcomes import Measurement, ModelIdentity, Outcome
from touchstone.session.session import MeasuredCase, Session

@contextmanager
def measure(self, case, progress):
    began = time.time()
    time.sleep(float(case.task.name.partition("_")[2]) / 1000)
    who = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    with Path("log").open("a") as log:
        log.write(f"{who} {case.task.name} {began} {time.time()}\\n")
    yield MeasuredCase(outcome=Outcome(
        identity=ModelIdentity(name="x", revision=None, unmodified=False, fingerprint="0" * 12),
        measurement=Measurement(metric="cosine_spearman", score=0.5, subsets={"test/default": 0.5}),
        device="cpu", phases={"encode": 1.0}, texts=1,
    ))

Session.measure = measure
"""


def name(number: int, seconds: float) -> str:
    return f"T{number}_{seconds * 1000:.0f}"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of cases of known length, timed in an earlier run."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the session that runs this test
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(STAND_IN)
    names = [name(number, seconds) for number, seconds in enumerate(SECONDS)]
    tasks = "".join(f'[[tasks.custom]]\nname = "{one}"\ntype = "STS"\npath = "data"\n' for one in names)
    (pytester.path / "my.toml").write_text(f'models = ["minilm"]\n{tasks}')
    (pytester.path / "data").mkdir()
    (pytester.path / "data" / "test.jsonl").write_text("{}\n")
    rows = [
        make_row(one, score=0.5, seconds=seconds, phases={"encode": seconds}, device="cpu")
        for one, seconds in zip(names, SECONDS, strict=True)
    ]
    runs = pytester.path / ".touchstone" / "runs"
    runs.mkdir(parents=True)
    (runs / "20260101T000000.000000Z.json").write_text(json.dumps(flatten(make_run(*rows))))
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*EVALS, "--suite", "my.toml", "--baseline", "off", *arguments)


def log(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Return what each worker ran, with its begin and end."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for line in (path / "log").read_text().splitlines():
        who, task, began, ended = line.split()
        found.setdefault(who, []).append((task, float(began), float(ended)))
    return found


def test_two_workers_take_the_longest_first_and_end_together(project: pytest.Pytester) -> None:
    run(project, "-n", "2").assert_outcomes(passed=len(SECONDS))
    ran = log(project.path)
    assert sorted(task for tasks in ran.values() for task, *_ in tasks) == sorted(map(name, range(9), SECONDS))
    assert {tasks[0][0] for tasks in ran.values()} == {name(8, 2.0), name(7, 1.0)}
    loads = [sum(float(task.partition("_")[2]) / 1000 for task, *_ in tasks) for tasks in ran.values()]
    assert max(loads) <= 1.05 * lower_bound(SECONDS, 2)
    times = [time for tasks in ran.values() for time in tasks]
    wall = max(ended for *_, ended in times) - min(began for _, began, _ in times)
    assert wall <= 1.05 * lower_bound(SECONDS, 2) + 2.0  # what a busy machine may take to start the second worker


def test_tests_of_the_project_run_in_the_same_session(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_mine="import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_n(n): pass\n",
        test_yours="def test_one(): assert False\ndef test_two(): pass\n",
    )
    arguments = [*EVALS, "test_mine.py", "test_yours.py", "--suite", "my.toml", "--baseline", "off", "-n", "2"]
    project.runpytest_subprocess(*arguments).assert_outcomes(passed=len(SECONDS) + 21, failed=1)


def test_stopping_at_the_first_failure_leaves_the_rest(project: pytest.Pytester) -> None:
    longest = name(8, 2.0)
    project.makeconftest(STAND_IN.replace("began = time.time()", f"assert case.task.name != {longest!r}", 1).replace(
        "{began}", "0"))  # fmt: skip
    result = run(project, "-n", "2", "-x")
    assert result.ret != 0
    ran = [task for tasks in log(project.path).values() for task, *_ in tasks]
    assert len(ran) < len(SECONDS) - 2


def test_alone_the_order_is_that_of_the_plan(project: pytest.Pytester) -> None:
    run(project, "-p", "no:xdist").assert_outcomes(passed=len(SECONDS))
    assert [task for task, *_ in log(project.path)["alone"]] == list(map(name, range(9), SECONDS))


@pytest.mark.parametrize(
    ("nodeid", "case"),
    [
        ("../evals/test_tasks.py::test_task[minilm:BIOSSES]", "minilm:BIOSSES"),
        ("test_tasks.py::test_task[a:B]", "a:B"),
        ("tests/test_tasks.py::test_other", None),
        ("tests/test_mine.py::test_n[1]", None),
    ],
)
def test_node_ids_say_which_case_they_are(nodeid: str, case: str | None) -> None:
    assert case_of(nodeid) == case


class Terminal:
    """What pytest's terminal reporter and capture have of a terminal."""

    fullwidth = 80
    width_of_current_line = 3

    def __init__(self, *, hasmarkup: bool = True) -> None:
        self.hasmarkup = hasmarkup
        self.text = ""
        self._tw = self
        self._file = self

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass

    def config(self, workers: int, schedule: Controller | None = None) -> Any:
        """Return a configuration of pytest's that knows this terminal."""
        capture = SimpleNamespace(global_and_fixture_disabled=nullcontext)
        plugins = {"terminalreporter": self, "capturemanager": capture, NAME: schedule}
        options = {"tx": ["popen"] * workers}
        return SimpleNamespace(
            pluginmanager=SimpleNamespace(get_plugin=plugins.get),
            getoption=lambda name, _: options[name],
            option=SimpleNamespace(collectonly=False),
        )


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Progress.__init__, "__defaults__", (clock.monotonic,))
    monkeypatch.setattr("touchstone.plugin.terminal_line.time", clock)
    monkeypatch.delenv("CI", raising=False)
    return clock


def scheduled(tmp_path: Path, terminal: Terminal, workers: int = 0) -> Controller:
    """Return the schedule of three cases that took 10, 20 and 30 minutes before."""
    cases = [make_case(name=str(minutes)) for minutes in (10, 20, 30)]
    rows = [
        make_row(case.task.name, score=0.5, seconds=60.0 * int(case.task.name), phases={"encode": 1.0}, device="cpu")
        for case in cases
    ]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "1.json").write_text(json.dumps(flatten(make_run(*rows))))
    session: Any = SimpleNamespace(
        plan=SimpleNamespace(cases=tuple(cases), models={}),
        store=SimpleNamespace(folder=tmp_path),
        options=SimpleNamespace(device="cpu"),
        cache=SimpleNamespace(ids=lambda _: frozenset()),
        expect=tuple,
        add_crash=lambda *_: None,
        finish=lambda: SimpleNamespace(exit_code=0),
        write_so_far=lambda: None,
    )
    schedule = Controller(session, terminal.config(workers))
    schedule.pytest_xdist_node_collection_finished([nodeid(case.task.name) for case in cases])
    return schedule


def painted(text: str) -> str:
    """What is written to have a text below the cursor, which stays in the column behind the three signs."""
    return f"\n\r\x1b[K{text}\x1b[1A\x1b[4G"


def nodeid(task: str) -> str:
    return f"evals/test_tasks.py::test_task[minilm:{task}]"


def test_time_left_is_corrected_by_what_was_measured(tmp_path: Path, clock: Clock) -> None:
    schedule = scheduled(tmp_path, Terminal())
    schedule.pytest_runtest_logstart(nodeid("10"))
    assert schedule.render_progress() == "0 of 3 cases done, about 60 min left"
    clock.now = 360.0
    assert schedule.render_progress() == "0 of 3 cases done, about 54 min left"
    clock.now = 1200.0  # twice as long
    schedule.pytest_runtest_logfinish(nodeid("10"))
    assert schedule.render_progress() == f"1 of 3 cases done, about {50 * 25 / 16:.0f} min left"


def test_loading_of_the_first_case_says_nothing_of_the_others(tmp_path: Path, clock: Clock) -> None:
    schedule = scheduled(tmp_path, Terminal())
    schedule.pytest_runtest_logstart(nodeid("10"))
    clock.now = 650.0  # 50 s late
    schedule.pytest_runtest_logfinish(nodeid("10"))
    assert schedule.render_progress() == "1 of 3 cases done, about 50 min left"
    schedule.pytest_runtest_logstart(nodeid("20"))
    clock.now = 650.0 + 2400.0  # the model is loaded: twice as long
    schedule.pytest_runtest_logfinish(nodeid("20"))
    assert schedule.render_progress() == f"2 of 3 cases done, about {30 * 56 / 36:.0f} min left"


def test_with_workers_the_controller_shows_the_time_left_and_makes_room_for_pytest(
    tmp_path: Path, clock: Clock
) -> None:
    terminal = Terminal()
    schedule = scheduled(tmp_path, terminal, workers=2)
    for task in ("30", "10"):
        schedule.pytest_runtest_logstart(nodeid(task))
    clock.now = 600.0
    assert terminal.text == ""
    schedule.pytest_runtest_logfinish(nodeid("10"))
    assert terminal.text == painted("1 of 3 cases done, about 20 min left")
    terminal.text = ""
    report: Any = SimpleNamespace(when="call", nodeid=nodeid("20"), failed=False)
    schedule.pytest_runtest_logreport(report)
    assert terminal.text == painted("")
    terminal.text = ""
    ended: Any = SimpleNamespace(config=SimpleNamespace(option=SimpleNamespace(collectonly=False)), exitstatus=0)
    schedule.pytest_sessionfinish(ended)
    assert terminal.text == ""


def test_a_case_that_its_worker_did_not_survive_is_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    schedule = scheduled(tmp_path, Terminal(), workers=2)
    schedule.pytest_runtest_logstart(nodeid("30"))
    clock.now = 60.0
    report: Any = SimpleNamespace(when="???", nodeid=nodeid("30"), failed=True, longrepr="worker died")
    schedule.pytest_runtest_logreport(report)
    assert schedule.render_progress() == "1 of 3 cases done, about 20 min left"


@pytest.mark.parametrize(("markup", "ci"), [(False, ""), (True, "true")])
def test_a_file_or_a_ci_gets_no_line(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, markup: bool, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    terminal = Terminal(hasmarkup=markup)
    schedule = scheduled(tmp_path, terminal, workers=2)
    schedule.pytest_runtest_logstart(nodeid("10"))
    schedule.pytest_runtest_logfinish(nodeid("10"))
    assert terminal.text == ""


@pytest.mark.parametrize("asked", ["loadfile", "worksteal", "each", "no"])
def test_another_way_to_distribute_stays_what_was_asked_for(tmp_path: Path, clock: Clock, asked: str) -> None:
    config: Any = SimpleNamespace(getvalue={"dist": asked}.get)
    assert scheduled(tmp_path, Terminal()).pytest_xdist_make_scheduler(config) is None


def test_a_damaged_run_in_the_store_does_not_stop_a_run(tmp_path: Path, clock: Clock) -> None:
    schedule = scheduled(tmp_path, Terminal())
    (tmp_path / "runs" / "1.json").write_text("{")
    assert {one.basis for one in schedule.forecast.estimates.values()} == {"unknown"}


def test_a_case_says_what_it_does_and_how_long_the_run_will_take(tmp_path: Path, clock: Clock) -> None:
    terminal = Terminal()
    schedule = scheduled(tmp_path, terminal)
    config = terminal.config(0, schedule)
    with show_progress(config, "m:30") as progress:
        progress("encoding")
        assert terminal.text == ""  # too early
        clock.now = 4.0
        progress("encoding, 7 tokens/s")
        assert terminal.text == painted("0 of 3 cases done, about 60 min left; m:30: encoding, 7 tokens/s")
    assert terminal.text.endswith(painted(""))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (99.0, "99 s"), (100.0, "2 min"), (5940.0, "99 min"), (6000.0, "1.7 h"), (432_000.0, "120.0 h")],
)
def test_durations_are_said_as_one_would(seconds: float, words: str) -> None:
    assert render_duration(seconds) == words

"""Trials: each makes one thing go wrong in a project, and names what is wrong afterwards; nothing is what should be.

After each, a run that is left alone must say what an undisturbed one says, number by number.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.project import Ended, Project, differences, essence, unreported, wrong_numbers

# What root is under this command, it may no more than its files allow.
PLAIN_USER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
STORE = ".touchstone"
# How often each is done by an undisturbed run, by process: a fault strikes one of them.
MOMENTS = {
    "alone": {"fsync": 150, "replace": 170, "put": 32, "report": 70},
    "main": {"fsync": 9, "replace": 9, "report": 70},
    "gw0": {"fsync": 55, "replace": 70, "put": 15},
}
Truth = Mapping[str, Any]


def moment(who: str, chosen: random.Random, then: str) -> str:
    """Return a random moment of a process."""
    what = chosen.choice(sorted(MOMENTS[who]))
    return f"{'main' if who == 'alone' else who} {what} {chosen.randint(1, MOMENTS[who][what])} {then}"


def check_left_alone(project: Project, truth: Truth, *more: str) -> list[str]:
    """Run without a fault, and compare with the truth."""
    project.forget_report()
    ended = project.run(*more)
    found = [f"exit code {ended.code}: {ended.said[-1500:]}"] if ended.code else []
    found += differences(essence(project.report()), truth)
    return found + check_baselines(project)


def check_baselines(project: Project) -> list[str]:
    """Name what lies in the committed folder and is no part of it."""
    folder = project.folder / "baselines"
    return [f"left over: {path}" for path in folder.rglob("*") if path.name.startswith(".")]


def check_reported(ended: Ended, project: Project, truth: Truth, *, codes: tuple[int, ...]) -> list[str]:
    """Check a run that was disturbed and could still report: every case is there, and no number is another."""
    found = [] if ended.code in codes else [f"exit code {ended.code}: {ended.said[-1500:]}"]
    found += [f"traceback: {ended.said[-1500:]}"] if ended.traceback else []
    cases = [name for name in truth if not name.startswith("suite ")]
    for run in (project.report() if (project.folder / "run.json").is_file() else None, *project.stored()):
        if run is None:
            found.append(f"no report: {ended.said[-1500:]}")
        else:
            found += [f"unreported: {case}" for case in unreported(run, cases)] + wrong_numbers(run, truth)
    return found


def kill(project: Project, truth: Truth, chosen: random.Random, who: str = "main") -> list[str]:
    """Kill a process by signal 9, three times, and go on each time."""
    found: list[str] = []
    more = () if who == "alone" else ("-n", "2")
    cases = [name for name in truth if not name.startswith("suite ")]
    for _ in range(3):
        (project.folder / "struck").unlink(missing_ok=True)
        project.forget_report()
        ended = project.run(*more, FAULT=moment(who, chosen, "SIGKILL"))
        if ended.code == -signal.SIGKILL:
            run = project.stored()
            found += [f"unreported: {case}" for one in run for case in unreported(one, cases)]
            found += [line for one in run for line in wrong_numbers(one, truth)]
        elif (project.folder / "struck").is_file():  # a worker, which another one replaced
            found += check_reported(ended, project, truth, codes=(0, 1))
    return found + check_left_alone(project, truth, *more)


def stop(project: Project, truth: Truth, chosen: random.Random, name: str = "SIGTERM", workers: int = 0) -> list[str]:
    """Send a signal that asks to end; SIGINT2 stands for SIGINT twice."""
    code = {"SIGTERM": (143,), "SIGINT": (2,)}.get(name, (2, -signal.SIGINT))  # the second may end Python itself
    more = ("-n", str(workers)) if workers else ()
    process = project.start(*more)
    while process.poll() is None and not list((project.folder / STORE / "runs").glob("*.json")):
        time.sleep(0.05)
    time.sleep(chosen.uniform(0, 4))
    for _ in range(2 if name == "SIGINT2" else 1):
        process.send_signal(getattr(signal, name.rstrip("2")))
        time.sleep(chosen.uniform(0, 0.5))
    ended = project.wait(process, timeout=60)
    found = check_reported(ended, project, truth, codes=(*code, 0) if ended.code == 0 else code)
    if name == "SIGINT2":  # pytest's own words on the second are its own
        found = [line for line in found if not line.startswith("traceback")]
    return found + check_left_alone(project, truth, *more)


def flip(path: Path, chosen: random.Random) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    if data:
        data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    path.write_bytes(bytes(data))


def cut(path: Path, chosen: random.Random) -> None:
    """Leave the beginning."""
    data = path.read_bytes()
    path.write_bytes(data[: chosen.randrange(max(len(data), 1))])


def empty(path: Path, _: random.Random) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def remove(path: Path, _: random.Random) -> None:
    """Take it away."""
    path.unlink()


def become_a_folder(path: Path, _: random.Random) -> None:
    """Put a folder in its place, with something in it."""
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine")


def fill_with_junk(path: Path, chosen: random.Random) -> None:
    """Put random bytes in its place, as many."""
    path.write_bytes(chosen.randbytes(path.stat().st_size))


def lose_its_folder(path: Path, _: random.Random) -> None:
    """Put a file in the place of the folder that it is in."""
    folder = path.parent
    shutil.rmtree(folder)
    folder.write_text("a file")


CORRUPTIONS: tuple[Callable[[Path, random.Random], None], ...] = (
    flip, flip, flip, cut, empty, remove, become_a_folder, fill_with_junk, lose_its_folder,
)  # fmt: skip


def corrupt(project: Project, truth: Truth, chosen: random.Random, *, files: int = 5) -> list[str]:
    """Damage files of a store that is whole, run, and repair; of each folder of the store as often."""
    what = []
    for _ in range(files):
        path = _draw(project.folder / STORE, chosen)
        how = chosen.choice([one for one in CORRUPTIONS if one is not lose_its_folder or path.parent.name != STORE])
        how(path, chosen)
        what.append(f"{how.__name__} {path.relative_to(project.folder / STORE)}")
    project.forget_report()
    found = check_reported(project.run(), project, truth, codes=(0, 1))
    for command in LOOKS if chosen.random() < 0.2 else LOOKS[:1]:
        said = project.command(*command.split())
        found += [f"{command}: {said.said[-500:]}"] if said.traceback or said.code not in (0, 1, 4) else []
    said = project.command("store", "verify", "--repair")
    found += [f"repair: {said.said[-500:]}"] if said.traceback or said.code else []
    found += check_left_alone(project, truth)
    said = project.command("store", "verify")
    found += [f"still: {said.said[-500:]}"] if said.code else []
    return [f"{line} after {', '.join(what)}" for line in found]


def _draw(store: Path, chosen: random.Random) -> Path:
    """Return a file of a store: first a kind of them, as there are many outcomes and one memo of hashes."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.name != ".gitignore"]
    kind = chosen.choice(sorted({path.relative_to(store).parts[0] for path in files}))
    return chosen.choice([path for path in files if path.relative_to(store).parts[0] == kind])


# What people look at a store with.
LOOKS = (
    "store show", "store verify", "store prune", "trend", "report .touchstone", "plan --suite suite.toml",
    "compare tiny0 .touchstone",
)  # fmt: skip


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Mount a disk of that size."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Run with a store on a disk that is too small for it, and again when it is full and all is known."""
    shutil.rmtree(project.folder / STORE, ignore_errors=True)
    size = int(8 * 2 ** chosen.uniform(0, 10))
    with small_disk(project.folder / STORE, size):
        ended = project.run()
        found = check_reported(ended, project, truth, codes=(0, 1))
        errors = [row["error"] for row in project.report()["records"] if row["error"]]
        told = ended.said.count("later runs know nothing")
        found += [] if told <= 1 + len(errors) else [f"told {told} times"]
    return [f"{size} kB: {line}" for line in found] + check_left_alone(project, truth)


def full_disk_of_known(project: Project, truth: Truth, _: random.Random) -> list[str]:
    """Fill the disk of a store in which all is known."""
    store, whole = project.folder / STORE, project.folder / "whole"
    store.rename(whole)
    with small_disk(store, 40_000):
        shutil.copytree(whole, store, dirs_exist_ok=True, copy_function=shutil.copy2)
        project.run()
        with suppress(OSError), (store / "junk").open("wb") as junk:
            while True:
                junk.write(b"x" * 4096)
        return check_left_alone(project, truth)


def small_files(project: Project, truth: Truth, _: random.Random) -> list[str]:
    """Run where no file may be larger than 4 kB; all is known."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        process = project.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    ended = project.wait(process)
    found = [] if "24 passed" in ended.said and not ended.traceback else [ended.said[-1500:]]
    return found + check_left_alone(project, truth)


def may_not_write(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Run as somebody who may read the store and not write it: what is known is served, what is not is measured."""
    store, other = project.folder / STORE, Project(project.folder, under=PLAIN_USER if os.getuid() == 0 else ())
    if chosen.random() < 0.5:
        shutil.rmtree(chosen.choice(sorted((store / "outcomes").iterdir())))
    for path in (*store.rglob("*"), store):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    other.forget_report()
    ended = other.run()
    found = check_reported(ended, other, truth, codes=(0,)) + differences(essence(other.report()), truth)
    found += [] if ended.said.count("later runs know nothing") == 1 else [f"not told once: {ended.said[-1500:]}"]
    after = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    found += [] if before == after else ["it was written"]
    shutil.rmtree(project.folder / "baselines")
    updated = other.run("--baseline", "update", "--overwrite", "--model", "./tiny0")
    found += [] if updated.code == 0 and "wrote" in updated.said else [updated.said[-1500:]]
    for path in (store, *store.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return found


def no_store(project: Project, _: Truth, chosen: random.Random) -> list[str]:
    """Name a store that cannot be made."""
    (project.folder / "file").write_text("a file")
    ended = project.run("--store", chosen.choice(("file", "file/store", "/proc/store", "/dev/null/x")))
    one = [line for line in ended.said.splitlines() if "no store can be made there" in line]
    return [] if ended.code == 4 and len(one) == 1 and not ended.traceback else [ended.said[-1500:]]


def two_updates(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Let runs write one alias's baselines at once, beside one that only reads, and one that prunes."""
    shutil.rmtree(project.folder / "baselines")
    tasks = ("SmokeSTS", "SmokeRetrieval", "SmokeClustering")
    mode = chosen.choice(("update", "record"))
    reports = [f"{task}.json" for task in tasks]
    processes = [
        project.start("--baseline", mode, "--task", task, "--report", report)
        for task, report in zip(tasks, reports, strict=True)
    ]
    time.sleep(chosen.uniform(0, 6))
    pruned = project.command("store", "prune", "--days", "0")
    ended = [project.wait(process) for process in processes]
    found = [f"{one.code}: {one.said[-1500:]}" for one in ended if one.code or one.traceback]
    found += [pruned.said] if pruned.traceback or pruned.code not in (0, 4) else []
    said = project.command("baselines", "show", "--baselines", "baselines")
    missing = [task for task in tasks if said.said.count(task) < 4]
    found += [f"lost {missing}: {said.said}"] if missing else []
    found += check_baselines(project)
    project.forget_report()
    checked = project.run(*[word for task in tasks for word in ("--task", task)])
    found += [checked.said[-1500:]] if checked.code else wrong_numbers(project.report(), truth)
    return found


def together(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Run the whole suite twice or four times at once on one store, alone and with two workers."""
    several = [("--report", f"{number}.json", *(("-n", "2") * (number % 2))) for number in range(chosen.choice((2, 4)))]
    processes = []
    for more in several:
        processes.append(project.start(*more))
        time.sleep(chosen.uniform(0, 3))
    ended = [project.wait(process) for process in processes]
    found = [one.said[-1500:] for one in ended if one.code or one.traceback]
    return found + check_left_alone(project, truth)


def clock_set_back(project: Project, truth: Truth, _: random.Random) -> list[str]:
    """Run when all files are of tomorrow."""
    for path in project.folder.rglob("*"):
        os.utime(path, (time.time() + 86_400,) * 2, follow_symlinks=False)
    return check_left_alone(project, truth)


def time_limit(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Let a case take longer than pytest-timeout allows, by either of its methods, alone or in a worker."""
    method, who = chosen.choice(("signal", "thread")), chosen.choice(("main", "workers"))
    more = () if who == "main" else ("-n", "2")
    fault = f"{who} put {chosen.randint(3, 9)} wait"
    ended = project.run("--timeout", "12", "--timeout-method", method, *more, FAULT=fault)
    found = check_reported(ended, project, truth, codes=(1,))
    found = [line for line in found if not (method == "thread" and line.startswith("traceback"))]
    errors = [row["error"] for row in project.report()["records"] if row["error"]]
    found += [] if len(errors) == 1 else [f"errors: {errors}"]
    return [f"{method} {who}: {line}" for line in found] + check_left_alone(project, truth)


def no_memory(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Let memory run out in one case."""
    ended = project.run(FAULT=f"main put {chosen.randint(1, 30)} fill_memory")
    found = check_reported(ended, project, truth, codes=(1,))
    errors = [row["error"] for row in project.report()["records"] if row["error"]]
    found += [] if len(errors) == 1 and "out of memory" in errors[0] else [f"errors: {errors}"]
    return found + check_left_alone(project, truth)


def dead_before_collecting(project: Project, truth: Truth, _: random.Random) -> list[str]:
    """Let every worker die before it has collected."""
    ended = project.run("-n", "2", FAULT="workers start 1 SIGKILL!")
    return check_reported(ended, project, truth, codes=(1, 2, 3, 5)) + check_left_alone(project, truth)


def dead_in_each_case(project: Project, truth: Truth, _: random.Random) -> list[str]:
    """Let every worker die in its first case."""
    ended = project.run("-n", "2", FAULT="workers put 1 SIGKILL!")
    found = check_reported(ended, project, truth, codes=(1, 2))
    found += [] if "signal 9" in ended.said else [ended.said[-1500:]]
    return found + check_left_alone(project, truth)


def broken_plugin(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Let a plug-in fail inside a hook, here or in a worker."""
    who = chosen.choice(("main", "workers"))
    more = () if who == "main" else ("-n", "2")
    ended = project.run(*more, FAULT=f"{who} report {chosen.randint(2, 20)} fail")
    found = check_reported(ended, project, truth, codes=(1, 2, 3))
    found = [line for line in found if not line.startswith("traceback")]  # pytest shows that of a plug-in
    return [f"{who}: {line}" for line in found] + check_left_alone(project, truth)


def first_error_ends(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """End at the first case that cannot be measured."""
    more = chosen.choice((("-x",), ("--maxfail", "1"), ("-x", "-n", "2")))
    who = "workers" if "-n" in more else "main"
    ended = project.run(*more, FAULT=f"{who} put {chosen.randint(1, 9)} fill_memory")
    return check_reported(ended, project, truth, codes=(1, 2)) + check_left_alone(project, truth)


def shuffled(project: Project, truth: Truth, chosen: random.Random) -> list[str]:
    """Run the cases in another order, with another seed of Python's hashes, cold or warm, alone or not."""
    if chosen.random() < 0.7:
        shutil.rmtree(project.folder / STORE, ignore_errors=True)
    more = chosen.choice(((), ("-n", "2"), ("-n", "1")))
    before = {path: path.read_bytes() for path in (project.folder / "baselines").rglob("*") if path.is_file()}
    order, seed = str(chosen.randrange(99)), str(chosen.randrange(1, 99))
    ended = project.run(*more, "--baseline", "update", ORDER=order, PYTHONHASHSEED=seed)
    found = [ended.said[-1500:]] if ended.code else []
    after = {path: path.read_bytes() for path in (project.folder / "baselines").rglob("*") if path.is_file()}
    found += [] if before == after else ["other baselines"]
    return found + check_left_alone(project, truth, *more)


# A name for the table, what is done, and whether it begins with a store in which all is known.
TRIALS: Mapping[str, tuple[Callable[[Project, Truth, random.Random], list[str]], bool]] = {
    "kill the process": (partial(kill, who="alone"), False),
    "kill a worker": (partial(kill, who="gw0"), False),
    "kill the controller": (partial(kill, who="main"), False),
    "SIGTERM": (stop, False),
    "SIGTERM, two workers": (partial(stop, workers=2), False),
    "SIGINT": (partial(stop, name="SIGINT"), False),
    "SIGINT twice": (partial(stop, name="SIGINT2"), False),
    "SIGINT twice, two workers": (partial(stop, name="SIGINT2", workers=2), False),
    "a damaged file": (corrupt, True),
    "a small disk": (full_disk, False),
    "a full disk": (full_disk_of_known, True),
    "small files": (small_files, True),
    "no right to write": (may_not_write, True),
    "no store": (no_store, False),
    "updates at once": (two_updates, False),
    "runs at once": (together, False),
    "a clock set back": (clock_set_back, True),
    "a time limit": (time_limit, False),
    "no memory": (no_memory, False),
    "workers dead at once": (dead_before_collecting, False),
    "workers dead in each case": (dead_in_each_case, False),
    "a broken plug-in": (broken_plugin, False),
    "the first error ends": (first_error_ends, False),
    "another order": (shuffled, True),
}


def play(name: str, base: Project, place: Path, truth: Truth, seed: str) -> list[str]:
    """Play a trial of a kind on a copy of a project; name what is not as it should be."""
    trial, warm = TRIALS[name]
    try:
        return trial(base.copy(place, store=warm), truth, random.Random(seed))
    except TimeoutError as error:
        return [str(error)]

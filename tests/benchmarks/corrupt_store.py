"""Whether a damaged store is noticed or harmless: one fault at a time, then the same run again.

Run by hand: ``python -m tests.benchmarks.corrupt_store [ROUNDS] [SEED]`` (some minutes for 240). A store is filled by
three cases of the smoke suite. In each round a random file of it gets a random fault, and the cases are run by it.
Right is the same score, whether the file was read, made again or not needed, or an error. Prints a
table by kind of file; exit code 1 where a score is another.
"""

import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from touchstone.config.options import Options
from touchstone.errors import TouchstoneError
from touchstone.session.session import open_session

TASKS = ("SmokeSTS", "SmokeClassification", "SmokeRetrieval")


def flip(path: Path, chosen: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    path.write_bytes(bytes(data))


def cut(path: Path, chosen: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chosen.randrange(max(len(data), 1))])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


def become_a_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


FAULTS: tuple[Callable[[Path, random.Random], None], ...] = (flip, flip, flip, cut, empty, remove, become_a_folder)


def run(store: Path) -> dict[str, float | str]:
    """Run the cases; return the score of each, or the sentence in its place."""
    typed = {"tasks": list(TASKS), "store": str(store), "device": "cpu", "baseline": "off"}
    found: dict[str, float | str] = {}
    try:
        session = open_session(Options.parse(typed, root=store.parent, cwd=store.parent))
        for case in session.plan.cases:
            try:
                with session.measure(case, lambda _: None) as measured:
                    found[case.task.name] = measured.outcome.measurement.score
            except (TouchstoneError, OSError) as error:
                found[case.task.name] = str(error)
    except TouchstoneError as error:
        found = dict.fromkeys(TASKS, str(error))
    return found


def main(rounds: int, seed: int) -> int:
    """Print the table; return the exit code."""
    chosen, counts = random.Random(seed), Counter[tuple[str, str]]()
    with TemporaryDirectory() as scratch:
        whole, store = Path(scratch, "whole"), Path(scratch, "store")
        truth = run(whole)
        files = [path for path in sorted(whole.rglob("*")) if path.is_file() and path.name != ".gitignore"]
        kinds = sorted({path.relative_to(whole).parts[0] for path in files})
        for _ in range(rounds):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(whole, store)
            kind = chosen.choice(kinds)
            path = chosen.choice([one for one in files if one.relative_to(whole).parts[0] == kind]).relative_to(whole)
            fault = chosen.choice(FAULTS)
            fault(store / path, chosen)
            found = run(store)
            errors = [said for said in found.values() if isinstance(said, str)]
            wrong = [name for name, said in found.items() if not isinstance(said, str) and said != truth[name]]
            word = "wrong" if wrong else "error" if errors else "same"
            counts[kind, word] += 1
            if wrong or errors:
                print(f"{path}, {fault.__name__}: {wrong or errors[0][:150]}", file=sys.stderr)
    print("| file | same score | error | wrong |\n|---|--:|--:|--:|")
    for kind in kinds:
        print("|", kind, "|", " | ".join(str(counts[kind, word]) for word in ("same", "error", "wrong")), "|")
    return 1 if any(word == "wrong" for _, word in counts) else 0


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:3])) if len(sys.argv) > 2 else main(240, 7))

"""Play trials, by hand: ``python -m tests.faults [--rounds 10] [--only NAME ...] [--seed 7]`` (some 20 s a trial).

Prints each trial and a table of how many there were and what came of them; exit code 1 where one found something.
"""

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.project import Project, essence
from tests.faults.trials import TRIALS, play


def main() -> int:
    """Play the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="of each kind")
    parser.add_argument("--only", action="append", choices=list(TRIALS), help="kinds (repeatable)")
    parser.add_argument("--seed", type=int, default=7)
    parsed = parser.parse_args()
    counts: dict[str, Counter[str]] = {name: Counter() for name in parsed.only or TRIALS}
    with TemporaryDirectory() as folder:
        base = Project.make(Path(folder, "base"))
        assert base.run().code == 0
        truth = essence(base.report())
        for number in range(parsed.rounds):
            for name, count in counts.items():
                began, place = time.monotonic(), Path(folder, "trial")
                found = play(name, base, place, truth, f"{parsed.seed} {name} {number}")
                count["; ".join(sorted({line.partition(":")[0] for line in found})) or "as it should be"] += 1
                print(f"{name} {number}: {found or 'as it should be'} ({time.monotonic() - began:.0f} s)", flush=True)
                shutil.rmtree(place, ignore_errors=True)
    print("\n| what goes wrong | trials | as it should be | lost, wrong, hung or a traceback |\n|---|--:|--:|--:|")
    for name, count in counts.items():
        print(f"| {name} | {count.total()} | {count['as it should be']} | {count.total() - count['as it should be']} |")
    return int(any(count.total() > count["as it should be"] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())

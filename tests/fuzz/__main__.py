"""Give hostile inputs to readers, by hand: ``python -m tests.fuzz [--inputs 10000] [--only NAME ...] [--seed 7]``.

Prints a line for each fault that is another, where its smallest input is kept and how to repeat it, and a table of how
many inputs there were and what came of them; exit code 1 where there is a fault. ``--repeat FOLDER`` gives a kept input
to its reader again.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.fuzz.law import FAULTS
from tests.fuzz.playing import Tally, play, play_again, play_here, table
from tests.fuzz.readers import READERS


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind (default: 10000)")
    parser.add_argument("--only", action="append", choices=list(READERS), help="kinds (repeatable)")
    parser.add_argument("--seed", default="7")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (default: 1)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="where inputs with faults are kept")
    parser.add_argument("--repeat", type=Path, metavar="FOLDER", help="give a kept input to its reader again")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # a model's folder may name another repository, which a run may ask for
    if parsed.child:
        return _child(*parsed.child)
    if parsed.repeat:
        judged = play_again(parsed.repeat)
        print(f"{judged.word} in {judged.seconds:.2f} s: {judged.what}")
        return int(judged.word in FAULTS)
    tell = partial(_play, seed=parsed.seed, count=parsed.inputs, kept=parsed.keep.absolute())
    with ThreadPoolExecutor(parsed.jobs) as pool:
        tallies = list(pool.map(tell, parsed.only or READERS))
    print(f"\n{table(tallies)}")
    return int(any(tally.faults for tally in tallies))


def _play(name: str, *, seed: str, count: int, kept: Path) -> Tally:
    tally, began = Tally(name), time.monotonic()
    for number, judged in play(name, seed, count, kept):
        tally.add(number, judged, kept)
    seconds = time.monotonic() - began
    print("\n".join([f"{name}: {dict(tally.counts)} ({seconds:.0f} s)", *tally.lines(kept)]), flush=True)
    return tally


def _child(name: str, seed: str, start: str, end: str, kept: str) -> int:
    """Judge inputs in this process, and say a line of JSON for each."""
    for number, judged in play_here(name, seed, int(start), int(end), Path(kept)):
        print(json.dumps([number, judged.word, judged.what, judged.seconds]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

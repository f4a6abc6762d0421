"""Whether two run records say the same: scores, verdicts, reasons, evidence, case by case.

Run by hand: ``python -m tests.benchmarks.compare_runs BEFORE.json AFTER.json [--renamed OLD=NEW ...]``. Times,
commands, device names and the environment may differ; a renamed word may, where it is named. Exit code 1 where
something differs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAY_DIFFER = {"seconds", "phases", "speed", "command", "encoded", "reused", "samples", "shown"}


def main(arguments: list[str]) -> int:
    """Print what differs; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    parsed = parser.parse_args(arguments)
    renamed = [tuple(each.split("=", 1)) for each in parsed.renamed]
    sides = [cases(json.loads(path.read_text()), renamed) for path in (parsed.before, parsed.after)]
    different = differences(*sides)
    for line in different:
        print(line)
    print(f"{len(sides[1])} entries, {len(different)} differ")
    return 1 if different else 0


def cases(run: dict[str, Any], renamed: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return what is compared of each case and of each suite, by name, with words as they are now."""
    found = {row["case"]: {key: value for key, value in row.items() if key not in MAY_DIFFER} for row in run["records"]}
    found |= {f"suite {suite['model']}": suite for suite in run["suites"]}
    text = json.dumps(found, ensure_ascii=False)
    for old, new in renamed:
        text = text.replace(old, new)
    back: dict[str, Any] = json.loads(text)
    return back


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a line for each field that is not the same on both sides."""
    lines = [f"{name}: only on one side" for name in sorted(before.keys() ^ after.keys())]
    for name in sorted(before.keys() & after.keys()):
        for key in sorted(before[name].keys() | after[name].keys()):
            old, new = before[name].get(key), after[name].get(key)
            if old != new:
                lines.append(f"{name}: {key}: {old!r} -> {new!r}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

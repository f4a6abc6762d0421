"""Inputs by number: made, judged in processes of their own, and kept where something is wrong with them."""

import json
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

from tests.fuzz.law import FAULTS, Judged, Sandbox, sandbox
from tests.fuzz.mutation import Files
from tests.fuzz.reader import ROOT, Reader, files_in
from tests.fuzz.readers import READERS, make_input, seeds_of

# After so many seconds without a word a process is killed.
SILENT = 120
NOTE = "fault.json"


def input_of(name: str, seed: str, number: int) -> dict[str, bytes]:
    """Return an input by its number."""
    return make_input(READERS[name], Random(f"{seed} {name} {number}"))


def judge(box: Sandbox, reader: Reader, files: Files) -> Judged:
    """Judge one input in this process."""
    return box.judge(reader.read, files, writes=reader.writes, refuses=reader.refuses)


def warm(box: Sandbox, reader: Reader) -> list[Judged]:
    """Read what is right, so that what is imported and remembered for good is not taken for what an input did."""
    return [judge(box, reader, files) for files in seeds_of(reader)]


def play_here(name: str, seed: str, start: int, end: int, kept: Path) -> Iterator[tuple[int, Judged]]:
    """Judge inputs in this process, and keep those with a fault."""
    with sandbox() as box:
        warm(box, READERS[name])
        for number in range(start, end):
            files = input_of(name, seed, number)
            judged = judge(box, READERS[name], files)
            if judged.word in FAULTS:
                keep(kept, name, files, judged.what, str(number))
            yield number, judged


def play(name: str, seed: str, count: int, kept: Path) -> Iterator[tuple[int, Judged]]:
    """Judge inputs in a process of their own, and in another one when that ends too early."""
    start = 0
    while start < count:
        command = [sys.executable, "-m", "tests.fuzz", "--child", name, seed, str(start), str(count), str(kept)]
        with tempfile.TemporaryFile("w+") as log, _start(command, log) as process:
            said = _listen(process)
            while line := said.get():
                number, word, what, seconds = json.loads(line)
                start = number + 1
                yield number, Judged(word=word, what=what, seconds=seconds)
            process.wait()
            log.seek(0)
            last = log.read().strip().splitlines()[-1:] or [""]
        if start < count:
            keep(kept, name, input_of(name, seed, start), "crash", str(start))
            yield start, Judged(word="crash", what=f"exit code {process.returncode}: {last[0][-300:]}", seconds=0.0)
            start += 1


def _start(command: Sequence[str], log: IO[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)


def _listen(process: "subprocess.Popen[str]") -> "queue.Queue[str]":
    """Return a queue of what a process says, empty at the end; one that says nothing for long is killed."""
    said: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    lines = iter(process.stdout)

    def listen() -> None:
        while True:
            clock = threading.Timer(SILENT, process.kill)
            clock.start()
            line = next(lines, "")
            clock.cancel()
            said.put(line)
            if not line:
                return

    threading.Thread(target=listen, daemon=True).start()
    return said


@dataclass
class Tally:
    """What became of the inputs of one kind, and the smallest input of each fault that is another."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def add(self, number: int, judged: Judged, kept: Path) -> None:
        """Count an input."""
        self.counts[judged.word] += 1
        if judged.word in FAULTS:
            size = sum(map(len, files_in(folder_of(kept, self.name, str(number))).values()))
            key = f"{judged.word}: {_without_chance(judged.what)}"
            self.faults.setdefault(key, []).append((size, number, f"{judged.word}: {judged.what}"))

    def row(self) -> str:
        """Return the row of the table."""
        cells = [
            self.counts.total(),
            self.counts["parsed"],
            self.counts["refused"],
            *(self.counts[word] for word in FAULTS),
        ]
        return f"| {self.name} | {' | '.join(map(str, cells))} |"

    def lines(self, kept: Path) -> list[str]:
        """Return a line for each fault that is another, and keep the smallest input of each alone."""
        lines = []
        for found in self.faults.values():
            (_, number, what), *others = sorted(found)
            for _, other, _ in others:
                shutil.rmtree(folder_of(kept, self.name, str(other)))
            folder = folder_of(kept, self.name, str(number))
            lines.append(f"{len(found)} × {self.name}: {what}\n    {repeat(folder)}")
        return lines


def folder_of(kept: Path, name: str, called: str) -> Path:
    """Return where an input is kept."""
    return kept / re.sub(r"[^\w.-]+", "-", name) / called


def keep(kept: Path, name: str, files: Files, what: str, called: str) -> Path:
    """Write an input to a folder, with what it did; return the folder."""
    folder = folder_of(kept, name, called)
    shutil.rmtree(folder, ignore_errors=True)
    for inside, content in files.items():
        path = folder / "input" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).write_text(json.dumps({"reader": name, "what": what}, indent=2) + "\n")
    return folder


def repeat(folder: Path) -> str:
    """Return the command that gives a kept input to its reader again."""
    return f"repeat: python -m tests.fuzz --repeat {folder}"


def play_again(folder: Path) -> Judged:
    """Give a kept input to its reader, in this process."""
    name = json.loads((folder / NOTE).read_text())["reader"]
    with sandbox() as box:
        warm(box, READERS[name])
        return judge(box, READERS[name], files_in(folder / "input"))


def table(tallies: Sequence[Tally]) -> str:
    """Return the table of inputs and faults."""
    words = ("other exceptions", "other sentences", "files outside", "slow", "large", "not the same", "crashes")
    head = f"| read | inputs | understood | refused | {' | '.join(words)} |\n|---|{'--:|' * (3 + len(words))}"
    return "\n".join([head, *(tally.row() for tally in tallies)])


def _without_chance(what: str) -> str:
    """Return what happened without what differs from input to input."""
    where = what.rpartition(" in ")[2] if " in " in what else ""
    return re.sub(r"'.*'|\".*\"|\d+|/\S+", "…", what.partition(":")[0] + what[:60], flags=re.DOTALL) + where

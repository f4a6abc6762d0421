"""The README's blocks, and whether a command says what they show. Of the main job: python -m tests.readme OUTPUT."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERDICTS = "pass|improved|inconclusive|suspect|regressed|drifted"
# What differs from machine to machine: speeds, times, the width of a terminal, and progress, a line a minute in a log.
VOLATILE = (
    (r"\ntouchstone: \d+ of \d+ cases done.*\n", ""),
    (r"speed, not gated: .*? threads?\b", " "),
    (r"\btexts/s\b", " "),
    (r"\d+(\.\d+)? s\b", "N s"),
    (r"=+", "="),
    (r"\s+", " "),
    (rf"(?<= )(\d+) [\d.]+ (?=({VERDICTS})\b)", r"\1 "),
)


def blocks(language: str, text: str | None = None) -> list[str]:
    """Return the fenced blocks in a language, of the README where no text is given."""
    found = FENCE.findall(README.read_text(encoding="utf-8") if text is None else text)
    return [block for name, block in found if name == language]


def commands() -> list[str]:
    """Return every command of the README's blocks, without the remarks behind them."""
    typed = [line for block in blocks("bash") for line in block.splitlines()]
    shown = [line[2:] for block in blocks("text") for line in block.splitlines() if line.startswith("$ ")]
    return [line.partition("  #")[0].strip() for line in (*typed, *shown)]


def plain(text: str) -> str:
    """Return a text without what differs from machine to machine."""
    for pattern, instead in VOLATILE:
        text = re.sub(pattern, instead, text)
    return text.strip()


def find_missing(block: str, output: str) -> str | None:
    """Return the first piece of a block, cut at each …, that an output does not have in that order; None if all."""
    lines = [line for line in block.splitlines() if not line.startswith("$ ")]
    rest = plain(output)
    for piece in filter(None, map(plain, "\n".join(lines).split("…"))):
        before, found, rest = rest.partition(piece)
        if not found:
            return f"{piece}\n--- is not in ---\n{before}"
    return None


def main_block() -> str:
    """Return the block that shows the main job."""
    return next(block for block in blocks("text") if block.startswith("touchstone: suite smoke"))


if __name__ == "__main__":
    missing = find_missing(main_block(), Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.exit(missing and f"the README shows what the main job does not say:\n{missing}")

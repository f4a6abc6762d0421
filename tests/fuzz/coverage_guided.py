"""Inputs of one kind, led by which lines they reach, by hand, with atheris (``pip install atheris``).

``python -m tests.fuzz.coverage_guided NAME [FILE] [-runs=N ...]``: FILE is which file of an input is changed, and what
begins with a dash are options of atheris.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str]) -> int:
    """Play until something is wrong, or as often as was asked."""
    try:
        import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        print("atheris is not installed, and nothing was tried; pip install atheris")
        return 0
    guided: Any = atheris
    with guided.instrument_imports(include=["touchstone"]):
        from tests.fuzz.law import FAULTS, sandbox
        from tests.fuzz.playing import judge, warm
        from tests.fuzz.readers import READERS, seeds_of
    names = [one for one in arguments if not one.startswith("-")]
    reader = READERS[names[0]]
    seeds = seeds_of(reader)
    changed = names[1] if len(names) > 1 else next(iter(seeds[0]))
    with sandbox() as box, tempfile.TemporaryDirectory() as corpus:
        warm(box, reader)
        for number, files in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(files.get(changed, b""))

        def one_input(content: bytes) -> None:
            judged = judge(box, reader, {**seeds[0], changed: content})
            if judged.word in FAULTS:
                raise AssertionError(f"{judged.word}: {judged.what}")

        guided.Setup([sys.argv[0], *(one for one in arguments if one.startswith("-")), corpus], one_input)
        guided.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

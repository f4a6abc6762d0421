"""A few rounds of tests/benchmarks/race.py: each moment of a run once for weights and once for data."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import race
from tests.benchmarks.race import MOMENTS, Round, draw, hold, known_truth

# What becomes another, and in which way, moment by moment.
OF_MODELS = (("weights", "link"), ("pooling", "link moved"), ("model", "link"), ("a file more", "replaced"),
             ("weights", "rewritten"), ("tokenizer", "replaced"))  # fmt: skip
OF_DATA = (("corpus", "rewritten"), ("judgements", "link"), ("data", "renamed"), ("corpus", "replaced"),
           ("data", "link moved"), ("judgements", "replaced"))  # fmt: skip


def rounds() -> list[Round]:
    chosen, found = random.Random(3), list[Round]()
    for things in (OF_MODELS, OF_DATA):
        for moment, (thing, way) in zip(MOMENTS, things, strict=True):
            drawn = draw(chosen, len(found), thing=thing, moment=moment)
            back = "after measuring" if moment == "while measuring" else "after loading"
            found.append(replace(drawn, way=way, back=back, nth=1, pauses=(0.0, 0.0)))
    return found


def test_no_number_is_kept_under_a_name_that_is_not_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_MIRROR", str(tmp_path / "none"))  # of the processes that are called
    built = tmp_path / "built"
    truth = known_truth(built, tmp_path / "truth", rounds())
    held = hold(built, tmp_path / "rounds", truth, rounds())
    assert [(one, wrong) for one, _, wrong in held if wrong] == []
    words = {(one.moment, one.thing): race.word_of(raced, wrong) for one, raced, wrong in held}
    assert set(words.values()) <= {"ERROR", "right"}, words
    assert [*words.values()].count("ERROR") >= len(words) - 4, "what is hashed late is the other one's, and right"

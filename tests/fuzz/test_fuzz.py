"""Some hundred hostile inputs of each kind; `python -m tests.fuzz` gives thousands."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import arrays
from tests.fuzz.law import FAULTS, Sandbox, sandbox
from tests.fuzz.playing import judge, keep, repeat, warm
from tests.fuzz.readers import READERS, make_input

INPUTS = 40


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with sandbox() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BOMB", 0.0)  # what goes wrong there would end this process
        yield made


@pytest.mark.parametrize("name", READERS)
def test_what_is_hostile_is_understood_or_refused_in_a_sentence(name: str, box: Sandbox, tmp_path: Path) -> None:
    reader = READERS[name]
    assert "parsed" in {one.word for one in warm(box, reader)}, "no input that is right is understood"

    @settings(
        max_examples=INPUTS,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(chosen=st.randoms(use_true_random=False))
    def one_input(chosen: Random) -> None:
        files = make_input(reader, chosen)
        judged = judge(box, reader, files)
        if judged.word in FAULTS:
            folder = keep(tmp_path, name, files, judged.what, "smallest")
            shown = {inside: content[:300] for inside, content in files.items()}
            pytest.fail(f"{name}: {judged.word}: {judged.what}\n{shown!r:.3000}\n{repeat(folder)}", pytrace=False)

    one_input()

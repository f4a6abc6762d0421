"""Which shard a job is: as typed, or by the variables of its scheduler; what is not certain is one sentence."""

import pytest

from touchstone.config.shards import parse_shard
from touchstone.errors import ConfigError


def slurm(number: int, of: int, **more: int) -> dict[str, str]:
    names = {"ID": number, "COUNT": of, **{name.upper(): value for name, value in more.items()}}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in names.items()}


def gitlab(number: int, of: int) -> dict[str, str]:
    return {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(of)}


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("2/3", {}, (2, 3)),
        ("1/1", slurm(5, 8, min=1), (1, 1)),  # what was typed wins
        ("auto", slurm(3, 8, min=1), (3, 8)),
        ("auto", slurm(0, 8, min=0), (1, 8)),
        ("auto", slurm(7, 8, min=0), (8, 8)),
        ("auto", slurm(14, 4, min=8, step=2), (4, 4)),
        ("auto", slurm(3, 8), (3, 8)),
        ("auto", gitlab(2, 4), (2, 4)),
        ("auto", slurm(1, 2, min=1) | gitlab(3, 4), (1, 2)),
    ],
)
def test_a_shard_is_found(text: str, environ: dict[str, str], expected: tuple[int, int]) -> None:
    found = parse_shard(text, "--shard", environ)
    assert (found.number, found.of) == expected
    assert str(found) == f"{expected[0]}/{expected[1]}"


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "3", "1/0", "-1/3", "1/3/5", "a/b", "1 / 3", "1/3x", "Auto"])
def test_what_is_no_shard_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--shard = .*expected K/N with K from 1 to N, as in 2/3, or auto$"):
        parse_shard(text, "--shard", slurm(1, 2, min=1))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "neither SLURM_ARRAY_TASK_ID nor CI_NODE_INDEX is set here"),
        ({"CI_NODE_INDEX": "1"}, "CI_NODE_INDEX and CI_NODE_TOTAL must both be whole numbers"),
        (gitlab(0, 4), "CI_NODE_INDEX = 0 is none of 4 jobs in a row"),
        (gitlab(5, 4), "CI_NODE_INDEX = 5 is none of 4 jobs in a row"),
        (slurm(7, 3, min=1), "SLURM_ARRAY_TASK_ID = 7 is none of 3 jobs in a row"),  # an array of 1, 3 and 7
        (slurm(9, 4, min=8, step=2), "SLURM_ARRAY_TASK_ID = 9 is none of 4 jobs in a row"),
        (slurm(0, 4), "SLURM_ARRAY_TASK_ID = 0 is none of 4 jobs in a row"),  # nobody says where the array begins
        ({"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"}, "must both be whole numbers"),
    ],
)
def test_a_scheduler_that_does_not_say_is_one_sentence(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_shard("auto", "--shard", environ)

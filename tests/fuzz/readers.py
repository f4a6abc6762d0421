"""Every reader, by the name of what it reads."""

from collections.abc import Mapping
from functools import cache
from random import Random

from tests.fuzz import of_configuration, of_data, of_models, of_published, of_records, of_runs, of_stores
from tests.fuzz.mutation import Files, mutate
from tests.fuzz.reader import Reader

READERS: Mapping[str, Reader] = {
    reader.name: reader
    for module in (of_configuration, of_published, of_records, of_runs, of_stores, of_models, of_data)
    for reader in module.READERS
}


@cache
def seeds_of(reader: Reader) -> tuple[Files, ...]:
    """Return the seeds of a reader, made once."""
    return tuple(reader.seeds())


def make_input(reader: Reader, chosen: Random) -> dict[str, bytes]:
    """Return a hostile input: a seed that was changed once, or a few times more.

    Args:
        reader: whose.
        chosen: decides all of it.
    """
    seeds = seeds_of(reader)
    files = dict(chosen.choice(seeds))
    for _ in range(chosen.choice((1, 1, 1, 1, 1, 1, 2, 3))):
        files = mutate(files, seeds, chosen) if files else files
    return files

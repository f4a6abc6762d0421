"""The shard of a run that a job measures: typed as K/N, or read from the scheduler's variables."""

import re
from collections.abc import Mapping

from touchstone.errors import ConfigError
from touchstone.records.runs import Shard

# The variables of each scheduler for the job's number and the number of jobs. Slurm's arrays begin at any number.
SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
NODES = ("CI_NODE_INDEX", "CI_NODE_TOTAL")


def parse_shard(text: str, where: str, environ: Mapping[str, str]) -> Shard:
    """Return the shard that a text names.

    Args:
        text: ``K/N`` with K from 1 to N, or ``auto`` to read the environment.
        where: the option that has it.
        environ: the environment variables of this process.

    Raises:
        ConfigError: the text or the environment names no shard.
    """
    if text == "auto":
        return _shard_of_job(where, environ)
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f'{where} = "{text}"; expected K/N with K from 1 to N, as in 2/3, or auto')
    return Shard(number=int(match[1]), of=int(match[2]))


def _shard_of_job(where: str, environ: Mapping[str, str]) -> Shard:
    for names in (SLURM, NODES):
        values = [environ.get(name, "") for name in names]
        if not any(values):
            continue
        if not all(re.fullmatch("[0-9]{1,6}", value) for value in values):
            raise ConfigError(f"{where} auto: {names[0]} and {names[1]} must both be whole numbers; type K/N")
        number, of = map(int, values)
        if names == SLURM:
            number = _place_in_array(number, environ) + 1
        if not 1 <= number <= of:
            raise ConfigError(
                f"{where} auto: {names[0]} = {values[0]} is none of {of} jobs in a row; number them without gaps, or "
                "type K/N"
            )
        return Shard(number=number, of=of)
    raise ConfigError(f"{where} auto: neither {SLURM[0]} nor {NODES[0]} is set here; type K/N, as in 2/3")


def _place_in_array(number: int, environ: Mapping[str, str]) -> int:
    """Return the place of a job in its array, from 0; -1 where the array has no such job."""
    values = [environ.get(f"SLURM_ARRAY_TASK_{name}", "") for name in ("MIN", "STEP")]
    first, step = (int(value) if value.isdecimal() else 1 for value in values)
    place, remainder = divmod(number - first, max(step, 1))
    return -1 if remainder else place

"""Which shard of a run a job is: typed as K/N, or told by the scheduler that started the job."""

import re
from collections.abc import Mapping

from touchstone.errors import ConfigError
from touchstone.records.runs import Shard

# Of each scheduler, the variables that say which of how many jobs this is. An array of Slurm's begins at any number.
SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
NODES = ("CI_NODE_INDEX", "CI_NODE_TOTAL")


def parse_shard(text: str, where: str, environ: Mapping[str, str]) -> Shard:
    """Return the shard that a text names.

    Args:
        text: ``K/N`` with K from 1 to N, or ``auto`` for what the environment says.
        where: the option that has it.
        environ: this process's.

    Raises:
        ConfigError: it names none.
    """
    if text == "auto":
        return _of_scheduler(where, environ)
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f'{where} = "{text}"; expected K/N with K from 1 to N, as in 2/3, or auto')
    return Shard(number=int(found[1]), of=int(found[2]))


def _of_scheduler(where: str, environ: Mapping[str, str]) -> Shard:
    for names in (SLURM, NODES):
        said = [environ.get(name, "") for name in names]
        if not any(said):
            continue
        if not all(re.fullmatch("[0-9]{1,6}", value) for value in said):
            raise ConfigError(f"{where} auto: {names[0]} and {names[1]} must both be whole numbers; type K/N")
        number, of = map(int, said)
        if names == SLURM:
            number = _place_in_array(number, environ) + 1
        if not 1 <= number <= of:
            raise ConfigError(
                f"{where} auto: {names[0]} = {said[0]} is none of {of} jobs in a row; number them without gaps, or "
                "type K/N"
            )
        return Shard(number=number, of=of)
    raise ConfigError(f"{where} auto: neither {SLURM[0]} nor {NODES[0]} is set here; type K/N, as in 2/3")


def _place_in_array(number: int, environ: Mapping[str, str]) -> int:
    """Return the place of a job in its array, from 0; -1 where the array has no such job."""
    said = [environ.get(f"SLURM_ARRAY_TASK_{name}", "") for name in ("MIN", "STEP")]
    first, step = (int(value) if value.isdecimal() else 1 for value in said)
    place, rest = divmod(number - first, max(step, 1))
    return -1 if rest else place

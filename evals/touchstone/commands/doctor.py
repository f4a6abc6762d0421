"""``touchstone doctor``: what a model is, how it would be run, and whether its vectors or scores look sane."""

import argparse
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.models import find_model, load_models
from touchstone.errors import TouchstoneError
from touchstone.models.examination import examine, render
from touchstone.store.folder import Store


def add_command(commands: Any) -> None:
    """Add the parser."""
    doctor = commands.add_parser(
        "doctor",
        help="load a model, show what it is and how it would be run, and look at a few of its vectors or scores",
        description="Exit code 0: they look sane; 1: they do not, or a run would refuse the model.",
    )
    doctor.add_argument("alias", metavar="ALIAS", help="as for --model of pytest evals")
    add_options(doctor, "--models", "--device", "--store")
    doctor.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    model = find_model(parsed.alias, load_models(*options.models_files), options.cwd, "ALIAS")
    try:
        examinations = examine(model, options.device, Store(options.store_folder))
    except TouchstoneError as error:
        return f"{error}\nnot sane: a run would refuse it", 1
    return "\n\n".join(map(render, examinations)), 0 if all(one.sane for one in examinations) else 1

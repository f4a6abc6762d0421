"""``touchstone doctor``: how a model would be run, and whether its vectors look sane."""

import argparse
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.models import find_model, load_models
from touchstone.errors import ModelError
from touchstone.models.examination import examine, render
from touchstone.store.folder import Store


def add_command(commands: Any) -> None:
    """Add the parser."""
    doctor = commands.add_parser(
        "doctor",
        help="load a model, show how it would be run, and look at a few of its vectors",
        description="Exit code 0: the vectors look healthy; 1: they do not, or the model cannot be loaded.",
    )
    doctor.add_argument("alias", metavar="ALIAS", help="as for --model of pytest evals")
    add_options(doctor, "--models", "--device", "--store")
    doctor.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    model = find_model(parsed.alias, load_models(*options.models_files), options.cwd, "ALIAS")
    try:
        examination = examine(model, options.device, Store(options.store_folder))
    except ModelError as error:
        return f"{error}\nnot healthy: it cannot be loaded", 1
    return render(examination), 0 if examination.healthy else 1

"""``evals doctor``: how a model would be run, and whether it looks healthy."""

import argparse
from typing import Any

from evals.commands.parsing import parse_options
from evals.config import find_model, load_models
from evals.doctor import examine, render
from evals.errors import ModelError
from evals.store import Store


def add_doctor(commands: Any) -> None:
    """Add the parser."""
    doctor = commands.add_parser(
        "doctor",
        help="load a model, show how it would be run, and look at a few of its vectors",
        description="Exit code 0: the vectors look healthy; 1: they do not, or the model cannot be loaded.",
    )
    doctor.add_argument("model", nargs=1, metavar="ALIAS", help="as for --model of pytest evals")
    doctor.add_argument("--models", metavar="FILE", help="a TOML file with more named models")
    doctor.add_argument("--on", metavar="DEVICE", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    doctor.add_argument("--store", metavar="DIR", default=".evals", help="remembers the hashes of weights")
    doctor.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    model = find_model(options.models[0], load_models(*options.models_files), options.cwd, "ALIAS")
    try:
        examination = examine(model, options.device, Store(options.store))
    except ModelError as error:
        return f"{error}\nnot healthy: it cannot be loaded", 1
    return render(examination), 0 if examination.healthy else 1

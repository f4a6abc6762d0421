"""``touchstone doctor``: what a model is, how it would be run, and whether its vectors or scores look sane."""

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.models import load_models
from touchstone.config.options import Options
from touchstone.errors import TouchstoneError
from touchstone.formatting import points
from touchstone.models.api.guessing import Guesses
from touchstone.models.kinds import find_model
from touchstone.models.weights.examination import Examination, examine, render
from touchstone.store.folder import Store

SUITE = "english"  # has the tasks of all examinations


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
    model = find_model(parsed.alias, load_models(*options.models_files), options.cwd, "ALIAS", guess=Guesses())
    try:
        seen = examine(model, options.device, Store(options.store_folder))
    except TouchstoneError as error:
        return f"{error}\ndoes not look sane: a run would refuse it", 1
    baselines = Baselines(options.baselines)
    text = "\n\n".join(render(one, *_real_test(one, options, baselines)) for one in seen)
    return text, 0 if all(one.sane for one in seen) else 1


def _real_test(one: Examination, options: Options, baselines: Baselines) -> Iterator[str]:
    """Say what the checks cannot see, and what would: a score that somebody else got, by the commands that compare."""
    unseen = f"a {'wrong pooling or a ' if one.encodes else ''}wrong or missing prompt"
    note = f"note: these checks cannot see {unseen}; the real test is"
    model, identity = one.model, one.identity
    measure = [*options.command, "--suite", SUITE, "--model", model.text, "--task", one.task]
    reference = baselines.find(model.alias, one.task)
    if reference is not None:
        was = f"{points(reference.baseline.score)} by {reference.baseline.source}"
        yield f"{note} the known score of {reference.model} on {one.task}, {was}:"
    elif model.spec.published is not None and identity.unmodified:
        yield f"{note} a score that the card of {identity.name} claims, where it has one of {one.task}:"
        revision = [] if identity.revision is None else ["--revision", identity.revision]
        words = ["touchstone", "baselines", "import", identity.name, "--alias", model.alias, *revision]
        yield f"  {shlex.join(words)}"
    else:
        yield f"{note} a score that somebody else got with it, beside that of:"
        measure += ["--baseline", "off"]
    yield f"  {shlex.join(measure)}"

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
from touchstone.models.kinds import find_typed
from touchstone.models.weights.examination import Examination, examine, render
from touchstone.store.folder import Store

SUITE = "english"  # has the tasks of all examinations


def add_command(commands: Any) -> None:
    """Add the parser."""
    doctor = commands.add_parser(
        "doctor",
        help="show how a model would be run, and whether it looks sane",
        description="Load a model, show what it is and how it would be run, and look at a few of its vectors or "
        "scores. Exit code 0: they look sane; 1: they do not, or a run would refuse the model.",
    )
    doctor.add_argument("alias", metavar="ALIAS", help="as for --model of pytest evals")
    add_options(doctor, "--models", "--device", "--store")
    doctor.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    model = find_typed(parsed.alias, load_models(*options.models_files), options, "ALIAS", guess=Guesses())
    try:
        examinations = examine(model, options.device, Store(options.store_folder))
    except TouchstoneError as error:
        return f"{error}\ndoes not look sane: a run would refuse it", 1
    baselines = Baselines(options.baselines)
    text = "\n\n".join(render(each, *_real_test(each, options, baselines)) for each in examinations)
    return text, 0 if all(each.sane for each in examinations) else 1


def _real_test(examination: Examination, options: Options, baselines: Baselines) -> Iterator[str]:
    """Yield what the checks cannot see, and commands that compare scores with those that somebody else got."""
    unseen = f"a {'wrong pooling or a ' if examination.encodes else ''}wrong or missing prompt"
    note = f"note: these checks cannot see {unseen}; the real test is"
    model, identity = examination.model, examination.identity
    measure = [*options.command, "--suite", SUITE, "--model", model.text, "--task", examination.task]
    reference = baselines.find(model.alias, examination.task)
    if reference is not None:
        was = f"{points(reference.baseline.score)} by {reference.baseline.source}"
        yield f"{note} the known score of {reference.model} on {examination.task}, {was}:"
    elif model.spec.published is not None and identity.unmodified:
        yield f"{note} a score that the card of {identity.name} claims, where it has one of {examination.task}:"
        revision = [] if identity.revision is None else ["--revision", identity.revision]
        words = ["touchstone", "baselines", "import", identity.name, "--alias", model.alias, *revision]
        yield f"  {shlex.join(words)}"
    else:
        yield f"{note} a score that somebody else got with it, beside that of:"
        measure += ["--baseline", "off"]
    yield f"  {shlex.join(measure)}"

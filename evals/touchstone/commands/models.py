"""``touchstone models``: list the named models."""

import argparse
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.base import Spec
from touchstone.config.models import load_models
from touchstone.formatting import columns


def add_command(commands: Any) -> None:
    """Add the parser."""
    models = commands.add_parser(
        "models",
        help="list the named models",
        description="List the models of the package and of the project's models.toml. A folder, a hub id or "
        "api:URL#NAME needs no name.",
    )
    add_options(models, "--models")
    models.set_defaults(run=_models)


def _models(parsed: argparse.Namespace) -> tuple[list[str], int]:
    models = load_models(*parse_options(parsed).models_files)
    rows = [("model", "kind", "is")]
    return columns([*rows, *((alias, spec.kind, _describe(spec)) for alias, spec in models.items())]), 0


def _describe(spec: Spec) -> str:
    """Return where a model comes from, or what it is made of."""
    package, path = getattr(spec, "package", None), getattr(spec, "path", None)
    if package is not None:
        model = getattr(spec, "model", None)
        return f"{model or path}, in the installed package {package}"
    place = getattr(spec, "id", None) or path or getattr(spec, "url", None) or getattr(spec, "object", None)
    return " + ".join(spec.stages) if spec.stages else str(place or "")

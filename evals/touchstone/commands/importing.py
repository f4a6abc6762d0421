"""``touchstone baselines import``: take published or recorded scores as baselines."""

import argparse
from typing import Any, get_args

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import parse_options
from touchstone.files.writing import place
from touchstone.importing.request import Kind, Request
from touchstone.importing.writing import import_baselines


def add_import(actions: Any) -> None:
    """Add the parser of the action."""
    command = actions.add_parser(
        "import",
        help="take published or recorded numbers as baselines",
        description="Take the numbers of SOURCE as baselines of one model; what is left out, and why, is printed. "
        "SOURCE is a model card (a Markdown file or a hub id), the hub's community evaluations (.eval_results, or a "
        "file in it), a tree of mteb's result files, or a run record of ours (a .json file, or a store: its newest "
        "run), or a run file of TREC with --qrels. An EvalScope configuration, which has no numbers, becomes a suite "
        "file and a models file.",
    )
    command.add_argument("origin", metavar="SOURCE", help="a file, a folder or a hub id")
    command.add_argument("--alias", metavar="NAME", help="the model's name here (default: from its published name)")
    command.add_argument("--into", metavar="DIR", help="the folder of baselines to write to (default: the project's)")
    command.add_argument("--revision", metavar="REV", help="the model's revision: which to take, or which a card is of")
    command.add_argument("--kind", choices=get_args(Kind), help="what SOURCE is, where it does not show")
    command.add_argument("--qrels", metavar="FILE", help="judgements for a run file, TREC's or BEIR's")
    command.add_argument("--task", metavar="NAME", help="which task a run file is of (default: as --qrels is called)")
    command.add_argument(
        "--stratum", metavar="SPLIT/SUBSET", help="which part of the task a run file is of, if several"
    )
    command.add_argument(
        "--metric", metavar="NAME", help="what a run file is scored by (default: the task's main score)"
    )
    command.add_argument("--include-external", action="store_true", help="take results that are copies of a card")
    command.add_argument("--replace", action="store_true", help="overwrite entries that a run recorded")
    command.add_argument("--dry-run", action="store_true", help="write nothing, print what would be")
    command.set_defaults(run=_import_baselines)


def _import_baselines(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    request = Request(
        source=parsed.origin,
        folder=options.cwd,
        alias=parsed.alias,
        revision=parsed.revision,
        kind=parsed.kind,
        include_external=parsed.include_external,
        into=None if parsed.into is None else place(options.cwd, parsed.into),
        models_files=options.models_files,
        qrels=parsed.qrels,
        task=parsed.task,
        stratum=parsed.stratum,
        metric=parsed.metric,
    )
    baselines = Baselines(options.baselines if request.into is None else request.into)
    return import_baselines(request, baselines, replace_recorded=parsed.replace, dry_run=parsed.dry_run), 0

"""Turn an EvalScope configuration, which has no scores, into a suite file and a models file."""

import os

from touchstone.config.evalscope.convert import render_suite_toml
from touchstone.config.models import load_models
from touchstone.errors import ConfigError
from touchstone.files.inside import is_plain, join_inside
from touchstone.files.writing import place, write_atomically
from touchstone.importing.request import Request


def import_configuration(request: Request, *, overwrite: bool, dry_run: bool) -> str:
    """Write the suite and the models of a configuration; return the text to print.

    Raises:
        ConfigError: the configuration cannot be read, or a file of that name has other content or lies elsewhere.
    """
    name = request.source.rpartition(".py:")[2] if ".py:" in request.source else None
    file = place(request.folder, request.source.removesuffix(f":{name}"))
    stem = request.alias or name or file.stem
    if "/" in stem or not is_plain(stem) or len(os.fsencode(stem)) > 200:
        raise ConfigError(f'"{stem}" is no name of a file in a folder; name the suite with --alias')
    into = request.into or request.folder
    texts = render_suite_toml(file, load_models(*request.models_files), name=name, into=into)
    paths = join_inside(into, f"{stem}.toml"), join_inside(into, f"{stem}.models.toml")
    lines = []
    for path, text in zip(paths, texts, strict=True):
        is_same = path.is_file() and path.read_bytes() == text.encode()
        if path.is_file() and not is_same and not overwrite:
            raise ConfigError(f"{path}: is there already and says something else; --replace overwrites it")
        lines.append(f"{'would write' if dry_run else 'already in' if is_same else 'wrote'} {path}")
    if not dry_run:
        for path, text in zip(paths, texts, strict=True):
            write_atomically(path, text)
    notes = [line.removeprefix("# ") for line in texts[0].splitlines() if line.startswith("# ")]
    return "\n".join([*notes[1:], *lines, f"run it with: pytest evals --suite {paths[0]} --models {paths[1]}"])

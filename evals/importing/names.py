"""Whose numbers they are: the published model's name, and the alias that its baselines get."""

import re
from collections.abc import Sequence

from evals.config.models import ALIAS
from evals.errors import ConfigError
from evals.importing.request import Request


def choose_alias(request: Request, model: str) -> str:
    """Return the alias asked for, else the one that ``pytest evals --model ORG/NAME`` gives.

    Raises:
        ConfigError: it is not one that a case can have.
    """
    alias = request.alias or re.sub(r"[^A-Za-z0-9._-]+", "-", model.rpartition("/")[2]).strip("-")
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f'--alias = "{alias}" is not a name that pytest -k can select; use A-Z a-z 0-9 . _ + -')
    return alias


def find_published(names: Sequence[str]) -> str:
    """Return the full name of the one model that mteb knows under the first of the names that is one.

    A card says its model's name without who published it. Where none is known, the first name is all there is.
    """
    import mteb

    known: dict[str, set[str]] = {}
    for meta in mteb.get_model_metas():
        if meta.name is not None:
            known.setdefault(meta.name.rpartition("/")[2], set()).add(meta.name)
    for name in names:
        if len(found := known.get(name, ())) == 1:
            return next(iter(found))
    return names[0]

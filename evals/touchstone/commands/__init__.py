"""The subcommands of ``touchstone``: one module each.

A module with a function ``add_command`` is a subcommand: the function adds a parser, whose default ``run`` takes what
was parsed and returns a text, or lines of which some command a CI, and an exit code.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any


def find_commands() -> list[Callable[[Any], None]]:
    """Return what adds each subcommand's parser, in alphabetical order."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [module.add_command for module in modules if hasattr(module, "add_command")]

"""The subcommands of ``touchstone``: one module each.

A module with a function ``add_command`` is a subcommand. The function adds a parser with a default ``run``, which takes
the parsed arguments and returns a text and an exit code. Lines in place of the text may hold commands to a CI.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any


def find_commands() -> list[Callable[[Any], None]]:
    """Return the functions that add the parsers of subcommands, in alphabetical order."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [module.add_command for module in modules if hasattr(module, "add_command")]

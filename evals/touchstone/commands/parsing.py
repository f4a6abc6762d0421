"""Options of subcommands, from the option table."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

from touchstone.config.options import OPTIONS, Options, find_root, typed_options
from touchstone.errors import ConfigError, suggest
from touchstone.foreign import in_log

BY_NAME = {row.name: row for row in OPTIONS}


class Parser(argparse.ArgumentParser):
    """A parser of a command whose mistakes are ours: one sentence each, with the nearest of what there is."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed.

        Raises:
            ConfigError: always.
        """
        sentence = message.replace("the following arguments are required:", f"{self.prog} needs")
        raise ConfigError(f"{sentence}; {self.prog} --help says what there is")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what was typed; the parser of a subcommand is asked first, and knows what its options are.

        Raises:
            ConfigError: there is no such option, or an argument is one too many.
        """
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            options = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            near = suggest(word, options) if word.startswith("-") else ""
            near = near if near.endswith("?") else f"; {self.prog} --help says what there is"
            raise ConfigError(f'{self.prog} does not take "{unknown[0]}"{near}')
        return parsed, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = suggest(str(value), map(str, action.choices)) or f"; {self.prog} --help says what there is"
            if action.option_strings:
                raise ConfigError(f'{action.option_strings[0]} = "{value}" is not one of its values{near}')
            raise ConfigError(f'"{value}" is no {str(action.metavar).lower()} of {self.prog}{near}')


def add_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add options of ``pytest evals`` to a subcommand, by their names, such as ``--store``."""
    for name in names:
        parser.add_argument(name, **BY_NAME[name].settings())


def parse_options(parsed: argparse.Namespace) -> Options:
    """Return the options typed, else the project's defaults.

    Raises:
        ConfigError: naming the option and what it may be.
    """
    cwd = Path.cwd()
    return Options.parse(typed_options(parsed), root=find_root(cwd), cwd=cwd)


def terminal() -> dict[str, Any]:
    """Return how to draw on what the output goes to: its width in columns, and whether it shows colours."""
    return {"width": shutil.get_terminal_size((120, 24)).columns, "color": sys.stdout.isatty()}


def tell(line: str) -> None:
    """Write a line of progress to stderr, apart from the command's output."""
    sys.stderr.write(f"{in_log(line)}\n")
    sys.stderr.flush()

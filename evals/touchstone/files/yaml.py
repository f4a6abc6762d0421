"""YAML without duplicate keys."""

from collections.abc import Hashable
from typing import Any

import yaml

from touchstone.errors import BaselineError, TouchstoneError, first_line

# The C parser is thirty times faster; a card of a multilingual model has a hundred thousand lines.
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(FAST):  # type: ignore[misc,valid-type]  # whichever of the two there is
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f'the key "{key.value}" is here twice', problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]


def parse_yaml(text: str, where: str, *, line: int = 1, error: type[TouchstoneError] = BaselineError) -> Any:
    """Parse YAML of plain values.

    Args:
        text: one document.
        where: the file, for errors.
        line: on which line of the file the text begins.
        error: the type to raise.

    Raises:
        TouchstoneError: of the type given; it is not YAML, or has a key twice; names the line.
    """
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except yaml.MarkedYAMLError as failure:
        at = f" at line {failure.problem_mark.line + line}" if failure.problem_mark else ""
        raise error(f"{where}: not YAML{at}: {failure.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as failure:  # ValueError: a date that there is not
        raise error(f"{where}: not YAML: {first_line(failure)}") from None

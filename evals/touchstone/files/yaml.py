"""YAML of plain values: no key twice, no bombs."""

from typing import Any

import yaml

from touchstone.errors import BaselineError, TouchstoneError, first_line
from touchstone.files.plain import DEEPEST, TOO_DEEP, TOO_LONG
from touchstone.formatting import shorten

# The C parser is thirty times faster; a card of a multilingual model has a hundred thousand lines.
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Of what begins a value in YAML a text has at most so many, or the nodes alone take a gigabyte.
MOST_SIGNS = 600_000
# Values where each alias is written out.
MOST_VALUES = 2_000_000
# No number is longer in decimals; one in the base of 60 takes the square of its length.
LONGEST_NUMBER = 400
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# Constructors take for granted that what has a tag has its form too.
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


def parse_yaml(text: str, where: str, *, line: int = 1, error: type[TouchstoneError] = BaselineError) -> Any:
    """Parse YAML of plain values.

    Args:
        text: one document.
        where: the file, for errors.
        line: on which line of the file the text begins.
        error: the type to raise.

    Raises:
        TouchstoneError: of the type given; it is not YAML, has a key twice, or would be too much; names the line.
    """
    if sum(map(text.count, ",:-[{?\n")) > MOST_SIGNS:
        raise error(f"{where}: holds more values of YAML than can be read")
    try:
        loader = FAST(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _Nodes(loader).check(yaml.SequenceNode("", [root]), -1)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as failure:
        at = f" at line {failure.problem_mark.line + line}" if failure.problem_mark else ""
        raise error(f"{where}: not YAML{at}: {shorten(str(failure.problem), 200)}") from None
    except RecursionError:
        raise error(f"{where}: not YAML: {TOO_DEEP}") from None
    except YAML_ERRORS as failure:  # among them dates that there are not
        raise error(f"{where}: not YAML: {first_line(failure)}") from None


class _Nodes:
    """The nodes of a document, each looked at once, before anything is made of them."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        # Of each node how many values it is where aliases are written out, and how deep; None while it is looked at.
        self._known: dict[yaml.Node, tuple[int, int] | None] = {}

    def check(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if node in self._known:
            known = self._known[node]
            if known is None:
                raise _wrong("holds itself", node)
        else:
            self._known[node] = None
            known = self._known[node] = self._look_at(node, depth)
        if depth + known[1] > DEEPEST:
            raise _wrong(TOO_DEEP, node)
        return known

    def _look_at(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if depth > DEEPEST:
            raise _wrong(TOO_DEEP, node)
        if isinstance(node, yaml.MappingNode):
            self._refuse_twice(node)
        inside = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        values, deepest = 1, 0
        for each in inside:
            more, below = (1, 0) if isinstance(each, yaml.ScalarNode) else self.check(each, depth + 1)
            values, deepest = values + more, max(deepest, below + 1)
            if each.tag in NUMBERS and len(each.value) > LONGEST_NUMBER:
                raise _wrong(TOO_LONG, each)
        if values > MOST_VALUES:
            raise _wrong(f"is more than {MOST_VALUES} values where aliases are written out", node)
        return values, deepest

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        """Refuse two keys that are one once they are read, as 1 and 0x1 are, or yes and true."""
        seen = set()
        for key, _ in node.value:
            said = key.value
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith((":str", ":merge")):
                if len(key.value) > LONGEST_NUMBER:
                    raise _wrong(TOO_LONG, key)
                said = self._loader.construct_object(key)
            elif not isinstance(key, yaml.ScalarNode):
                raise _wrong("found unhashable key", key)
            if said in seen:
                raise _wrong(f'the key "{shorten(key.value, 60)}" is here twice', key)
            seen.add(said)


def _wrong(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

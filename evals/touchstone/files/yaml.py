"""YAML of plain values, without duplicate keys and bombs."""

from typing import Any

import yaml

from touchstone.errors import BaselineError, TouchstoneError, first_line
from touchstone.files.plain import MAX_DEPTH, TOO_DEEP, TOO_LONG
from touchstone.formatting import shorten

# The C parser is thirty times faster; a card of a multilingual model has a hundred thousand lines.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Characters that begin a value; with more of them the nodes alone take a gigabyte.
MAX_INDICATORS = 600_000
# Counted with every alias expanded.
MAX_VALUES = 2_000_000
# No decimal number is longer; parsing one in base 60 takes the square of its length.
MAX_NUMBER_LENGTH = 400
NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# Constructors do not check that a value has the form of its tag.
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


def parse_yaml(text: str, where: str, *, line: int = 1, error: type[TouchstoneError] = BaselineError) -> Any:
    """Parse YAML of plain values.

    Args:
        text: one document.
        where: the file, for errors.
        line: the line of the file on which the text begins.
        error: the type to raise.

    Raises:
        TouchstoneError: of the given type; it is not YAML, has a key twice, or is too large; names the line.
    """
    if sum(map(text.count, ",:-[{?\n")) > MAX_INDICATORS:
        raise error(f"{where}: holds more values of YAML than can be read")
    try:
        _refuse_depth(text)
        loader = LOADER(text)
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
    except YAML_ERRORS as failure:  # among them dates that do not exist
        raise error(f"{where}: not YAML: {first_line(failure)}") from None


def _refuse_depth(text: str) -> None:
    """Refuse what is nested too deep before nodes are made: PyYAML before 6.0.4 ends the process there."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:
                raise _error(TOO_DEEP, event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Nodes:
    """The nodes of a document, each checked once before anything is constructed."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        # Number of values of each node with aliases expanded, and its depth; None while the node is measured.
        self._extents: dict[yaml.Node, tuple[int, int] | None] = {}

    def check(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if node in self._extents:
            extent = self._extents[node]
            if extent is None:
                raise _error("holds itself", node)
        else:
            self._extents[node] = None
            extent = self._extents[node] = self._measure(node, depth)
        if depth + extent[1] > MAX_DEPTH:
            raise _error(TOO_DEEP, node)
        return extent

    def _measure(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if depth > MAX_DEPTH:
            raise _error(TOO_DEEP, node)
        if isinstance(node, yaml.MappingNode):
            self._refuse_duplicates(node)
        inside = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        values, deepest = 1, 0
        for each in inside:
            count, below = (1, 0) if isinstance(each, yaml.ScalarNode) else self.check(each, depth + 1)
            values, deepest = values + count, max(deepest, below + 1)
            if each.tag in NUMBER_TAGS and len(each.value) > MAX_NUMBER_LENGTH:
                raise _error(TOO_LONG, each)
        if values > MAX_VALUES:
            raise _error(f"is more than {MAX_VALUES} values where aliases are written out", node)
        return values, deepest

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        """Refuse two keys with the same value, such as 1 and 0x1, or yes and true."""
        seen = set()
        for key, _ in node.value:
            value = key.value
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith((":str", ":merge")):
                if len(key.value) > MAX_NUMBER_LENGTH:
                    raise _error(TOO_LONG, key)
                value = self._loader.construct_object(key)
            elif not isinstance(key, yaml.ScalarNode):
                raise _error("found unhashable key", key)
            if value in seen:
                raise _error(f'the key "{shorten(key.value, 60)}" is here twice', key)
            seen.add(value)


def _error(problem: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

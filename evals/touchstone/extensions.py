"""Entry points by which other packages extend this one."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from touchstone.errors import ConfigError, first_line


@cache
def load_extensions(group: str) -> dict[str, Any]:
    """Return the objects that other installed packages have registered in an entry-point group, by entry-point name.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    objects = {}
    for point in entry_points(group=group):
        try:
            objects[point.name] = point.load()
        except Exception as error:  # a foreign module may raise anything while it is imported
            package = "an installed package" if point.dist is None else f"the package {point.dist.name}"
            raise ConfigError(
                f"{group}: {point.name} of {package} cannot be loaded: {first_line(error)}; mend or uninstall it"
            ) from None
    return objects


@cache
def find_references(group: str) -> dict[str, str]:
    """Return the entries of other installed packages in an entry-point group, as ``module:name``; nothing is imported.

    Raises:
        ConfigError: two packages have different entries with one name.
    """
    references: dict[str, str] = {}
    for point in entry_points(group=group):
        if references.setdefault(point.name, point.value) != point.value:
            raise ConfigError(f"{group}: two packages have a {point.name}, {references[point.name]} and {point.value}; "
                              "uninstall one")  # fmt: skip
    return references

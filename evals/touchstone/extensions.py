"""Entry points by which other packages add to this one."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from touchstone.errors import ConfigError, first_line


@cache
def load_extensions(group: str) -> dict[str, Any]:
    """Return what other installed packages have registered in an entry-point group, by entry-point name.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    found = {}
    for point in entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:  # a stranger's module may raise anything while it is imported
            package = "an installed package" if point.dist is None else f"the package {point.dist.name}"
            raise ConfigError(
                f"{group}: {point.name} of {package} cannot be loaded: {first_line(error)}; mend or uninstall it"
            ) from None
    return found


@cache
def find_references(group: str) -> dict[str, str]:
    """Return what other installed packages name in an entry-point group, as ``module:name``; nothing is imported.

    Raises:
        ConfigError: two packages name different things alike.
    """
    found: dict[str, str] = {}
    for point in entry_points(group=group):
        if found.setdefault(point.name, point.value) != point.value:
            raise ConfigError(f"{group}: two packages have a {point.name}, {found[point.name]} and {point.value}; "
                              "uninstall one")  # fmt: skip
    return found

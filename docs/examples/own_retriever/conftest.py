"""Load the evaluation plugin for this checkout."""

pytest_plugins = ("touchstone.plugin",)

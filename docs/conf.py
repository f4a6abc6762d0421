"""The documentation as a site: ``sphinx-build -W -b html docs site``. Nothing in it is fetched by a browser."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "evals"))

project = "Touchstone"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "Touchstone"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "text"
smartquotes = False  # of two dashes it would make one
autodoc_member_order = "bysource"
autodoc_typehints = "description"

# The modules that are the Python API: of each, the names in its `__all__`.
API = ("touchstone", "touchstone.training", "touchstone.models")
SECTION = """
## `{0}`

```{{eval-rst}}
.. automodule:: {0}
   :members:
```
"""


# What functions of the API take as options, which they name.
OPTIONS = """
## Options

Keyword arguments of `measure`, `compare`, `judge` and the trainer's evaluator. A program needs no import of these.

```{eval-rst}
.. autoclass:: touchstone.library.arguments.MeasureOptions()
   :members:
   :undoc-members:

.. autoclass:: touchstone.library.arguments.GateOptions()
   :members:
   :undoc-members:
```
"""


def add_modules(_: Any, page: str, source: list[str]) -> None:
    """Put a section for each module of the API behind the page that is about it."""
    if page == "reference/python":
        source[0] += "".join(SECTION.format(name) for name in API if find_spec(name) is not None) + OPTIONS


def setup(app: Any) -> None:
    """Register what is made when the site is built."""
    app.connect("source-read", add_modules)

"""A module imports only from the layers below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "evals"
# From the bottom up. Modules of one layer do not know each other.
LAYERS = (
    {"errors", "points", "environment", "metrics"},
    {"files", "strict_yaml", "naming"},
    {"samples", "embeddings", "rankings", "shown", "terms"},
    {"records"},
    {"config", "modelscope", "prompts", "recording", "rescore", "judging", "stats", "store", "workload", "schedule"},
    {"pairing", "overall", "merging", "history", "costs"},
    {"baselines", "changes", "gate", "report", "workers", "progress", "stock", "runs"},
    {"sources", "capture", "batching", "search"},
    {"api"},
    {"tasks", "models", "encoder", "reranker", "retrieval"},
    {"runner", "cases", "comparing", "averages", "differing", "importing", "doctor"},
    {"stages", "reporting", "known", "forecast"},
    {"engine"},
    {"session"},
    {"commands"},
    {"distribution"},
    {"scheduling", "marks"},
    {"plugin", "__main__"},
    {"test_tasks"},
)
HEAVY = {"mteb", "torch", "sentence_transformers", "datasets", "transformers", "sklearn", "scipy", "huggingface_hub",
         "modelscope"}  # fmt: skip
MAY_IMPORT_HEAVY = {"stats", "tasks", "models", "modelscope", "encoder", "reranker", "batching", "capture", "sources",
                    "runner", "importing", "doctor", "stages", "search", "retrieval"}  # fmt: skip
PYTEST_STARTS_AT = "distribution"


def unit(module: str) -> str:
    """`evals.tasks.catalog` is part of the unit `tasks`."""
    return module.split(".")[1] if "." in module else "__init__"


def level(name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


def sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each module imported, and whether that happens when the file is imported (not only for types)."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    inside_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_import = id(node) not in typing_only | inside_functions
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, at_import


def test_every_module_has_a_layer() -> None:
    units = {unit(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)) for path in sources()}
    assert units == set().union(*LAYERS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = unit(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    for module, _ in imports(path):
        if module == "evals" or not module.startswith("evals."):
            continue
        there = unit(module)
        allowed = there == here or level(there) < level(here)
        assert allowed, f"{here} imports {there}, which is not below it"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_inside_functions_of_the_adapters(path: Path) -> None:
    here = unit(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    for module, at_import in imports(path):
        if module.split(".")[0] in HEAVY:
            assert here in MAY_IMPORT_HEAVY, f"{here} imports {module}"
            assert not at_import, f"{path} imports {module} when it is itself imported"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_below_the_plugin_knows_pytest(path: Path) -> None:
    here = unit(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    if level(here) < level(PYTEST_STARTS_AT):
        assert not [module for module, _ in imports(path) if module.split(".")[0] in ("pytest", "_pytest")]


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    assert not {str(path): length for path, length in lengths.items() if length > 300}

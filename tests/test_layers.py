"""The floors of the package: a room imports only from floors below its own, and no two rooms need each other."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from touchstone.session.code_version import JUDGING_ROOMS, RUN_ROOMS

PACKAGE = Path(__file__).parent.parent / "evals" / "touchstone"
# Modules that lie beside the rooms belong to a floor too.
FLOORS = (
    {
        "errors",
        "foreign",
        "retrying",
        "environment",
        "extensions",
        "files",
        "formatting",
        "own_code",
        "metrics",
        "seams",
        "encoding",
    },
    {"records"},
    {"config", "schedule", "store", "task_types"},
    {"baselines", "judging", "models", "tasks"},
    {"importing", "measuring", "report"},
    {"session"},
    {"commands", "library", "plugin"},
    {"test_tasks", "training", "__main__"},
)
HEAVY = {"mteb", "torch", "sentence_transformers", "datasets", "transformers", "sklearn", "scipy", "huggingface_hub",
         "modelscope", "modelscope_hub", "ray", "onnx", "onnxruntime", "openvino"}  # fmt: skip
MAY_IMPORT_HEAVY = {"encoding", "importing", "measuring", "models", "seams", "task_types", "tasks",
                    "training"}  # fmt: skip
# scipy's distributions and one package of a second hub, each in one module of a room that needs nothing else heavy.
EXCEPTIONS = {"judging/statistics.py": {"scipy"}, "store/modelscope.py": {"modelscope_hub"},
              "store/hub.py": {"huggingface_hub"}, "store/asking.py": {"huggingface_hub"}}  # fmt: skip
KNOW_PYTEST = {"plugin", "test_tasks"}
IN_A_ROOM, IN_A_FACE = 13, 15
ONE_FILE_EACH = {"task_types", "commands"}  # rooms that grow by one file with each type of mteb's, and each command


def files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room(path: Path) -> str:
    return Path(path.relative_to(PACKAGE).parts[0]).stem


def floor(name: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if name in rooms), -1)


@cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """Return each module imported, and whether that happens when the file is imported (not only for types)."""
    return tuple(_imports(ast.parse(path.read_text())))


def _imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
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
            if node.module == "touchstone":
                yield from ((f"touchstone.{alias.name}", at_import) for alias in node.names)
            else:
                yield node.module, at_import


def rooms_needed(path: Path) -> set[str]:
    found = {module.split(".")[1] for module, _ in imports(path) if module.startswith("touchstone.")}
    return found - {room(path), "__version__"}


def every(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_room_has_one_floor() -> None:
    rooms = {room(path) for path in files()}
    assert rooms == set().union(*FLOORS)
    assert sum(map(len, FLOORS)) == len(rooms)


@pytest.mark.parametrize("path", files(), ids=every)
def test_imports_point_down(path: Path) -> None:
    """Rooms of one floor may know each other, in one direction: the next test."""
    for there in rooms_needed(path):
        assert floor(there) <= floor(room(path)), f"{room(path)} imports {there}, which is above it"


def test_no_rooms_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for path in files():
        needs.setdefault(room(path), set()).update(rooms_needed(path))

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = needs.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    assert not [name for name in needs if name in reach(name)], "these rooms need each other, perhaps through others"


@pytest.mark.parametrize("path", files(), ids=every)
def test_heavy_libraries_stay_inside_functions_of_their_rooms(path: Path) -> None:
    for module, at_import in imports(path):
        library = module.split(".")[0]
        if library in HEAVY:
            allowed = room(path) in MAY_IMPORT_HEAVY or library in EXCEPTIONS.get(every(path), set())
            assert allowed, f"{every(path)} imports {module}"
            assert not at_import, f"{every(path)} imports {module} when it is itself imported"


@pytest.mark.parametrize("path", files(), ids=every)
def test_only_the_plugin_knows_pytest(path: Path) -> None:
    known = [module for module, _ in imports(path) if module.split(".")[0] in ("pytest", "_pytest", "xdist")]
    assert not known or room(path) in KNOW_PYTEST


@pytest.mark.parametrize("path", files(), ids=every)
def test_private_names_of_mteb_stand_in_seams(path: Path) -> None:
    private = [module for module, _ in imports(path) if module.startswith("mteb.") and "._" in module]
    tree = ast.parse(path.read_text())
    private += [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("mteb", "datasets"))
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not private or room(path) == "seams"


def test_rooms_are_small() -> None:
    for folder in {path.parent for path in files()} - {PACKAGE}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= IN_A_ROOM or folder.name in ONE_FILE_EACH, f"{folder.name} has {len(modules)} modules"
        face = ast.parse((folder / "__init__.py").read_text())
        names = [alias for node in face.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        assert len(names) <= IN_A_FACE or folder.name == "plugin", f"the face of {folder.name} has {len(names)} names"


def test_what_measures_needs_nothing_that_does_not() -> None:
    """So the hash of the measuring rooms covers all of our code that can change an outcome."""
    only_words = {"errors", "formatting"}
    for path in files():
        if room(path) not in RUN_ROOMS | JUDGING_ROOMS:
            needed = rooms_needed(path) & (RUN_ROOMS | JUDGING_ROOMS) - only_words
            assert not needed, f"{every(path)} measures, and needs more"

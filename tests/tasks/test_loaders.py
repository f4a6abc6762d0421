"""How mteb's tasks load data, read from its code: each asks for repositories, through the one function we take."""

import ast
from collections.abc import Iterator
from pathlib import Path

import mteb
import pytest

from touchstone.tasks import registry
from touchstone.tasks.registry import LOAD_FUNCTIONS, TASKS, load_registry, read_mteb

ROOT = Path(mteb.__file__).parent
# They ask for data without a revision, in mteb 2.26.
UNPINNED = {"GermanQuAD-Retrieval", "LitSearchRetrieval", "SKQuadRetrieval", "SlovakSumRetrieval"}
# Ways to other data than what `datasets` is asked for by name.
OTHER_WAYS = {
    "hf_hub_download", "snapshot_download", "load_from_disk", "load_dataset_builder", "urlopen", "urlretrieve",
    "read_csv", "read_parquet", "read_json", "from_csv", "from_json", "from_parquet", "HfFileSystem", "DownloadManager",
}  # fmt: skip


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for path in [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "abstasks").rglob("*.py")]:
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield module, ast.unparse(node.func), node


def test_no_task_loads_data_in_another_way() -> None:
    found = {(module, name) for module, name, _ in calls() if name.rpartition(".")[2] in OTHER_WAYS}
    assert not found
    assert not [(module, name) for module, name, _ in calls() if name.startswith(("requests.", "httpx.", "pd.read_"))]


def test_what_is_asked_for_is_a_repository_never_a_format_with_files_elsewhere() -> None:
    formats = {"csv", "json", "parquet", "text", "arrow", "xml", "webdataset"}
    for module, name, call in calls():
        if name.rpartition(".")[2] in LOAD_FUNCTIONS:
            first = call.args[0] if call.args else None
            assert not (isinstance(first, ast.Constant) and first.value in formats), (module, ast.unparse(call))


def test_tasks_that_ask_for_no_revision_are_known() -> None:
    tasks = load_registry().tasks.values()
    assert {task.name for task in tasks if not task.pinned and task.modalities == ("text",)} == UNPINNED
    unpinned = {module for module, name, call in calls() if module.startswith(TASKS)
                and name.rpartition(".")[2] in LOAD_FUNCTIONS
                and not any(word.arg in (None, "revision") for word in call.keywords)}  # fmt: skip
    assert {module.rpartition(".")[2] for module in unpinned} >= {"german_qu_ad_retrieval", "sk_quad_retrieval"}
    assert all(not registry.is_pinned(module) for module in unpinned)


@pytest.mark.parametrize("name", ["STSBenchmark", "SKQuadRetrieval"])
def test_the_file_says_what_mteb_says(name: str) -> None:
    assert load_registry().tasks[name] == read_mteb().tasks[name]

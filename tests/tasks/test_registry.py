import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from pydantic import TypeAdapter

from touchstone.tasks import registry
from touchstone.tasks.registry import Part, Registry, load_registry, package_digest, read_mteb


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for the file."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def asked() -> Registry:
    return read_mteb()


def load() -> Registry:
    return load_registry.__wrapped__()


def test_the_file_says_what_mteb_says(cache: Path, asked: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load() == asked
    (file,) = cache.iterdir()
    assert file.name.startswith("mteb-2.")
    monkeypatch.setattr(registry, "read_mteb", lambda: pytest.fail("asked again"))
    assert load() == asked


@pytest.mark.parametrize("damage", [b"", b"{", b'{"tasks": {}}', b"\xff\xfe"])
def test_a_damaged_file_is_made_again(
    cache: Path, asked: Registry, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "read_mteb", lambda: asked)
    load()
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert load() == asked
    assert file.read_bytes() == whole


def test_another_package_is_another_file(cache: Path, asked: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = Registry(tasks={}, current=(), types=())
    monkeypatch.setattr(registry, "read_mteb", lambda: asked)
    load()
    monkeypatch.setattr(registry, "package_digest", lambda: "0" * 64)
    monkeypatch.setattr(registry, "read_mteb", lambda: fewer)
    assert load() == fewer
    assert len(list(cache.iterdir())) == 2


def test_a_package_under_development_is_asked_each_time(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([Registry(tasks={}, current=(), types=()), Registry(tasks={}, current=("A",), types=())])
    monkeypatch.setattr(registry, "package_digest", lambda: None)
    monkeypatch.setattr(registry, "read_mteb", lambda: next(asked))
    assert load().current == ()
    assert load().current == ("A",)
    assert not list(cache.iterdir())


def test_a_home_that_cannot_be_written_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(file / "inside"))
    monkeypatch.setattr(registry, "read_mteb", lambda: Registry(tasks={}, current=("A",), types=()))
    assert load().current == ("A",)


@pytest.mark.parametrize(("record", "url", "known"), [
    ("a.py,sha256=1,1", None, True),
    ("a.py,sha256=1,1", '{"url": "file:///x", "dir_info": {"editable": true}}', False),
    ("a.py,sha256=1,1", '{"url": "file:///x", "dir_info": {}}', True),
    (None, None, False),
])  # fmt: skip
def test_only_a_list_of_installed_files_identifies_a_package(
    monkeypatch: pytest.MonkeyPatch, record: str | None, url: str | None, *, known: bool
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return {"RECORD": record, "direct_url.json": url}[name]

    monkeypatch.setattr(registry, "distribution", lambda _: Installed())
    assert (package_digest() is not None) == known


def test_a_benchmark_has_its_own_splits_and_subsets(asked: Registry) -> None:
    (part,) = (part for part in asked.benchmarks["MTEB(eng, v1)"] if part.task == "AmazonCounterfactualClassification")
    assert asked.take(part).subsets == ("en",)
    assert len(asked.tasks[part.task].subsets) > 1
    assert asked.take(Part(task=part.task)) == asked.tasks[part.task]


def test_collecting_imports_neither_mteb_nor_what_it_needs(tmp_path: Path) -> None:
    load_registry()
    code = (
        "import sys\nfrom touchstone.config.options import Options\nfrom touchstone.session.plan import find_cases\n"
        "from pathlib import Path\nhere = Path.cwd()\n"
        "plan = find_cases(Options.parse({'suites': ['all.toml']}, root=here, cwd=here))\n"
        "assert len(plan.cases) > 900, len(plan.cases)\n"
        "print(sorted({'mteb', 'torch', 'sentence_transformers', 'scipy', 'sklearn', 'datasets'} & set(sys.modules)))\n"
    )
    (tmp_path / "all.toml").write_text('models = ["minilm"]\n[tasks]\ninclude = ["*"]\n')
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_shape_survives_a_file(asked: Registry) -> None:
    shape = TypeAdapter(Registry)
    assert shape.validate_json(shape.dump_json(asked)) == asked

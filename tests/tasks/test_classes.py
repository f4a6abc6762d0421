"""Tasks whose class is the user's own: described by their metadata, opened, and known by their code and their rows."""

import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from tests.classes import Modules, install, make_modules
from touchstone import own_code
from touchstone.config.suites import CustomTask, Selection
from touchstone.errors import ConfigError, SourceError
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.tasks.catalog import describe_class, find_tasks
from touchstone.tasks.classes import check_code, load_class
from touchstone.tasks.identity import identify_data, watch_data
from touchstone.tasks.opening import open_task
from touchstone.tasks.rows import hash_rows

BIOSSES = "mteb/biosses-sts"
TASK = """
class Mine(AbsTaskSTS):
    metadata = meta()
    def load_data(self, **kwargs):
        self.dataset = {'test': rows()}
"""
ON_HUB = f"class Mine(AbsTaskSTS):\n    metadata = meta(path='{BIOSSES}')\n    max_score = 4\n"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    yield from make_modules(tmp_path, monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def find(reference: str, **keys: Any) -> TaskInfo:
    custom = CustomTask(class_=reference, **keys)
    (info,) = find_tasks(Selection(custom=(custom,)), "my.toml")
    return info


def sentence(reference: str, **keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        find(reference, **keys)
    message = str(caught.value)
    start = f'my.toml: [[tasks.custom]] class = "{reference}"'
    assert message.startswith(start)
    return message.removeprefix(start).lstrip(": ")


def rows_of(info: TaskInfo, store: Store, source: Source | None = None, limit: int | None = None) -> Any:
    with open_task(info, source or Source(), store, limit=limit) as opened:
        return opened.task.dataset


def hash_of(info: TaskInfo, store: Store, source: Source | None = None) -> str | None:
    with open_task(info, source or Source(), store) as opened:
        return opened.data_sha256


def refusal(info: TaskInfo, store: Store, source: Source | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        rows_of(info, store, source)
    return str(caught.value)


def test_a_class_is_what_its_metadata_says(modules: Modules) -> None:
    name = modules.write(
        "class Mine(AbsTaskRetrieval):\n"
        "    metadata = meta('My.Search', 'Retrieval', 'ndcg_at_10', eval_splits=['dev', 'test'],\n"
        "                    eval_langs={'de': ['deu-Latn'], 'en': ['eng-Latn']})\n"
        "    def load_data(self, **kwargs): ...\n"
    )
    assert find(f"{name}:Mine") == TaskInfo(
        name="My.Search",
        type="Retrieval",
        main_score="ndcg_at_10",
        splits=("dev", "test"),
        subsets=("de", "en"),
        languages=("deu-Latn", "eng-Latn"),
        code=f"{name}:Mine",
        loads_itself=True,
    )


def test_its_subsets_and_splits_are_narrowed_as_of_any_task(modules: Modules) -> None:
    name = modules.write(
        "class Mine(AbsTaskSTS):\n    metadata = meta(eval_langs={'de': ['deu-Latn'], 'en': ['eng-Latn']})\n"
    )
    custom = (CustomTask(class_=f"{name}:Mine"),)
    (info,) = find_tasks(Selection(custom=custom, subsets={"Mine": ("de",)}), "my.toml")
    assert (info.subsets, info.language_codes) == (("de",), ("deu",))


STS = "class Mine(AbsTaskSTS):\n    metadata"
WRONG = {
    "def Mine(): ...": "is not a subclass of mteb's AbsTask",
    "class Mine: ...": "is not a subclass of mteb's AbsTask",
    "Mine = 3": "is not a subclass of mteb's AbsTask",
    "class Mine(AbsTask):\n    metadata = meta()": "lacks _calculate_descriptive_statistics_from_split, _evaluate_",
    "class Mine(AbsTaskSTS): ...": "has no metadata; expected a TaskMetadata of mteb's",
    f"{STS} = {{}}": "has no metadata; expected a TaskMetadata of mteb's",
    f"{STS} = meta('a b')": 'is called "a b", which may hold only A-Z a-z 0-9 _ and, not first, . + -',
    f"{STS} = meta('STS12')": 'has the name "STS12" of a task of mteb; give it another',
    f"{STS} = meta().model_copy(update={{'type': 'Sts'}})": 'has the type "Sts", which does not exist',
    f"{STS} = meta(main_score='')": "has no main_score in its metadata",
    f"{STS} = meta(eval_splits=[])": "has no eval_splits in its metadata",
    f"{STS} = meta(eval_langs={{}})": "has no eval_langs in its metadata",
    f"{STS} = meta(eval_langs=['english'])": 'has "english" in its eval_langs, which is not a code such as "eng-Latn"',
    f"{STS} = meta(eval_langs=['eng'])": 'has "eng" in its eval_langs, which is not a code such as "eng-Latn"',
    f"{STS}, version = meta(), [1]": "has a version of list; expected a text or a number",
    f"{STS} = meta()\n    def __init__(self, x): ...": "cannot be instantiated: TypeError: ",
    "class Other: ...": "has no Mine",
    "raise OSError('no\\nmore')": "cannot be imported: OSError: no",
    "raise SystemExit(2)": "cannot be imported: SystemExit: 2",
    "import from": "cannot be imported: SyntaxError: ",
    "meta(main_score=None)": "cannot be imported: TaskMetadata: main_score: Input should be a valid string",
    "meta(type='Sts')": "cannot be imported: TaskMetadata: type: Input should be 'BitextMining', ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_class_that_cannot_be_run_is_one_sentence(modules: Modules, text: str) -> None:
    name = modules.write(text)
    said = sentence(f"{name}:Mine").removeprefix(f"{name} ")
    assert said.startswith(WRONG[text])
    assert "\n" not in said


def test_a_module_that_is_nowhere_is_one_sentence(modules: Modules) -> None:
    assert sentence("nowhere.at_all:Mine") == (
        f"there is no module nowhere.at_all, neither installed nor in {modules.folder}"
    )


@pytest.mark.parametrize(
    ("key", "said", "own"),
    [("name", "Yours", "Mine"), ("type", "Retrieval", "STS"), ("language", "deu-Latn", "eng-Latn")],
)
def test_what_the_suite_says_beside_a_class_must_be_what_its_metadata_says(
    modules: Modules, key: str, said: str, own: str
) -> None:
    reference = f"{modules.write(TASK)}:Mine"
    assert find(reference, **{key: own}).name == "Mine"
    assert sentence(reference, **{key: said}) == f'{key} = "{said}", and its metadata says "{own}"; leave {key} out'


def test_a_module_beside_the_suite_is_found_and_of_two_of_one_name_none_is_guessed(
    modules: Modules, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beside = Modules(tmp_path_factory.mktemp("suites"))
    name = beside.write(TASK)
    own_code.look_in(beside.folder)
    assert find(f"{name}:Mine").name == "Mine"
    modules.write(TASK, name)
    load_class.cache_clear()
    assert sentence(f"{name}:Mine") == (
        f"which of {beside.folder / name}.py and {modules.folder / name}.py is meant cannot be told; rename one"
    )


@pytest.fixture
def installed(modules: Modules) -> str:
    """Two tasks that an installed package registers; the second cannot be imported. Return the module of the first."""
    name = modules.write(TASK.replace("meta()", "meta(eval_langs=['mya-Mymr'])"))
    install(modules.folder / "site", Mine=f"{name}:Mine", Broken="nowhere:Broken")
    sys.path.append(str(modules.folder / "site"))
    return name


def names(**keys: Any) -> list[str]:
    return [info.name for info in find_tasks(Selection(**keys), "my.toml")]


def test_a_registered_task_is_selected_as_mtebs_own(installed: str) -> None:
    (info,) = find_tasks(Selection(include=("Mine",)), "my.toml")
    assert (info.code, info.languages) == (f"{installed}:Mine", ("mya-Mymr",))
    assert names(include=("BIOSSES", "Min?")) == ["BIOSSES", "Mine"]
    broken = {"exclude": ("Broken",)}
    assert names(languages=("mya",), types=("STS", "Retrieval"), **broken)[-1] == "Mine"
    assert "Mine" not in names(languages=("mya",), types=("Retrieval",), **broken)
    assert "Mine" not in names(types=("STS",), exclude=("Broken", "Mine"))
    assert len(names(benchmark="MTEB(eng, v2)")) == 41


def test_a_registered_task_that_cannot_be_run_stops_those_that_may_mean_it_and_no_others(installed: str) -> None:
    assert names(include=("BIOSSES",)) == ["BIOSSES"]
    with pytest.raises(
        ConfigError, match=r'^touchstone.tasks: Broken = "nowhere:Broken": there is no module nowhere, '
    ):
        names(types=("STS",))


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("Other", r'^touchstone.tasks: Other = "\w+:Mine" is called "Mine" by its metadata; give both one name$'),
        ("STS12", "^touchstone.tasks: STS12 has the name of a task of mteb; mend or uninstall its package$"),
    ],
)
def test_a_registered_task_has_its_own_name_and_none_of_mtebs(modules: Modules, called: str, expected: str) -> None:
    install(modules.folder / "site", **{called: f"{modules.write(TASK)}:Mine"})
    sys.path.append(str(modules.folder / "site"))
    with pytest.raises(ConfigError, match=expected):
        names(include=(called,))


def test_rows_have_the_same_hash_however_a_library_holds_them() -> None:
    table = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})
    known = hash_rows({"test": table}, "Mine")
    assert known[:16] == "3a72333770c1de2a", "the hash of data that baselines have recorded"
    assert (
        hash_rows(DatasetDict(test=Dataset.from_dict({"label": np.array([1, 0]), "text": ["a", "b"]})), "Mine") == known
    )
    assert hash_rows({"test": Dataset.from_dict({"text": ["b", "a"], "label": [0, 1]}).select([1, 0])}, "Mine") == known


@pytest.mark.parametrize("other", [
    {"test": Dataset.from_dict({"text": ["b", "a"], "label": [0, 1]})},
    {"test": Dataset.from_dict({"text": ["a", "b"], "label": [1, 1]})},
    {"test": Dataset.from_dict({"text": ["a", "b"], "label": ["1", "0"]})},
    {"test": Dataset.from_dict({"text": ["a", "b"], "labels": [1, 0]})},
    {"test": Dataset.from_dict({"text": ["a", "b"]})},
    {"train": Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})},
    {"en": {"test": Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})}},
])  # fmt: skip
def test_any_other_row_column_split_or_subset_is_another_hash(other: Any) -> None:
    known = {"test": Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})}
    assert hash_rows(other, "Mine") != hash_rows(known, "Mine")


def test_judgements_count_and_their_order_does_not() -> None:
    def search(**judged: dict[str, int]) -> Any:
        table = Dataset.from_dict({"id": ["a"], "text": ["b"]})
        found = {"corpus": table, "queries": table, "relevant_docs": judged, "top_ranked": None}
        return {"default": {"test": found}}

    known = hash_rows(search(q1={"a": 1, "b": 2}, q2={"a": 1}), "Mine")
    assert hash_rows(search(q2={"a": 1}, q1={"b": 2, "a": 1}), "Mine") == known
    assert hash_rows(search(q2={"a": 1}, q1={"b": 1, "a": 1}), "Mine") != known


def test_values_that_are_no_texts_and_numbers_count_as_far_as_they_can_be_told_apart() -> None:
    values = [b"a", b"b", date(2026, 1, 31), {1, 2}, np.float32(0.5), np.arange(3), None, float("nan")]
    assert len({hash_rows({"x": value}, "Mine") for value in values}) == len(values)
    with pytest.raises(SourceError, match=r"^the data of Mine cannot be told from other data: it holds a object$"):
        hash_rows({"test": object()}, "Mine")


def identity(info: TaskInfo, store: Store, source: Source | None = None) -> str | None:
    return identify_data(info, source or Source(), store)


def copy_of(mirror: Path, folder: Path) -> Source:
    shutil.copytree(mirror / BIOSSES, folder / BIOSSES)
    return Source(kind="mirror", path=folder)


def edit(source: Source) -> None:
    file = (source.path or Path()) / BIOSSES / "test.jsonl.gz"
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[1:])))


def test_where_nothing_tells_the_data_beforehand_nothing_is_known(modules: Modules, mirror: Path, store: Store) -> None:
    source = Source(kind="mirror", path=mirror)
    own = f"{ON_HUB}    def load_data(self, **kwargs): ...\n"
    transformed = f"{ON_HUB}    def dataset_transform(self, **kwargs): ...\n"
    assert identity(find(f"{modules.write(ON_HUB)}:Mine"), store, source) is not None
    assert identity(find(f"{modules.write(own)}:Mine"), store, source) is None
    assert identity(find(f"{modules.write(transformed)}:Mine"), store, source) is None


def test_a_class_on_a_mirror_is_known_by_its_files_and_its_code(modules: Modules, mirror: Path, store: Store) -> None:
    source = copy_of(mirror, modules.folder / "hub")
    one, two = (find(f"{modules.write(text)}:Mine") for text in (ON_HUB, f"{ON_HUB}    min_score = 0\n"))
    known = identity(one, store, source)
    assert identity(one, store, source) == known != identity(two, store, source)
    edit(source)
    assert identity(one, store, source) != known


def test_a_class_on_the_hub_is_known_by_a_commit_alone(modules: Modules, store: Store) -> None:
    pinned = ON_HUB.replace("path=", "dataset={'path': 'mteb/biosses-sts', 'revision': 40 * 'a'}, path=")
    known = identity(find(f"{modules.write(pinned)}:Mine"), store)
    assert known is not None
    assert json.loads(known)["data"] == f"{BIOSSES}@{40 * 'a'}"
    assert identity(find(f"{modules.write(ON_HUB)}:Mine"), store) is None, "what a name leads to is not known offline"


def test_a_version_stands_for_the_data_beside_the_code(modules: Modules, store: Store) -> None:
    found = {}
    for version in ("1", "1.5", "'may'"):
        known = identity(find(f"{modules.write(f'{TASK}    version = {version}{chr(10)}')}:Mine"), store)
        assert known is not None
        found[version] = json.loads(known)
    assert [one["version"] for one in found.values()] == ["1", "1.5", "may"]
    assert len({one["code"] for one in found.values()}) == 3


def test_a_folder_of_this_machine_is_known_by_its_files(modules: Modules, store: Store) -> None:
    name = modules.write("class Mine(AbsTaskSTS):\n    metadata = meta(path='./pairs')\n")
    (modules.folder / "pairs").mkdir()
    file = modules.folder / "pairs" / "test.jsonl"
    row = {"sentence1": "a", "sentence2": "b", "score": 1}
    file.write_text(json.dumps(row) + "\n")
    info = find(f"{name}:Mine")
    known, there = identity(info, store), hash_of(info, store)
    assert rows_of(info, store)["test"][0] == row
    before = file.stat()
    file.write_text(json.dumps({**row, "score": 2}) + "\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known is not None
    assert identity(info, store) != known
    assert hash_of(info, store) != there


def test_code_that_changed_after_it_was_imported_is_not_run(modules: Modules, store: Store) -> None:
    name = modules.write(TASK)
    helper = modules.write("")
    modules.write(f"import {helper}\n{TASK}", name)
    info = find(f"{name}:Mine")
    check = watch_data(info, Source(), store)
    check()
    modules.write("# changed\n", helper)
    expected = f"^the code of {name}:Mine changed after it was imported; run again when it no longer changes$"
    for look in (check, lambda: check_code(info), lambda: rows_of(info, store)):
        with pytest.raises(SourceError, match=expected):
            look()


def test_a_class_on_a_mirror_reads_what_mtebs_own_does(modules: Modules, mirror: Path, store: Store) -> None:
    source = Source(kind="mirror", path=mirror)
    (theirs,) = find_tasks(Selection(include=("BIOSSES",)), "test")
    mine = find(f"{modules.write(ON_HUB)}:Mine")
    assert rows_of(mine, store, source)["test"][:] == rows_of(theirs, store, source)["test"][:]
    assert not mine.loads_itself
    code = load_class(str(mine.code)).code
    with open_task(mine, source, store) as opened:
        assert opened.dataset_revision == f"1+code-{code}"


def test_a_loader_of_its_own_is_given_the_source_for_what_it_asks_of_the_hub(
    modules: Modules, mirror: Path, store: Store
) -> None:
    loads = f"    def load_data(self, **kwargs):\n        self.dataset = load_dataset('{BIOSSES}', revision='1')\n"
    info = find(f"{modules.write(ON_HUB + loads)}:Mine")
    source = copy_of(mirror, modules.folder / "hub")
    known = hash_of(info, store, source)
    edit(source)
    assert len(rows_of(info, store, source)["test"]) == 99
    assert hash_of(info, store, source) != known
    empty = modules.folder / "empty"
    empty.mkdir()
    assert f'has no data set "{BIOSSES}" (needed by Mine)' in refusal(info, store, Source(kind="mirror", path=empty))


@pytest.mark.parametrize("call", [
    "load_dataset('json', data_files={'test': 'rows.jsonl'})",
    "DatasetDict(test=Dataset.from_json('rows.jsonl'))",
    "DatasetDict(test=load_dataset('json', data_files='rows.jsonl', split='train'))",
])  # fmt: skip
def test_files_of_its_own_are_read_anew_whatever_their_time(modules: Modules, store: Store, call: str) -> None:
    """The library would take a file that was changed under its old time for the one that it has prepared."""
    info = find(f"{modules.write(TASK.replace('''{'test': rows()}''', call))}:Mine")
    file = modules.folder / "rows.jsonl"
    for score in (1, 2):
        file.write_text(json.dumps({"sentence1": "a", "sentence2": "b", "score": score}) + "\n")
        os.utime(file, (1e9, 1e9))
        assert rows_of(info, store)["test"][0]["score"] == score


LOADERS = {
    "{}['x']": "KeyError: 'x'",
    "exit('stop')": "SystemExit: stop",
    "Dataset.from_list(3)": "TypeError: 'int' object is not subscriptable",
}


@pytest.mark.parametrize("wrong", LOADERS)
def test_what_a_loader_raises_is_one_sentence_with_its_line(modules: Modules, store: Store, wrong: str) -> None:
    name = modules.write(TASK.replace("{'test': rows()}", wrong))
    line = (modules.folder / f"{name}.py").read_text().count("\n")
    assert refusal(find(f"{name}:Mine"), store) == f"{name}:Mine, line {line}: load_data raised {LOADERS[wrong]}"


def test_a_loader_that_leaves_no_data_or_not_all_of_it_is_one_sentence(modules: Modules, store: Store) -> None:
    none = find(f"{modules.write(TASK.replace('''{'test': rows()}''', 'None'))}:Mine")
    assert refusal(none, store) == "load_data of Mine has left no dataset"
    other = find(f"{modules.write(TASK.replace('''{'test''', '''{'dev'''))}:Mine")
    assert refusal(other, store) == 'the data set of Mine has no split "test" for its subset "default"'


def test_data_that_was_loaded_and_hashed_is_not_loaded_again(modules: Modules, store: Store) -> None:
    with open_task(find(f"{modules.write(TASK)}:Mine"), Source(), store) as opened:
        assert opened.task.data_loaded, "else mteb loads it where the limit and the hash know nothing of it"


def test_a_limit_keeps_the_hash_of_all_rows(modules: Modules, store: Store) -> None:
    info = find(f"{modules.write(TASK)}:Mine")
    with open_task(info, Source(), store, limit=7) as opened:
        assert len(opened.task.dataset["test"]) == 7  # type: ignore[index]
        assert opened.data_sha256 == hash_of(info, store)


def test_a_search_in_mtebs_first_shape_is_brought_into_todays(modules: Modules, store: Store) -> None:
    name = modules.write(
        "class Mine(AbsTaskRetrieval):\n"
        "    metadata = meta(type='Retrieval', main_score='ndcg_at_10')\n"
        "    def load_data(self, **kwargs):\n"
        "        self.corpus, self.queries = {'test': {'d': {'text': 'b', 'title': 'a'}}}, {'test': {'q': 'c'}}\n"
        "        self.relevant_docs = {'test': {'q': {'d': 1}}}\n"
    )
    found = rows_of(find(f"{name}:Mine"), store)["default"]["test"]
    assert (found["queries"][0], found["relevant_docs"]) == ({"id": "q", "text": "c"}, {"q": {"d": 1}})


def test_an_aggregate_of_ones_own_is_opened_part_by_part(modules: Modules, mirror: Path, store: Store) -> None:
    name = modules.write(
        f"from mteb.abstasks.aggregated_task import AbsTaskAggregate\n"
        f"from mteb.abstasks.aggregate_task_metadata import AggregateTaskMetadata\n{TASK}"
        "from mteb import get_task\n"
        "class All(AbsTaskAggregate):\n"
        "    metadata = AggregateTaskMetadata(\n"
        "        name='All', description='x', type='STS', main_score='cosine_spearman', eval_langs=['eng-Latn'],\n"
        "        eval_splits=['test'], tasks=[Mine(), get_task('BIOSSES')])\n"
    )
    info = find(f"{name}:All")
    source = Source(kind="mirror", path=mirror)
    assert identity(info, store, source) is None
    with open_task(info, source, store) as opened:
        assert [len(part.dataset["test"]) for part in opened.parts] == [20, 100]  # type: ignore[index]
        assert opened.data_sha256 is not None


def test_a_class_of_images_is_described_and_says_so(modules: Modules) -> None:
    name = modules.write(TASK.replace("meta()", "meta(modalities=['image'])"))
    assert find(f"{name}:Mine").modalities == ("image",)
    assert replace(describe_class(f"{name}:Mine"), modalities=("text",)).mark == "sts"

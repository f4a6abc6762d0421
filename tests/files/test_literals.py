import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import ConfigError
from touchstone.files.literals import read_plain

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MARKED = st.dictionaries(st.text(), PLAIN, max_size=3).map(lambda data: {**data, "mark": 1})


def read(folder: Path, name: str, text: str, inner: str | None = None) -> Any:
    (folder / name).write_text(text, encoding="utf-8")
    return read_plain(folder / name, "mark", inner)


def sentence(folder: Path, name: str, text: str, inner: str | None = None) -> str:
    """The error of a file, without the file it must begin with."""
    with pytest.raises(ConfigError) as caught:
        read(folder, name, text, inner)
    message = str(caught.value)
    assert message.startswith(f"{folder / name}")
    assert "\n" not in message
    return message.removeprefix(f"{folder / name}").lstrip(": ")


@given(data=MARKED)
def test_three_ways_to_write_the_same_data_are_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("plain", numbered=True)
    assert read(folder, "a.json", json.dumps(data)) == data
    assert read(folder, "a.yaml", yaml.safe_dump(data)) == data
    assert read(folder, "a.py", f"cfg = {data!r}\n") == data
    assert read(folder, "b.py", f"{data!r}\n") == data


def test_nothing_in_a_python_file_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    text = (
        f"import pathlib\npathlib.Path({str(trace)!r}).touch()\ncfg = {{'mark': 1, 'minus': -2, 'more': (1, 'a' 'b')}}"
    )
    assert read(tmp_path, "a.py", text) == {"mark": 1, "minus": -2, "more": [1, "ab"]}
    said = sentence(tmp_path, "b.py", f"cfg = {{\n'mark': __import__('pathlib').Path({str(trace)!r}).touch()}}")
    assert said.startswith("line 2: __import__(")
    assert said.endswith("… is not a literal, and nothing is executed; write its value")
    assert not trace.exists()


def test_a_configuration_is_found_inside_a_function_and_as_the_keywords_of_a_call(tmp_path: Path) -> None:
    inside = (
        "def run():\n    one: dict = {'other': 0}\n    two = TaskConfig(mark=1, deeper=dict(a=[1]))\n    run_task(two)"
    )
    assert read(tmp_path, "a.py", inside) == {"mark": 1, "deeper": {"a": [1]}}


def test_one_of_several_is_chosen_by_its_name(tmp_path: Path) -> None:
    text = "one = {'mark': 1}\ntwo = {'mark': 2}\nfirst = one\n"
    assert read(tmp_path, "a.py", text, "two") == {"mark": 2}
    assert sentence(tmp_path, "a.py", text) == "assigns one and two; name one, as in a.py:one"
    assert sentence(tmp_path, "a.py", text, "twoo") == 'no "twoo" in it has "mark"; did you mean "two"?'
    assert sentence(tmp_path, "a.py", text + "two = {'mark': 3}", "two") == "assigns two twice"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", "{", "not JSON: EOF while parsing an object at column 1"),
        ("a.json", '{"mark": 1, "a": {"b": 1, "b": 2}}', 'says "b" twice in one object'),
        ("a.json", '{"mark": NaN}', "mark = nan; expected a number that is finite"),
        ("a.json", "[1]", 'must hold a dictionary with "mark"'),
        ("a.json", '{"a":' * 100_000, "is nested too deeply"),
        ("a.yaml", "mark: [", "not YAML at line 2: did not find expected node content"),
        ("a.yaml", "mark: 1\na:\n  b: 1\n  b: 2\n", 'not YAML at line 4: the key "b" is here twice'),
        ("a.yaml", "mark: 1\nwhen: 2024-05-01\n", "when = 2024-05-01; expected text, a number, true, false, a list"),
        ("a.yaml", "mark: 1\nwhen: 2024-13-45\n", "not YAML: ValueError: month must be in 1..12"),
        ("a.yaml", "mark: 1\n2: 3\n", "has the key 2; expected text"),
        ("a.yaml", "mark: &a [*a]\n", "not YAML at line 1: holds itself"),
        ("a.yaml", "mark: !!python/object/apply:os.getcwd []\n", "not YAML at line 1: could not determine a"),
        ("a.yaml", "mark: a\x07b\n", "not YAML: ReaderError: "),
        ("a.yaml", "? [1]\n: 2\n", "not YAML at line 1: found unhashable key"),
        ("a.py", "cfg = {", "not Python: '{' was never closed (line 1)"),
        ("a.py", "cfg = {'other': 1}", 'holds no dictionary with "mark" in it, written out'),
        ("a.py", "cfg = {'mark': 1, 'a': {'b': 1, 'b': 2}}", 'says "b" twice in one object'),
        ("a.py", "cfg = {'mark': 1,\n **more}", "line 1: {'mark': 1, **more} is not a literal"),
        ("a.py", "cfg = dict(mark=1, **more)", "line 1: dict(mark=1, **more) is not a literal"),
        ("a.py", "cfg = {'mark': {'d':\ntorch.int8}}", "line 2: torch.int8 is not a literal, and"),
        ("a.py", "cfg = {'mark': f'{x}'}", "line 1: f'{x}' is not a literal"),
        ("a.py", "cfg = {'mark': not True}", "line 1: not True is not a literal"),
        ("a.py", "cfg = {'mark': b'x'}", "mark = b'x'; expected text"),
        ("a.py", "cfg = {'mark': {1: 2}}", "mark has the key 1; expected text"),
        ("a.py", "cfg = {'mark': 1e999}", "mark = inf; expected a number that is finite"),
    ],
)  # fmt: skip
def test_what_is_not_plain_data_is_refused_with_its_place(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert sentence(tmp_path, name, text).startswith(expected)


def test_anchors_that_are_used_twice_are_no_loop(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nmark: [*base, *base]\nmore: {<<: *base, b: 3}\n"
    assert read(tmp_path, "a.yaml", text) == {
        "base": {"a": 1, "b": 2}, "mark": [{"a": 1, "b": 2}] * 2, "more": {"a": 1, "b": 3},
    }  # fmt: skip


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_plain(tmp_path / "a.json", "mark")
    assert str(caught.value) == f"{tmp_path / 'a.json'}: no such file"


CFG = "cfg = {'mark': {'eval': {'limits': 10, 'tasks': ['ATEC']}}}\n"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("cfg['mark']['eval']['limits'] = 500", 2),
        ("cfg['mark']['eval']['limits'] += 1", 2),
        ("cfg['mark']['eval']['tasks'].append('BQ')", 2),
        ("cfg['mark']['eval'].update(limits=5)", 2),
        ("cfg['mark']['eval'].get('tasks').append('BQ')", 2),
        ("del cfg['mark']['eval']['limits']", 2),
        ("cfg |= {'more': 1}", 2),
        ("cfg.mark = 3", 2),
        ("asked = cfg['mark']['eval']\nasked['limits'] = 5", 3),
        ("other = cfg\nagain = other\nagain['mark'] = 5", 4),
        ("one = two = cfg\ntwo['mark'] = 5", 3),
        ("def main():\n    cfg['mark'] = 1", 3),
        ("if True: cfg['mark'] = 1", 2),
        ("if cfg.update(more=1): pass", 2),
        ("while (n := cfg.pop('mark')): pass", 2),
        ("for cfg['mark'] in (1, 2): pass", 2),
        ("@decorated(cfg)\ndef main(): pass", 2),
        ("def main(cfg=cfg): cfg['mark'] = 1", 2),
        ("cfg = load()", 2),
        ("(cfg['more'], y) = 1, 2", 2),
        ("patch(cfg)", 2),
        ("setattr(cfg, 'more', 1)", 2),
        ("other = {**cfg, 'more': 1}", 2),
        ("other = copy.deepcopy(cfg)\nother['mark'] = 1", 2),
        ("print(cfg.pop('mark'))", 2),
        ("print(f'{cfg.clear()}')", 2),
        ("[one.clear() for one in (cfg,)]", 2),
    ],
)
def test_what_may_be_changed_after_it_was_written_is_refused_with_the_line(
    tmp_path: Path, change: str, line: int
) -> None:
    said = sentence(tmp_path, "a.py", CFG + change)
    assert said.startswith(f"line {line}: {(CFG + change).splitlines()[line - 1].strip()} may change cfg, and nothing")
    assert said.endswith("write the final value into the dictionary on line 1")


@pytest.mark.parametrize(
    "use",
    [
        "run_task(task_cfg=cfg)", "evalscope.run.run_task(cfg)", "print(cfg['mark'])", "print(f'{cfg}')",
        "json.dump(cfg, file)", "other = cfg\nrun_task(other)", "run_task(TaskConfig(**cfg))",
        "task = TaskConfig(**cfg)\nrun_task(task)", "if __name__ == '__main__':\n    run_task(cfg)",
    ],
)  # fmt: skip
def test_what_only_reads_it_changes_nothing(tmp_path: Path, use: str) -> None:
    assert read(tmp_path, "a.py", CFG + use) == read(tmp_path, "b.py", CFG)


@pytest.mark.parametrize(
    "text",
    [
        "run_task({'mark': [1, 2], 'more': 'x'})",
        "evalscope.run_task(task_cfg={'mark': [1, 2], 'more': 'x'})",
        "run_task(task_cfg=TaskConfig(mark=[1, 2], more='x'))",
        "task = evalscope.TaskConfig(mark=[1, 2], more='x')\nrun_task(task)",
        "task = TaskConfig()\ntask.mark = [1, 2]\ntask.more = 'x'\nrun_task(task_cfg=task)",
        "def main():\n    task = TaskConfig(more='x')\n    task.mark = [1, 2]\n    return run_task(task)",
    ],
)
def test_a_call_a_task_config_and_its_attributes_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "a.py", text) == {"mark": [1, 2], "more": "x"}


def test_an_attribute_twice_or_later_on_is_refused(tmp_path: Path) -> None:
    task = "task = TaskConfig()\ntask.mark = 1\n"
    assert sentence(tmp_path, "a.py", f"{task}task.mark = 2") == 'says "mark" twice in one object'
    assert sentence(tmp_path, "a.py", f"{task}if x: task.mark = 2").startswith("line 3: if x: task.mark = 2 may change")
    assert sentence(tmp_path, "a.py", "run_task({'mark': 1})\nrun_task({'mark': 2})").startswith(
        "assigns one on line 1 and one on line 2"
    )


def test_constants_of_evalscope_and_torch_are_known_by_their_names(tmp_path: Path) -> None:
    text = "cfg = {'mark': EvalBackend.RAG_EVAL, 'dtype': torch.bfloat16}"
    assert read(tmp_path, "a.py", text) == {"mark": "RAGEval", "dtype": "torch.bfloat16"}

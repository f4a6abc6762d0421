"""What a program gives is checked: every wrong thing is one sentence that says what would be right."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import touchstone
from touchstone import ConfigError, Model, Suite, TouchstoneError, compare, judge, load_run, measure
from touchstone.library.arguments import give_suite, parse_options, spoken_in_python


def ask(**options: Any) -> Callable[[], object]:
    return lambda: measure("minilm", "smoke", **options)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no model": (lambda: measure(3, "smoke"), 'Model("model"): what is of type int is no model'),
    "half a model": (lambda: measure(Model(dict, "d"), "smoke"), "is no model"),
    "an alias": (lambda: measure(Model([], "a b"), "smoke"), 'alias = "a b" may hold only'),
    "a name": (lambda: measure("minlm", "smoke"), 'did you mean "minilm"?'),
    "a setting": (
        lambda: measure(Model("org/x", "x", poling="cls"), "smoke"),
        'Model("x"): has an unknown key "poling"',
    ),
    "no tasks": (lambda: measure("minilm", []), "tasks = []; expected a Suite"),
    "no names": (lambda: measure("minilm", 7), "tasks = 7; expected a Suite"),  # type: ignore[arg-type]
    "a task": (lambda: measure("minilm", ["BIOSES"]), 'did you mean "BIOSSES"?'),
    "a task of another suite": (
        lambda: measure("minilm", ["SmokeSTS"]),
        'tasks: "SmokeSTS" is not a task of mteb but of the suite smoke; to have SmokeSTS, add',
    ),
    "a task of another suite in a suite": (
        lambda: measure("minilm", Suite(tasks={"include": ["SmokeSTS"]})),
        'tasks: "SmokeSTS" is not a task of mteb but of the suite smoke',
    ),
    "a limit of no task": (
        lambda: measure("minilm", Suite("mine", tasks={"include": ["STS12"]}, limits={"X": 3})),
        'suite mine: limits: "X" is not in this suite',
    ),
    "data of the package": (
        lambda: measure("minilm", "STS:touchstone:similarty"),
        'tasks: path = "touchstone:similarty": the package has the data articles, paraphrase, similarity, topics; did',
    ),
    "data of the package without a type": (
        lambda: measure("minilm", "touchstone:articles"),
        'can be read as Retrieval and Reranking; say which, as in "Retrieval:touchstone:articles"',
    ),
    "no folder of a type": (lambda: measure("minilm", "Retrieval:./none"), "tasks: there is no folder"),
    "an option in a suite": (ask(select=["HelpDeks"]), 'select = "HelpDeks" is no task of suite smoke'),
    "a baseline": (ask(against="acme"), 'against = "acme": no acme.json'),
    "a folder of a model": (lambda: measure(Model("../x"), "smoke"), 'model = "../x": there is no folder'),
    "a file of a suite": (lambda: measure("minilm", "nope.toml"), 'tasks = "nope.toml": no such file'),
    "a margin of the mean": (ask(suite_margin="1%"), 'suite_margin = "1%"; write 0.01, a fraction'),
    "no folder": (lambda: measure("minilm", "./none"), "tasks: there is no folder"),
    "a suite": (lambda: Suite(tasks={"inclde": []}), "suite suite: [tasks]"),
    "a suite of nothing": (Suite, "selects nothing"),
    "an option": (ask(margn=0.1), 'margn = … is no option here; did you mean "margin"?'),
    "an argument": (ask(agianst="x"), 'agianst = … is no option here; did you mean "against"?'),
    "an argument beside options": (ask(taks="x"), 'taks = … is no option here; did you mean "tasks"?'),
    "an option of judging": (
        lambda: judge("none.json", margn=0.1),  # type: ignore[call-arg]
        'margn = … is no option here; did you mean "margin"?',
    ),
    "one task of the suite": (ask(select="Nope"), '"Nope" is no task of suite smoke'),
    "a margin in points": (ask(margin=1.0), "expected more than 0 and less than 0.5; one point is 0.01"),
    "a limit": (ask(limit=0), "expected a whole number of 1 or more"),
    "a device": (ask(device="tpu"), "expected auto, cpu, cuda, cuda:N or mps"),
    "a task of the suite": (ask(select=["Nope"]), "is no task of suite smoke"),
    "a reference": (ask(against="minlm"), 'did you mean "minilm"?'),
    "a file of a run": (ask(against="none.json"), "none.json"),
    "no case": (ask(select=["SmokeSTS"], against=Model("bm25")), "no case is left to run"),
    "an option of measuring": (lambda: compare("minilm", "minilm", limit=3), "limit = … is no option here"),
    "no run": (lambda: judge(3), "a int is no run"),  # type: ignore[arg-type]
    "no stored run": (lambda: load_run("none.json"), "none.json"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_sentence(project: Path, call: Callable[[], object], said: str) -> None:
    with pytest.raises(TouchstoneError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (project / ".touchstone" / "runs").exists()


def test_options_of_commands_stay_what_they_are() -> None:
    for text in ("touchstone fetch --into DIR fills a mirror", "add --allow-python"):
        with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"), spoken_in_python():
            raise ConfigError(text)
    with pytest.raises(ConfigError, match=r"^suite_margin = 2; run touchstone merge --into X$"), spoken_in_python():
        raise ConfigError("--suite-margin = 2; run touchstone merge --into X")


def test_a_model_in_memory_takes_no_name_of_models_toml_and_no_setting_that_is_its_own(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r'"minilm" is a model of models\.toml; give the model another alias'):
        measure(Model(tiny, "minilm"), "smoke")
    with pytest.raises(ConfigError, match="pooling is set on the model itself"):
        measure(Model(tiny, "x", pooling="cls"), "smoke")
    with pytest.raises(ConfigError, match='device = "cuda", but the model lies on cpu'):
        measure(tiny, "smoke", device="cuda")


def test_numbers_are_read_as_they_are(project: Path) -> None:
    parsed = parse_options({"margin": 1e-05, "limit": 12})
    assert (parsed.margin, parsed.limit) == (1e-05, 12)


def test_a_name_is_never_taken_for_a_folder_that_happens_to_lie_here(project: Path) -> None:
    (project / "STSBenchmark").mkdir()
    (project / "STSBenchmark" / "test.jsonl").write_text(json.dumps({"sentence1": "a", "sentence2": "b", "score": 1}))
    found = give_suite(["STSBenchmark", "STS:./STSBenchmark"])
    assert not isinstance(found, str)
    assert found.suite.tasks.include == ("STSBenchmark",)
    assert [task.path for task in found.suite.tasks.custom] == [project / "STSBenchmark"]


@pytest.mark.parametrize(
    ("folder", "name", "right"),
    [
        ("helpdesk", "helpdesk", "./helpdesk"),
        ("data/helpdesk", "helpdesk", "data/helpdesk"),
        ("data/helpdesk", "Retrieval:helpdesk", "Retrieval:data/helpdesk"),
    ],
)
def test_a_folder_without_a_slash_is_told_how_to_name_it(project: Path, folder: str, name: str, right: str) -> None:
    (project / folder).mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        measure("minilm", name)
    assert str(caught.value) == (f'tasks: "{name}" is no task of mteb; a folder needs a slash in it, as in "{right}"')


def test_data_of_the_package_is_called_as_in_its_suite() -> None:
    made = give_suite(["STS:touchstone:similarity", "Reranking:touchstone:articles", "STS:touchstone:paraphrase"])
    assert not isinstance(made, str)
    assert [task.name for task in made.suite.tasks.custom] == ["SmokeSTS", "SmokeReranking", "paraphrase"]


def test_one_selected_task_may_be_given_alone() -> None:
    assert parse_options({"select": "SmokeSTS"}).tasks == parse_options({"select": ["SmokeSTS"]}).tasks == ("SmokeSTS",)


def test_importing_the_names_imports_no_heavy_library_and_no_pytest(tmp_path: Path) -> None:
    code = (
        "import sys, touchstone, touchstone.training\n"
        f"from touchstone import {', '.join(touchstone.__all__)}\n"
        "heavy = 'torch mteb sentence_transformers transformers datasets pandas sklearn scipy pytest'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_exported_name_is_there() -> None:
    assert all(hasattr(touchstone, name) for name in touchstone.__all__)
    assert set(touchstone.__all__) <= set(dir(touchstone))
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        _ = touchstone.mesure


def test_a_task_of_the_projects_own_suite_is_told_how_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "suite.toml"\n')
    entry = '[[tasks.custom]]\nname = "Tickets"\ntype = "STS"\npath = "touchstone:similarity"\n'
    (tmp_path / "suite.toml").write_text(f'models = ["minilm"]\n{entry}')
    with pytest.raises(ConfigError, match=r'write measure\(model, "suite.toml", select=\["Tickets"\]\)$'):
        give_suite("Tickets")

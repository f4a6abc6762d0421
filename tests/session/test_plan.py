"""Which cases a run has, and which pairs of a model and a task are not made."""

import argparse
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import save_tiny_model
from touchstone.commands.parsing import BY_NAME, add_options
from touchstone.config.options import Options, typed_options
from touchstone.config.specs import EncoderSpec
from touchstone.config.suites import BUILT_IN
from touchstone.errors import ConfigError
from touchstone.session.plan import Plan, find_cases, refuse_python
from touchstone.session.session import open_session

MODELS = """
[cross]
kind = "cross-encoder"
path = "cross"
[pipe]
kind = "pipeline"
retriever = "minilm"
reranker = "cross"
top_k = 20
"""
SEARCHES = "a cross-encoder cannot search; it can be the second stage of a pipeline"
RERANKS = "a cross-encoder only reranks"
RETRIEVES = "a pipeline only retrieves"
GIVEN = "a pipeline finds its own candidates; its reranker alone can rerank given ones"


def plan_of(folder: Path, *models: str) -> Plan:
    (folder / "models.toml").write_text(MODELS)
    typed = {"models": list(models), "models_files": "models.toml"}
    return find_cases(Options.parse(typed, root=folder, cwd=folder))


def test_a_cross_encoder_gets_reranking_and_the_rest_is_counted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "cross")
    assert [case.id for case in plan.cases] == ["cross:SmokeReranking"]
    assert plan.left_out == {SEARCHES: 1, RERANKS: 4}


def test_a_pipeline_gets_retrieval_and_the_rest_is_counted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "pipe")
    assert [case.id for case in plan.cases] == ["pipe:SmokeRetrieval"]
    assert plan.left_out == {GIVEN: 1, RETRIEVES: 4}


def test_impossible_pairs_of_one_model_leave_the_others_alone(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "minilm", "cross", "pipe")
    assert Counter(case.alias for case in plan.cases) == {"minilm": 6, "cross": 1, "pipe": 1}
    assert sum(plan.left_out.values()) == 10


@pytest.mark.parametrize(("model", "alias"), [("pipe@top_k=5", "pipe+top_k-5"), ("pipe", "pipe")])
def test_a_pipelines_stages_come_with_it(tmp_path: Path, model: str, alias: str) -> None:
    plan = plan_of(tmp_path, model)
    found = plan.models[alias]
    assert [stage.alias for stage in found.stages] == ["minilm", "cross"]
    assert found.derived is ("@" in model)


SUITE = """
models = {models}
{head}
{tasks}
[gate]
{gate}
"""
DATA = BUILT_IN.parent / "data" / "similarity"
TASK = f'[[tasks.custom]]\nname = "{{name}}"\ntype = "STS"\npath = "{DATA}"\n'


def write_suite(file: Path, *names: str, models: str = '["minilm"]', head: str = "", gate: str = "") -> str:
    tasks = "".join(TASK.format(name=name) for name in names)
    file.parent.mkdir(exist_ok=True)
    file.write_text(SUITE.format(models=models, head=head, tasks=tasks, gate=gate))
    return str(file)


def open_plan(folder: Path, *suites: str, **typed: Any) -> Plan:
    return find_cases(Options.parse({"suites": list(suites), **typed}, root=folder, cwd=folder))


def share(plan: Plan) -> set[tuple[int, str | None]]:
    return {(case.policy.gated, case.policy.plan) for case in plan.cases}


def test_the_model_of_a_suite_can_be_typed_where_the_user_stands(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "there")
    suite = write_suite(tmp_path / "evals" / "a.toml", "One", models='["../there=mine@truncate_dim=8"]')
    (model,) = open_plan(tmp_path, suite).models.values()
    assert model.text == "./there=mine@truncate_dim=8"
    (again,) = open_plan(tmp_path, suite, models=[model.text]).models.values()
    assert (again.alias, again.text) == (model.alias, model.text)
    assert again.spec_of(EncoderSpec).path.samefile(model.spec_of(EncoderSpec).path)  # type: ignore[union-attr,arg-type]
    (inside,) = find_cases(Options.parse({"suites": [suite]}, root=tmp_path, cwd=tmp_path / "evals")).models.values()
    assert inside.text == "../there=mine@truncate_dim=8"


def test_a_model_is_typed_by_the_alias_that_the_projects_suite_gives_it(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "there")
    write_suite(tmp_path / "evals" / "a.toml", "One", models='["../there=mine"]')
    (tmp_path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "evals/a.toml"\n')
    ((alias, own),) = open_plan(tmp_path).models.items()
    assert alias == "mine"
    assert open_plan(tmp_path, models=["mine"]).models == {"mine": own}
    assert open_plan(tmp_path, "smoke", models=["mine"]).models == {"mine": own}, "in another suite, too"
    (derived,) = open_plan(tmp_path, models=["mine@truncate_dim=8"]).models.values()
    assert (derived.alias, derived.text) == ("mine+truncate_dim-8", "./there=mine@truncate_dim=8")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "mine.json").write_text('{"model": "a/b", "revision": null, "tasks": {}}')
    assert "mine" in open_plan(tmp_path, "smoke", against="mine").named
    with pytest.raises(ConfigError, match=r'"minee" is not in models.toml \(did you mean "mine"\?\); the path'):
        open_plan(tmp_path, models=["minee"])


def test_a_suite_of_the_project_that_nothing_names_is_told(tmp_path: Path) -> None:
    write_suite(tmp_path / "evals" / "suite.toml", "One")
    expected = 'evals/suite.toml is not read: add --suite evals/suite.toml, or suite = "evals/suite.toml" to [tool.'
    (note,) = find_cases(Options.parse({}, root=tmp_path, cwd=tmp_path)).notes
    assert note.startswith(expected)
    assert not open_plan(tmp_path, "smoke").notes, "which was typed"
    (tmp_path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "evals/suite.toml"\n')
    assert not find_cases(Options.parse({}, root=tmp_path, cwd=tmp_path)).notes


def test_an_alias_that_is_the_name_of_another_folder_too_is_refused(tmp_path: Path) -> None:
    for name in ("there", "mine"):
        save_tiny_model(tmp_path / name)
    suite = write_suite(tmp_path / "evals" / "a.toml", "One", models='["../there=mine"]')
    with pytest.raises(ConfigError, match=r"a folder here and another model in the suite; write \./mine$"):
        open_plan(tmp_path, suite, models=["mine"])
    assert [*open_plan(tmp_path, suite, models=["./mine"]).models] == ["mine"]
    hub = write_suite(tmp_path / "evals" / "b.toml", "One", models='["org/mine"]')
    with pytest.raises(ConfigError, match=r"a folder here and another model in the suite"):
        open_plan(tmp_path, hub, models=["mine"])


def test_the_level_is_that_of_the_whole_plan_whatever_is_selected_of_it(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a.toml", "One", "Two", "Three")
    whole, part = open_plan(tmp_path, suite), open_plan(tmp_path, suite, tasks=["T*"])
    assert (len(whole.cases), len(part.cases)) == (3, 2)
    assert share(whole) == share(part)
    assert {count for count, _ in share(part)} == {3}


def test_only_what_a_model_can_run_counts_and_the_plan_is_that_of_all_models(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(MODELS)
    plan = open_plan(tmp_path, "smoke", models=["minilm", "cross", "pipe"], models_files="models.toml")
    assert {case.alias: case.policy.gated for case in plan.cases} == {"minilm": 6, "cross": 1, "pipe": 1}
    assert len({case.policy.plan for case in plan.cases}) == 1


def test_the_plans_of_several_suites_count_together_and_a_task_of_both_once(tmp_path: Path) -> None:
    one, two = (write_suite(tmp_path / f"{n}.toml", "Both", name) for n, name in (("a", "One"), ("b", "Two")))
    both = open_plan(tmp_path, one, two, tasks=["Two"])
    assert {count for count, _ in share(both)} == {3}
    assert share(both) == share(open_plan(tmp_path, two, one))


def test_a_plan_has_the_same_hash_wherever_it_lies_and_whoever_runs_it(tmp_path: Path) -> None:
    here = write_suite(tmp_path / "a.toml", "One", "Two")
    there = write_suite(tmp_path / "other" / "b.toml", "Two", "One", models='["m3e-base"]')
    known = share(open_plan(tmp_path, here, models=["minilm", "m3e-base"]))
    assert known == share(open_plan(tmp_path / "other", there, models=["minilm"]))
    ((_, plan),) = known
    assert re.fullmatch("[0-9a-f]{12}", str(plan))


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ({"gate": "margin = 0.02"}, {"margin": "0.02"}),
        ({"gate": "alpha = 0.1"}, {"alpha": "0.1"}),
        ({"gate": "bound = 0.001"}, {"bound": "0.001"}),
        ({"gate": "suite_margin = 0.01"}, {"suite_margin": "0.01"}),
        ({"head": "limit = 5"}, {"limit": "5"}),
        ({"gate": "floors.One = 0.5"}, {}),
        ({"head": "limits = { One = 5 }"}, {}),
        ({}, {"gate": "threshold"}),
    ],
)
def test_what_decides_a_verdict_decides_the_hash_be_it_said_or_typed(
    tmp_path: Path, said: dict[str, str], typed: dict[str, str]
) -> None:
    plain, other = (
        write_suite(tmp_path / "a.toml", "One", "Two"),
        write_suite(tmp_path / "b.toml", "One", "Two", **said),
    )
    ((_, known),), ((_, changed),) = share(open_plan(tmp_path, plain)), share(open_plan(tmp_path, other, **typed))
    assert known != changed
    if typed:
        assert share(open_plan(tmp_path, plain, **typed)) == {(2, changed)}


def test_the_command_for_one_case_judges_it_at_the_level_that_it_was_judged_at(tmp_path: Path) -> None:
    one = write_suite(tmp_path / "a.toml", "One", "Both")
    two = write_suite(tmp_path / "b.toml", "Two", "Both", "More", models='["minilm", "m3e-base"]')
    typed = {"suites": [one, two], "margin": "0.02", "gate": "paired", "limit": "9"}
    session = open_session(Options.parse(typed, root=tmp_path, cwd=tmp_path))
    session.expect(case.id for case in session.plan.cases)
    found = {record.case: str(record.command) for record in session.records()}
    assert {case.policy.gated for case in session.plan.cases} == {3, 4}
    for case in session.plan.cases:
        parser = argparse.ArgumentParser()
        add_options(parser, *BY_NAME)
        again = typed_options(parser.parse_args(shlex.split(found[case.id])[2:]))
        assert find_cases(Options.parse(again, root=tmp_path, cwd=tmp_path)).cases == (case,)


def test_a_task_has_its_own_limit_before_the_suites_and_what_is_typed_before_both(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a.toml", "One", "Two", head="limit = 5\nlimits = { Two = 7 }")
    assert [case.limit for case in open_plan(tmp_path, suite).cases] == [5, 7]
    assert [case.limit for case in open_plan(tmp_path, suite, limit="9").cases] == [9, 9]


def test_a_limit_of_what_is_no_task_of_the_suite_brings_the_nearest(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a.toml", "One", "Two", head="limits = { Onee = 5 }")
    with pytest.raises(ConfigError, match=r'a.toml: limits: "Onee" is not in this suite; did you mean "One"\?$'):
        open_plan(tmp_path, suite)


def test_the_slices_of_a_suite_are_those_of_its_cases(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "a.toml", "One", head='slices = ["language", "length"]')
    assert [case.slices for case in open_plan(tmp_path, suite).cases] == [("language", "length")]


def test_two_suites_of_one_name_have_each_its_own_models(tmp_path: Path) -> None:
    one = write_suite(tmp_path / "x" / "a.toml", "One")
    two = write_suite(tmp_path / "y" / "a.toml", "Two", models='["m3e-base"]')
    assert [case.id for case in open_plan(tmp_path, one, two).cases] == ["minilm:One", "m3e-base:Two"]


IMAGES = 'models = ["minilm"]\n[tasks]\ninclude = ["BIOSSES", "CIFAR10", "Birdsnap", "Flickr30kT2IRetrieval"]\n'


def test_tasks_of_more_than_text_are_left_out_and_counted_by_what_they_are_of(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(IMAGES)
    plan = open_plan(tmp_path, "a.toml")
    assert [case.id for case in plan.cases] == ["minilm:BIOSSES"]
    assert plan.left_out == {"not text only (image)": 2, "not text only (image, text)": 1}
    assert plan.omissions == (
        "2 cases left out: not text only (image)",
        "1 cases left out: not text only (image, text)",
    )
    assert {case.policy.gated for case in plan.cases} == {1}
    (tmp_path / "b.toml").write_text('models = ["minilm"]\n[tasks]\nbenchmark = "MIEB(eng)"\n')
    whole = open_plan(tmp_path, "b.toml")
    assert len(whole.cases) + sum(whole.left_out.values()) == 125


@pytest.mark.parametrize("suite", ["a.toml", "smoke"])
def test_a_task_of_images_that_is_typed_by_its_name_says_so(tmp_path: Path, suite: str) -> None:
    (tmp_path / "a.toml").write_text(IMAGES)
    with pytest.raises(ConfigError) as caught:
        open_plan(tmp_path, suite, tasks=["CIFAR10", "*"])
    assert str(caught.value) == '--task = "CIFAR10" is not text only (image); only tasks of texts alone are run'
    assert len(open_plan(tmp_path, "a.toml", tasks=["C*", "BIO*"]).cases) == 1, "of a pattern they are counted"


def test_python_that_a_file_outside_of_the_project_names_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    project, theirs = tmp_path / "project", tmp_path / "theirs.toml"
    project.mkdir()
    options = Options.parse({}, root=project, cwd=project)
    refuse_python('class = "a:B"', project / "sub" / "a.toml", options)
    with pytest.raises(ConfigError) as caught:
        refuse_python('class = "a:B"', theirs, options)
    assert str(caught.value) == (
        f'{theirs}: class = "a:B" is Python, and the file lies outside {project}; add --allow-python to let it run'
    )
    refuse_python('class = "a:B"', theirs, Options.parse({"allow_python": True}, root=project, cwd=project))
    (project / "link.toml").symlink_to(theirs)
    with pytest.raises(ConfigError, match="add --allow-python to let it run"):
        refuse_python('class = "a:B"', project / "link.toml", options)


def test_no_module_of_a_strangers_suite_is_imported(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "theirs.toml").write_text('models = ["minilm"]\n[[tasks.custom]]\nclass = "theirs_alone:Task"\n')
    (tmp_path / "theirs_alone.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(ConfigError, match='class = "theirs_alone:Task" is Python, and the file lies outside'):
        open_plan(project, "../theirs.toml")


def test_the_command_for_a_case_says_again_that_python_is_allowed(tmp_path: Path) -> None:
    options = Options.parse({"allow_python": True}, root=tmp_path, cwd=tmp_path)
    assert options.command == ("pytest", "evals", "--allow-python")

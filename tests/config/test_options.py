from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from touchstone.config.options import Options, find_root, load_project
from touchstone.errors import ConfigError
from touchstone.records.cases import Policy, Source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a mirror in it and a folder below it, from which the user types."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "sub" / "hub").mkdir(parents=True)
    return tmp_path


def parse(root: Path, **typed: Any) -> Options:
    return Options.parse(typed, root=root, cwd=root / "sub")


def sentence(root: Path, **typed: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(root, **typed)
    return str(caught.value)


def write_project(root: Path, text: str) -> None:
    (root / "pyproject.toml").write_text(text)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("chek", '; did you mean "check"?'),
        ("recrod", '; did you mean "record"?'),
        ("Update", '; did you mean "update"?'),
        ("zzzz", "; known: check, off, record, update"),
        ("", "; known: check, off, record, update"),
    ],
)
def test_an_unknown_baseline_mode_brings_the_nearest(root: Path, value: str, hint: str) -> None:
    assert sentence(root, baseline=value) == f'--baseline = "{value}" is not one of its values{hint}'


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "", " 5", "1e3", "٣", "9" * 5000])
def test_a_limit_is_a_whole_number_of_1_or_more(root: Path, value: str) -> None:
    message = sentence(root, limit=value)
    assert message.startswith('--limit = "')
    assert message.endswith("expected a whole number of 1 or more")


@pytest.mark.parametrize(
    "value", ["gpu", "CPU", "", "cpu:0", "mps:1", "cuda:x", "cuda:-1", "cuda:1:2", "cuda:", "cpu:", "cuda:²"]
)
def test_a_device_is_one_that_torch_has(root: Path, value: str) -> None:
    assert sentence(root, device=value) == f'--device = "{value}"; expected auto, cpu, cuda, cuda:N or mps'


@pytest.mark.parametrize("value", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps"])
def test_every_device_that_the_message_names_is_taken(root: Path, value: str) -> None:
    assert parse(root, device=value).device == value


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("miror:hub", ' = "miror:hub"; expected "hub", "mirror:DIR" or "modelscope:DIR"; did you mean "mirror"?'),
        ("Hub", ' = "Hub"; expected "hub", "mirror:DIR" or "modelscope:DIR"; did you mean "hub"?'),
        ("s3://x", ' = "s3://x"; expected "hub", "mirror:DIR" or "modelscope:DIR"; known: hub, mirror, modelscope'),
        ("mirror", ": a mirror needs a directory, as in mirror:DIR"),
        ("modelscope:", ": ModelScope needs a directory, as in modelscope:DIR"),
        ("mirror:", ": a mirror needs a directory, as in mirror:DIR"),
        ("mirror:nope", ": there is no directory {cwd}/nope"),
    ],
)
def test_a_source_is_the_hub_or_a_mirror_that_is_there(root: Path, value: str, rest: str) -> None:
    assert sentence(root, source=value) == f"--source{rest.format(cwd=root / 'sub')}"


@pytest.mark.parametrize("mode", ["record", "update"])
def test_writing_a_baseline_and_judging_by_another_models_exclude_each_other(root: Path, mode: str) -> None:
    assert sentence(root, baseline=mode, against="minilm") == (
        f"--baseline {mode} writes a model's own scores, --against judges by another's; drop one"
    )


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('[tool.touchstone]\nsuit = "x"', ': [tool.touchstone]: has an unknown key "suit"; did you mean "suite"?'),
        (
            "[tool.touchstone]\n'§' = 1",
            ': [tool.touchstone]: has an unknown key "§"; known: baselines, costs, models, source, suite',
        ),
        ("[tool.touchstone]\nsuite = 3", ": [tool.touchstone]: suite = 3; expected a string"),
        ("[tool.touchstone]\nsuite = ", ": not TOML: Invalid value (at line 2, column 9)"),
    ],
)
def test_a_wrong_project_table_names_the_file_and_the_key(root: Path, text: str, rest: str) -> None:
    write_project(root, text)
    with pytest.raises(ConfigError) as caught:
        load_project(root)
    assert str(caught.value).replace("at end of document", "at line 2, column 9") == f"{root / 'pyproject.toml'}{rest}"


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\ntouchstone = 3"])
def test_a_project_table_that_is_none_is_refused_in_the_users_words(root: Path, text: str) -> None:
    write_project(root, text)
    with pytest.raises(ConfigError) as caught:
        load_project(root)
    file, _, said = str(caught.value).partition(": ")
    assert file == str(root / "pyproject.toml")
    assert "must be a table" in said
    assert "Project" not in said


@pytest.mark.parametrize("text", [None, "", "[tool.other]\nx = 1"], ids=["no file", "empty", "another tool's"])
def test_a_project_that_says_nothing_runs_the_smoke_suite(root: Path, text: str | None) -> None:
    if text is not None:
        write_project(root, text)
    options = parse(root)
    assert options.suites == ("smoke",)
    assert options.baselines == root / "baselines"
    assert options.models_files == ()


def test_paths_typed_are_relative_to_where_they_were_typed(root: Path) -> None:
    options = parse(root, source="mirror:hub", models_files="m.toml", baselines="b", store="s")
    cwd = root / "sub"
    assert options.source == Source(kind="mirror", path=cwd / "hub")
    assert options.models_files == (cwd / "m.toml",)
    assert (options.baselines, options.store) == (cwd / "b", cwd / "s")


def test_paths_of_the_project_are_relative_to_its_root(root: Path) -> None:
    write_project(
        root,
        '[tool.touchstone]\nsuite = "evals/my.toml"\nmodels = "m.toml"\nsource = "mirror:hub"\nbaselines = "b"',
    )
    options = parse(root)
    assert options.suites == (str(root / "evals" / "my.toml"),)
    assert options.models_files == (root / "m.toml",)
    assert options.source == Source(kind="mirror", path=root / "hub")
    assert options.baselines == root / "b"


def test_a_project_and_its_store_are_found_from_every_folder_below(root: Path) -> None:
    (root / "sub" / "deeper").mkdir(parents=True)
    for folder in (root, root / "sub", root / "sub" / "deeper"):
        assert find_root(folder) == folder, "where there is no project, each folder is its own"
    write_project(root, "[tool.touchstone]\n")
    (root / "sub" / "pyproject.toml").write_text('[project]\nname = "touchstone-user"\n')
    for folder in (root, root / "sub", root / "sub" / "deeper"):
        assert find_root(folder) == root
        assert Options.parse({}, root=root, cwd=folder).store_folder == root / ".touchstone"
    (root / "sub" / "pyproject.toml").write_text("tool = 3  # touchstone")
    assert find_root(root / "sub") == root, "it has no such table"
    (root / "sub" / "pyproject.toml").write_text("[tool.touchstone\n")
    with pytest.raises(ConfigError, match=r"sub/pyproject\.toml: not TOML"):
        find_root(root / "sub")


def test_what_is_typed_goes_before_the_project_and_its_models_file_is_read_last(root: Path) -> None:
    write_project(
        root, '[tool.touchstone]\nsuite = "english"\nmodels = "m.toml"\nsource = "mirror:nope"\nbaselines = "b"'
    )
    options = parse(root, suites=["chinese", "smoke", "chinese"], source="hub", baselines="mine", models_files="n.toml")
    assert options.suites == ("chinese", "smoke")
    assert options.source == Source(kind="hub")
    assert options.baselines == root / "sub" / "mine"
    assert options.models_files == (root / "m.toml", root / "sub" / "n.toml")


def test_a_home_folder_is_found_though_the_shell_does_not_expand_it_behind_an_equals_sign(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = root / "home"
    monkeypatch.setenv("HOME", str(home))
    options = parse(root, store="~/s", baselines="~/b", models_files="~/m.toml")
    assert (options.store, options.baselines) == (home / "s", home / "b")
    assert options.models_files == (home / "m.toml",)


def test_the_words_to_type_again_are_those_that_decide_what_is_measured(root: Path) -> None:
    options = parse(root, suites=["smoke"], models=["minilm"], limit="5", device="auto", reports=["r.json"])
    assert options.command == ("pytest", "evals", "--suite", "smoke", "--limit", "5")


def test_what_is_typed_of_the_gate_goes_before_the_suites(root: Path) -> None:
    said = Policy(margin=0.02, floor=0.5, alpha=0.1, suite_margin=0.01, bound=0.003, gated=41, plan="0123456789ab")
    assert parse(root).override(said) == said
    typed = {"margin": "0.03", "suite_margin": "0.02", "bound": "0.001", "alpha": "0.2", "gate": "equivalent"}
    options = parse(root, **typed)
    assert options.override(said) == replace(
        said, margin=0.03, suite_margin=0.02, bound=0.001, alpha=0.2, rule="equivalent"
    )
    assert options.command == (
        *("pytest", "evals", "--gate", "equivalent", "--margin", "0.03", "--suite-margin", "0.02"),
        *("--bound", "0.001", "--alpha", "0.2"),
    )


@pytest.mark.parametrize("value", ["warn", "fail", "pass"])
def test_whether_what_is_inconclusive_fails_is_said_in_three_words(root: Path, value: str) -> None:
    assert parse(root, inconclusive=value).inconclusive == value


def test_an_option_that_there_is_not_is_a_mistake_of_the_caller(root: Path) -> None:
    with pytest.raises(TypeError, match="no option sets models_file"):
        parse(root, models_file="m.toml")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"ray_cpus": "2"}, "--ray-address and --ray-cpus belong to --engine ray"),
        ({"ray_address": "auto"}, "--ray-address and --ray-cpus belong to --engine ray"),
        ({"engine": "ray", "device": "cuda:1"}, "--device cuda:1: Ray gives each actor its GPU; say --device cuda"),
        ({"engine": "ray", "ray_cpus": "0"}, '--ray-cpus = "0"; expected a whole number of 1 or more'),
        ({"split_texts": "1e6"}, '--split-texts = "1e6"; expected a whole number of 1 or more'),
    ],
)
def test_what_belongs_to_a_cluster_is_refused_elsewhere(root: Path, typed: dict[str, str], said: str) -> None:
    assert sentence(root, **typed) == said

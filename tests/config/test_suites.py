import re
from pathlib import Path

import pytest

from touchstone.config.suites import Suite, load_suite
from touchstone.errors import ConfigError
from touchstone.records.cases import Policy, Source

SELECTED = 'models = ["minilm"]\n[tasks]\ninclude = ["NFCorpus"]\n'
CUSTOM = 'models = ["minilm"]\n[[tasks.custom]]\nname = "Mine"\ntype = "STS"\npath = "data"\n'
PYTHONS_WORDS = ("{'", "['", "tuple", "dictionary", "instance", "class", "Source", "Selection")
TYPES = (
    "Retrieval, Reranking, STS, Classification, PairClassification, Clustering, BitextMining, Summarization, "
    "InstructionRetrieval, InstructionReranking, MultilabelClassification"
)


def load(folder: Path, text: str) -> Suite:
    (folder / "my.toml").write_text(text)
    return load_suite("my.toml", folder).suite


def sentence(folder: Path, text: str) -> str:
    """The error of a suite, without the file it must begin with."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'my.toml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'my.toml'}: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model = ["minilm"]', 'has an unknown key "model"; did you mean "models"?'),
        (SELECTED + "[gates]", 'has an unknown key "gates"; did you mean "gate"?'),
        (SELECTED + 'inclde = ["b"]', '[tasks] has an unknown key "inclde"; did you mean "include"?'),
        (SELECTED + "[gate]\nmargn = 0.1", '[gate] has an unknown key "margn"; did you mean "margin"?'),
        (SELECTED + '[source]\nkidn = "hub"', '[source] has an unknown key "kidn"; did you mean "kind"?'),
        (SELECTED + '[source]\n"§" = "hub"', '[source] has an unknown key "§"; known: kind, path'),
        (SELECTED + '[source]\nkind = "s3"', '[source] kind = "s3"; expected one of "hub", "mirror"'),
        ("", 'models must name at least one model, as in models = ["minilm"]'),
        ('models = []\n[tasks]\ninclude = ["a"]', 'models must name at least one model, as in models = ["minilm"]'),
        ("a = ", "not TOML: Invalid value (at end of document)"),
        (SELECTED + '[gate]\nmargin = "1%"', '[gate] margin = "1%"; expected a number'),
    ],
)
def test_a_wrong_suite_says_what_is_wrong_and_where(tmp_path: Path, text: str, expected: str) -> None:
    assert sentence(tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    "tasks",
    ["", "[tasks]", '[tasks]\nexclude = ["A"]', '[tasks.subsets]\nA = ["x"]', "[tasks]\ninclude = []"],
)
def test_a_suite_that_selects_nothing_is_told_what_selects(tmp_path: Path, tasks: str) -> None:
    assert sentence(tmp_path, f'models = ["minilm"]\n{tasks}') == (
        "[tasks] selects nothing; name a benchmark, types, languages, include or custom"
    )


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        ("margin = 0.5", "margin = 0.5"),
        ("margin = 1", "margin = 1"),
        ("margin = 0", "margin = 0"),
        ("margin = -0.01", "margin = -0.01"),
        ("margin = nan", "margin = nan"),
        ("suite_margin = 1", "suite_margin = 1"),
        ("bound = 0", "bound = 0"),
        ("margins.STS = 0.5", "STS = 0.5"),
        ("margins.Retrieval = 2", "Retrieval = 2"),
        ("floors.NFCorpus = 80", "NFCorpus = 80"),
        ("floors.NFCorpus = 1.01", "NFCorpus = 1.01"),
        ("floors.NFCorpus = -1.5", "NFCorpus = -1.5"),
        ("floors.NFCorpus = true", "NFCorpus = "),
    ],
)
def test_points_where_fractions_belong_are_refused_by_their_key(tmp_path: Path, gate: str, named: str) -> None:
    message = sentence(tmp_path, f"{SELECTED}[gate]\n{gate}")
    assert named in message
    assert "[gate" in message
    assert not any(word in message for word in PYTHONS_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limits = { NFCorpus = 0 }", "limits.NFCorpus = 0: must be 1 or more"),
        ("limits = { NFCorpus = true }", "[limits] NFCorpus = true; expected a whole number"),
        ("limits = 5", "limits = 5; expected a table"),
        ('slices = ["a b"]', 'slices: "a b" may hold only A-Z a-z 0-9 _ and, not first, . + -'),
        ('slices = ["language", "language"]', 'slices: "language" is there twice; name each field once'),
        ('slices = "language"', 'slices = "language"; expected a list'),
    ],
)
def test_a_wrong_limit_or_slice_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert sentence(tmp_path, f"{text}\n{SELECTED}").startswith(expected)


def test_a_margin_is_told_what_one_point_is(tmp_path: Path) -> None:
    message = sentence(tmp_path, f"{SELECTED}[gate]\nmargin = 0.5")
    assert message.endswith("more than 0 and less than 0.5; one point is 0.01")
    assert "0.5 is a fraction" not in message  # which it is not, or there would be no error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('"STS"', '"Sts"'), 'type = "Sts"; did you mean "STS"?'),
        (('"STS"', '"Regression"'), f'type = "Regression"; expected one of {TYPES}'),
        (
            ('"Mine"', '"my task"'),
            'name = "my task" may hold only A-Z a-z 0-9 _ and, not first, . + -',
        ),
        (('"Mine"', '"a:b"'), 'name = "a:b" may hold only A-Z a-z 0-9 _ and, not first, . + -'),
        (('"Mine"', '""'), 'name = "" may hold only A-Z a-z 0-9 _ and, not first, . + -'),
        (('"data"', '"data"\nlanguage = "english"'), 'language = "english"; expected a code such as "eng-Latn"'),
        (('"data"', '"data"\nlanguage = "eng"'), 'language = "eng"; expected a code such as "eng-Latn"'),
        (
            ('"data"', '"data"\nlanguage = "eng-Latn de"'),
            'language = "eng-Latn de"; expected a code such as "eng-Latn"',
        ),
        (('name = "Mine"\n', ""), 'needs a key "name"'),
        (('type = "STS"\n', ""), 'needs a key "type"'),
        (('path = "data"\n', ""), 'needs a key "path"'),
        (('"data"', '"data"\nlangauge = "eng-Latn"'), 'has an unknown key "langauge"; did you mean "language"?'),
    ],
)
def test_a_wrong_custom_task_says_which_key_and_what_it_may_be(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    message = sentence(tmp_path, CUSTOM.replace(*change))
    written = re.search('^name = "(.+)"$', CUSTOM.replace(*change), re.MULTILINE)
    name = "1" if written is None else written[1]
    assert message.startswith(f"[[tasks.custom]] {name}: "), "by its name, or by its number from 1"
    assert message.endswith(expected)
    assert not any(word in message for word in PYTHONS_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CUSTOM + 'slices = ["kind"]', '[[tasks.custom]] Mine: has an unknown key "slices"; it belongs to the top of '),
        (SELECTED + "limit = 3", '[tasks] has an unknown key "limit"; it belongs to the top of the file, above the '),
        (CUSTOM + "margin = 0.02", '[[tasks.custom]] Mine: has an unknown key "margin"; it belongs to [gate]'),
        ("suite_margin = 0.02\n" + SELECTED, 'has an unknown key "suite_margin"; it belongs to [gate]'),
    ],
)
def test_a_key_in_another_table_is_told_where_it_belongs(tmp_path: Path, text: str, expected: str) -> None:
    assert sentence(tmp_path, text).startswith(expected)


def test_a_suite_that_is_not_there_is_told_with_who_names_it_and_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "suite.toml").write_text(CUSTOM)
    (tmp_path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "eval/suite.toml"\n')
    default = f"{tmp_path / 'pyproject.toml'}: [tool.touchstone] suite"
    near = 'no such file; did you mean "evals/suite.toml"?'
    for name, expected in (
        (
            str(tmp_path / "eval" / "suite.toml"),
            f'{default} = "eval/suite.toml": {near}',
        ),
        ("evls/suite.toml", f'--suite = "evls/suite.toml": {near}'),
        ("evals", '--suite = "evals" is a folder; name the file of a suite, as in evals/suite.toml'),
    ):
        with pytest.raises(ConfigError) as caught:
            load_suite(name, tmp_path)
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "key", "right"),
    [
        ('models = "minilm"\n[tasks]\ninclude = ["a"]', 'models = "minilm"', "list"),
        ('models = ["m"]\n[tasks]\ninclude = "NFCorpus"', '[tasks] include = "NFCorpus"', "list"),
        ('models = ["m"]\n[tasks]\nbenchmark = ["MTEB"]', "[tasks] benchmark", "string"),
        ('models = ["m"]\ntasks = ["NFCorpus"]', "tasks", "table"),
        ('models = ["m"]\n[tasks.custom]\nname = "A"', "[tasks] custom", "list"),
        ('source = "mirror:hub"\n' + SELECTED, 'source = "mirror:hub"', "table"),
        (CUSTOM.replace('"data"', "3"), "path = 3", "string"),
    ],
)
def test_a_wrong_type_is_told_in_tomls_words(tmp_path: Path, text: str, key: str, right: str) -> None:
    message = sentence(tmp_path, text)
    assert key in message
    assert right in message
    assert not any(word in message for word in PYTHONS_WORDS if word != "['")


def test_a_wrong_item_of_a_list_is_not_called_a_key_of_a_table(tmp_path: Path) -> None:
    message = sentence(tmp_path, 'models = ["a", 1]\n[tasks]\ninclude = ["a"]')
    assert message.startswith("models")
    assert "1" in message


@pytest.mark.parametrize("text", [CUSTOM.replace('"data"', '""'), SELECTED + '[source]\nkind = "mirror"\npath = ""'])
def test_an_empty_path_is_not_the_suites_own_folder(tmp_path: Path, text: str) -> None:
    assert "path" in sentence(tmp_path, text)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('kind = "mirror"\npath = "nope"', "there is no directory {folder}/nope"),
        ('kind = "hub"\npath = "hub"', "the hub takes no path; a directory is a mirror"),
        ('path = "hub"', "the hub takes no path; a directory is a mirror"),
    ],
)
def test_a_wrong_source_is_told_why(tmp_path: Path, source: str, expected: str) -> None:
    (tmp_path / "hub").mkdir()
    assert sentence(tmp_path, f"{SELECTED}[source]\n{source}") == f"[source]: {expected.format(folder=tmp_path)}"


def test_a_mirror_without_its_directory_is_told_the_key_that_a_suite_has_for_it(tmp_path: Path) -> None:
    message = sentence(tmp_path, f'{SELECTED}[source]\nkind = "mirror"')
    assert message.startswith("[source]: a mirror needs a directory")
    assert 'path = "' in message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smokee", '; did you mean "smoke"?'),
        ("English", '; did you mean "english"?'),
        ("§", "; known: chinese, english, english-v1, smoke"),
        ("", "; known: chinese, english, english-v1, smoke"),
    ],
)
def test_an_unknown_suite_brings_the_nearest(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_suite(name, tmp_path)
    assert (
        str(caught.value)
        == f'--suite = "{name}" is neither a file (.toml, .json, .yaml, .py) nor a built-in suite{hint}'
    )


def test_a_suite_file_that_is_not_there_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_suite("sub/my.toml", tmp_path)
    assert str(caught.value) == '--suite = "sub/my.toml": no such file'


@pytest.mark.parametrize(
    ("name", "of_mteb"),
    [("english", "MTEB(eng, v2)"), ("english-v1", "MTEB(eng, v1)"), ("chinese", "MTEB(cmn, v1)")],
)
def test_a_built_in_suite_runs_the_small_model_on_the_benchmark_of_its_name(
    tmp_path: Path, name: str, of_mteb: str
) -> None:
    found = load_suite(name, tmp_path)
    assert found.name == name
    assert found.suite.models == ("minilm",)
    assert found.suite.tasks.benchmark == of_mteb
    assert found.suite.tasks.custom == ()


def test_the_smoke_suite_holds_one_task_of_each_of_six_types_with_its_data(tmp_path: Path) -> None:
    suite = load_suite("smoke", tmp_path).suite
    assert not suite.tasks.asks_mteb
    assert {task.name: task.type for task in suite.tasks.custom} == {
        f"Smoke{kind}": kind for kind in TYPES.split(", ")[:6]
    }
    assert all(task.path and list(task.path.glob("*.jsonl")) for task in suite.tasks.custom)


@pytest.mark.parametrize(
    ("file", "name"),
    [("acme/evals/suite.toml", "acme"), ("acme/suite.toml", "acme"), ("acme/evals/evals/suite.toml", "acme"),
     ("acme/evals/nightly.toml", "nightly")],
)  # fmt: skip
def test_a_suite_is_called_by_its_file_or_by_its_project(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(CUSTOM)

    assert load_suite(file, tmp_path).name == name
    assert load_suite(Path(file).name, (tmp_path / file).parent).name == name


def test_a_file_named_like_a_built_in_suite_is_another_suite(tmp_path: Path) -> None:
    (tmp_path / "smoke.toml").write_text(CUSTOM)
    assert [task.name for task in load_suite("smoke.toml", tmp_path).suite.tasks.custom] == ["Mine"]
    assert len(load_suite("smoke", tmp_path).suite.tasks.custom) == 6


def test_paths_in_a_suite_are_relative_to_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sub" / "hub").mkdir(parents=True)
    text = (
        CUSTOM
        + '[[tasks.custom]]\nname = "There"\ntype = "STS"\npath = "/data"\n[source]\nkind = "mirror"\npath = "hub"'
    )
    (tmp_path / "sub" / "my.toml").write_text(text)
    suite = load_suite("sub/my.toml", tmp_path).suite
    assert [task.path for task in suite.tasks.custom] == [tmp_path / "sub" / "data", Path("/data")]
    assert suite.source == Source(kind="mirror", path=tmp_path / "sub" / "hub")


def test_a_home_folder_is_meant_where_a_path_begins_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / "hub").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    suite = load(tmp_path, CUSTOM.replace('"data"', '"~/data"') + '[source]\nkind = "mirror"\npath = "~/hub"')
    assert suite.source == Source(kind="mirror", path=tmp_path / "home" / "hub")
    assert [task.path for task in suite.tasks.custom] == [tmp_path / "home" / "data"]


def test_a_task_is_judged_by_its_types_margin_before_the_suites_and_by_its_own_floor(tmp_path: Path) -> None:
    gate = load(tmp_path, SELECTED + "[gate]\nmargin = 0.02\nmargins.STS = 0.005\nfloors.NFCorpus = 0.3").gate
    assert gate.policy("NFCorpus", "Retrieval") == Policy(margin=0.02, floor=0.3)
    assert gate.policy("STS12", "STS") == Policy(margin=0.005, floor=None)
    assert load(tmp_path, SELECTED).gate.policy("STS12", "STS") == Policy(margin=0.01, floor=None)


def test_the_margin_of_the_mean_and_the_bound_of_what_is_the_same_are_of_every_task(tmp_path: Path) -> None:
    gate = load(tmp_path, SELECTED + "[gate]\nsuite_margin = 0.02\nbound = 0.001").gate
    assert gate.policy("NFCorpus", "Retrieval") == Policy(suite_margin=0.02, bound=0.001)

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from huggingface_hub.repocard_data import eval_results_to_model_index
from hypothesis import given, settings
from hypothesis import strategies as st
from mteb.results import TaskResult

from tests.importing.documents import NDCG, PAIRS, make_block, make_front, write_card
from touchstone.errors import BaselineError, SourceError
from touchstone.importing.cards import FRACTIONS, NO_SUBSET, NOT_MTEB, fetch_card, load_card
from touchstone.importing.entries import FAULT, NOT_A_TASK, UNKNOWN_SCALE, Note, make_entries


def entries_of(folder: Path, *blocks: dict[str, Any]) -> dict[str, Any]:
    card = load_card(write_card(folder, make_front(*blocks)))
    return make_entries(card.rows, "card:x")[0]


def test_percent_and_old_names_become_fractions_under_todays(tmp_path: Path) -> None:
    entries = entries_of(
        tmp_path,
        make_block("NFCorpus", revision="ec0fa4fe99da2ff19ca1214b7966684033a58814"),
        make_block("STSBenchmark", "STS"),
        make_block("TwitterURLCorpus", "PairClassification"),
        make_block("AskUbuntuDupQuestions", "Reranking", metrics={"map": 62.5, "mrr": 75}),
    )
    scores = {name: (entry.metric, entry.score, entry.dataset_revision) for name, entry in entries.items()}
    assert scores == {
        "NFCorpus": ("ndcg_at_10", 0.605, "ec0fa4fe99da2ff19ca1214b7966684033a58814"),
        "STSBenchmark": ("cosine_spearman", 0.825, None),
        "TwitterURLCorpus": ("max_ap", 0.86, None),
        "AskUbuntuDupQuestions": ("map_at_1000", 0.625, None),
    }
    assert entries["TwitterURLCorpus"].metrics == {"cosine_ap": {"test/default": 0.8575}}
    assert {(entry.source, entry.fingerprint, entry.n) for entry in entries.values()} == {("card:x", None, None)}


def test_subsets_come_from_the_config_or_the_name_and_make_one_entry(tmp_path: Path) -> None:
    made = {"type_name": "STS"}
    entries = entries_of(
        tmp_path,
        make_block("STS17", config="en-en", named="en-en", metrics={"cos_sim_spearman": 80.0}, **made),
        make_block("STS17", config="ko-ko", metrics={"cos_sim_spearman": 60.0}, **made),
        make_block("STS17", config="default", named="ar-ar", metrics={"cos_sim_spearman": 40.0}, **made),
    )
    assert entries["STS17"].subsets == {"test/en-en": 0.8, "test/ko-ko": 0.6, "test/ar-ar": 0.4}
    assert entries["STS17"].score == pytest.approx(0.6)


def test_what_is_not_taken_is_told(tmp_path: Path) -> None:
    other = {"task": {"type": "semantic-similarity"}, "dataset": {"name": "sts dev"}, "metrics": [{"value": "high"}]}
    card = load_card(
        write_card(
            tmp_path,
            make_front(
                other, make_block("NoSuchTask"), make_block("STS17", "STS", config="xx", named="xx"), make_block()
            ),
        )
    )
    assert [row.task.name for row in card.rows] == ["NFCorpus"]
    assert card.notes == (
        Note(reason=NOT_MTEB, what="sts dev"),
        Note(reason=NOT_A_TASK, what="MTEB NoSuchTask"),
        Note(reason=NO_SUBSET, what="MTEB STS17 (xx) (config xx)"),
    )


def test_renamed_tasks_are_found_under_todays_name(tmp_path: Path) -> None:
    entries = entries_of(tmp_path, make_block("CMedQAv1", "Reranking", metrics={"map": 50.0, "mrr": 60.0}))
    assert list(entries) == ["CMedQAv1-reranking"]


def repeated(values: list[float]) -> list[tuple[str, float]]:
    """Make metrics in the order of thirteen files, the eighth of them the mean."""
    return [("ndcg_at_10", value) for value in [*values[:7], fmean(values), *values[7:]]]


@settings(max_examples=15)  # each asks mteb for all its aggregates
@given(st.lists(st.floats(1.5, 100), min_size=12, max_size=12))
def test_thirteen_repeats_are_the_twelve_sub_forums_and_their_mean(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    entries = entries_of(
        tmp_path_factory.getbasetemp(), make_block("CQADupstackAndroidRetrieval", metrics=repeated(values))
    )
    assert len(entries) == 13
    assert entries["CQADupstackAndroidRetrieval"].score == pytest.approx(values[0] / 100)
    assert entries["CQADupstackStatsRetrieval"].score == pytest.approx(values[7] / 100)
    assert entries["CQADupstackRetrieval"].score == pytest.approx(fmean(values) / 100)


@settings(max_examples=15)
@given(st.permutations(list(NDCG.items())), st.permutations(range(3)))
def test_any_order_of_distinct_metrics_and_blocks_gives_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory, metrics: list[tuple[str, float]], order: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    blocks = [
        make_block("NFCorpus", metrics=metrics),
        make_block("STS17", "STS", config="en-en"),
        make_block("AmazonCounterfactualClassification", "Classification", config="en"),
    ]
    plain = [make_block("NFCorpus"), *blocks[1:]]
    assert entries_of(folder, *(blocks[at] for at in order)) == entries_of(folder, *plain)


CARD = "---\nmodel-index:\n- name: m\n  results:\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no front matter: its first line is not ---"),
        ("# A model\n", "has no front matter: its first line is not ---"),
        ("---\ntags: [mteb]\n", "its front matter has no end: there is no second line ---"),
        ("---\ntags: [mteb\n---\n", "not YAML at line 3: "),
        ("---\ntags: [mteb]\ntags: []\n---\n", 'not YAML at line 3: the key "tags" is here twice'),
        ("---\ntags: [mteb]\n---\n", 'its front matter needs a key "model-index"; without it'),
        ("---\n- mteb\n---\n", 'its front matter needs a key "model-index"; without it'),
        ("---\nmodel-index: 3\n---\n", "model-index: "),
        ("---\nmodel-index: []\n---\n", "model-index has 0 models; expected one"),
        ("---\nmodel-index:\n- results: []\n---\n", 'model-index: [0] needs a key "name"'),
    ],
)
def test_damaged_card_is_one_sentence_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "card.md"
    path.write_text(text)
    with pytest.raises(BaselineError) as caught:
        load_card(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")
    assert "\n" not in str(caught.value)


PLACE = "results[1]"


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (3, f"{PLACE}: expected a table"),
        ({}, f'{PLACE}: needs a key "dataset"'),
        (make_block(metrics={"ndcg_at_10": "60.5"}), f'{PLACE}: [metrics.0] value = "60.5"; expected a number'),
        (make_block(metrics={"ndcg_at_10": True}), f"{PLACE}: [metrics.0] value = true; expected a number"),
        (make_block(metrics={"ndcg_at_10": math.nan}), f"{PLACE}: [metrics.0] value = nan; expected a number that is"),
        (
            make_block(metrics={"ndcg_at_10": 7000}),
            f"{PLACE} (MTEB NFCorpus): ndcg_at_10 = 7000; expected percent, -100 to 100",
        ),
        (
            make_block(metrics=[("map_at_1", 2.0), ("map_at_1", 2.0)]),
            f'{PLACE} (MTEB NFCorpus): has the metric "map_at_1" 2 times; expected it once',
        ),
        (
            make_block("STS17", "STS", config="en-en", named="ko-ko"),
            f'{PLACE} (MTEB STS17 (ko-ko)): is of the subset "ko-ko" by its name and of "en-en" by its config',
        ),
        (make_block(split=3), f"{PLACE}: [dataset] split = 3; expected a string"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_block_is_left_out_with_its_place(tmp_path: Path, block: Any, sentence: str) -> None:
    card = load_card(write_card(tmp_path, make_front(make_block("ArguAna"), block)))
    assert [row.task.name for row in card.rows] == ["ArguAna"]
    (note,) = card.notes
    assert note.reason == FAULT
    assert note.what.startswith(sentence)


def test_two_blocks_that_contradict_each_other_are_left_out_with_the_digits_it_takes_to_see_it(tmp_path: Path) -> None:
    again = make_block("ArguAna", metrics=NDCG | {"ndcg_at_10": 60.50012})
    card = load_card(write_card(tmp_path, make_front(make_block("ArguAna"), again, make_block())))
    entries, notes = make_entries(card.rows, "card:x")
    assert list(entries) == ["NFCorpus"]
    assert notes == [
        Note(reason=FAULT, what="results[0] (MTEB ArguAna): ndcg_at_10 is 0.605 in one place and 0.6050012 in another")
    ]
    same = make_block("ArguAna", metrics=NDCG | {"ndcg_at_10": 60.50001})
    for other in (same, make_block("ArguAna")):
        assert entries_of(tmp_path, make_block("ArguAna"), other) == entries_of(tmp_path, make_block("ArguAna"))


def as_mteb2(block: dict[str, Any], **dataset: Any) -> dict[str, Any]:
    """A block as mteb 2 writes one: no mark before the name, its subset behind, fractions, a source."""
    said = block["dataset"]
    name = f"{said['name'].removeprefix('MTEB ')} ({said['config']})"
    return block | {"dataset": said | {"name": name} | dataset, "source": {"name": "MTEB", "url": "https://x"}}


def test_a_card_that_mteb_2_wrote_is_of_fractions(tmp_path: Path) -> None:
    blocks = [
        as_mteb2(make_block("Banking77Classification", "Classification", metrics={"accuracy": 0.8004})),
        as_mteb2(make_block("STSBenchmark", "STS", metrics={"cosine_spearman": 0.8203})),
    ]
    card = load_card(write_card(tmp_path, make_front(*blocks)))
    assert {name: 100 * entry.score for name, entry in make_entries(card.rows, "x")[0].items()} == {
        "Banking77Classification": pytest.approx(80.04, abs=1e-12), "STSBenchmark": pytest.approx(82.03, abs=1e-12)
    }  # fmt: skip
    assert card.notes == (
        Note(reason=FRACTIONS, what="Banking77Classification test/default"),
        Note(reason=FRACTIONS, what="STSBenchmark test/default"),
    )


def test_what_mteb_itself_writes_into_a_card_is_read(tmp_path: Path) -> None:
    said = {"main_score": 0.8004, "hf_subset": "default", "languages": ["eng-Latn"]}
    result = TaskResult(
        dataset_revision="0fd18e25b25c072e09e0d92ab615fda904d66300", task_name="Banking77Classification",
        mteb_version="2.26.24", scores={"test": [said]}, evaluation_time=1.0,
    )  # fmt: skip
    with pytest.deprecated_call():
        found = result.get_hf_eval_results()
    path = write_card(tmp_path, {"model-index": eval_results_to_model_index("m", found)})
    assert make_entries(load_card(path).rows, "x")[0]["Banking77Classification"].score == 0.8004


@pytest.mark.parametrize(
    "block",
    [
        make_block(metrics={"ndcg_at_10": 0.316, "map_at_10": 0.2}),
        make_block(metrics={"ndcg_at_10": 0.316, "map_at_10": 30.0}),
        make_block(metrics={"ndcg_at_10": 1.0}),
        make_block("STSBenchmark", "STS", metrics={"cos_sim_spearman": -0.5}),
        make_block("TwitterURLCorpus", "PairClassification", metrics=PAIRS | {"cos_sim_ap": 0.86}),
        as_mteb2(make_block(metrics={"ndcg_at_10": 0.316, "map_at_10": 30.0})),
        make_block(metrics={name: value / 100 for name, value in NDCG.items()}),
    ],
)
def test_a_block_whose_scale_cannot_be_told_is_left_out(tmp_path: Path, block: dict[str, Any]) -> None:
    card = load_card(write_card(tmp_path, make_front(make_block("ArguAna"), block)))
    assert [row.task.name for row in card.rows] == ["ArguAna"]
    assert [note.reason for note in card.notes] == [UNKNOWN_SCALE]


def test_percents_with_the_mark_of_mteb_2_make_its_fractions_uncertain(tmp_path: Path) -> None:
    low = as_mteb2(make_block(metrics={"ndcg_at_10": 0.316}))
    high = as_mteb2(make_block("ArguAna", metrics={"ndcg_at_10": 31.6}))
    card = load_card(write_card(tmp_path, make_front(low, high)))
    assert [row.task.name for row in card.rows] == ["ArguAna"]
    assert card.notes == (Note(reason=UNKNOWN_SCALE, what="NFCorpus test/default"),)
    assert len(load_card(write_card(tmp_path, make_front(low, make_block("ArguAna")))).rows) == 2


@settings(max_examples=60)
@given(st.floats(-100, 100), st.booleans())
def test_no_score_of_a_block_is_ever_of_the_wrong_scale(
    tmp_path_factory: pytest.TempPathFactory, value: float, marked: bool
) -> None:
    block = make_block("STSBenchmark", "STS", metrics={"cosine_spearman": value})
    card = load_card(write_card(tmp_path_factory.getbasetemp(), make_front(as_mteb2(block) if marked else block)))
    scores = [dict(row.metrics)["cosine_spearman"] for row in card.rows]
    certain = abs(value) > 1 or value == 0 or marked
    assert scores == ([pytest.approx(value if marked and abs(value) <= 1 else value / 100, abs=1e-12)] * certain)


@pytest.mark.parametrize("key", ["task", "dataset.type", "dataset.config", "dataset.revision"])
def test_what_a_block_may_lack_is_unknown(tmp_path: Path, key: str) -> None:
    block = make_block(revision="ec0fa4fe99da2ff19ca1214b7966684033a58814")
    table, _, name = key.rpartition(".")
    del (block[table] if table else block)[name]
    (row,) = load_card(write_card(tmp_path, make_front(block))).rows
    assert (row.stratum, row.dataset_revision is None) == ("test/default", key == "dataset.revision")


def test_without_config_and_name_a_task_of_several_subsets_is_not_guessed(tmp_path: Path) -> None:
    card = load_card(write_card(tmp_path, make_front(make_block("STS17", "STS", config=None))))
    assert (card.rows, [note.reason for note in card.notes]) == ((), [NO_SUBSET])


@pytest.mark.parametrize("key", ["dataset.name", "dataset.split", "metrics"])
def test_what_a_block_needs_is_named(tmp_path: Path, key: str) -> None:
    block = make_block()
    table, _, name = key.rpartition(".")
    del (block[table] if table else block)[name]
    (note,) = load_card(write_card(tmp_path, make_front(block))).notes
    assert note.what.endswith(f'needs a key "{name}"')


@pytest.mark.parametrize("value", [1234567, 12345678.0, 1e10, None])
def test_a_revision_that_yaml_reads_as_a_number_is_not_known(tmp_path: Path, value: Any) -> None:
    (row,) = load_card(write_card(tmp_path, make_front(make_block(revision=value)))).rows
    assert row.dataset_revision is None


@pytest.mark.parametrize("kind", [OSError, ValueError, RuntimeError])
def test_a_card_that_is_not_given_is_said_without_the_clients_frames(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("no answer of http://user:password@host/x")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(SourceError, match=r"no answer of http://\*\*\*@host/x$") as caught:
        fetch_card("org/name", None)
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert not any(entry.name == "fail" for entry in caught.traceback)

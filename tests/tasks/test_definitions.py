from touchstone.records.names import RENAMED_TASKS
from touchstone.tasks.definitions import define_task, find_aggregates


def test_a_task_is_described_as_it_is_today() -> None:
    task = define_task("STS17")
    assert task is not None
    assert (task.type, task.main_score, task.splits, len(task.subsets)) == ("STS", "cosine_spearman", ("test",), 11)
    superseded = define_task("CQADupstackRetrieval")
    assert superseded is not None
    assert superseded.strata == ("test/default",)
    assert define_task("NoSuchTask") is None


def test_every_name_that_mteb_has_changed_is_known() -> None:
    from mteb.results.task_result import renamed_tasks

    assert renamed_tasks.items() <= RENAMED_TASKS.items()
    for old, new in RENAMED_TASKS.items():
        task = define_task(old)
        assert task is not None
        assert task.name == new


def test_aggregates_are_means_of_tasks_that_have_one_number() -> None:
    found = find_aggregates()
    assert len(found["CQADupstackRetrieval"]) == 12
    assert found["CQADupstackRetrieval"][0] == "CQADupstackAndroidRetrieval"
    assert "VisualSTS17Multilingual" not in found
    for name, parts in found.items():
        assert list(parts) == sorted(parts), name

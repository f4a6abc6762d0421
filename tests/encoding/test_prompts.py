from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.encoding.prompts import ROLES, Prompting, Text, check_names

TEMPLATE = "Instruct: {instruction}\nQuery: {query}"
NAMES = [f"{stem}{end}" for stem in ("NFCorpus", "Retrieval") for end in ("", "-query", "-document")]


def text(role: Any = None, **changes: Any) -> Text:
    return Text(**{"task": "NFCorpus", "type": "Retrieval", "role": role, "instruction": "Find it"} | changes)


@given(st.dictionaries(st.sampled_from([*NAMES, *ROLES, "STS", "other"]), st.text(max_size=3)), st.sampled_from(ROLES))
def test_order_of_names_is_mtebs(prompts: dict[str, str], role: Any) -> None:
    import mteb
    from mteb.models.abs_encoder import get_prompt_name
    from mteb.types import PromptType

    metadata = mteb.get_task("NFCorpus").metadata
    for ours, theirs in ((role, PromptType(role)), (None, None)):
        name = get_prompt_name(prompts, metadata, theirs)
        expected = "" if name is None else prompts[name]
        assert Prompting(prompts=prompts).find(text(ours)).text == expected


def test_instruction_is_mtebs_own() -> None:
    import warnings

    import mteb
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.types import PromptType

    from touchstone.encoding.encoder import task_text

    plain: Any = type("Plain", (AbsEncoder,), {"encode": None})()
    compared = 0
    for benchmark in ("MTEB(eng, v2)", "MTEB(cmn, v1)", "MTEB(eng, v1)"):
        for task in mteb.get_benchmark(benchmark).tasks:
            for role in (PromptType.query, PromptType.document, None):
                said: Any = task.metadata.prompt
                if role is None and isinstance(said, dict):
                    continue  # a retrieval task: mteb has no text without a role in it
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # mteb's remark that a task has no instruction for documents
                    theirs = plain.get_instruction(task.metadata, role)
                assert task_text(task.metadata, role).instruction == theirs
                compared += 1
    assert compared > 250


@pytest.mark.parametrize(
    ("instruct", "role", "expected"),
    [
        ("queries", "query", "Instruct: Find it\nQuery: "),
        ("queries", None, ""),
        ("queries", "document", ""),
        ("symmetric", "query", "Instruct: Find it\nQuery: "),
        ("symmetric", None, "Instruct: Find it\nQuery: "),
        ("symmetric", "document", ""),
        ("all", "query", "Instruct: Find it\nQuery: "),
        ("all", None, "Instruct: Find it\nQuery: "),
        ("all", "document", "Instruct: Find it\nQuery: "),
    ],
)
def test_instruction_goes_before_the_texts_it_is_for(instruct: Any, role: Any, expected: str) -> None:
    assert Prompting(template=TEMPLATE, instruct=instruct).find(text(role)).text == expected


def test_instruction_may_hold_braces_and_none_leaves_the_text_alone() -> None:
    prompting = Prompting(template=TEMPLATE)
    assert prompting.find(text("query", instruction="Find {query} {0}")).text == "Instruct: Find {query} {0}\nQuery: "
    assert prompting.find(text("query", instruction="")).text == ""


def test_prompt_said_wins_over_the_instruction_even_when_it_is_empty() -> None:
    prompting = Prompting(prompts={"STS": "", "query": "q: "}, template=TEMPLATE, instruct="all")
    assert prompting.find(text("query")).text == "q: "
    assert prompting.find(text(type="STS", task="BIOSSES")).text == ""
    assert prompting.find(text("document")).text == "Instruct: Find it\nQuery: "


def test_default_is_for_texts_without_a_role() -> None:
    prompting = Prompting(default="text: ", source="the model's files")
    found = prompting.find(text())
    assert (found.text, found.source) == ("text: ", "default prompt of the model's files")
    assert prompting.find(text("query")).text == ""


@pytest.mark.parametrize("name", ["query", "document", "NFCorpus", "STS", "NFCorpus-query", "Retrieval-document"])
def test_names_that_some_text_goes_by_are_fine(name: str) -> None:
    assert check_names({name: "x"}, {"NFCorpus": "Retrieval", "BIOSSES": "STS"}) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retrieval", 'prompts.retrieval: "retrieval" is no task, task type or role of mteb; '
         'did you mean "Retrieval"?'),
        ("passage", 'prompts.passage: "passage" is no task, task type or role of mteb; known: '
         "BIOSSES, NFCorpus, Retrieval, STS, document, query"),
        ("STS-passage", 'prompts.STS-passage: "STS-passage" is no task, task type or role of mteb; known: '
         "BIOSSES, NFCorpus, Retrieval, STS, document, query"),
        ("query-query", 'prompts.query-query: "query-query" is no task, task type or role of mteb; '
         'did you mean "query"?'),
    ],
)  # fmt: skip
def test_name_that_no_text_goes_by_is_told(name: str, expected: str) -> None:
    assert check_names({"query": "x", name: "y"}, {"NFCorpus": "Retrieval", "BIOSSES": "STS"}) == expected


def test_everything_that_can_be_put_before_a_text_is_in_the_clear() -> None:
    prompting = Prompting(prompts={"query": "q: ", "document": ""}, default="d: ", template=TEMPLATE)
    assert prompting.in_the_clear() == {"query": "q: ", "default": "d: ", "instruction": TEMPLATE}
    assert cast("Any", Prompting()).in_the_clear() == {}

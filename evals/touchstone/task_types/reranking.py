"""Reranking: one score for each query, from given candidates."""

from dataclasses import replace
from functools import partial

from touchstone.task_types.base import TaskType, chance_of_nothing
from touchstone.task_types.folders import InstructedQuery
from touchstone.task_types.retrieval import LAYOUT as SEARCH
from touchstone.task_types.retrieval import collect, fields, load_folder, read_queries, units

LAYOUT = replace(
    SEARCH,
    files=(*SEARCH.files, "top_ranked.jsonl"),
    main_score="map_at_1000",
    load=partial(load_folder, candidates=True),
)

RERANKING = TaskType(
    name="Reranking",
    collect=collect,
    texts=read_queries,
    units=units,
    fields=fields,
    chance=chance_of_nothing,
    largest_loss=1.0,
    published_metric="map_at_1000",
    # Whole candidate lists were ranked before there was a cut-off; no list of mteb's has more than 1000.
    former_names={"map_at_1000": "map", "max_over_subqueries_map_at_1000": "map"},
    searches="candidates",
    examples=(
        ("reranking query", "AskUbuntuDupQuestions", "query"),
        ("reranking passage", "AskUbuntuDupQuestions", "document"),
    ),
    folder=LAYOUT,
)
INSTRUCTION_RERANKING = replace(
    RERANKING,
    name="InstructionReranking",
    published_metric=None,
    former_names={},
    examples=(),
    folder=replace(LAYOUT, load=partial(load_folder, candidates=True, query=InstructedQuery)),
)

"""What is told of an EvalScope configuration that is not taken at its word."""

from pathlib import Path
from typing import Any

import pytest

from tests.config.configurations import converted, one_stage


def test_where_nothing_means_anything_else_nothing_is_told(tmp_path: Path) -> None:
    model = {"hub": "huggingface", "max_seq_length": 8, "encode_kwargs": {"show_progress_bar": False}}
    assert converted(tmp_path, one_stage(model, hub="huggingface", overwrite_results=True)).notes == ()


@pytest.mark.parametrize(
    ("model", "asked", "note"),
    [
        ({}, {}, "eval_config.models.0.hub is not set: modelscope, EvalScope's default"),
        ({}, {}, "eval_config.models.0.max_seq_length is not set: 512, EvalScope's default"),
        ({}, {}, "eval.hub is not set: data sets come from the run's source, not from ModelScope"),
        ({}, {"verbosity": 0}, "eval.verbosity = 0 is not used: pytest's own -v and -q decide"),
        ({}, {"top_k": 3}, "eval.top_k = 3 is not used: there is no second stage to rerank"),
        ({}, {"task_names": ["CMedQAv1"]}, "eval.tasks: CMedQAv1 is CMedQAv1-reranking in mteb"),
        ({}, {"task_types": ["STS"]}, "eval.task_types and languages are not used: tasks are named"),
        ({}, {"output_folder": "o"},
         "output_folder: results, in mteb's layout, are in o/results unless --store is typed"),
        ({}, {"output_folder": "o", "limits": 5}, "output_folder: records of runs, and none in mteb's layout, are in "
         "o/runs unless --store is typed"),
        ({}, {"limits": 5}, "eval.limits = 5 keeps a sample that is the same on every machine, and all training rows; "
         "EvalScope keeps the first rows of both, so its scores are others"),
        ({}, {"overwrite_results": False}, "eval.overwrite_results = false: everything is measured again, and every "
         "run's record is kept; in mteb's layout there is the last result"),
        ({"prompt": "a", "prompts": {"ATEC": "b"}}, {}, "eval_config.models.0.prompts is not used: there is a prompt"),
        ({"is_cross_encoder": True, "prompts": {"ATEC": "b"}}, {},
         "eval_config.models.0.prompts is not used: EvalScope's cross-encoders have a prompt only"),
        ({"model_name_or_path": "minilm", "hub": "modelscope"}, {},
         'eval_config.models.0.hub = "modelscope" is not used: '
         "minilm is on this machine or in models.toml"),
    ],
)  # fmt: skip
def test_what_is_not_taken_at_its_word_is_told(
    tmp_path: Path, model: dict[str, Any], asked: dict[str, Any], note: str
) -> None:
    assert note in converted(tmp_path, one_stage(model, **asked)).notes


def test_a_later_versions_work_dir_is_the_output_folder_where_none_is_said(tmp_path: Path) -> None:
    assert converted(tmp_path, {"work_dir": "w", **one_stage()}).suite["store"] == "w"
    both = converted(tmp_path, {"work_dir": "w", **one_stage(output_folder="o")})
    assert both.suite["store"] == "o"
    assert "work_dir is not used: output_folder says where results go" in both.notes

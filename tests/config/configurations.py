"""EvalScope configurations to test with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from touchstone.config.evalscope.convert import Converted, convert
from touchstone.config.evalscope.schema import read_evalscope
from touchstone.config.specs import EncoderSpec
from touchstone.config.suites import load_suite
from touchstone.errors import ConfigError

KNOWN = {
    "minilm": EncoderSpec(package="p", path=Path("model"), model="o/minilm"),
    "short": EncoderSpec(id="org/short", max_seq_length=64, prompts={"query": "q: "}, batch_size=8),
}
ONE_STAGE: dict[str, Any] = {
    "eval_backend": "RAGEval",
    "eval_config": {
        "tool": "MTEB",
        "model": [
            {
                "model_name_or_path": "AI-ModelScope/m3e-base",
                "pooling_mode": None,
                "max_seq_length": 512,
                "prompt": "",
                "model_kwargs": {"torch_dtype": "auto"},
                "encode_kwargs": {"batch_size": 128},
            }
        ],
        "eval": {
            "tasks": ["TNews", "CLSClusteringS2S", "T2Reranking", "T2Retrieval", "ATEC"],
            "verbosity": 2,
            "output_folder": "outputs",
            "overwrite_results": True,
            "limits": 500,
        },
    },
}
RETRIEVER = {
    "model_name_or_path": "AI-ModelScope/m3e-base",
    "is_cross_encoder": False,
    "max_seq_length": 512,
    "model_kwargs": {"torch_dtype": "auto"},
    "encode_kwargs": {"batch_size": 64},
}
RERANKER = {
    "model_name_or_path": "OpenBMB/MiniCPM-Reranker",
    "is_cross_encoder": True,
    "max_seq_length": 512,
    "prompt": "Find what answers this",
    "model_kwargs": {"torch_dtype": "auto"},
    "encode_kwargs": {"batch_size": 32},
}
TWO_STAGES: dict[str, Any] = {
    "eval_backend": "RAGEval",
    "eval_config": {
        "tool": "MTEB",
        "model": [RETRIEVER, RERANKER],
        "eval": {"tasks": ["T2Retrieval"], "verbosity": 2, "output_folder": "outputs", "limits": 100},
    },
}


def write(folder: Path, config: Mapping[str, Any], name: str = "config.json") -> Path:
    (folder / name).write_text(json.dumps(config))
    return folder / name


def one_stage(model: Mapping[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    """A small configuration: one model, given in part, on one task, with what is asked of the run."""
    listed = [{"model_name_or_path": "org/name", **(model or {})}]
    return {"eval_config": {"tool": "MTEB", "models": listed, "eval": {"task_names": ["ATEC"], **asked}}}


def converted(folder: Path, config: Mapping[str, Any]) -> Converted:
    file = write(folder, config)
    return convert(read_evalscope(file), file, KNOWN)


def table(folder: Path, **model: Any) -> dict[str, Any]:
    (only,) = converted(folder, one_stage(model)).models.values()
    return only


def sentence(folder: Path, config: Mapping[str, Any]) -> str:
    """The error of a configuration, without the file it must begin with."""
    file = write(folder, config)
    with pytest.raises(ConfigError) as caught:
        load_suite(file.name, folder, KNOWN)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    return message.removeprefix(str(file)).lstrip(":, ")

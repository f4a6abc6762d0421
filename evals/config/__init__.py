"""TOML and command-line values become checked, frozen data; every wrong one is a one-sentence error."""

from evals.config.api import ApiSpec
from evals.config.base import SEARCHED
from evals.config.conversion import render_suite_toml
from evals.config.models import Model, find_model, load_models, make_spec
from evals.config.options import Options, Project, load_project, report_path
from evals.config.specs import (
    CrossEncoderSpec,
    EncoderSpec,
    ModelSpec,
    PipelineSpec,
    RegistrySpec,
    WeightsSpec,
)
from evals.config.suites import CustomTask, Gate, NamedSuite, Selection, Suite, load_suite, parse_source

__all__ = [
    "SEARCHED",
    "ApiSpec",
    "CrossEncoderSpec",
    "CustomTask",
    "EncoderSpec",
    "Gate",
    "Model",
    "ModelSpec",
    "NamedSuite",
    "Options",
    "PipelineSpec",
    "Project",
    "RegistrySpec",
    "Selection",
    "Suite",
    "WeightsSpec",
    "find_model",
    "load_models",
    "load_project",
    "load_suite",
    "make_spec",
    "parse_source",
    "render_suite_toml",
    "report_path",
]

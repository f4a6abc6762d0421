"""TOML and command-line values become checked, frozen data; every wrong one is a one-sentence error."""

from evals.config.conversion import render_suite_toml
from evals.config.models import Model, ModelSpec, find_model, load_models
from evals.config.options import Options, Project, load_project
from evals.config.suites import CustomTask, Gate, NamedSuite, Selection, Suite, load_suite, parse_source

__all__ = [
    "CustomTask",
    "Gate",
    "Model",
    "ModelSpec",
    "NamedSuite",
    "Options",
    "Project",
    "Selection",
    "Suite",
    "find_model",
    "load_models",
    "load_project",
    "load_suite",
    "parse_source",
    "render_suite_toml",
]

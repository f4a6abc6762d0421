"""Records and baselines as JSON: flat, with the measurement's fields beside the others.

The flat twin of a class is a dataclass with the fields of its measurement in the place of the measurement. JSON is
checked against it, and the schema is made of it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, field, fields, make_dataclass, replace
from functools import cache
from typing import Annotated, Any, cast, get_type_hints

from pydantic import FailFast, TypeAdapter

from touchstone.errors import BaselineError
from touchstone.files.validation import check_json
from touchstone.records.baselines import Baseline, BaselineFile
from touchstone.records.outcomes import Measurement
from touchstone.records.runs import Record, Run
from touchstone.records.strangers import find_fault, find_fault_of_baselines

# Entries by key in a baseline file, and the keys that are left out where they are empty: files from before these keys
# keep their bytes.
TABLES, OPTIONAL_KEYS = ("tasks", "anchors"), ("anchors", "moved", "gated", "plan", "long_texts")
# The scores of guessing and of our own formula are part of a run only.
NOT_IN_BASELINES = {"chance", "recomputed"}


@cache
def flat_twin(kind: type[Any]) -> type[Any]:
    """Return the flat twin of `Record`, `Run`, `Baseline` or `BaselineFile`; other classes are their own."""
    inside: dict[type[Any], dict[str, Any]] = {
        Record: {},
        Baseline: {},
        Run: {"records": Annotated[tuple[flat_twin(Record), ...], FailFast()]} if kind is Run else {},  # type: ignore[misc]
        BaselineFile: dict.fromkeys(TABLES, Mapping[str, flat_twin(Baseline)]) if kind is BaselineFile else {},  # type: ignore[misc]
    }
    if kind not in inside:
        return kind
    hints = get_type_hints(kind) | inside[kind]
    items: list[Any] = []
    for item in fields(kind):
        if item.name == "measurement":
            items += _of_measurement({each.name for each in fields(kind)}, optional=kind is Record)
        else:
            items.append((item.name, hints[item.name], _default(item)))
    body: dict[str, Any] = {"__doc__": kind.__doc__, "KIND": kind}
    if hasattr(kind, "__post_init__"):  # so that its errors name the place in the JSON
        body["__post_init__"] = nest
    if hasattr(kind, "__pydantic_config__"):
        body["__pydantic_config__"] = kind.__pydantic_config__
    return make_dataclass(kind.__name__, items, namespace=body, frozen=True, kw_only=True)


def _of_measurement(names: set[str], *, optional: bool) -> list[Any]:
    """Return the fields of a measurement that a class lacks; if the measurement is optional, they all are."""
    hints = get_type_hints(Measurement)
    left_out = names if optional else NOT_IN_BASELINES
    items = [item for item in fields(Measurement) if item.name not in left_out]
    if optional:
        return [(item.name, hints[item.name] | None, field(default=None)) for item in items]
    return [(item.name, hints[item.name], _default(item)) for item in items]


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return field(default_factory=item.default_factory)
    return field() if item.default is MISSING else field(default=item.default)


def nest(flat: Any) -> Any:
    """Return the object that a flat twin stands for."""
    kind = flat.KIND
    values = {item.name: getattr(flat, item.name) for item in fields(flat)}
    if kind is Run:
        return Run(**values | {"records": tuple(map(nest, flat.records))})
    if kind is BaselineFile:
        tables = {name: {key: nest(entry) for key, entry in values[name].items()} for name in TABLES}
        return BaselineFile(**values | tables)
    names = {item.name for item in fields(kind)}
    parts = {item.name: values[item.name] for item in fields(Measurement) if item.name in values}
    others = {name: value for name, value in values.items() if name in names}
    measured = {name: value for name, value in parts.items() if value is not None or name != "settings"}
    return kind(**others, measurement=Measurement(**measured) if parts["score"] is not None else None)


def flatten(value: Any) -> dict[str, Any]:
    """Return a record, run, baseline or baseline file as plain data, flat."""
    if isinstance(value, Run):
        return asdict(replace(value, records=())) | {"records": [flatten(record) for record in value.records]}
    if isinstance(value, BaselineFile):
        tables = {name: {key: flatten(entry) for key, entry in getattr(value, name).items()} for name in TABLES}
        return _without_empty(asdict(replace(value, tasks={}, anchors={})) | tables)
    plain = asdict(value)
    inside = plain.pop("measurement") or dict.fromkeys(item.name for item in fields(Measurement))
    if inside["settings"] is not None:
        inside["settings"] = _without_empty(inside["settings"])
    if isinstance(value, Baseline):
        return _without_empty(plain | {name: item for name, item in inside.items() if name not in NOT_IN_BASELINES})
    return plain | {name: item for name, item in inside.items() if name not in plain}


def _without_empty(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if value or name not in OPTIONAL_KEYS}


def read_run(content: bytes, where: str) -> Run:
    """Read a run record from JSON.

    Raises:
        BaselineError: the content is not a run record, or has a value that no run writes.
    """
    run = cast(Run, nest(check_json(flat_twin(Run), content, where, BaselineError)))
    if (fault := find_fault(run)) is not None:
        raise BaselineError(f"{where}: {fault}")
    return run


def read_baseline_file(content: bytes, where: str) -> BaselineFile:
    """Read a baseline file from JSON.

    Raises:
        BaselineError: the content is not a valid baseline file; names the place.
    """
    file = cast(BaselineFile, nest(check_json(flat_twin(BaselineFile), content, where, BaselineError)))
    if (fault := find_fault_of_baselines(file)) is not None:
        raise BaselineError(f"{where}: {fault}")
    return file


def read_record(plain: Mapping[str, Any]) -> Record:
    """Return a record from the plain data of `flatten`."""
    return cast(Record, nest(_shape_of_records().validate_python(plain)))


@cache  # making one takes a hundred times as long as reading a record by it
def _shape_of_records() -> TypeAdapter[Any]:
    return TypeAdapter(flat_twin(Record))

"""Records and baselines as JSON: flat, with the measurement's fields beside the others.

A flat twin of a class is a dataclass with the fields of its measurement in the place of the measurement: the shape that
JSON is checked against, and that its schema is made of.
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

# Entries by key in a baseline file, and the keys that are written only where they say something: a file that was
# written before there were any keeps its bytes.
TABLES, OPTIONAL_KEYS = ("tasks", "anchors"), ("anchors", "moved", "gated", "plan", "long_texts")
# What guessing gets and the score computed again are told of a run; a baseline is what was expected of it.
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
    if hasattr(kind, "__post_init__"):  # what it refuses is refused where the JSON has it
        body["__post_init__"] = nest
    if hasattr(kind, "__pydantic_config__"):
        body["__pydantic_config__"] = kind.__pydantic_config__
    return make_dataclass(kind.__name__, items, namespace=body, frozen=True, kw_only=True)


def _of_measurement(taken: set[str], *, optional: bool) -> list[Any]:
    """Return the fields of a measurement that a class has not itself; all may be missing where it may be."""
    hints = get_type_hints(Measurement)
    left_out = taken if optional else NOT_IN_BASELINES
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
    own = {item.name for item in fields(kind)}
    parts = {item.name: values[item.name] for item in fields(Measurement) if item.name in values}
    rest = {name: value for name, value in values.items() if name in own}
    given = {name: value for name, value in parts.items() if value is not None or name != "settings"}
    return kind(**rest, measurement=Measurement(**given) if parts["score"] is not None else None)


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
        return _without_empty(plain | {name: one for name, one in inside.items() if name not in NOT_IN_BASELINES})
    return plain | {name: one for name, one in inside.items() if name not in plain}


def _without_empty(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if value or name not in OPTIONAL_KEYS}


def read_run(content: bytes, where: str) -> Run:
    """Return the run that JSON says.

    Raises:
        BaselineError: the content is not a run record, or says what no run writes.
    """
    run = cast(Run, nest(check_json(flat_twin(Run), content, where, BaselineError)))
    if (fault := find_fault(run)) is not None:
        raise BaselineError(f"{where}: {fault}")
    return run


def read_baseline_file(content: bytes, where: str) -> BaselineFile:
    """Return the baseline file that JSON says.

    Raises:
        BaselineError: the content is not what a baseline file must be; names the place.
    """
    file = cast(BaselineFile, nest(check_json(flat_twin(BaselineFile), content, where, BaselineError)))
    if (fault := find_fault_of_baselines(file)) is not None:
        raise BaselineError(f"{where}: {fault}")
    return file


def read_record(plain: Mapping[str, Any]) -> Record:
    """Return the record that `flatten` made plain data of."""
    return cast(Record, nest(_shape_of_records().validate_python(plain)))


@cache  # making one takes a hundred times as long as reading a record by it
def _shape_of_records() -> TypeAdapter[Any]:
    return TypeAdapter(flat_twin(Record))

"""Examination of a model: what it is, how it would be run, and whether a few of its vectors or scores look sane."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from touchstone.config.base import Spec
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, ExportSpec, WeightsSpec
from touchstone.encoding.base import Vectors
from touchstone.encoding.batches.packing import ATTENTION_NAME as WITHOUT_PADDING
from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.batching import ONE_AT_A_TIME
from touchstone.encoding.checks import COLLAPSE_COSINE, to_numpy
from touchstone.encoding.encoder import task_text
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import ROLES, check_names
from touchstone.encoding.routes import ROLE_NAMES, reader_of, roles_of, route_of, routers_of
from touchstone.encoding.texts import give_texts
from touchstone.formatting import columns, render_size
from touchstone.models.base import Computing, OpenModel, OpenReranker, OpenSearcher
from touchstone.models.files.detection import detect, source_of
from touchstone.models.files.listing import in_folder
from touchstone.models.kinds import kind_of, open_model
from touchstone.models.weights.identity import locate
from touchstone.models.weights.tensors import Loaded, noting_tensors
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store
from touchstone.task_types.registry import all_types
from touchstone.tasks.catalog import known_tasks
from touchstone.tasks.registry import quiet_mteb

# Pairs of paraphrases about unrelated things, of different lengths.
PAIRS = (
    ("A man is playing a guitar.", "Someone plays the guitar."),
    ("The stock market fell sharply on Monday.", "On Monday the stock market dropped sharply."),
    ("How do I reset my password?", "What can I do to reset my password, which I have forgotten?"),
    ("The cat sleeps on the sofa.", "A cat is asleep on the couch, as it is every afternoon of the week."),
    ("Water boils at one hundred degrees Celsius.", "The boiling point of water is one hundred degrees Celsius."),
    ("The train to Berlin was two hours late.", "The Berlin train arrived with a delay of two hours."),
    ("She planted tomatoes in her garden.", "In her garden she has planted tomatoes."),
    ("The parliament passed the new tax law.", "The new tax law was passed by the parliament."),
)
BATCH_SIZES = (1, 7)
# How far the cosine of a text's vectors at two batch sizes may be from 1: padding moves the last bits of numbers.
TOLERANCES = {"float32": 1e-5, "float64": 1e-5}
HALF_TOLERANCE = 1e-2


class Row(NamedTuple):
    """One thing that decides a model's vectors, and who says so."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check of vectors or scores, and its result."""

    name: str
    ok: bool
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What `examine` found of a model, or of a stage of one.

    ``notes`` are remarks that fail no check. ``task`` is a task of mteb's that shows what no check here can.
    """

    model: Model
    identity: ModelIdentity
    encodes: bool
    pipeline: tuple[Row, ...]
    prompts: tuple[Row, ...]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]
    task: str

    @property
    def sane(self) -> bool:
        """True if all checks are passed."""
        return all(check.ok for check in self.checks)


def examine(model: Model, device: str, store: Store) -> tuple[Examination, ...]:
    """Load a model as a run does, describe it, and let it encode a few texts or score a few pairs.

    Returns:
        One examination, or one of each model that it is made of.

    Raises:
        TouchstoneError: a run would refuse it.
    """
    if model.stages:
        return tuple(examination for stage in model.stages for examination in examine(stage, device, store))
    with noting_tensors() as noted:
        opened = open_model(model, device, store)
    assert isinstance(opened, OpenModel | OpenReranker | OpenSearcher)
    return (_examine(model, opened, noted=noted, device=device, store=store),)


def _examine(model: Model, opened: Computing, *, noted: Sequence[Loaded], device: str, store: Store) -> Examination:
    if isinstance(opened, OpenModel):
        checks = check_vectors({size: _encode(opened, size) for size in BATCH_SIZES}, opened.settings.dtype)
        prompts, notes = tuple(_prompts(opened)), tuple(_notes(opened))
    elif isinstance(opened, OpenSearcher):
        checks, prompts, notes = iter(()), (), ("what a search gives is checked while it runs",)
    else:
        checks = check_scores({size: _score(opened, size) for size in BATCH_SIZES}, opened.settings.dtype)
        prompts, notes = (_prompt_of_queries(model),), ()
    # The texts of STS are neither queries nor documents, which some models have no route for.
    symmetric = isinstance(opened, OpenModel) and None in getattr(opened.encoder, "roles", (None,))
    return Examination(
        model=model,
        identity=opened.identity,
        encodes=isinstance(opened, OpenModel),
        pipeline=(*_found_rows(model, store), *_tensors(noted), *_pipeline(model, opened, device)),
        prompts=prompts,
        notes=notes,
        checks=tuple(checks),
        task="STSBenchmark" if symmetric else "AskUbuntuDupQuestions",
    )


def _found_rows(model: Model, store: Store) -> Iterator[Row]:
    """Describe what a model was found to be, by what, and which files of it are loaded, from where."""
    spec = model.spec
    if not isinstance(spec, WeightsSpec):
        where = getattr(spec, "address", None) or spec.published or "models.toml"
        yield Row(name="found", value=f'a model of kind "{spec.kind}"', source=where)
        return
    weights = locate(model, store)
    folder, names = Path(weights.place), list(weights.facts["files"])
    files, elsewhere = in_folder(folder), list(weights.facts.get("elsewhere", ()))
    yield Row(name="found", value=f"a {detect(files) or 'transformer without modules.json'}", source=source_of(files))
    size = sum((folder / name).stat().st_size for name in names)
    yield Row(name="files", value=f"{len(names)} are loaded, {render_size(size)}", source=str(folder))
    if spec.id is not None:
        ref = "the specification" if spec.revision else "main, when this began"
        yield Row(name="commit", value=str(weights.revision), source=f"{spec.id}, {ref}")
    if base := files.table("adapter_config.json").get("base_model_name_or_path"):
        count = sum(name.startswith(f"{base}/") for name in elsewhere)
        yield Row(name="adapter", value=f"on {base}, {count} files of it", source="adapter_config.json")
    yield _format([*names, *elsewhere], trusted=spec.trust_remote_code)
    python = [name for name in (*names, *elsewhere) if name.endswith(".py")]
    code = f"yes: {', '.join(python) or 'there is none'}" if spec.trust_remote_code else "no"
    yield Row(name="remote code", value=code, source=_by(model, "trust_remote_code", "default"))


def _format(names: Sequence[str], *, trusted: bool) -> Row:
    """Describe the formats of the weights among the files that are loaded."""
    pickle = "pickle" if trusted else "pickle, opened as weights only"
    data = {str(PurePosixPath(name).with_suffix(".bin")) for name in names if name.endswith(".xml")}
    suffixes = ((".safetensors", "safetensors"), (".onnx", "ONNX"), (".xml", "OpenVINO"), (".bin", pickle))
    others = [name for name in names if name not in data]
    by_format = {label: [name for name in others if name.endswith(suffix)] for suffix, label in suffixes}
    listed = [name for members in by_format.values() for name in members]
    rest = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
    value = " and ".join(label for label, members in by_format.items() if members) or "no weights"
    return Row(name="format", value=value, source=f"{listed[0]}{rest}" if listed else "the model's files")


def _by(model: Model, key: str, otherwise: str) -> str:
    """Return the source of a setting: the specification, or the other source."""
    return "the specification" if key in model.spec.changes() else otherwise


def _tensors(noted: Sequence[Loaded]) -> Iterator[Row]:
    """Describe how many tensors of a model's transformers are from its files."""
    for loaded in noted:
        value = f"{len(loaded.tensors) - len(loaded.missing)} of {len(loaded.tensors)} tensors are from the files"
        if loaded.missing:
            value += f"; the others reach nothing, first {loaded.missing[0]}"
        yield Row(name="weights", value=value, source="the library's report")


def render(examination: Examination, *extra: str) -> str:
    """Return an examination as plain text; ``extra`` lines come before the checks."""
    identity = examination.identity
    revision = "no revision" if identity.revision is None else f"revision {identity.revision}"
    state = "as published" if identity.unmodified else "modified or not published"
    lines = [f"{examination.model.alias}: {identity.name}, {revision}, fingerprint {identity.fingerprint}, {state}", ""]
    lines += [*columns(examination.pipeline), "", f"before each {'text of' if examination.encodes else 'query'}"]
    lines += [f"  {line}" for line in columns(examination.prompts)] or ["  not known"]
    lines += [*(f"note: {note}" for note in examination.notes), *extra, ""]
    lines += [f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.result}" for check in examination.checks]
    return "\n".join([*lines, "looks sane" if examination.sane else "does not look sane"])


def check_scores(scores: Mapping[int, Vectors], dtype: str | None) -> Iterator[Check]:
    """Look at the scores of each first text of `PAIRS` with each second one.

    Args:
        scores: by batch size; each of shape (pairs, pairs).
        dtype: of the model's weights.
    """
    first, second = (scores[size].astype(np.float64) for size in BATCH_SIZES)
    yield (finite := _finite(first, second))
    if not finite.ok:
        return
    count = len(PAIRS)
    best = int((first.argmax(axis=1) == np.arange(count)).sum())
    yield Check(name="the matching text is scored best", ok=best >= count - 1, result=f"for {best} of {count} texts")
    away = float(np.abs(first - second).max() / max(1.0, float(np.abs(first).max())))
    yield _same("scores", away, dtype, f"{away:.1e} apart")


def _score(opened: OpenReranker, batch_size: int) -> Vectors:
    """Score each first text of `PAIRS` with each second one, in batches; shape (pairs, pairs)."""
    pairs = [(first, second) for first, _ in PAIRS for _, second in PAIRS]
    parts = []
    for at in range(0, len(pairs), batch_size):
        part = pairs[at : at + batch_size]
        queries, documents = (give_texts(side) for side in zip(*part, strict=True))
        options = {**opened.encode_kwargs, "batch_size": len(part)}
        parts.append(to_numpy(opened.for_mteb(Meter()).predict(queries, documents, **options)))
    return np.concatenate(parts).reshape(len(PAIRS), len(PAIRS))


def check_vectors(vectors: Mapping[int, Vectors], dtype: str | None) -> Iterator[Check]:
    """Look at the vectors of `PAIRS`, the first texts of all pairs and then the second ones.

    Args:
        vectors: by batch size; each of shape (twice the pairs, dimensions).
        dtype: of the model's weights.
    """
    first, second = (vectors[size] for size in BATCH_SIZES)
    yield (finite := _finite(first, second))
    lengths = np.linalg.norm(first, axis=1)
    if not finite.ok or not lengths.all():
        yield Check(name="no vector is zero", ok=bool(lengths.all()), result=f"{int((lengths == 0).sum())} are")
        return
    count = len(PAIRS)
    cosines = _cosines(first[:count], first[count:])
    pairs, mean = np.diagonal(cosines), float(cosines[~np.eye(count, dtype=bool)].mean())
    yield Check(
        name="texts are told apart",
        ok=mean <= COLLAPSE_COSINE,
        result=f"unrelated ones have a mean cosine of {mean:.3f}",
    )
    nearest = int((cosines.argmax(axis=1) == np.arange(count)).sum())
    yield Check(
        name="similar texts are closer than unrelated ones",
        ok=nearest >= count - 1,
        result=f"mean cosine {float(pairs.mean()):.3f} against {mean:.3f}; {nearest} of {count} texts are nearest to "
        "their like",
    )
    away = float(np.max(1 - np.diagonal(_cosines(first, second))))
    yield _same("vectors", away, dtype, f"cosine 1 − {max(away, 0):.1e}")


def _finite(*numbers: NDArray[Any]) -> Check:
    finite = all(np.isfinite(each).all() for each in numbers)
    return Check(name="every number is finite", ok=finite, result="yes" if finite else "NaN or infinity is among them")


def _same(what: str, difference: float, dtype: str | None, detail: str) -> Check:
    sizes = " and ".join(map(str, BATCH_SIZES))
    tolerance = TOLERANCES.get(dtype or "float32", HALF_TOLERANCE)
    return Check(name=f"{what} are the same at batch sizes {sizes}", ok=difference <= tolerance, result=detail)


def _cosines(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    units = [each.astype(np.float64) / np.linalg.norm(each, axis=1, keepdims=True) for each in (left, right)]
    return np.asarray(units[0] @ units[1].T)


def _encode(opened: OpenModel, batch_size: int) -> Vectors:
    """Encode the canary texts as mteb would those of an STS task; shape (twice the pairs, dimensions).

    A model without a route for these gets them as documents.
    """
    texts = [text for side in zip(*PAIRS, strict=True) for text in side]
    roles: Any = getattr(opened.encoder, "roles", (None,))
    context = nullcontext() if opened.encoder is None else opened.encoder.encoding_anew(batch_size)
    with quiet_mteb(), context:
        import mteb
        from mteb.types import PromptType

        vectors: Any = opened.for_mteb(Meter()).encode(
            give_texts(texts, batch_size),
            task_metadata=mteb.get_task("STSBenchmark").metadata,
            hf_split="test",
            hf_subset="default",
            prompt_type=None if None in roles else PromptType(roles[-1]),
            **{"show_progress_bar": False, **opened.encode_kwargs, "batch_size": batch_size},
        )
    if isinstance(vectors, list):  # a vector for each token
        return np.stack([to_numpy(tokens).mean(axis=0) for tokens in vectors])
    return to_numpy(vectors)


def _pipeline(model: Model, opened: Computing, device: str) -> Iterator[Row]:
    spec, settings, loaded = model.spec, opened.settings, cast("Any", getattr(opened, "module", None))
    rest = "the server" if kind_of(model).served else "the model's files"

    def row(name: str, value: Any, key: str = "", otherwise: str = rest) -> Row:
        return Row(name=name, value="not known" if value is None else str(value), source=_by(model, key, otherwise))

    if loaded is not None:
        yield row("modules", " > ".join(_name(module) for module in loaded))
        yield from (row(name, value) for name, value in _routes(loaded))
        if runtime := getattr(_inner(loaded[0]), "runtime", None):
            by = ", ".join(f"{name} {value}" for name, value in runtime.computed_by.items())
            yield row("graph", f"computed by {by}", "providers", "the device")
        else:
            yield row("parameters", f"{sum(each.numel() for each in loaded.parameters()) / 1e6:.1f} million")
        if (side := getattr(getattr(loaded, "tokenizer", None), "padding_side", None)) is not None:
            yield row("padding side", side, "padding_side")  # static vectors are not padded
    yield row("longest text", _longest(spec, opened), "max_characters" if settings.max_characters else "max_seq_length")
    if isinstance(opened, OpenModel):
        none = None if loaded is None else "by route" if routers_of(loaded) else "none"
        yield row("pooling", settings.pooling or none, "pooling")
        yield row("dimensions", settings.dimension, "truncate_dim")
    if isinstance(spec, EncoderSpec) and isinstance(opened, OpenModel):
        yield row("length 1", _normalizes(spec, loaded), "normalize")
        yield row("quantize", settings.quantize or "no", "quantize", "default")
    yield row("dtype", settings.dtype, "dtype")
    if loaded is not None and (attention := _attention(loaded)) is not None:
        yield Row(name="attention", value=attention, source="model_kwargs, or what transformers found best here")
    yield row("device", opened.device, otherwise="--device auto" if device == "auto" else "--device")
    if ONE_AT_A_TIME in (settings.dtype or ""):
        yield Row(name="batch", value=ONE_AT_A_TIME, source="vectors were found to depend on their batch")
        return
    most = getattr(spec, "batch_size", None)
    batch = "as many tokens as suit the device" if most is None else f"at most {most} texts"
    default = {each.name: each.default for each in fields(spec)}.get("batch_size")
    yield row("batch", batch, otherwise="default" if most == default else "the specification")  # it changes no score


def _routes(loaded: Any) -> Iterator[tuple[str, str]]:
    """Describe the routes that a model has for texts, and which texts take each."""
    for router in routers_of(loaded):
        ways = {role: route_of(router, role) for role in (None, *ROLES)}
        for route, modules in router.sub_modules.items():
            texts = " and ".join(ROLE_NAMES[role] for role, way in ways.items() if way == route) or "no texts"
            yield f"route {route}", f"{' > '.join(map(_name, modules))}, for {texts}"
        for role in (role for role, way in ways.items() if way is None):
            yield "no route", f"for {ROLE_NAMES[role]}; tasks with such texts cannot be run"


def _longest(spec: Spec, opened: Computing) -> str | None:
    """Describe after what length texts are cut; None where only code of mteb's or the server knows."""
    loaded, settings = cast("Any", getattr(opened, "module", None)), opened.settings
    if settings.max_characters:
        return f"{settings.max_characters} characters"
    if loaded is not None and routers_of(loaded):
        # The model's own limit is the longest of these.
        limits = {role: limit_of(reader_of(loaded, role)) for role in roles_of(loaded)}
        return ", ".join(f"{_tokens(limit)} for {ROLE_NAMES[role]}" for role, limit in limits.items())
    is_known = loaded is not None or isinstance(spec, WeightsSpec) or settings.max_length
    parts = [_tokens(settings.max_length)] if is_known else []
    return "; ".join([*parts, *filter(None, [settings.long_texts])]) or None


def _tokens(limit: int | None) -> str:
    return "no limit" if limit is None else f"{limit} tokens"


def _normalizes(spec: EncoderSpec, loaded: Any) -> str:
    by_module = any(type(module).__name__ == "Normalize" for module in loaded)
    return "yes" if spec.normalize or by_module else "no"


def _attention(loaded: Any) -> str | None:
    """Name the attention that transformers chose, and whether padding is dropped, by us or by sentence-transformers."""
    chosen = getattr(getattr(_inner(loaded[0]), "config", None), "_attn_implementation", None)
    unpadded = chosen == WITHOUT_PADDING or getattr(loaded, "_can_flatten_inputs", lambda: False)()
    shown = "sdpa" if chosen == WITHOUT_PADDING else chosen
    return None if chosen is None else f"{shown}{', without padding' if unpadded else ''}"


def _inner(module: Any) -> Any:
    return getattr(module, "model", None) or getattr(module, "auto_model", None)


def _name(module: Any) -> str:
    inner = _inner(module)
    return type(module).__name__ + (f"({type(inner).__name__})" if inner is not None else "")


def _prompts(opened: OpenModel) -> Iterator[Row]:
    if opened.prompting is None:
        return
    with quiet_mteb():
        import mteb
        from mteb.types import PromptType

        for label, task, role in (example for type_ in all_types() for example in type_.examples):
            text = task_text(mteb.get_task(task).metadata, None if role is None else PromptType(role))
            prompt = opened.prompting.find(text)
            yield Row(name=label, value=quote(prompt.text) if prompt.text else "nothing", source=prompt.source)


def _prompt_of_queries(model: Model) -> Row:
    prompt = model.spec.prompt if isinstance(model.spec, CrossEncoderSpec | ExportSpec) else None
    return Row(
        name="any task", value=quote(prompt) if prompt else "nothing", source=_by(model, "prompt", "none is set")
    )


def quote(text: str) -> str:
    """Return a text on one line, between quotation marks that show where it ends."""
    return '"' + text.replace("\\", "\\\\").replace("\n", "\\n") + '"'


def _notes(opened: OpenModel) -> Iterator[str]:
    if opened.prompting is None:
        return
    prompting, tasks = opened.prompting, known_tasks()
    for name, text in prompting.prompts.items():
        if text and check_names({name: text}, tasks):
            yield f"no text gets prompts.{name} of {prompting.source}, {quote(text)}: mteb has nothing of that name"

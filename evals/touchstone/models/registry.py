"""Models that mteb knows by name and loads by code of its own."""

import ast
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from touchstone.config.models import Model
from touchstone.config.specs import RegistrySpec
from touchstone.encoding.batches.token_batches import COLD_BATCHES, tokens_of
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.checks import to_numpy
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Prompting
from touchstone.encoding.texts import give_texts
from touchstone.errors import ModelError, first_line, suggest
from touchstone.models.base import ModelKind, OpenModel, make_meta
from touchstone.models.files.listing import on_hub
from touchstone.models.files.loaded import loaded_files
from touchstone.models.files.trust import check_no_code, weights_only
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import Weights, describe
from touchstone.models.weights.loading import settings_of
from touchstone.models.weights.tensors import check_tensors, noting_tensors
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.retrying import without_frames
from touchstone.seams import find
from touchstone.store.folder import Store
from touchstone.store.hub import COMMIT, open_snapshot
from touchstone.tasks.registry import quiet_mteb

if TYPE_CHECKING:
    import torch
    from mteb import EncoderProtocol
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

TRUST = "trust_remote_code"
# A default, argument, item or entry of that name whose value is neither off nor what was given under the same name.
TRUST_PATTERN = re.compile(
    rf"(\b{TRUST}(: [\w |]+)? ?= ?|'{TRUST}'(: |, |\] = ))"
    rf"(?!(False|None)\b|[\w.]*\b{TRUST}\b(?! or)|\w+\.(get|pop)\('{TRUST}')"
)


def find_in_registry(spec: RegistrySpec, alias: str) -> "ModelMeta":
    """Return mteb's metadata of a model, without loading it.

    Raises:
        ModelError: mteb does not know it, knows another revision, or would run code that the specification does
            not trust.
    """
    import mteb

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a renamed model is refused below
            meta = mteb.get_model_meta(spec.name)
    except KeyError:
        suggestion = suggest(spec.name, find("mteb.models.model_implementations:MODEL_REGISTRY"))
        raise ModelError(f'{alias}: name = "{spec.name}" is not a model that mteb knows{suggestion}') from None
    if meta.name != spec.name:
        raise ModelError(f'{alias}: mteb has renamed "{spec.name}"; write name = "{meta.name}"')
    if spec.revision is not None and spec.revision != meta.revision:
        revision = "no revision" if meta.revision is None else f'"{meta.revision}"'
        raise ModelError(f'{alias}: revision = "{spec.revision}"; the installed mteb loads {spec.name} at {revision}')
    if not spec.trust_remote_code and (TRUST_PATTERN.search(repr(meta.loader_kwargs)) or trusts_by_itself(meta.loader)):
        raise ModelError(
            f"{alias}: mteb loads {spec.name} with Python that its publisher wrote; "
            "set trust_remote_code = true to let that run"
        )
    return meta


@cache
def trusts_by_itself(loader: Any) -> bool:
    """Return True if a loader of mteb's turns on ``trust_remote_code`` of its own accord.

    That is read in its source and in all of mteb's loading code that it is made of or names. A loader without a source
    may do anything, so it does this too.
    """
    waiting, seen = [] if loader is None else [loader], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping) and part.get(TRUST):
            return True
        if not (part is loader or _is_loading_code(part)) or part in seen:
            continue
        seen.add(part)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, TypeError, SyntaxError):
            return True
        if TRUST_PATTERN.search(ast.unparse(tree)):
            return True
        enclosing = inspect.getclosurevars(part).nonlocals if inspect.isfunction(part) else {}
        names = {**vars(sys.modules[part.__module__]), **enclosing}
        values = [names.get(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)]
        values += getattr(part, "__bases__", ())
        waiting += [inspect.unwrap(value) if callable(value) else value for value in values]
    return False


def _is_loading_code(part: Any) -> bool:
    return (inspect.isclass(part) or inspect.isfunction(part)) and part.__module__.startswith("mteb.models")


def bring_files(meta: "ModelMeta", spec: RegistrySpec, store: Store) -> None:
    """Fetch the files that a loader of mteb's will load, so that no failing answer makes it load something else.

    Raises:
        ModelError: the hub does not give it, or its files would run code that the specification does not trust.
    """
    if meta.revision is None or not COMMIT.fullmatch(meta.revision):
        return  # such as an API
    files = on_hub(open_snapshot(str(meta.name), meta.revision, store))
    if not spec.trust_remote_code:
        check_no_code(files)
    for name in loaded_files(files, trusted=spec.trust_remote_code):
        files.find(name)


def load_from_registry(spec: RegistrySpec, alias: str, device: str) -> "EncoderProtocol":
    """Load a model by mteb's own loader.

    Raises:
        ModelError: it cannot be loaded, it is no encoder of texts, or it lacks tensors that its vectors depend on.
    """
    import mteb
    from mteb import EncoderProtocol

    kwargs: dict[str, Any] = dict(spec.loader_kwargs)
    # A loader that does it by itself may have no parameter for it, or gives it a second time.
    if spec.trust_remote_code and not trusts_by_itself(mteb.get_model_meta(spec.name).loader):
        kwargs[TRUST] = True
    refusal, cause = None, None
    try:
        with noting_tensors() as noted, nullcontext() if spec.trust_remote_code else weights_only():
            model = mteb.get_model(spec.name, device=device, embed_dim=spec.embed_dim, **kwargs)
    except Exception as error:  # each loader of mteb's refuses in its own way
        refusal = ModelError(f"{alias}: mteb cannot load {spec.name}: {first_line(error)}")
        cause = without_frames(error)
    if refusal is not None:
        raise refusal from cause
    if not isinstance(model, EncoderProtocol):
        kind = type(model).__name__
        raise ModelError(f"{alias}: {spec.name} is a {kind} of mteb's, which is no encoder; only encoders can run yet")
    check_tensors(noted, lambda: _encode_a_few(model), f"{alias}: {spec.name}")
    return model


def _encode_a_few(encoder: "EncoderProtocol") -> NDArray[np.float32]:
    import mteb

    texts, metadata = give_texts(CANARIES), mteb.get_task("STSBenchmark").metadata
    with quiet_mteb():
        vectors = encoder.encode(texts, task_metadata=metadata, hf_split="test", hf_subset="default", batch_size=1)
    return to_numpy(vectors)


class RegistryEncoder(MtebEncoder):
    """An encoder by code of mteb's own, for one measurement: it chooses prompts itself, and batches.

    Args:
        encoder: what encodes.
        meta: mteb's metadata of it, under our name.
        meter: gets the progress of each call, and counts what the module computes.
        module: the torch module that encodes, watched batch by batch.
        prompt_used: returns the prompt of the last call, None where it is not known.
    """

    def __init__(
        self,
        encoder: "EncoderProtocol",
        meta: "ModelMeta | None",
        meter: Meter,
        *,
        module: "torch.nn.Module | None" = None,
        prompt_used: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__(cast("Any", encoder), cast("Any", encoder), Prompting(), meter)
        self.mteb_model_meta = meta
        self._module = module
        self._prompt_used = prompt_used
        self._batches = 0

    def compute(
        self,
        inputs: "DataLoader[BatchedInput]",
        task_metadata: "TaskMetadata",
        prompt_type: "PromptType | None",
        options: dict[str, Any],
    ) -> tuple["Array", str | None]:
        """Return the vectors of one call and its prompt, None where the prompt is not known."""
        dataset: Any = inputs.dataset
        encoder: Any = self._encoder
        with self._watch_batches(len(dataset)):
            vectors = encoder.encode(inputs, task_metadata=task_metadata, prompt_type=prompt_type, **options)
        return vectors, self._prompt_used()

    @property
    def encoded(self) -> int | None:
        """None: mteb's code does not say how much it encodes."""
        return None

    def flush(self) -> None:
        """Do nothing: no vectors are stored."""

    @contextmanager
    def _watch_batches(self, total: int) -> Iterator[None]:
        """Report the progress of a call after each batch, and count its texts if all of them were seen."""
        if self._module is None:
            yield
            return
        passed = _Passed()
        self._meter.start()

        def after_batch(_module: object, inputs: tuple[Any, ...], _output: object) -> None:
            self._note(passed, inputs[0])
            self._meter.tell(f"encoding, {passed.rows} of {total} texts")

        hook = self._module.register_forward_hook(after_batch)
        try:
            yield
        finally:
            hook.remove()
        if passed.rows == total > passed.cold:
            self._meter.count(total - passed.cold, passed.tokens)

    def _note(self, passed: "_Passed", features: Any) -> None:
        """Count a batch; time begins anew after the first ones of a measurement."""
        passed.rows += len(next(iter(features.values())))
        self._batches += 1
        if self._batches <= COLD_BATCHES:
            passed.cold = passed.rows
            self._meter.start()
            return
        tokens = tokens_of(features)
        passed.tokens = None if tokens is None or passed.tokens is None else passed.tokens + tokens


@dataclass(slots=True)
class _Passed:
    """Counts of what went through a module in one call: rows, rows in cold batches, and tokens of the others."""

    rows: int = 0
    cold: int = 0
    tokens: int | None = 0


def watch_prompts(module: Any) -> Callable[[], str | None]:
    """Note the prompt of every call of a sentence-transformers model; return a function that returns the last."""
    last: str | None = None
    encode = module.encode

    def noting_prompt(*args: Any, **kwargs: Any) -> Any:
        nonlocal last
        prompt, name = kwargs.get("prompt"), kwargs.get("prompt_name") or module.default_prompt_name
        last = prompt if prompt is not None else module.prompts.get(name) or ""
        return encode(*args, **kwargs)

    module.encode = noting_prompt
    return lambda: last


def identify(model: Model, _store: Store) -> ModelIdentity:
    """Return who a model is that mteb knows: its name and revision there, and the settings.

    Raises:
        ModelError: mteb does not know it.
    """
    meta = find_in_registry(model.spec_of(RegistrySpec), model.alias)
    facts = {"registry": meta.name, "revision": meta.revision}
    return describe(model, Weights(place=str(meta.name), revision=meta.revision, facts=facts))


def open_registry(model: Model, device: str, store: Store) -> OpenModel:
    """Load a model by mteb's own loader.

    Raises:
        ModelError: it cannot be loaded, it is no encoder of texts, or the device is not there.
    """
    from sentence_transformers import SentenceTransformer

    spec, identity, place = model.spec_of(RegistrySpec), identify(model, store), find_device(model, device)
    bring_files(find_in_registry(spec, model.alias), spec, store)
    encoder = load_from_registry(spec, model.alias, place)
    inside = getattr(encoder, "model", None)
    loaded = inside if isinstance(inside, SentenceTransformer) else None
    meta = encoder.mteb_model_meta
    named = None if meta is None else make_meta(meta, identity, model)
    # What mteb's code does with the prompts it has is its own; only those used are known, call by call.
    prompt_used = (lambda: None) if loaded is None else watch_prompts(loaded)
    return OpenModel(
        for_mteb=lambda meter: RegistryEncoder(encoder, named, meter, module=loaded, prompt_used=prompt_used),
        module=loaded,
        identity=identity,
        settings=Settings() if loaded is None else settings_of(loaded, None, None),
        device=place,
        batch_size=spec.batch_size,
        encode_kwargs=dict(spec.encode_kwargs),
    )


KIND = ModelKind(name="registry", spec=RegistrySpec, identify=identify, open=open_registry, device=find_device)

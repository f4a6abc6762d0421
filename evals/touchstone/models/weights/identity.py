"""Who a model is, without loading it: where its weights are, and a fingerprint over them and the settings."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from touchstone.config.base import Spec
from touchstone.config.models import Model
from touchstone.config.specs import ExportSpec, WeightsSpec
from touchstone.errors import ModelError, MovedError
from touchstone.models.files.detection import check_base, check_export, check_kind
from touchstone.models.files.graphs import with_graph
from touchstone.models.files.listing import POINTER_START, ModelFiles, in_folder, on_hub, refuse_pointer
from touchstone.models.files.loaded import loaded_files, python_elsewhere, python_of
from touchstone.models.files.trust import check_no_code
from touchstone.models.weights.calibration import quantized_by
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store
from touchstone.store.hashes import Watch
from touchstone.store.hub import Snapshot, open_main, open_snapshot
from touchstone.store.mirrors import find_mirrored_model
from touchstone.store.modelscope import fetch_model

NON_VECTOR_SETTINGS = {
    "prompts", "instruction", "instruct", "quantize", "max_characters", "similarity", "truncate_dim", "normalize",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where weights are loaded from, a folder or a name, at which revision; and facts about them for a fingerprint.

    Those behind an API are identified by address, name and run, or where the API is trusted by address and name alone.
    ``label`` is the name of the place for people. ``watch`` knows the files as they were when they were hashed,
    ``names`` returns the names of those that would be loaded now. ``forget`` drops a hub's list of files, for a model
    that cannot be loaded: the next call asks the hub again.
    """

    place: str
    revision: str | None
    facts: Mapping[str, Any]
    label: str = ""
    watch: Watch = field(default_factory=Watch)
    names: Callable[[], Sequence[str]] = tuple
    forget: Callable[[], None] = lambda: None

    def check_unchanged(self, alias: str, *, loaded: bool = False) -> None:
        """Look at all files again: what was loaded is what was hashed only if none has moved since.

        Args:
            alias: of the model.
            loaded: True if it was loaded a moment ago, when a new file beside them would have been loaded too.

        Raises:
            MovedError: one has.
        """
        moved = self.watch.moved(beside=loaded)
        if moved is None and list(self.names()) != list(self.facts.get("files", ())):
            moved = Path(self.place)
        if moved is not None:
            raise MovedError(
                f"{alias}: {moved} changed while it was measured, and nothing of that is kept; "
                "run again when it no longer changes"
            )


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model is whose weights are files, without loading it.

    Raises:
        ModelError: the weights are not there, or are not the ones pinned.
    """
    return describe(model, locate(model, store))


def describe(model: Model, weights: Weights, *, name: str | None = None) -> ModelIdentity:
    """Return who a model is by its weights; ``name`` replaces the name in the specification."""
    spec = model.spec
    return ModelIdentity(
        name=name or spec.published or f"local/{model.alias}",
        revision=weights.revision,
        unmodified=model.unmodified and spec.published is not None,
        fingerprint=_digest(weights, _settings(spec)),
    )


def _settings(spec: Spec) -> dict[str, Any]:
    """Return what a specification changes, with all that decides how vectors are quantized."""
    changes = dict(spec.changes())
    return changes | ({"quantize": quantized_by(changes["quantize"])} if "quantize" in changes else {})


def vector_fingerprint(model: Model, weights: Weights) -> str:
    """Return the fingerprint of a model's float vectors: without the settings of what comes before or after them.

    Prompts are part of what is encoded, and quantization is done to what comes out.
    """
    settings = model.spec.changes()
    return _digest(weights, {name: value for name, value in settings.items() if name not in NON_VECTOR_SETTINGS})


def _digest(weights: Weights, settings: Mapping[str, Any]) -> str:
    text = json.dumps({"weights": weights.facts, "settings": settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def locate(model: Model, store: Store) -> Weights:
    """Find the files of a model that are loaded, by which it is identified; those of a hub are fetched.

    Raises:
        ModelError: they are not there, are not the ones pinned, or are of another kind than the specification's.
    """
    try:
        return _locate(cast("WeightsSpec", model.spec), store)
    except ModelError as error:
        raise ModelError(f"{model.alias}: {error}") from error


def _locate(spec: WeightsSpec, store: Store) -> Weights:
    if spec.id is None or spec.hub != "huggingface":
        folder, revision = _folder(spec, store)
        return _look_at(spec, folder, revision, in_folder(folder), store)
    snapshot = find_mirrored_model(spec.id, spec.revision, store) or open_snapshot(spec.id, spec.revision, store)
    try:
        weights = _look_at(spec, snapshot.folder, snapshot.commit, on_hub(snapshot), store)
        return replace(weights, forget=snapshot.forget)
    except ModelError:
        snapshot.forget()
        raise


def _look_at(spec: WeightsSpec, folder: Path, revision: str | None, files: ModelFiles, store: Store) -> Weights:
    names = _checked(spec, files, store)
    listed = names()
    files.expect(listed)
    paths = {name: files.find(name) for name in listed}  # of a hub, brought before its folder is watched
    with store.watching() as watch:
        hashes = _hash(paths, files.place, store)
        others = _hash(_elsewhere(files, spec, store), files.place, store)
    if not hashes:
        raise ModelError(f"{folder} holds no model files")
    pinned = _as_loaded(spec, files, store).graph or ("model.safetensors",)
    weights = paths.get(pinned[0])
    if spec.sha256 is not None and (weights is None or not store.has_sha256(weights, spec.sha256)):
        state = f"has sha256 {hashes[pinned[0]]}, not {spec.sha256}" if weights else "is not there, and sha256 pins it"
        raise ModelError(f"{pinned[0]} of {folder} {state}")
    facts: dict[str, Any] = {"files": hashes} | ({"elsewhere": others} if others else {})
    return Weights(place=str(folder), label=files.place, revision=revision, facts=facts, watch=watch, names=names)


def _checked(spec: WeightsSpec, files: ModelFiles, store: Store) -> Callable[[], list[str]]:
    """Refuse a model of another kind, or one that needs trust; return a function that names the files to load."""
    if isinstance(spec, ExportSpec):
        role = check_export(files, role=spec.role, local=spec.id is None)
        if key := spec.misplaced(role):
            article = "an" if role == "encoder" else "a"
            raise ModelError(f"{key} means nothing for {article} {role}, which {files.place} is; leave it out")
    else:
        check_kind(spec.kind, files)
    if not spec.trust_remote_code:
        check_no_code(_as_loaded(spec, files, store))
    variant = spec.model_kwargs.get("variant")
    return lambda: loaded_files(_as_loaded(spec, files, store), trusted=spec.trust_remote_code, variant=variant)


def _as_loaded(spec: WeightsSpec, files: ModelFiles, store: Store) -> ModelFiles:
    """Return a model's files as its kind loads them: with a graph in the place of weights where that is run."""
    return with_graph(spec, files, store) if isinstance(spec, ExportSpec) else files


def files_on_hub(spec: WeightsSpec, repository: str, store: Store) -> tuple[Snapshot, list[str]]:
    """Return the snapshot of a model of the hub and the names of the files that are loaded; small ones are brought.

    Raises:
        ModelError: the hub does not give it, or it is of another kind than the specification's.
    """
    snapshot = open_snapshot(repository, spec.revision, store)
    return snapshot, _checked(spec, on_hub(snapshot), store)()


def _hash(paths: Mapping[str, Path | None], place: str, store: Store) -> dict[str, str]:
    """Return the sha256 of files by their names.

    Raises:
        ModelError: one is a pointer to a file that was not fetched, or cannot be read.
    """
    hashes = {}
    with store.one_write_of_hashes():
        for name, path in sorted(paths.items()):
            if path is None:
                continue
            try:
                with path.open("rb") as file:
                    refuse_pointer(place, name, file.read(len(POINTER_START)))
                hashes[name] = store.file_sha256(path)
            except FileNotFoundError:
                raise  # it moved
            except OSError as error:
                raise ModelError(f"{place}: {name} cannot be read: {error.strerror}") from None
    return hashes


def _elsewhere(files: ModelFiles, spec: WeightsSpec, store: Store) -> dict[str, Path | None]:
    """Return the files that are loaded from elsewhere: an adapter's base, and trusted Python of other repositories."""
    paths: dict[str, Path | None] = {}
    readers = [_as_loaded(spec, files, store)]
    base = files.table("adapter_config.json").get("base_model_name_or_path")
    if isinstance(base, str):
        local = Path(base).is_dir()
        readers.append(source := in_folder(Path(base)) if local else on_hub(open_main(base, files.place, store)))
        check_base(spec.kind, source)
        if not spec.trust_remote_code:
            check_no_code(source)
        paths |= {f"{base}/{name}": source.find(name) for name in loaded_files(source, trusted=spec.trust_remote_code)}
    for reader in readers if spec.trust_remote_code else ():
        for repository, modules in python_elsewhere(reader).items():
            other = on_hub(open_main(repository, files.place, store))
            paths |= {f"{repository}/{name}": other.find(name) for name in python_of(other, modules)}
    return paths


def _folder(spec: WeightsSpec, store: Store) -> tuple[Path, str | None]:
    """Return the folder that a model's files are in, and the revision that they are."""
    if spec.id is not None:
        return fetch_model(spec.id, spec.revision, store)
    return folder_of(spec), spec.revision


def folder_of(spec: WeightsSpec) -> Path:
    """Return the folder of a model that is on no hub.

    Raises:
        ModelError: it is not there, or the package that it is in is not.
    """
    folder = spec.path or Path()
    if spec.package is not None:
        module_spec = importlib.util.find_spec(spec.package)
        if module_spec is None or not module_spec.submodule_search_locations:
            package = spec.package.replace("_", "-")
            raise ModelError(f"needs the package {package}; install it with: pip install {package}")
        folder = Path(module_spec.submodule_search_locations[0]) / folder
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}")
    return folder

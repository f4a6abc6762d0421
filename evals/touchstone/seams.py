"""Private names of mteb, and all patches of libraries, with the version they were read in.

A private name may move in any release. `SEAMS` says what each must look like; `moved` names those that do not any more,
and everything else in this package asks here for them.
"""

import ast
import gc
import hashlib
import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from touchstone.errors import ConfigError, ModelError

# The versions of mteb, major and minor, whose seams were read and with which all tests passed.
TESTED_VERSIONS = ("2.26",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """One private name.

    ``place`` is ``module:name`` or ``module:Class.name``; ``parameters`` are those of a function that we pass or take,
    ``body`` the start of the sha256 of its code where we do the same by code of our own.
    """

    place: str
    parameters: tuple[str, ...] = ()
    body: str | None = None


RETRIEVAL, METRICS = "mteb.abstasks.retrieval", "mteb._evaluators.retrieval_metrics"
BM25, HYBRID = "mteb.models.model_implementations.bm25", "mteb.models.hybrid_wrappers"
WRAPPERS = "mteb.models.sentence_transformer_wrapper"
SEAMS = (
    Seam(
        place=f"{RETRIEVAL}:AbsTaskRetrieval._evaluate_subset",
        parameters=("model", "data_split", "encode_kwargs", "hf_split", "hf_subset", "prediction_folder", "num_proc",
                    "timer"),
        body="4f3beb6c40a75ab2",
    ),
    Seam(place=f"{RETRIEVAL}:_filter_queries_without_positives", parameters=("relevant_docs", "queries")),
    Seam(
        place="mteb.abstasks.abstask:AbsTask._save_task_predictions",
        parameters=("predictions", "model", "prediction_folder", "hf_split", "hf_subset"),
    ),
    Seam(place="mteb.abstasks.abstask:_multilabel_subsampling"),
    Seam(place="mteb.abstasks.abstask:get_abstask_prompt", parameters=("task_name",)),
    Seam(
        place="mteb.models:SearchEncoderWrapper._full_corpus_search",
        parameters=("query_idx_to_id", "query_embeddings", "task_metadata", "hf_subset", "hf_split", "top_k",
                    "encode_kwargs", "timer"),
        body="283398f4f6bb61e3",
    ),
    Seam(
        place="mteb._evaluators:RetrievalEvaluator.__init__",
        parameters=("corpus", "queries", "task_metadata", "top_ranked", "top_k", "hf_split", "hf_subset"),
    ),
    Seam(
        place=f"{METRICS}:make_score_dict",
        parameters=("ndcg", "_map", "recall", "precision", "mrr", "naucs", "naucs_mrr", "hit_rate", "task_scores",
                    "previous_results_model_meta"),
    ),
    Seam(
        place=f"{METRICS}:calculate_retrieval_scores",
        parameters=("results", "qrels", "k_values", "skip_first_result"),
        body="873cbd924538e690",
    ),
    Seam(place=f"{METRICS}:nauc", parameters=("conf_scores", "metrics")),
    Seam(
        place="mteb._create_dataloaders:create_dataloader",
        parameters=("dataset", "task_metadata", "prompt_type", "batch_size"),
    ),
    Seam(place="mteb._create_dataloaders:_custom_collate_fn", parameters=("batch",)),
    Seam(place="mteb.models.model_implementations:MODEL_REGISTRY"),
    Seam(place=f"{BM25}:BM25Search.__init__", parameters=("stopwords", "stemmer_language", "freq_threshold", "k1", "b",
                                                          "delta", "method")),
    Seam(place=f"{BM25}:bm25_s"),
    Seam(place=f"{BM25}:_get_stopwords", parameters=("key",)),
    Seam(place=f"{HYBRID}:fuse_rrf", parameters=("query_scores_list", "weights", "rrf_k")),
    Seam(place=f"{HYBRID}:fuse_dbsf", parameters=("query_scores_list", "weights")),
    Seam(place=f"{HYBRID}:fuse_relative_score_fusion", parameters=("query_scores_list", "weights")),
    Seam(place=f"{WRAPPERS}:SparseEncoderWrapper.similarity", parameters=("embeddings1", "embeddings2")),
    Seam(place=f"{WRAPPERS}:MultiVectorWrapper.similarity", parameters=("embeddings1", "embeddings2")),
)  # fmt: skip
# Attributes of task objects, by the class whose objects have them.
ATTRIBUTES = {
    "mteb.abstasks:AbsTask": ("_eval_splits",),
    "mteb.abstasks:AbsTaskRetrieval": ("_top_k", "_previous_results_model_meta"),
}


def find(place: str) -> Any:
    """Return what is at ``module:name``, private or not.

    Raises:
        ImportError: there is no such module.
        AttributeError: it has no such name.
    """
    module, _, names = place.partition(":")
    found: Any = import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


def moved() -> list[str]:
    """Return a sentence for each private name that is not what it was; empty where all are."""
    found = [sentence for seam in SEAMS if (sentence := _look(seam)) is not None]
    for place, names in ATTRIBUTES.items():
        source = inspect.getsource(find(place))
        found += [f"{place}: objects have no {name}" for name in names if f"self.{name}" not in source
                  and name not in vars(find(place))]  # fmt: skip
    return found


def _look(seam: Seam) -> str | None:
    try:
        found = find(seam.place)
    except (ImportError, AttributeError):
        return f"{seam.place}: is not there"
    if not callable(found):
        return None
    known = inspect.signature(found).parameters
    missing = [name for name in seam.parameters if name not in known]
    if missing:
        return f"{seam.place}: takes no {', '.join(missing)}"
    if seam.body is not None and hash_body(found) != seam.body:
        return f"{seam.place}: does something else; read it again, and then write body={hash_body(found)!r}"
    return None


def hash_body(function: Callable[..., Any]) -> str:
    """Return the start of the sha256 of a function's code, without its comments, docstring and layout."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    body = tree.body[0]
    assert isinstance(body, ast.FunctionDef)
    if ast.get_docstring(body) is not None:
        body.body = body.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def untried_mteb() -> str | None:
    """Return the version of mteb that is installed if its minor version was never tried, without importing mteb."""
    installed = version("mteb")
    return None if ".".join(installed.split(".")[:2]) in TESTED_VERSIONS else installed


@cache
def check_seams() -> None:
    """Refuse to measure with an untried mteb in which a private name has moved.

    Raises:
        ConfigError: naming what has moved.
    """
    installed = untried_mteb()
    if installed is not None and (wrong := moved()):
        tried = ", ".join(f"{minor}.*" for minor in TESTED_VERSIONS)
        raise ConfigError(f'mteb {installed}: {wrong[0]}; install one that was tried: pip install "mteb=={tried}"')


def evaluate_subsets_by(task: Any, evaluate: Callable[..., Any]) -> Callable[[], None]:
    """Let a retrieval task evaluate its splits and subsets by another function; return what undoes that.

    Args:
        task: an `AbsTaskRetrieval`.
        evaluate: called with the task's own function and then with what that is called with.
    """
    original = task._evaluate_subset
    task._evaluate_subset = lambda *args, **kwargs: evaluate(original, *args, **kwargs)

    def undo() -> None:
        del task._evaluate_subset

    return undo


def has_own_evaluation(task: Any) -> bool:
    """Return True if the class of a retrieval task evaluates a split and subset in a way of its own."""
    return type(task)._evaluate_subset is not find(f"{RETRIEVAL}:AbsTaskRetrieval._evaluate_subset")


def search_by(searcher: Any, search: Callable[..., Any]) -> None:
    """Let a `SearchEncoderWrapper` of mteb's search a whole corpus by another function."""
    searcher._full_corpus_search = search


def keep_predictions_by(task: Any, keep: Callable[..., None]) -> None:
    """Let a task hand what it predicts to a function, instead of writing it to a file."""
    task._save_task_predictions = keep


def tell_predictions(task: Any, *args: Any, **kwargs: Any) -> None:
    """Do what a task does with what it predicts."""
    task._save_task_predictions(*args, **kwargs)


def top_k_of(task: Any) -> int:
    """Return how many documents a retrieval task keeps for each query."""
    return int(task._top_k)


def rerank_of(task: Any, top_k: int, model_name: str | None, revision: str | None) -> Callable[[], None]:
    """Tell a retrieval task that it reranks so many documents that another model found; return what undoes that."""
    before = task._top_k, task._previous_results_model_meta
    task._top_k = top_k
    task._previous_results_model_meta = {"model_name": model_name, "revision": revision}

    def undo() -> None:
        task._top_k, task._previous_results_model_meta = before

    return undo


def previous_model_of(task: Any) -> Any:
    """Return what `rerank_of` told a task, None where nothing was."""
    return task._previous_results_model_meta


def eval_splits_of(task: Any) -> Any:
    """Return the splits that a task was restricted to."""
    return task._eval_splits


@contextmanager
def replaced(owner: object, name: str, *, value: object) -> Iterator[None]:
    """Set an attribute of a library for a while: these have no parameter that reaches every loader of mteb's."""
    old = inspect.getattr_static(owner, name)  # a class method as it is, not bound to this class
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, old)


@contextmanager
def exports_loaded_by(load: Callable[[Any, str], Any]) -> Iterator[None]:
    """Let sentence-transformers load models for its backends ``onnx`` and ``openvino`` by another function.

    Its own needs the package optimum. Read in sentence-transformers 6.2; version 5 has other names.

    Args:
        load: called with the configuration of a transformer and with what it is for, such as ``feature-extraction``.

    Raises:
        ModelError: another version is installed, which has these names elsewhere.
    """
    names = ("load_onnx_model", "load_openvino_model")
    try:
        transformer = import_module("sentence_transformers.base.modules.transformer")
    except ImportError:
        transformer = None
    if not all(hasattr(transformer, name) for name in names):
        installed = version("sentence-transformers")
        raise ModelError(f"exported models are run by sentence-transformers 6; {installed} is installed")

    def loading(*, config: Any, task_name: str, **_: Any) -> Any:
        return load(config, task_name)

    with replaced(transformer, names[0], value=loading), replaced(transformer, names[1], value=loading):
        yield


@contextmanager
def local_datasets(
    find: Callable[[str, str | None], tuple[Path | None, Path]], note: Callable[[Any], None], own: Path | None = None
) -> Iterator[None]:
    """Let the library datasets read folders in the place of repositories of a hub, without a network.

    Every way of mteb's to load data comes through the function that is replaced here: the library is never asked for a
    repository by name, so it cannot fall back to whatever lies in its cache.

    Args:
        find: returns the folder of a repository at a revision, and the folder for what is prepared of it; None in the
            place of the first leaves a format that the library reads by itself, such as ``json``, to it.
        note: told the ``data_files`` of each configuration that is prepared.
        own: an empty folder for all else that a loader of the user's own has prepared; the library would take files
            that were changed under their old time for what they were. Such a loader may ask the hub by itself.
    """
    import datasets
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    prepare, make = datasets.DatasetBuilder.download_and_prepare, datasets.load.dataset_module_factory

    def noting(builder: Any, *args: Any, **kwargs: Any) -> Any:
        datasets.config.HF_DATASETS_CACHE = own or datasets.config.HF_DATASETS_CACHE
        note(builder.config.data_files)
        return prepare(builder, *args, **kwargs)

    def from_folder(path: str, revision: Any = None, *args: Any, **kwargs: Any) -> Any:
        with replaced(constants, "HF_HUB_OFFLINE", value=offline):  # whoever finds a folder may bring it
            folder, cache = find(path, None if revision is None else str(revision))
        datasets.config.HF_DATASETS_CACHE = cache  # read when the builder of this module is made, right after it
        return make(path if folder is None else str(folder), None, *args, **kwargs)

    with (
        replaced(datasets.config, "HF_DATASETS_CACHE", value=own or datasets.config.HF_DATASETS_CACHE),
        replaced(datasets.config, "HF_HUB_OFFLINE", value=own is None or datasets.config.HF_HUB_OFFLINE),
        replaced(constants, "HF_HUB_OFFLINE", value=own is None or offline),
        replaced(datasets.DatasetBuilder, "download_and_prepare", value=noting),
        replaced(datasets.load, "dataset_module_factory", value=from_folder),
        replaced(datasets.inspect, "dataset_module_factory", value=from_folder),
    ):
        yield


def is_format(name: str) -> bool:
    """Return True if datasets takes a name for a format that it reads, such as ``json``, rather than a repository."""
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    return name in _PACKAGED_DATASETS_MODULES


@contextmanager
def columns_read_once() -> Iterator[None]:
    """Make every lazy column of datasets a list behind its own interface, kept as long as its data set lives.

    The library's columns are lazy, and mteb and scikit-learn read them by rows; a walk by rows decodes an Arrow table
    for each: of Banking77, 12 of the 13 seconds that are not encoding.
    """
    from datasets.arrow_dataset import Column

    lists: WeakKeyDictionary[Any, dict[str, list[Any]]] = WeakKeyDictionary()
    get, walk = Column.__getitem__, Column.__iter__

    def read(column: Any) -> list[Any] | None:
        # Held by the column too: some 200 000 single labels are asked for, and looking the data set up costs 5 us each.
        held: list[Any] | None = vars(column).get("read_once")
        if held is None and _is_plain(column.source):
            known = lists.setdefault(column.source, {})
            name = column.column_name
            if name not in known or len(known[name]) != len(column.source):
                known[name] = list(get(column, slice(None)))
            held = column.read_once = known[name]
        return held

    def get_once(column: Any, key: Any) -> Any:
        if type(key) is int and (held := column.__dict__.get("read_once")) is not None:
            return held[key]
        if isinstance(key, str) or (values := read(column)) is None:
            return get(column, key)
        return [values[index] for index in key] if isinstance(key, Iterable) else values[key]

    def walk_once(column: Any) -> Iterator[Any]:
        values = read(column)
        return walk(column) if values is None else iter(values)

    with replaced(Column, "__getitem__", value=get_once), replaced(Column, "__iter__", value=walk_once):
        yield


def _is_plain(source: Any) -> bool:
    from datasets import Dataset

    return isinstance(source, Dataset) and source.format["type"] is None


# What a model that is loaded here needs, in the order in which it is imported.
LIBRARIES = ("torch", "transformers.models", "sentence_transformers", "mteb")


@cache
def import_libraries(*names: str) -> None:
    """Import libraries, all of `LIBRARIES` or those named, in less time.

    Nothing of what is imported is garbage, so none is looked for: a quarter of the time. Nor does torch write down the
    stack of each seed that mteb sets, for each of its tasks, to show it should a GPU fail. Where transformers has
    changed so that its short cut is not there any more, its import is the plain one.
    """
    collects = gc.isenabled()
    stacks, traceback.format_stack = traceback.format_stack, lambda *_: []
    gc.disable()
    try:
        for name in names or LIBRARIES:
            listed = _models_listed_once() if name == "transformers.models" else nullcontext()
            with listed, suppress(ModuleNotFoundError):  # whoever needs it will tell
                import_module(name)
    finally:
        traceback.format_stack = stacks
        if collects:
            gc.enable()
    gc.freeze()  # nor do later collections look at the million objects of the libraries


@contextmanager
def _models_listed_once() -> Iterator[None]:
    """Let transformers search the files of its models for names once; it does so twice, with another prefix."""
    import transformers
    from transformers.utils import import_utils

    models = Path(transformers.__file__).parent / "models"
    define: Any = getattr(import_utils, "define_import_structure", None)
    if not hasattr(define, "cache_info"):
        yield
        return

    def define_again(path: Any, prefix: str | None = None) -> Any:
        if prefix is not None or Path(path) != models / "__init__.py":
            return define(path, prefix)
        return {
            backends: {name.removeprefix("models."): names for name, names in modules.items() if name[:7] == "models."}
            for backends, modules in define(models, prefix="models").items()  # as it was called before: remembered
        }

    with replaced(import_utils, "define_import_structure", value=define_again):
        yield

"""Private names of mteb, and all patches of libraries, with the version they were read in.

A private name may change in any release. `SEAMS` describes each, `moved` lists those that have changed, and the rest of
this package gets them here.
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

from touchstone.environment import no_garbage_collection
from touchstone.errors import ConfigError, ModelError

# The versions of mteb, major and minor, whose seams were read and with which all tests passed.
TESTED_VERSIONS = ("2.26",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """One private name.

    ``place`` is ``module:name`` or ``module:Class.name``; ``parameters`` are those of a function that we use, and
    ``body`` is the start of the sha256 of its code where we replace it by code of our own.
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
    """Return the object at ``module:name``, private or not.

    Raises:
        ImportError: there is no such module.
        AttributeError: it has no such name.
    """
    module, _, names = place.partition(":")
    value: Any = import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value


def moved() -> list[str]:
    """Return a sentence for each private name that has changed."""
    problems = [sentence for seam in SEAMS if (sentence := _find_problem(seam)) is not None]
    for place, names in ATTRIBUTES.items():
        source = inspect.getsource(find(place))
        problems += [f"{place}: objects have no {name}" for name in names if f"self.{name}" not in source
                  and name not in vars(find(place))]  # fmt: skip
    return problems


def _find_problem(seam: Seam) -> str | None:
    try:
        value = find(seam.place)
    except (ImportError, AttributeError):
        return f"{seam.place}: is not there"
    if not callable(value):
        return None
    parameters = inspect.signature(value).parameters
    missing = [name for name in seam.parameters if name not in parameters]
    if missing:
        return f"{seam.place}: takes no {', '.join(missing)}"
    if seam.body is not None and hash_body(value) != seam.body:
        return f"{seam.place}: does something else; read it again, and then write body={hash_body(value)!r}"
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
    if installed is not None and (problems := moved()):
        tried = ", ".join(f"{minor}.*" for minor in TESTED_VERSIONS)
        raise ConfigError(f'mteb {installed}: {problems[0]}; install one that was tried: pip install "mteb=={tried}"')


def evaluate_subsets_by(task: Any, evaluate: Callable[..., Any]) -> Callable[[], None]:
    """Replace the function by which a retrieval task evaluates a split and subset; return a function that undoes this.

    Args:
        task: an `AbsTaskRetrieval`.
        evaluate: called with the task's own function, followed by the arguments of that function.
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
    """Replace the function by which a `SearchEncoderWrapper` of mteb's searches a whole corpus."""
    searcher._full_corpus_search = search


def keep_predictions_by(task: Any, keep: Callable[..., None]) -> None:
    """Let a task pass its predictions to a function, instead of writing them to a file."""
    task._save_task_predictions = keep


def tell_predictions(task: Any, *args: Any, **kwargs: Any) -> None:
    """Pass predictions to a task, as its own evaluation does."""
    task._save_task_predictions(*args, **kwargs)


def top_k_of(task: Any) -> int:
    """Return how many documents a retrieval task keeps for each query."""
    return int(task._top_k)


def rerank_of(task: Any, top_k: int, model_name: str | None, revision: str | None) -> Callable[[], None]:
    """Let a retrieval task rerank the best documents of another model; return a function that undoes this."""
    before = task._top_k, task._previous_results_model_meta
    task._top_k = top_k
    task._previous_results_model_meta = {"model_name": model_name, "revision": revision}

    def undo() -> None:
        task._top_k, task._previous_results_model_meta = before

    return undo


def previous_model_of(task: Any) -> Any:
    """Return the model that `rerank_of` set on a task, None without one."""
    return task._previous_results_model_meta


def eval_splits_of(task: Any) -> Any:
    """Return the splits that a task was restricted to."""
    return task._eval_splits


@contextmanager
def replaced(owner: object, name: str, *, value: object) -> Iterator[None]:
    """Set an attribute of a library in a block: no parameter reaches every loader of mteb's."""
    original = inspect.getattr_static(owner, name)  # a class method as it is, not bound to this class
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def exports_loaded_by(load: Callable[[Any, str], Any]) -> Iterator[None]:
    """Replace the function by which sentence-transformers loads models for its backends ``onnx`` and ``openvino``.

    The library's own function needs the package optimum. Read in sentence-transformers 6.2.

    Args:
        load: called with the configuration of a transformer and with its task, such as ``feature-extraction``.

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
    find: Callable[[str, str | None], tuple[Path | None, Path]],
    note: Callable[[Any], None],
    own_cache: Path | None = None,
) -> Iterator[None]:
    """Let the library datasets read folders in the place of repositories of a hub, without a network.

    All loading in mteb comes through the function that is replaced here. The library never gets the name of a
    repository, so it cannot fall back to its own cache.

    Args:
        find: returns the folder of a repository at a revision, and its cache folder; None in the place of the first
            leaves a format that the library reads by itself, such as ``json``, to the library.
        note: called with the ``data_files`` of each configuration that is prepared.
        own_cache: an empty cache folder for a loader of the user's, which may use the hub; the library's own cache
            would not notice a file that was changed without a new time.
    """
    import datasets
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    prepare, make = datasets.DatasetBuilder.download_and_prepare, datasets.load.dataset_module_factory

    def noting(builder: Any, *args: Any, **kwargs: Any) -> Any:
        datasets.config.HF_DATASETS_CACHE = own_cache or datasets.config.HF_DATASETS_CACHE
        note(builder.config.data_files)
        return prepare(builder, *args, **kwargs)

    def from_folder(path: str, revision: Any = None, *args: Any, **kwargs: Any) -> Any:
        with replaced(constants, "HF_HUB_OFFLINE", value=offline):  # find may download the folder
            folder, cache = find(path, None if revision is None else str(revision))
        datasets.config.HF_DATASETS_CACHE = cache  # read when the builder of this module is made, right after it
        return make(path if folder is None else str(folder), None, *args, **kwargs)

    with (
        replaced(datasets.config, "HF_DATASETS_CACHE", value=own_cache or datasets.config.HF_DATASETS_CACHE),
        replaced(datasets.config, "HF_HUB_OFFLINE", value=own_cache is None or datasets.config.HF_HUB_OFFLINE),
        replaced(constants, "HF_HUB_OFFLINE", value=own_cache is None or offline),
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
def no_progress_bars() -> Iterator[None]:
    """Disable the progress bars of the library datasets, and enable them again if they were enabled before."""
    import datasets

    was_enabled = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_enabled:
            datasets.enable_progress_bars()


@contextmanager
def columns_read_once() -> Iterator[None]:
    """Cache every lazy column of datasets as a list, as long as its data set lives.

    mteb and scikit-learn read the library's lazy columns row by row, and each row decodes an Arrow table: 12 of the 13
    seconds of Banking77 that are not encoding.
    """
    from datasets.arrow_dataset import Column

    lists: WeakKeyDictionary[Any, dict[str, list[Any]]] = WeakKeyDictionary()
    get, walk = Column.__getitem__, Column.__iter__

    def read_list(column: Any) -> list[Any] | None:
        # The column holds the list too: a look-up of the data set costs 5 us for each of some 200 000 labels.
        values: list[Any] | None = vars(column).get("read_once")
        if values is None and _is_plain(column.source):
            columns = lists.setdefault(column.source, {})
            name = column.column_name
            if name not in columns or len(columns[name]) != len(column.source):
                columns[name] = list(get(column, slice(None)))
            values = column.read_once = columns[name]
        return values

    def get_once(column: Any, key: Any) -> Any:
        if type(key) is int and (values := column.__dict__.get("read_once")) is not None:
            return values[key]
        if isinstance(key, str) or (values := read_list(column)) is None:
            return get(column, key)
        return [values[index] for index in key] if isinstance(key, Iterable) else values[key]

    def walk_once(column: Any) -> Iterator[Any]:
        values = read_list(column)
        return walk(column) if values is None else iter(values)

    with replaced(Column, "__getitem__", value=get_once), replaced(Column, "__iter__", value=walk_once):
        yield


def _is_plain(source: Any) -> bool:
    from datasets import Dataset

    return isinstance(source, Dataset) and source.format["type"] is None


# The libraries of a model that is loaded here, in the order of import.
LIBRARIES = ("torch", "transformers.models", "sentence_transformers", "mteb")


@cache
def import_libraries(*names: str) -> None:
    """Import libraries, all of `LIBRARIES` or those named, in less time.

    The garbage collector is off, as an import leaves no garbage: a quarter of the time. Torch does not record a stack
    for each seed that mteb sets, which it would show if a GPU failed. A version of transformers without the function
    that `_models_listed_once` replaces is imported as usual.
    """
    stacks, traceback.format_stack = traceback.format_stack, lambda *_: []
    try:
        with no_garbage_collection():
            for name in names or LIBRARIES:
                context = _models_listed_once() if name == "transformers.models" else nullcontext()
                with context, suppress(ModuleNotFoundError):  # the code that needs the library reports it
                    import_module(name)
    finally:
        traceback.format_stack = stacks
    gc.freeze()  # nor do later collections look at the million objects of the libraries


@contextmanager
def _models_listed_once() -> Iterator[None]:
    """Let transformers search the files of its models for names once, instead of twice with two prefixes."""
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
            for backends, modules in define(models, prefix="models").items()  # the same call as before, so cached
        }

    with replaced(import_utils, "define_import_structure", value=define_again):
        yield

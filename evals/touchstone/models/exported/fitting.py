"""A graph fitted into the modules of its folder: what it gives must be what these read, or all of what they give."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from touchstone.config.models import Model
from touchstone.config.specs import ExportSpec
from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.routes import by_library
from touchstone.errors import ModelError
from touchstone.models.exported.graph import MASK, TASK_OUTPUTS, Graph
from touchstone.models.weights.identity import Weights
from touchstone.models.weights.loading import find_pooling, is_pooling, set_pooling, set_readers

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

# Modules that do nothing more to a vector that went through them already.
IDEMPOTENT_MODULES = {"Normalize", "Dropout"}
EXPORT_ADVICE = "export last_hidden_state"


def fit_encoder(loaded: "SentenceTransformer", graph: Graph, model: Model, weights: Weights) -> None:
    """Make an encoder read what its graph gives: vectors of tokens, which it pools, or those of texts.

    Raises:
        ModelError: it gives something else.
    """
    spec, place = model.spec_of(ExportSpec), weights.label
    reader = _find_reader(loaded, graph, place)
    _limit(reader, graph, spec)
    set_readers(loaded, spec, place)
    dimensions, width = _try(reader, graph, CANARIES[:2])
    if dimensions == 2:
        _pool_no_more(loaded, reader, width, spec, place)
    else:
        set_pooling(loaded, spec, model.alias, weights)
        _check_width(loaded, width, place)


def fit_cross_encoder(loaded: "CrossEncoder", graph: Graph, spec: ExportSpec, place: str) -> None:
    """Make a cross-encoder read what its graph gives.

    Raises:
        ModelError: it gives something else.
    """
    reader = _find_reader(loaded, graph, place)
    _limit(reader, graph, spec)
    dimensions, width = _try(reader, graph, [CANARIES[:2], CANARIES[1:3]])
    scores = graph.task == "sequence-classification"
    if scores and (dimensions, width) != (2, 1):
        each = "a pair" if dimensions == 2 else "each token of a pair"
        raise ModelError(f"its graph gives {width} numbers for {each}; a reranker gives one for a pair, its score")
    if not scores and dimensions != 3:
        raise ModelError(f"its graph gives whole vectors of pairs, and {place} pools those of tokens; {EXPORT_ADVICE}")
    _check_width(loaded, width, place)


def _find_reader(loaded: Any, graph: Graph, place: str) -> Any:
    """Return the module that reads texts for a graph and hands on what this gives.

    Raises:
        ModelError: it hands on something else, or a module beside it may read weights that were not checked.
    """
    if not by_library(loaded):
        raise ModelError(f"{place} has modules in Python of its publisher's, beside which no graph is run")
    inside = (module for module in loaded.modules() if module is not loaded)
    reader = next(module for module in inside if getattr(module, "model", None) is graph)
    for call in reader.modality_config.values():
        if (call["method"], call["method_output_name"]) != ("forward", TASK_OUTPUTS[graph.task][0]):
            raise ModelError(f"its modules read {call['method_output_name']} of a transformer, which no graph is asked")
    return reader


def _limit(reader: Any, graph: Graph, spec: ExportSpec) -> None:
    """Cut texts after the tokens that a graph reads, if it has a limit."""
    if graph.tokens is None:
        return
    if spec.max_seq_length is not None and spec.max_seq_length > graph.tokens:
        raise ModelError(f"max_seq_length = {spec.max_seq_length}, but its graph reads {graph.tokens} tokens")
    if (limit_of(reader) or graph.tokens) >= graph.tokens:
        reader.max_seq_length = graph.tokens


def _try(reader: Any, graph: Graph, texts: Sequence[Any]) -> tuple[int, int]:
    """Return how many dimensions a graph's output has, and how many numbers there are in the last of them.

    Raises:
        ModelError: one that counts is not finite.
    """
    import torch

    features = reader.preprocess(list(texts))
    with torch.inference_mode():
        output = graph.forward(**features)[TASK_OUTPUTS[graph.task][0]]
    values = output[features[MASK].bool()] if output.ndim == 3 and MASK in features else output
    if not torch.isfinite(values).all():
        raise ModelError(f"its graph gives NaN or infinite numbers in {graph.output}; export it again")
    return output.ndim, int(output.shape[-1])


def _pool_no_more(loaded: "SentenceTransformer", reader: Any, width: int, spec: ExportSpec, place: str) -> None:
    """Remove the modules whose work the graph has done: the pooling and all after it but `IDEMPOTENT_MODULES`."""
    if spec.pooling is not None:
        raise ModelError(f'pooling = "{spec.pooling}", but its graph gives vectors of texts, which are pooled')
    first: Any = loaded[0]
    if first is not reader:
        raise ModelError(f"its graph gives vectors of texts, and {place} has routes; {EXPORT_ADVICE}")
    with loaded.truncate_embeddings(None):
        whole = loaded.get_embedding_dimension()
    if width != whole:
        raise ModelError(f"its graph gives vectors of {width} numbers, and the modules of {place} give {whole}")
    pooling = find_pooling(loaded)
    done = {name: module for name, module in loaded.named_children() if type(module).__name__ not in IDEMPOTENT_MODULES}
    others = [module for module in done.values() if module not in (reader, pooling)]
    if others and (pooling is None or pooling.get_embedding_dimension() == whole):
        raise ModelError(
            f"its graph gives vectors of texts, of which nobody can tell whether the {type(others[0]).__name__} of "
            f"{place} is in them; {EXPORT_ADVICE}"
        )
    for name in (name for name, module in done.items() if module is not reader):
        delattr(loaded, name)
    reader.module_output_name = "sentence_embedding"


def _check_width(loaded: Any, width: int, place: str) -> None:
    for pooling in filter(is_pooling, loaded.modules()):
        if pooling.embedding_dimension != width:
            raise ModelError(
                f"its graph gives {width} numbers for a token, and the pooling of {place} takes "
                f"{pooling.embedding_dimension}"
            )

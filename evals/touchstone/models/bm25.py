"""BM25, as mteb runs it: the thing to beat."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from touchstone.config.models import Model
from touchstone.config.retrievers import Bm25Spec
from touchstone.errors import ModelError
from touchstone.files.writing import to_json
from touchstone.models.base import ModelKind, OpenSearcher, make_meta, only_ranks
from touchstone.models.searcher import MtebSearcher, Rankings
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.seams import BM25, find
from touchstone.store.folder import Store

LIBRARIES = ("bm25s", "PyStemmer", "mteb")
# The arguments of mteb's class by our keys.
ARGUMENTS = {"stopwords": "stopwords", "stemmer": "stemmer_language", "frequent": "freq_threshold"}


class Bm25(MtebSearcher):
    """mteb's own search by BM25, for one measurement."""

    def __init__(self, arguments: dict[str, Any], meta: Any, meter: Any) -> None:
        super().__init__(meta, meter)
        self._search: Any = find(f"{BM25}:BM25Search")(**arguments)

    def take(self, corpus: Any, **context: Any) -> None:
        """Count the words of the documents."""
        self._search.index(corpus, **context)

    def find(self, queries: Any, top_k: int, **context: Any) -> Rankings:
        """Return each query's documents with their scores; given candidates are taken out of the best of all."""
        rankings: Rankings = self._search.search(queries, top_k=top_k, **context)
        return rankings


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who BM25 is: the formula's settings, and the libraries that split and count words."""
    spec = model.spec_of(Bm25Spec)
    try:
        facts = {"libraries": {name: version(name) for name in LIBRARIES}, "settings": spec.changes()}
    except PackageNotFoundError as error:
        command = 'install it with: pip install "touchstone-evals[bm25]"'
        raise ModelError(f"{model.alias}: BM25 needs the package {error.name}; {command}") from None
    return ModelIdentity(
        name=str(spec.published),
        revision=store.remember(f"revision of BM25 in mteb {version('mteb')}", _published_revision),
        unmodified=model.unmodified,
        fingerprint=hashlib.sha256(to_json(facts).encode()).hexdigest()[:12],
    )


def _published_revision() -> str:
    revision: str = find(f"{BM25}:bm25_s").revision
    return revision


def open_bm25(model: Model, _device: str, store: Store) -> OpenSearcher:
    """Make mteb's search by BM25.

    Raises:
        ModelError: the packages it needs are not there, or have no such stop words or stemmer.
    """
    spec, identity = model.spec_of(Bm25Spec), identify(model, store)
    arguments = {ARGUMENTS.get(name, name): value for name, value in spec.changes().items()}
    _check_languages(spec)
    meta = make_meta(find(f"{BM25}:bm25_s"), identity, model)
    return OpenSearcher(
        for_mteb=lambda meter: Bm25(arguments, meta, meter), identity=identity, settings=Settings(), device="cpu"
    )


def _check_languages(spec: Bm25Spec) -> None:
    import Stemmer

    stemmers = Stemmer.algorithms()
    if spec.stemmer is not None and spec.stemmer not in stemmers:
        raise ModelError(f'stemmer = "{spec.stemmer}"; PyStemmer knows {", ".join(stemmers)}')
    if spec.stopwords is not None:
        try:
            find(f"{BM25}:_get_stopwords")(spec.stopwords)
        except KeyError:
            raise ModelError(f'stopwords = "{spec.stopwords}"; expected a code of bm25s, such as "en"') from None


KIND = ModelKind(
    name="bm25",
    spec=Bm25Spec,
    identify=identify,
    open=open_bm25,
    device=lambda _model, _device: "cpu",
    why_not=only_ranks("BM25"),
)

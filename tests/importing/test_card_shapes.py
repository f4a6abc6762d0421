"""Shapes in which cards are really written: fields, order, quotes and features of YAML, with content of our own."""

from pathlib import Path

import pytest

from touchstone.importing.cards import load_card
from touchstone.importing.entries import make_entries

HEAD = "---\ntags:\n- mteb\nmodel-index:\n- name: m\n  results:\n"
NAME = "      name: MTEB NFCorpus\n      type: mteb/nfcorpus\n      config: default\n      split: test\n"
METRIC = "    - type: ndcg_at_10\n      value: 31.25\n"
NFCORPUS = {"NFCorpus": {"test/default": 0.3125}}

SHAPES = {
    "results indented under the model": (
        "---\nmodel-index:\n  - name: m\n    results:\n      - task:\n          type: Retrieval\n        dataset:\n"
        "          type: mteb/nfcorpus\n          name: MTEB NFCorpus\n          config: default\n"
        "          split: test\n        metrics:\n          - type: ndcg_at_10\n            value: 31.25\n",
        NFCORPUS,
    ),
    "the revision None": (
        f"{HEAD}  - task:\n      type: Retrieval\n    dataset:\n{NAME}      revision: None\n    metrics:\n"
        f"{METRIC}", NFCORPUS,
    ),
    "metrics before the data set": (f"{HEAD}  - metrics:\n{METRIC}    dataset:\n{NAME}", NFCORPUS),
    "results before the name": (
        f"---\nmodel-index:\n- results:\n  - dataset:\n{NAME}    metrics:\n{METRIC}  name: m\n", NFCORPUS,
    ),
    "double quotes": (
        f'{HEAD}  - dataset:\n      "name": "MTEB NFCorpus"\n      "config": "default"\n      "split": "test"\n'
        f'    metrics:\n    - "type": "ndcg_at_10"\n      value: 31.25\n', NFCORPUS,
    ),
    "single quotes": (
        f"{HEAD}  - dataset:\n      name: 'MTEB NFCorpus'\n      config: 'default'\n      split: 'test'\n"
        f"    metrics:\n{METRIC}", NFCORPUS,
    ),
    "flow style": (
        f"{HEAD}  - {{dataset: {{name: MTEB NFCorpus, config: default, split: test}}, "
        "metrics: [{type: ndcg_at_10, value: 31.25}]}\n", NFCORPUS,
    ),
    "JSON": (
        '---\n{"model-index": [{"name": "m", "results": [{"dataset": {"name": "MTEB NFCorpus", "config": "default", '
        '"split": "test"}, "metrics": [{"type": "ndcg_at_10", "value": 31.25}]}]}]}\n', NFCORPUS,
    ),
    "an anchor and its alias": (
        f"{HEAD}  - dataset:\n{NAME}    metrics: &these\n{METRIC}  - dataset:\n"
        f"      name: MTEB ArguAna\n      config: default\n      split: test\n    metrics: *these\n",
        NFCORPUS | {"ArguAna": {"test/default": 0.3125}},
    ),
    "a merge key": (
        f"{HEAD}  - dataset: &base\n{NAME}    metrics:\n{METRIC}  - dataset:\n      <<: *base\n"
        f"      name: MTEB ArguAna\n"
        f"    metrics:\n{METRIC}", NFCORPUS | {"ArguAna": {"test/default": 0.3125}},
    ),
    "comments and blank lines": (
        f"{HEAD}  # retrieval\n\n  - dataset:\n{NAME}    # measured in May\n    metrics:\n{METRIC}", NFCORPUS,
    ),
    "lines that end as on Windows": (f"{HEAD}  - dataset:\n{NAME}    metrics:\n{METRIC}".replace("\n", "\r\n"
    ""), NFCORPUS),
    "a folded name": (
        f"{HEAD}  - dataset:\n      name: >-\n        MTEB\n        NFCorpus\n      config: default\n"
        f"      split: test\n"
        f"    metrics:\n{METRIC}", NFCORPUS,
    ),
    "a whole number and an exponent": (
        f"{HEAD}  - dataset:\n{NAME}    metrics:\n    - type: ndcg_at_10\n      value: 31\n    - type: map_at_10\n"
        "      value: 2.5e+1\n", {"NFCorpus": {"test/default": 0.31}},
    ),
    "names and verification of metrics": (
        f"{HEAD}  - dataset:\n{NAME}    metrics:\n    - name: NDCG\n      type: ndcg_at_10\n      value: 31.25\n"
        "      verified: false\n", NFCORPUS,
    ),
    "neither revision nor config": (
        f"{HEAD}  - task:\n      type: Retrieval\n    dataset:\n      type: mteb/nfcorpus\n      name: MTEB NFCorpus\n"
        f"      split: test\n    metrics:\n{METRIC}", NFCORPUS,
    ),
    "Norwegian, which YAML 1.1 reads as false": (
        f"{HEAD}  - task:\n      type: Classification\n    dataset:\n      name: MTEB ScandiSentClassification (no)\n"
        "      config: no\n      split: test\n    metrics:\n    - type: accuracy\n      value: 62.5\n",
        {"ScandiSentClassification": {"test/no": 0.625}},
    ),
    "Norwegian by its config alone": (
        f"{HEAD}  - dataset:\n      name: MTEB ScandiSentClassification\n      config: no\n      split: test\n"
        "    metrics:\n    - type: accuracy\n      value: 62.5\n", {"ScandiSentClassification": {"test/no": 0.625}},
    ),
    "lists and nulls among the metrics": (
        f"{HEAD}  - task:\n      type: Clustering\n    dataset:\n      name: MTEB RedditClustering\n"
        f"      config: default\n"
        "      split: test\n    metrics:\n    - type: v_measure\n      value: 41.5\n    - type: v_measures\n"
        "      value:\n"
        "      - 0.40\n      - 0.43\n    - type: v_measure_std\n      value: ~\n",
        {"RedditClustering": {"test/default": 0.415}},
    ),
    "the main score beside its own name": (
        f"{HEAD}  - dataset:\n{NAME}    metrics:\n    - type: main_score\n      value: 31.25\n{METRIC}", NFCORPUS,
    ),
    "an old and a new name of one metric, in other digits": (
        f"{HEAD}  - dataset:\n      name: MTEB STSBenchmark\n      config: default\n      split: test\n    metrics:\n"
        "    - type: cos_sim_spearman\n      value: 82.03\n    - type: cosine_spearman\n      value: 82.03004\n",
        {"STSBenchmark": {"test/default": 0.8203}},
    ),
    "both generations in one card": (
        f"{HEAD}  - dataset:\n{NAME}    metrics:\n{METRIC}  - task:\n      type: STS\n      name: STS\n    dataset:\n"
        "      name: STSBenchmark (default)\n      type: mteb/stsbenchmark-sts\n      config: default\n"
        "      split: test\n"
        "    metrics:\n    - type: cosine_spearman\n      value: 0.8203\n      name: cosine_spearman\n"
        "    source:\n      url: https://github.com/embeddings-benchmark/mteb/\n      name: MTEB\n",
        NFCORPUS | {"STSBenchmark": {"test/default": 0.8203}},
    ),
    "blocks of another library before": (
        f"{HEAD}  - task:\n      type: semantic-similarity\n    dataset:\n      name: STSB\n      type: x\n"
        f"    metrics:\n"
        f"    - type: cosine_spearman\n      value: 0.875\n  - dataset:\n{NAME}    metrics:\n{METRIC}", NFCORPUS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_of_a_card_is_read_to_the_last_digit(tmp_path: Path, shape: str) -> None:
    text, expected = SHAPES[shape]
    path = tmp_path / "README.md"
    path.write_bytes(f"{text}---\n\n# A model\n".encode())
    entries, _ = make_entries(load_card(path).rows, "card:m")
    assert {name: entry.subsets for name, entry in entries.items()} == expected

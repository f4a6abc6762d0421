#!/usr/bin/env bash
# A gate for any CI that runs a shell: gate.sh MODEL AGAINST [OPTION...]. It ends as the gate does.
set -euo pipefail
candidate=$1 against=$2
shift 2

if ! command -v touchstone > /dev/null; then
    python3 -m venv .venv
    export PATH="$PWD/.venv/bin:$PATH"
    pip install torch --index-url https://download.pytorch.org/whl/cpu # the default brings several GB of CUDA
    pip install "touchstone-evals[minilm]"
fi

# Without evals/test_tasks.py, `touchstone run` does the same.
run=(touchstone run)
if [ -f evals/test_tasks.py ]; then run=(pytest evals); fi

code=0
"${run[@]}" "--model=$candidate" "--against=$against" --inconclusive fail \
    --report report.html --report run.json --report summary.md --junitxml junit.xml "$@" || code=$?
case "$code" in
    0) echo "as good: release" ;;
    1) echo "worse, or not measured: report.html says why" ;;
    9) echo "inconclusive: add samples, or accept it with --inconclusive pass" ;;
    *) echo "no verdict: exit code $code" ;;
esac
exit "$code"

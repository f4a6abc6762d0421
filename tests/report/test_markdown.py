import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row, make_run
from tests.report.suites import SMALL, large_run, small_run
from touchstone.records.runs import Record
from touchstone.records.verdicts import Slice
from touchstone.report.markdown import MAX_LENGTH, render_markdown

GOLDEN = """\
## touchstone: smoke

- 🔴 **jina: INCOMPLETE: not measured: Tatoeba**
- 🔴 **minilm: FAIL: NFCorpus worse than expected (mean Δ −2.20, 95 % \\[−2.55, −1.85\\] over 5 tasks, \
1 not paired by samples; over types −2.50 \\[−2.86, −2.14\\]; against the anchors −2.30 \\[−2.65, −1.95\\])**\
<br>by type: Retrieval FAIL −4.00 \\[−4.56, −3.44\\]; STS FAIL −1.00 \\[−1.45, −0.55\\]

7 cases: 1 failed, 1 error, 1 not measured, 1 suspect, 3 passed. 5000 texts, 4500 encoded, on cpu; \
model 5.0 s, encode 12.5 s.

### 6 cases to look at

| verdict | case | metric | Δ | why |
| --- | --- | --- | --: | --- |
| regressed | minilm:NFCorpus | ndcg\\_at\\_10 | −10.00 | ndcg\\_at\\_10 is what it is in NFCorpus |
| error | minilm:XNLI | max\\_ap |  | CUDA \\| out of &lt;memory&gt; |
| not measured | jina:Tatoeba | f1 |  | the run ended before it was measured |
| suspect | minilm:STS14 | cosine\\_spearman | −2.00 | ndcg\\_at\\_10 is what it is in STS14 |
| inconclusive | minilm:STS13 | cosine\\_spearman | −1.00 | ndcg\\_at\\_10 is what it is in STS13 |
| improved | minilm:SciFact | ndcg\\_at\\_10, limit 100 | +2.00 | ndcg\\_at\\_10 is what it is in SciFact |

Each of them again, by itself:

```sh
pytest evals --model minilm --task NFCorpus
```

<details><summary>All 7 cases</summary>

| case | metric | score | baseline | Δ | n | verdict |
| --- | --- | --: | --: | --: | --: | --- |
| jina:Tatoeba | f1 |  |  |  |  | not measured |
| minilm:XNLI | max\\_ap |  |  |  |  | error |
| minilm:NFCorpus | ndcg\\_at\\_10 | 70.00 | 80.00 | −10.00 | 500 | regressed |
| minilm:SciFact | ndcg\\_at\\_10, limit 100 | 82.00 | 80.00 | +2.00 | 500 | improved |
| minilm:STS13 | cosine\\_spearman | 79.00 | 80.00 | −1.00 | 500 | inconclusive |
| minilm:STS14 | cosine\\_spearman | 78.00 | 80.00 | −2.00 | 500 | suspect |
| minilm:STS16 | cosine\\_spearman | 80.00 | 80.00 | +0.00 | 500 | pass |

</details>

<details><summary>By slice, not gated</summary>

| task | slice | n | score | baseline | Δ | 95 % |
| --- | --- | --: | --: | --: | --: | --: |
| STS14 | language deu | 300 | 77.00 | 80.00 | −3.00 | \\[−5.00, −1.00\\] |
| STS14 | length &lt;script&gt;planted()&lt;/script&gt; | 200 | 79.00 | 78.00 | +1.00 |  |

</details>
"""


def test_a_run_is_verdicts_what_to_look_at_commands_and_a_folded_table() -> None:
    assert render_markdown(small_run()) == GOLDEN


@given(st.permutations(SMALL), st.booleans())
def test_the_order_of_records_and_models_does_not_matter(rows: list[Record], turned: bool) -> None:
    run = small_run()
    suites = run.suites[::-1] if turned else run.suites

    assert render_markdown(replace(run, records=tuple(rows), suites=suites)) == GOLDEN


def test_a_large_suite_stays_within_the_limit_and_says_what_is_left_out() -> None:
    run = large_run()
    text = render_markdown(run)

    assert MAX_LENGTH - 2_000 < len(text) <= MAX_LENGTH
    left = [int(found) for found in re.findall(r"^\d+(?= more cases are left out here)", text, re.MULTILINE)]
    assert len(left) == 2
    assert text.count("\n| regressed |") + text.count("\n| drifted |") + left[0] > 100
    rows = [line for line in text.partition("<details>")[2].splitlines() if line.startswith("| a-model")]
    assert len(rows) + left[1] == 1500
    assert re.search(r"^# \d+ more commands are left out here; the run record", text, re.MULTILINE)
    assert text.endswith("</details>\n")


@given(st.integers(0, 400), st.integers(0, 3000), st.sampled_from(["|", "é", "\\", "x y ", "<"]), st.randoms())
def test_whatever_is_in_a_run_it_stays_within_the_limit(
    cases: int, length: int, filling: str, chosen: random.Random
) -> None:
    rows = [
        make_row(f"T{i}{filling * (length % 90)}", outcome="error", error=filling * length, command=filling * length)
        for i in range(cases)
    ]
    text = render_markdown(replace(make_run(*rows), suite=filling * length))

    assert len(text) <= MAX_LENGTH
    assert text.endswith("</details>\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("`code` *bold* _it_ [a](b) ![i](j)", r"\`code\` \*bold\* \_it\_ \[a\](b) \!\[i\](j)"),
        ("back\\|slash", r"back\\\|slash"),
        ("a & b", "a &amp; b"),
    ],
)
def test_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert f"| {shown} |\n" in render_markdown(make_run(make_row(outcome="error", error=text)))


def test_a_plain_pass_has_nothing_to_look_at_and_no_command() -> None:
    text = render_markdown(make_run(make_row(verdict="pass", command="pytest evals --task STSBenchmark")))

    assert "to look at" not in text
    assert "```" not in text
    assert "<summary>The case</summary>" in text


def test_figures_by_slice_are_folded() -> None:
    one = Slice(field="length", value="3 to 80", n=120, score=0.7, baseline=0.72, interval=(-0.03, -0.01))
    found = render_markdown(make_run(replace(small_run().records[0], slices=(one,))))

    assert "<details><summary>By slice, not gated</summary>" in found
    assert "| length 3 to 80 | 120 | 70.00 | 72.00 | −2.00 | \\[−3.00, −1.00\\] |" in found

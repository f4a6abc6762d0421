import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import make_row, make_run
from tests.report.outline import outline
from tests.report.suites import PLANTED, SMALL, judged, large_run, shown, small_run
from touchstone.records.examples import Changed
from touchstone.records.outcomes import Speed, Stage
from touchstone.records.runs import Record, Run
from touchstone.records.verdicts import Slice
from touchstone.report.html import SAMPLES_BYTES, breaks, render_html
from touchstone.report.leaderboard import Average, Board, side_by_side

GOLDEN = Path(__file__).parent / "page.txt"
BOARD = Board(
    models=("jina", "minilm"),
    types={"NFCorpus": "Retrieval", "STS13": "STS"},
    scores={"NFCorpus": {"minilm": 0.7}, "STS13": {"minilm": 0.79, "jina": 0.8}},
    means={
        "jina": Average(tasks=1, average=0.8, by_type={"STS": 0.8}, missing=("NFCorpus",)),
        "minilm": Average(tasks=1, average=0.79, by_type={"STS": 0.79}, missing=()),
    },
    shared=1,
)


def past(run: Run) -> list[Run]:
    """Return two runs before that one, with other scores."""
    runs = []
    for day, change in ((19, 0.05), (20, 0.0)):
        rows = [
            replace(r, measurement=replace(r.measurement, score=r.measurement.score + change)) if r.measurement else r
            for r in run.records
        ]
        runs.append(replace(run, started=f"2026-11-{day}T12:00:00+00:00", records=tuple(rows)))
    return runs


def test_the_page_has_this_structure_and_these_words() -> None:
    found = "\n".join(outline(render_html(small_run(), past(small_run()), BOARD)).lines) + "\n"

    assert found == GOLDEN.read_text(), "if the new page is right, look at it and write it to tests/report/page.txt"


@settings(max_examples=10)
@given(st.permutations(SMALL), st.permutations(past(small_run())))
def test_the_order_of_records_and_of_past_runs_does_not_matter(rows: list[Record], history: list[Run]) -> None:
    run = small_run()

    assert render_html(replace(run, records=tuple(rows)), history) == render_html(run, past(run))


def test_a_page_asks_no_network_and_runs_its_own_script_only() -> None:
    page = render_html(small_run(), past(small_run()), BOARD)

    assert re.findall(r'(?:src|href)="(?!#|data:,"|\$)[^"]*"', page) == []
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("<script>") == page.count("<style>") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; ")
    assert "unsafe" not in policy[1]


@pytest.mark.parametrize("field", ["task", "alias", "reason", "command", "type", "metric", "device", "model"])
def test_whatever_a_field_holds_it_stays_text(field: str) -> None:
    changes = {"task": "STS13", "delta": -0.1, "word": "regressed", "type": "STS", field: PLANTED}
    tags = outline(render_html(make_run(judged(**changes)))).tags  # type: ignore[arg-type]

    assert tags.count("script") == 1
    assert "img" not in tags


def test_texts_of_data_sets_stay_text() -> None:
    page = render_html(small_run())

    assert outline(page).tags.count("script") == 1
    assert PLANTED not in page
    assert page.count("&lt;script&gt;document.title = &#34;planted&#34;&lt;/script&gt;") == 7


def test_slices_of_many_cases_leave_the_page_small_and_the_worst_have_theirs() -> None:
    run = large_run(length=500)
    slices = tuple(Slice(field="language", value=f"l{i}", n=30, score=0.7, baseline=0.71) for i in range(36))
    page = render_html(replace(run, records=tuple(replace(row, slices=slices) for row in run.records)))

    assert len(page.encode()) < 5_000_000
    first = page[page.index('<details class="case"') :]
    assert "language l35" in first[: first.index("</details>\n<details")]
    assert "Its 36 slices had no room on this page; the run record has them." in page


def test_a_suite_larger_than_any_benchmark_renders_quickly_and_stays_small() -> None:
    run = large_run(length=500)
    past_runs = [replace(run, started=f"2026-11-{day:02}T12:00:00+00:00") for day in range(1, 11)]
    started = time.process_time()
    page = render_html(run, past_runs)
    seconds = time.process_time() - started

    assert seconds < 5
    assert len(page.encode()) < 5_000_000
    assert page.count('<tr data-language="') == 1500
    assert page.count('<details class="case"') == 1500
    assert "had no room on this page; the run record has their texts" in page
    worst = min((r for r in run.records if r.verdict == "regressed"), key=lambda r: r.delta or 0)
    details = page.partition('id="details"')[2]
    assert details.index(breaks(worst.task)) < 2000, "the worst come first, and are the ones with texts"


def test_a_case_says_why_it_was_inconclusive_in_plain_words() -> None:
    text = " ".join(outline(render_html(make_run(judged("STS13", -0.01, "inconclusive")))).lines)

    assert re.search(r"60 of 500 samples changed; the true change lies between −1\.80 and −0\.20 points", text)
    assert "only a loss of 1.20 points or more would be found, four times in five" in text


def test_a_pipeline_shows_the_scores_of_both_its_stages() -> None:
    stages = tuple(
        Stage(alias=alias, model="m", fingerprint="f", metric="ndcg_at_10", score=score)
        for alias, score in (("minilm", 0.9436), ("cross", 0.9712))
    )
    lines = outline(render_html(make_run(judged("NFCorpus", 0.1, "improved", stages=stages)))).lines

    assert any("minilm 94.36, cross 97.12" in line for line in lines)


def test_a_run_made_of_others_is_no_point_beside_them() -> None:
    one, two = past(small_run())
    merged = replace(small_run(), started=two.started)

    assert render_html(merged, [one, two]).count("over 2 runs") == 5
    assert render_html(small_run(), [one, two]).count("over 3 runs") == 5
    assert render_html(small_run(), [one, two, small_run()]).count("over 3 runs") == 5


def test_a_run_of_which_nothing_was_measured_or_judged_is_a_page_too() -> None:
    page = outline(render_html(make_run(make_row(outcome="not measured", model=None, revision=None))))

    assert any("Nothing was judged" in line for line in page.lines)
    assert any("the run ended before it was measured" in line for line in page.lines)
    assert outline(render_html(make_run())).tags.count("table") == 2


def test_texts_that_could_not_be_read_are_told_of() -> None:
    found = replace(shown(1, 0), note="the texts could not be read: KeyError: 'x'")
    lines = outline(render_html(make_run(judged("STS13", -0.1, "regressed", shown=found)))).lines

    assert any("The texts could not be read: KeyError: 'x'." in line for line in lines)


def test_how_many_changed_as_much_as_those_shown_is_told() -> None:
    found = replace(shown(2, 1), lost_alike=58, gained_alike=1)
    text = " ".join(outline(render_html(make_run(judged("STS13", -0.1, "regressed", shown=found)))).lines)

    assert "2 of 58 samples that each lost at least 0.75" in " ".join(text.split())
    assert "samples that each gained" not in text


def test_all_cases_stand_in_the_order_of_those_to_look_at_and_the_axis_is_drawn_once() -> None:
    rows = judged("A", 0.0, "pass"), judged("B", -0.01, "pass", type="X"), judged("C", -0.1, "regressed")
    page = render_html(make_run(*rows))

    assert re.findall(r'<tr data-language.*?<a href="#case-\d">(\w)</a>', page) == ["C", "B", "A"]
    assert page.count('class="axis"') == 1


def test_samples_that_changed_and_are_worth_the_same_are_told_from_those_that_lost_or_gained() -> None:
    lists: dict[str, Changed | str] = {"minilm:NFCorpus": changed(["q1", "q2"]), "minilm:STS16": changed(["q"] * 60)}
    page = render_html(small_run(), (), None, lists)

    assert "2 of the 60 samples that changed lost or gained: all in a list" in page
    assert "60 samples lost or gained: all in a list" in page
    assert page.count("Their texts are not known here.") == 0


def test_a_long_document_can_be_opened() -> None:
    found = shown(1, 0, length=40)
    (example,) = found.lost
    long = replace(example.documents[0], text="word " * 200)
    page = render_html(
        make_run(judged("A", -0.1, "regressed", shown=replace(found, lost=(replace(example, documents=(long,)),))))
    )

    (head, tail) = re.findall(
        r'<details class="more"><summary>(.*?)<span>… more</span></summary>(.*?)</details>', page
    )[0]
    assert head + tail == "word " * 200
    assert 200 < len(head) <= 240


def test_a_command_stands_beside_the_version_and_commit_that_ran_it() -> None:
    run = replace(small_run(), environment={"touchstone-evals": "1.2.3"})
    lines = [line.strip() for line in outline(render_html(run)).lines]

    assert lines.count("Again, by itself, with touchstone-evals 1.2.3, at the project's commit 0123456789ab:") == 5


def test_a_case_near_guessing_says_so_though_it_passes() -> None:
    row = judged("RTE3", 0.0, "pass", chance=0.79, metric="accuracy")
    text = " ".join(line.strip() for line in outline(render_html(make_run(row))).lines)

    assert "close to what guessing gets, which is to name the most frequent label every time" in text


def test_a_long_name_may_break_and_stays_text() -> None:
    assert breaks("TweetSentiment_v2+x:A") == "Tweet<wbr>Sentiment_<wbr>v2+<wbr>x:<wbr>A"
    assert breaks("XQuADRetrieval SIB200Classification") == "XQuAD<wbr>Retrieval SIB200<wbr>Classification"
    assert breaks('a<b"C') == "a&lt;b&#34;C"


def test_a_page_has_figures_by_slice_and_what_a_part_of_a_suite_came_to() -> None:
    run = small_run()
    one = Slice(field="length", value="3 to 80", n=120, score=0.7, baseline=0.72, interval=(-0.03, -0.01))
    suite = replace(run.suites[0], planned=41, anchor=(-0.004, -0.006, -0.002))
    rows = (replace(run.records[0], slices=(one,)), *run.records[1:])
    lines = " ".join(outline(render_html(replace(run, records=rows, suites=(suite,)))).lines)

    assert "By slice, not gated" in lines
    assert "length 3 to 80" in lines
    assert "Rests on 6 of the suite's 41 cases" in lines
    assert "Against the anchors:" in lines


def embedded(page: str) -> dict[str, Any]:
    """Return what the script of a page reads."""
    found: dict[str, Any] = json.loads(page.partition('<template id="data">')[2].partition("</template>")[0])
    return found


def changed(ids: Sequence[str]) -> Changed:
    n = len(ids)
    return Changed(measure="m", ids=ids, strata=["test/a"] * n, before=[1.0] * n, after=[1 / 3] * n)


def test_every_changed_sample_is_in_the_page_and_stays_text() -> None:
    page = render_html(small_run(), (), None, {"minilm:NFCorpus": changed(["q1", f"</template>{PLANTED}\n\u202e"])})
    data = embedded(page)

    (known,) = filter(None, data["changed"])
    assert [row[1:] for row in known["rows"]] == [[0, 1.0, 0.333333]] * 2
    assert (known["strata"], known["of"], known["rows"][0][0]) == (["test/a"], 2, "q1")
    assert known["rows"][1][0].startswith("</template><script>")
    assert "\u202e" not in known["rows"][1][0]
    assert page.count("<script") == 1
    record = dict(zip(data["columns"], data["records"][data["changed"].index(known)], strict=True))
    assert (record["task"], record["score"], record["verdict"]) == ("NFCorpus", 0.7000000000000001, "regressed")


def test_a_case_says_why_its_samples_are_not_listed() -> None:
    lists: dict[str, Changed | str] = {"minilm:NFCorpus": "the reason", "minilm:STS16": changed([])}
    text = " ".join(outline(render_html(small_run(), (), None, lists)).lines)

    assert "The samples that changed are not listed: the reason." in text
    assert "Texts are known" not in text
    assert "No sample lost or gained." in text


def test_so_many_samples_that_they_have_no_room_are_cut_and_that_is_said() -> None:
    run, names = small_run(), [f"q{number:06}" for number in range(100_000)]
    lists = {"minilm:NFCorpus": changed(names), "minilm:STS13": changed(names), "minilm:STS14": changed(names[:10])}
    page = render_html(run, (), None, lists)
    first, second, small = sorted((one["rows"] for one in embedded(page)["changed"] if one), key=len, reverse=True)

    assert len(page.encode()) < SAMPLES_BYTES + 300_000
    assert len(small) == 10
    assert 20_000 < len(second) <= len(first) < 22_000
    assert f"The {len(first)} most changed are listed: the page has no room for the other" in page
    assert first[0][0] == "q000000"


def test_a_secret_is_hidden_in_what_can_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret_value")
    page = render_html(make_run(judged("hf_very_secret_value", -0.1, "regressed")), (), None,
                       {"minilm:hf_very_secret_value": changed(["a hf_very_secret_value"])})  # fmt: skip

    assert "secret_value" not in page
    assert "a ***" in page


def test_models_side_by_side_have_short_names_and_their_cost_is_drawn() -> None:
    speeds = {"a": 10.0, "a+dim-64": 20.0, "a+dim-32": None}
    rows = [
        make_row("STS13", alias=alias, score=0.8, speed=rate and Speed(machine="m", texts_per_second=rate))
        for alias, rate in speeds.items()
    ]
    run = make_run(*rows)
    page = render_html(run, (), side_by_side(run))

    assert '<th scope="col" class="num" title="a+dim-64" aria-label="a+dim-64">…64</th>' in page
    assert "Mean score over 1 task by texts per second, on a logarithmic axis." in page
    assert "Not known for a+<wbr>dim-32." in page
    assert 'aria-label="a: 10 texts per second, 80.00; a+dim-64: 20 texts per second, 80.00"' in page

"""The page in a real browser: it complains of nothing, asks nobody, and can be sorted, filtered and walked by keys."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Tab, find_chromium, open_tab
from tests.builders import make_run
from tests.report.hostile import HOSTILE, IN_ADDRESSES, run_of
from tests.report.suites import judged, large_run, shown, small_run
from tests.report.test_html import BOARD, past
from touchstone.records.examples import Changed
from touchstone.report.html import render_html
from touchstone.report.json import render_json
from touchstone.report.leaderboard import side_by_side

CLICKS = "document.querySelectorAll('button, summary, #filters option, td').forEach(one => one.click())"
NOT_OURS = "img, iframe, object, embed, base, form:not(#filters), [onerror], [onload], [onclick], a:not([href^='#'])"
ROWS = "Array.from(document.querySelectorAll('#table tbody tr')).filter(row => !row.hidden)"
FIRST = f"{ROWS}.map(row => row.cells[0].textContent)"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium on the path")
    with open_tab(chromium, tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.fixture
def page(tab: Tab, tmp_path: Path) -> Iterator[Tab]:
    """A page that is open; whatever a test does there, it may not complain or ask the network."""
    file = tmp_path / "report.html"
    file.write_text(render_html(small_run(), past(small_run()), BOARD), encoding="utf-8")
    tab.complaints.clear()
    tab.asked.clear()
    tab.look_like(1280, 900, scheme="light")
    tab.open(file)
    yield tab
    tab.ask("new Promise(resolve => setTimeout(resolve, 50))")
    assert tab.complaints == []
    assert set(tab.asked) == {file.resolve().as_uri()}


def sort(page: Tab, column: str) -> None:
    buttons = "Array.from(document.querySelectorAll('#table thead button'))"
    page.ask(f"{buttons}.find(one => one.textContent === '{column}').click()")


def choose(page: Tab, **wanted: str) -> Any:
    for name, value in wanted.items():
        field = f"document.querySelector('#filters [name={name}]')"
        page.ask(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    return page.ask(FIRST)


def test_a_planted_script_stays_text(page: Tab) -> None:
    assert page.ask("document.title") == "touchstone: smoke"
    assert page.ask("document.scripts.length") == 1
    assert page.ask("document.images.length") == 0
    assert 'document.title = "planted"' in page.ask("document.querySelector('.example q').textContent")


def test_the_policy_lets_no_other_script_run(page: Tab) -> None:
    page.ask(
        "{const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)}"
    )

    assert page.ask("document.title") == "touchstone: smoke"
    (complaint,) = page.complaints
    assert "Content Security Policy" in complaint["entry"]["text"]
    page.complaints.clear()


def test_a_column_sorts_both_ways_by_number_and_what_has_none_stays_last(page: Tab) -> None:
    sort(page, "Δ")
    upward = page.ask(FIRST)
    sort(page, "Δ")
    downward = page.ask(FIRST)

    assert upward[:5] == ["NFCorpus", "STS14", "STS13", "STS16", "SciFact (limit 100)"]
    assert downward[:5] == upward[:5][::-1]
    assert set(upward[5:]) == set(downward[5:]) == {"Tatoeba", "XNLI"}
    assert page.ask("document.querySelectorAll('#table [aria-sort]').length") == 1
    sort(page, "task")
    assert page.ask(FIRST) == ["NFCorpus", "SciFact (limit 100)", "STS13", "STS14", "STS16", "Tatoeba", "XNLI"]


def test_filters_work_together_and_say_how_many_are_left(page: Tab) -> None:
    assert choose(page, verdict="inconclusive") == ["STS13"]
    assert choose(page, verdict="", type="STS") == ["STS14", "STS13", "STS16"]
    assert choose(page, language="deu") == ["STS16"]
    assert page.ask("document.querySelector('output').textContent") == "1 of 7"
    assert choose(page, language="", type="", model="jina") == ["Tatoeba"]
    assert choose(page, model="", text="sci") == ["SciFact (limit 100)"]
    assert choose(page, text="no such thing") == []
    assert len(choose(page, text="")) == 7


def test_a_row_leads_to_its_detail_and_opens_it(page: Tab) -> None:
    page.ask("document.querySelector('#table a[href=\"#case-5\"]').click()")
    page.ask("new Promise(resolve => setTimeout(resolve, 100))")

    assert page.ask("document.getElementById('case-5').open") is True
    assert page.ask("document.querySelectorAll('details.case[open]').length") == 1
    assert page.ask("document.activeElement.parentElement.id") == "case-5"
    page.ask("document.getElementById('case-5').open = false")
    page.ask("document.querySelector('#table a[href=\"#case-5\"]').click()")
    assert page.ask("document.getElementById('case-5').open") is True


def test_a_link_to_a_case_opens_it(page: Tab, tmp_path: Path) -> None:
    page.open(tmp_path / "report.html", "#case-3")

    assert page.ask("document.getElementById('case-3').open") is True
    page.asked[:] = [url.partition("#")[0] for url in page.asked]


def test_the_link_of_a_case_is_copied_or_else_the_address(page: Tab, tmp_path: Path) -> None:
    page.ask("{const one = document.querySelector('#case-3 .copy'); one.closest('details').open = true; one.click()}")
    page.ask("new Promise(resolve => setTimeout(resolve, 300))")

    if page.ask("document.querySelector('#case-3 .copy').textContent") != "copied":
        assert page.ask("location.href") == f"{(tmp_path / 'report.html').resolve().as_uri()}#case-3"


IDS = [f"q{number:03}" for number in range(120)]
LIST = "document.querySelector('#case-3 .changed')"
COUNT = f"{LIST}.querySelector('output').textContent"
CELLS = "Array.from(PLACE.querySelectorAll('tbody tr'), row => Array.from(row.cells, cell => cell.textContent))"


def cells(page: Tab, place: str) -> list[list[str]]:
    rows: list[list[str]] = page.ask(CELLS.replace("PLACE", place))
    return rows


def write_text(page: Tab, field: str, text: str) -> None:
    page.ask(f"{field}.value = {json.dumps(text)}; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


@pytest.fixture
def listed(page: Tab, tmp_path: Path) -> Tab:
    """The page of a case of which 120 samples changed; the list of them is open."""
    changed = Changed(
        measure="ndcg_at_10",
        ids=[*IDS[:-1], "=<IMG src=x>"],
        strata=["test/default"] * 120,
        before=[1.0] * 120,
        after=[number / 200 for number in range(120)],
    )
    file = tmp_path / "report.html"
    file.write_text(render_html(small_run(), (), BOARD, {"minilm:NFCorpus": changed}), encoding="utf-8")
    page.open(file, "#case-3")
    page.asked[:] = [url.partition("#")[0] for url in page.asked]
    page.ask(f"{LIST}.querySelector('summary').click()")
    page.ask("new Promise(resolve => setTimeout(resolve, 100))")
    return page


def test_all_changed_samples_are_leafed_through_put_in_order_and_searched(listed: Tab) -> None:
    rows = cells(listed, LIST)
    assert [row[0] for row in rows] == IDS[:50]
    assert rows[1][:5] == ["q001", "−0.995", "1.000", "0.005", "test/default"]
    assert rows[1][5] == "", "its text is not known"
    assert listed.ask(COUNT) == "1 to 50 of 120"
    for _ in range(2):
        listed.ask(f"{LIST}.querySelectorAll('.save')[2].click()")
    assert listed.ask(COUNT) == "101 to 120 of 120"
    assert listed.ask(f"{LIST}.querySelectorAll('.save')[2].disabled") is True
    assert cells(listed, LIST)[-1][0] == "=<IMG src=x>"
    for _ in range(2):
        listed.ask(f"{LIST}.querySelectorAll('thead button')[3].click()")
    assert cells(listed, LIST)[0][3] == "0.595"
    write_text(listed, f"{LIST}.querySelector('input')", "Q01")
    assert sorted(row[0] for row in cells(listed, LIST)) == [f"q01{number}" for number in range(10)]
    write_text(listed, f"{LIST}.querySelector('input')", "Q" * 40)
    assert [row[0] for row in cells(listed, LIST)] == ["q100"], "the text that is known of it"
    assert cells(listed, LIST)[0][5].startswith("query <script>")
    assert len(cells(listed, LIST)[0][5]) == 100
    write_text(listed, f"{LIST}.querySelector('input')", " =<img")
    assert [row[0] for row in cells(listed, LIST)] == ["=<IMG src=x>"]
    write_text(listed, f"{LIST}.querySelector('input')", "no such thing")
    assert (cells(listed, LIST), listed.ask(COUNT)) == ([], "none")


def test_a_list_is_leafed_through_by_keys_alone(listed: Tab) -> None:
    listed.ask(f"{LIST}.querySelector('input').focus()")
    for _ in range(12):
        listed.press("Tab")
        if listed.ask("document.activeElement.textContent") == "next":
            break
    listed.press("Enter")
    assert listed.ask(COUNT) == "51 to 100 of 120"
    assert listed.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"


def test_a_case_whose_samples_have_no_room_or_no_text_has_a_list_all_the_same(page: Tab, tmp_path: Path) -> None:
    file, empty = tmp_path / "report.html", ["x" * 2_000_000]
    changed = Changed(measure="m", ids=empty, strata=["test/a"], before=[1.0], after=[0.5])
    file.write_text(render_html(make_run(judged("A", -0.1, "regressed")), (), None, {"minilm:A": changed}))
    page.open(file)
    page.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.ask("new Promise(resolve => setTimeout(resolve, 100))")
    place = "document.querySelector('.changed')"
    assert (cells(page, place), page.ask(f"{place}.querySelector('output').textContent")) == ([], "none")


def test_samples_and_cases_are_saved(listed: Tab) -> None:
    listed.ask("URL.createObjectURL = (blob) => { window.saved = blob; return '#'; }; 1")
    listed.ask(f"{LIST}.querySelector('.save').click()")
    samples = list(csv.reader(listed.ask("saved.text()").splitlines()))
    assert samples[0][:4] == ["sample", "Δ", "before", "now"]
    assert samples[2][:4] == ["q001", "-0.995", "1", "0.005"]
    assert samples[120][0] == "'=<IMG src=x>", "a spreadsheet would compute it"
    listed.ask("document.querySelector('#filters .save[value=csv]').click()")
    rows = {row["task"]: row for row in csv.DictReader(listed.ask("saved.text()").splitlines())}
    assert len(rows) == 7
    assert (rows["NFCorpus"]["verdict"], rows["NFCorpus"]["delta"]) == ("regressed", "-0.1")
    listed.ask("document.querySelector('#filters .save[value=json]').click()")
    run = json.loads(listed.ask("saved.text()"))
    assert run["suite"] == "smoke"
    assert [len(one["rows"]) for one in run["changed"] if one] == [120]
    assert drop(listed, json.dumps(run)).startswith("other.json, suite smoke of 2026-11-21: 5 of 7 cases can be")


OTHER = "document.getElementById('other')"
CHOICE, STATUS = f"{OTHER}.querySelector('select')", f"{OTHER}.querySelector('[role=status]').textContent"


def drop(page: Tab, text: str, name: str = "other.json") -> str:
    page.ask(
        f"{{const files = new DataTransfer(); files.items.add(new File([{json.dumps(text)}], {json.dumps(name)}));"
        " document.dispatchEvent(new DragEvent('drop', {cancelable: true, dataTransfer: files}))}"
    )
    page.ask("new Promise(resolve => setTimeout(resolve, 100))")
    status: str = page.ask(STATUS)
    return status


def test_another_run_stands_beside_this_one(page: Tab) -> None:
    run = small_run()
    rows = [row for row in past(run)[0].records if row.task != "STS14"]
    renamed = [replace(row, alias="renamed") for row in rows if row.task == "STS13"]
    status = drop(page, render_json(replace(run, records=(*rows, *renamed))))

    assert "4 of 7 cases can be compared, mean 77.75 here and 82.75 there, Δ −5.00." in status
    rows_of = {row[0]: row[1:] for row in cells(page, OTHER)}
    assert rows_of["STS13"] == ["−5.00", "79.00", "84.00", "minilm", ""]
    assert rows_of["STS14"] == ["", "78.00", "", "minilm", "not there"]
    write_text(page, CHOICE, "renamed")
    assert "1 of 7 cases can be compared" in page.ask(STATUS)


def test_what_was_measured_otherwise_is_not_compared(page: Tab) -> None:
    run = json.loads(render_json(small_run()))
    for record in run["records"]:
        record["metric"] = "<b>accuracy</b>"

    assert "0 of 7 cases can be compared. " in drop(page, json.dumps(run))
    assert {(row[1], row[5]) for row in cells(page, OTHER)} == {("", "there <b>accuracy</b>")}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"records": []}', '{"records": [{"task": 1}]}'])
def test_another_file_is_told_in_one_sentence(page: Tab, text: str) -> None:
    status = drop(page, text, "<img src=x>.json")

    assert status == "<img src=x>.json is no run record: expected what --report run.json writes."
    assert cells(page, OTHER) == []


def test_a_hostile_run_that_is_dropped_is_text(page: Tab) -> None:
    rows = [
        {"task": text, "alias": text, "metric": text, "score": score}
        for text in (*HOSTILE, "__proto__", "STS13")
        for score in (text, 1e308, None, {"toString": text})
    ]
    drop(page, json.dumps({"records": rows, "suite": {"a": 1}, "started": HOSTILE}), HOSTILE[0])
    write_text(page, CHOICE, HOSTILE[0])

    assert "0 of 7 cases" in page.ask(STATUS)
    assert page.ask("document.title") == "touchstone: smoke"
    assert page.ask("document.images.length + document.scripts.length") == 1
    assert page.ask(f'document.querySelectorAll("{NOT_OURS}").length') == 0


def test_a_command_is_copied_or_else_selected(page: Tab) -> None:
    page.ask("{const one = document.querySelector('.again .copy'); one.closest('details').open = true; one.click()}")
    page.ask("new Promise(resolve => setTimeout(resolve, 300))")

    said = page.ask("document.querySelector('.again .copy').textContent")
    assert said in ("copied", "selected")
    if said == "selected":
        assert page.ask("getSelection().toString()").startswith("pytest evals --model minilm --task NFCorpus")


def test_a_long_document_is_opened_by_keys_alone(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "long.html"
    file.write_text(render_html(make_run(judged("A", -0.1, "regressed", shown=shown(1, 0, length=600)))))
    tab.open(file)
    tab.ask("document.querySelectorAll('.case, .example details:not(.more)').forEach(one => one.open = true)")
    tab.ask("document.querySelector('.example summary').focus()")
    tab.press("Tab")

    assert tab.ask("document.activeElement.parentElement.className") == "more"
    assert tab.ask("document.activeElement.parentElement.open") is False
    tab.press("Enter")
    assert tab.ask("document.activeElement.parentElement.open") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_can_be_used_can_be_seen(page: Tab, scheme: str) -> None:
    page.look_like(1280, 900, scheme=scheme)

    for element in ("#filters input", "#filters select", ".copy"):
        assert page.ask(CONTRAST.replace("ELEMENT", element).replace(").color,", ").borderTopColor,")) >= 3, element
    arrow = CONTRAST.replace("ELEMENT", "#table thead button").replace("element).color", "element, '::after').color")
    assert "::after" in arrow
    assert page.ask(arrow) >= 3


def test_the_table_on_a_phone_has_task_verdict_and_change_in_sight(page: Tab) -> None:
    page.look_like(390, 800, scheme="light")

    headers = page.ask("Array.from(document.querySelectorAll('#table thead button'), one => one.textContent)")
    right = "Array.from(document.querySelectorAll('#table tr'), row => row.cells[2].getBoundingClientRect().right)"
    assert headers[:3] == ["task", "verdict", "Δ"]
    assert page.ask(f"Math.max(...{right})") <= 390


def test_the_table_is_sorted_by_keys_alone(page: Tab) -> None:
    page.ask("document.querySelector('#filters select').focus()")
    for _ in range(30):
        page.press("Tab")
        if page.ask("document.activeElement.textContent") == "Δ":
            break
    page.press("Enter")

    assert page.ask("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    assert page.ask(FIRST)[0] == "NFCorpus"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 800)])
def test_nothing_sticks_out_and_text_can_be_read_on_any_screen(page: Tab, width: int, height: int, scheme: str) -> None:
    page.look_like(width, height, scheme=scheme)
    page.ask("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert page.ask("document.documentElement.scrollWidth") <= width
    for element in (
        "body",
        ".badge.v-regressed",
        ".badge.v-inconclusive",
        ".badge.v-improved",
        ".note",
        "a:not(.skip)",
    ):
        assert page.ask(CONTRAST.replace("ELEMENT", element)) >= 4.5, element


# The ratio of WCAG 2.2, section 1.4.3, between a text and the nearest background behind it.
CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (color) => rgb(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector('ELEMENT');
  let behind = element;
  while ((rgb(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
  const [low, high] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
    .map(light).sort((one, other) => one - other);
  return (high + 0.05) / (low + 0.05);
})()"""


def test_the_largest_page_sorts_and_filters_without_a_wait(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "large.html"
    file.write_text(render_html(large_run()), encoding="utf-8")
    tab.complaints.clear()
    tab.open(file)

    took = tab.ask(
        "(() => { const start = performance.now(); document.querySelectorAll('#table thead button')[2].click();"
        " const field = document.querySelector('#filters [name=type]'); field.value = 'STS';"
        " field.dispatchEvent(new Event('input', {bubbles: true})); return performance.now() - start; })()"
    )

    assert len(tab.ask(FIRST)) == 250
    assert took < 2000
    assert tab.complaints == []


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which every text of every case is hostile, or very long."""
    run = run_of(*HOSTILE, "a" * 10_000, "a b " * 3_000)
    numbers = [0.5] * len(HOSTILE)
    samples = Changed(measure=HOSTILE[0], ids=HOSTILE, strata=HOSTILE, before=numbers, after=numbers)
    file = tmp_path_factory.mktemp("hostile") / "report.html"
    changed = {row.case: samples for row in run.records[::50]}
    file.write_text(render_html(run, past(run), side_by_side(run), changed), encoding="utf-8")
    return file


def check_hostile(tab: Tab, file: Path) -> None:
    tab.ask("new Promise(resolve => setTimeout(resolve, 50))")
    assert tab.ask("document.title").startswith("touchstone: <script>")
    assert tab.ask("document.scripts.length") == 1
    assert tab.ask(f'document.querySelectorAll("{NOT_OURS}").length') == 0
    assert tab.complaints == []
    assert {re.split("[?#]", url)[0] for url in tab.asked} == {file.resolve().as_uri()}


def test_a_page_of_hostile_texts_is_a_page_of_texts(tab: Tab, hostile_page: Path) -> None:
    tab.complaints.clear()
    tab.asked.clear()
    tab.open(hostile_page)
    tab.ask(CLICKS)

    check_hostile(tab, hostile_page)
    for width in (1280, 400):
        tab.look_like(width, 900, scheme="light")
        tab.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.ask("document.documentElement.scrollWidth") <= width


def test_a_hostile_address_does_nothing(tab: Tab, hostile_page: Path) -> None:
    tab.complaints.clear()
    tab.asked.clear()
    tab.open(hostile_page)
    for fragment in IN_ADDRESSES:
        if fragment.startswith("#"):  # as a link that is followed, on the page that is open
            tab.ask(f"location.hash = {json.dumps(fragment)}")
            tab.ask("document.querySelector('#table a').click()")
            tab.ask("history.replaceState(null, '', location.hash); document.querySelector('td').click()")
    check_hostile(tab, hostile_page)


@pytest.mark.parametrize("fragment", IN_ADDRESSES, ids=map(str, range(len(IN_ADDRESSES))))
def test_a_page_opens_under_a_hostile_address(tab: Tab, tmp_path: Path, fragment: str) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_html(run_of(HOSTILE[0])), encoding="utf-8")
    tab.complaints.clear()
    tab.asked.clear()
    tab.open(file, fragment)
    tab.ask("document.querySelector('td').click(); document.querySelector('#table a').click()")

    check_hostile(tab, file)

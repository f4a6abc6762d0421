"""What JUnit files say beside pytest's own: the verdict of each model as a test case, figures as properties."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

from touchstone.files.writing import write_atomically
from touchstone.foreign import one_line
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.report.text import render_suite

CLASS = "touchstone.verdict"
# What an element of JUnit's is for each verdict, and which count of the file has it.
ELEMENTS = {
    "FAIL": ("failure", "failures"),
    "INCOMPLETE": ("error", "errors"),
    "INCONCLUSIVE": ("skipped", "skipped"),
}


def figures(record: Record) -> Iterator[tuple[str, object]]:
    """Yield the properties of a case: scores, and what its verdict rests on where samples were paired."""
    scores = {"score": record.score, "baseline": record.baseline, "delta": record.delta}
    yield from ((name, value) for name, value in scores.items() if value is not None)
    if record.evidence is not None:
        yield "p", record.evidence.p
        yield "interval", "[{}, {}]".format(*record.evidence.interval)
    if record.terms is not None:
        yield "level", record.terms.case_level


def add_verdicts(path: Path, suites: Sequence[SuiteVerdict], inconclusive: str) -> None:
    """Add a test case for each model to a file that pytest has written; one that is not there stays so."""
    try:
        tree = ET.parse(path)
    except (OSError, ET.ParseError):  # pytest said why
        return
    tests = next(tree.iter("testsuite"))
    for suite in suites:
        case = ET.SubElement(tests, "testcase", classname=CLASS, name=one_line(suite.model), time="0")
        properties = ET.SubElement(case, "properties")
        interval = None if suite.interval is None else "[{}, {}]".format(*suite.interval)
        values = (("verdict", suite.verdict), ("delta", suite.delta), ("interval", interval), ("cases", suite.cases))
        for name, value in values:
            if value is not None:
                ET.SubElement(properties, "property", name=name, value=str(value))
        _count(tests, "tests")
        if suite.verdict in ELEMENTS:
            element, count = ELEMENTS[suite.verdict]
            if suite.verdict == "INCONCLUSIVE" and inconclusive == "fail":
                element, count = ELEMENTS["FAIL"]
            ET.SubElement(case, element, message=render_suite(suite).partition("\n")[0])
            _count(tests, count)
    write_atomically(path, ET.tostring(tree.getroot(), encoding="utf-8", xml_declaration=True))


def _count(tests: ET.Element, name: str) -> None:
    tests.set(name, str(int(tests.get(name, "0")) + 1))

import pytest

from touchstone.errors import BaselineError
from touchstone.files.yaml import parse_yaml


def test_plain_values_come_back() -> None:
    text = "a: [1, 2.5, null, none]\nb: {c: yes}\nd: &x {e: 1}\nf: {<<: *x, e: 2}\n"
    assert parse_yaml(text, "x") == {
        "a": [1, 2.5, None, "none"],
        "b": {"c": True},
        "d": {"e": 1},
        "f": {"e": 2},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: [", "x.md: not YAML at line "),
        ("a: 1\nb:\n  c: 1\n  c: 1\n", 'x.md: not YAML at line 13: the key "c" is here twice'),
        ("a: !!python/object:os.system {}", "x.md: not YAML at line 10: could not determine a constructor for the tag"),
        ("a: 2026-13-45", "x.md: not YAML: ValueError: month must be in 1..12"),
        ("a: \x01", "x.md: not YAML: ReaderError"),
        ("{[1]: 2}", "x.md: not YAML at line 10: found unhashable key"),
        ("a: " + "[" * 5000, "x.md: not YAML"),
    ],
)
def test_what_is_not_yaml_is_one_sentence_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(BaselineError) as caught:
        parse_yaml(text, "x.md", line=10)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)

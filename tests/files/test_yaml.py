import pytest

from tests.files.measuring import assert_cheap
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


def laughs(levels: int, around: str = "[{}]") -> str:
    nine = "".join(f"a{n}: &a{n} {around.format(', '.join([f'*a{n - 1}'] * 9))}\n" for n in range(1, levels))
    return "a0: &a0 {k: v}\n" + nine


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (laughs(10), "is more than"),
        (laughs(40), "is more than"),
        (laughs(10, "{{<<: [{}]}}"), "is more than"),
        ("a: &a [*a]", "holds itself"),
        ("a: &a {b: {c: *a}}", "holds itself"),
        ("a: &a\n  <<: *a", "holds itself"),
        ("a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)), "is nested too deeply"),
        ("[" * 100_000, ""),
        ("- " * 100_000, ""),
        ("a: " + "{a: " * 100_000, ""),
        ("a: " + "[" * 150 + "]" * 150, "is nested too deeply"),
        ("a: " + "9" * 5_000, "holds a number of more than"),
        ("a: 1" + ":1" * 500_000, "holds a number of more than"),
        ("? 0x" + "f" * 500_000 + "\n: 1", "holds a number of more than"),
        ("1: a\n0x1: b", 'the key "0x1" is here twice'),
        ("yes: a\ntrue: b", 'the key "true" is here twice'),
        ("~: a\nnull: b", 'the key "null" is here twice'),
        ("a: !!timestamp x", ""),
        ('a: !!int ""', ""),
        ("a: !!bool x", ""),
        ("[" + "1, " * 3_000_000 + "]", "holds more values"),
    ],
    ids=lambda value: value[:20],
)
def test_a_bomb_is_one_sentence_soon(text: str, why: str) -> None:
    message = assert_cheap(lambda: parse_yaml(text, "x.md"))
    assert message.startswith("x.md: ")
    assert why in message


def test_a_card_of_a_hundred_thousand_lines_is_read() -> None:
    text = "a:\n" + "".join(f"- type: map_at_{n}\n  value: {n}.5\n" for n in range(50_000))
    assert_cheap(lambda: parse_yaml(text, "x"), refused=False)
    assert len(parse_yaml(text, "x")["a"]) == 50_000

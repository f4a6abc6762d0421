"""Text of strangers at each of its destinations: shown, and nothing else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone import foreign
from touchstone.errors import SENTENCE_LENGTH, ConfigError
from touchstone.foreign import (
    disarm,
    hide_secrets,
    in_code,
    in_every,
    in_html,
    in_log,
    in_markdown,
    in_message,
    in_property,
    lines,
    one_line,
)  # fmt: skip

KEY = "sk-proj-4f9Qa7TzLw0Xc2Vb"
ANY = st.text(st.characters(codec=None, categories=None), max_size=60) | st.text("\x1b[]0;m:#%\r\n\u202e\ud800a ")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is: é 日本語 🟢 −0.5 …", "as it is: é 日本語 🟢 −0.5 …"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", r"\x1b]8;;http://x\x07link\x1b]8;;\x07"),
        ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2066c\u200ed", r"a\u202eb\u2066c\u200ed"),
        ("one\ntwo\r\nthree\u2028four\u2029five\x85six", "one two  three four five six"),
        ("a\0b\x08c\x7f", r"a\x00b\x08c\x7f"),
        ("\ud800 and \udcff", r"\ud800 and \udcff"),
        ("no\u00a0break", "no break"),
        ("می\u200cخواهم 👩\u200d👩", "می\u200cخواهم 👩\u200d👩"),
        (" \n ", ""),
        ("::error::x and ##[debug]y", r":\:error::x and #\#[debug]y"),
    ],
)
def test_a_line_of_a_terminal_shows_what_would_move_it(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(ANY)
def test_a_line_is_one_line_that_can_be_shown_again(text: str) -> None:
    shown = one_line(text)
    assert all(sign.isprintable() or sign in foreign.JOINERS for sign in shown)
    assert one_line(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r":\:error::x"),
        ("  \t::set-output name=a::b", "  \t:\\:set-output name=a::b"),
        ("fine\n::add-mask::x\rover\r::debug::y", "fine\n:\\:add-mask::x\rover\r:\\:debug::y"),
        (
            "##[error]x and ##vso[task.setvariable]y, ##teamcity[z",
            r"#\#[error]x and #\#vso[task.setvariable]y, #\#teamcity[z",
        ),
        (
            "evals/test_tasks.py::test_task[minilm:STS] a::b ## heading",
            "evals/test_tasks.py::test_task[minilm:STS] a::b ## heading",
        ),
    ],
)
def test_no_line_of_a_log_is_a_command_to_a_ci(text: str, shown: str) -> None:
    assert disarm(text) == shown


def test_a_line_that_began_before_is_not_begun_again() -> None:
    assert disarm("::x\n::y", at_start=False) == "::x\n:\\:y"


def test_a_log_keeps_colours_and_nothing_else_that_moves_it() -> None:
    assert in_log("\x1b[1m\x1b[32mpassed\x1b[0m \x1b[2J\x1b]0;title\x07 ab\rc\td\n") == (
        "\x1b[1m\x1b[32mpassed\x1b[0m \\x1b[2J\\x1b]0;title\\x07 ab c\td\n"
    )


@given(ANY)
def test_nothing_in_a_log_commands_or_moves_anything(text: str) -> None:
    for shown in (in_log(text), lines(text)):
        assert not any(line.lstrip().startswith("::") or "##[" in line for line in shown.splitlines())
        assert set(foreign.COLOR.sub("", shown)) <= {*"\n\t", *filter(str.isprintable, shown), *foreign.JOINERS}


@pytest.mark.parametrize(
    "text",
    [
        KEY, f"Bearer {KEY}.", f"'{KEY[:14]}...", f"...{KEY[-13:]}'", f"{KEY}{KEY}", f"\x1b[1m{KEY}", f"https://x/?k={KEY}",
    ],
)  # fmt: skip
def test_a_secret_is_nowhere_also_where_it_was_cut(key: str, text: str) -> None:
    for show in (hide_secrets, one_line, lines, in_log, in_html, in_markdown, in_message, in_property):
        shown = show(text)
        assert "***" in shown.replace("\\", "")
        assert not any(key[at : at + 12] in shown for at in range(len(key) - 11))
    assert key not in str(ConfigError(f"{text} is wrong"))


def test_secrets_are_those_of_the_environment_by_name_and_those_that_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "token", "MY_SECRET", "DB_PASSWORD", "SOME_CREDENTIALS"):
        monkeypatch.setenv(name, f"of {name} alone")
        assert hide_secrets(f"say of {name} alone!") == "say ***!"
    for name, value in {"KEYBOARD": "of another name", "SSL_KEY": "/etc/ssl/key.pem", "A_KEY": "short"}.items():
        monkeypatch.setenv(name, value)
        assert hide_secrets(value) == value
    monkeypatch.setattr(foreign, "_secrets", set())
    foreign.keep_secret("told by a client")
    assert hide_secrets("told by a client") == "***"


def test_users_and_passwords_of_addresses_are_hidden() -> None:
    assert one_line("http://u:p@host:1/x?a=b@c and ftp://token@h") == "http://***@host:1/x?a=b@c and ftp://***@h"
    assert one_line("mail me@example.org; https://host/@user") == "mail me@example.org; https://host/@user"


def test_markdown_shows_the_text() -> None:
    shown = in_markdown("# a\n| b <c> `d` [e](f) ![g](h) https://x www.y.z @me #12 GH-3 ~~k~~ $m$")
    assert shown.replace(foreign.BREAK, "␣") == (
        r"\# a \| b &lt;c&gt; \`d\` \[e\](f) \!\[g\](h) https:␣//x www␣.y.z \@␣me \#␣12 GH-␣3 \~\~k\~\~ \$m\$"
    )


@given(st.lists(st.text(st.sampled_from("`~ \nab")), max_size=4))
def test_code_does_not_end_before_its_fence(texts: list[str]) -> None:
    first, *inside, last = in_code(texts, "sh").split("\n")
    assert len(inside) == len(texts)
    assert first == f"{last}sh"
    assert set(last) == {"`"}
    assert not any(last in line for line in inside)


@given(ANY)
def test_a_message_to_github_is_one_line_that_ends_where_it_ends(text: str) -> None:
    assert not set(in_message(text)) & {"\n", "\r"}
    assert not set(in_property(text)) & {"\n", "\r", ":", ","}
    assert "%" not in in_message(text).replace("%25", "").replace("%0A", "")
    assert "%0A" not in in_property(text)


def test_texts_inside_anything_are_changed() -> None:
    class Thing:
        def __init__(self) -> None:
            self.name, self.number = "a", 1

    thing = Thing()
    assert in_every(["a", ("b", 1), {"c": thing}], str.upper) == ["A", ("B", 1), {"C": thing}]
    assert (thing.name, thing.number) == ("A", 1)


def test_a_sentence_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    said = str(ConfigError(f"first {string.ascii_letters * 50} last"))
    assert len(said) == SENTENCE_LENGTH
    assert said.startswith("first abc")
    assert said.endswith("XYZ last")
    assert " … " in said

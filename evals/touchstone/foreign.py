"""Escape foreign text for where it is shown: a terminal, a CI's log, Markdown, GitHub, HTML.

Labels, names, messages of servers and excerpts of data sets reach all of these. Each place has one function, whose
result shows the text there and does nothing else. All of them remove secrets.
"""

import html
import os
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from urllib.parse import unquote

# Names of environment variables that hold secrets; a value that is the path of a file is no secret.
SECRET = re.compile(r"(^|_)(TOKEN|API_?KEY|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?|AUTH)$", re.IGNORECASE)
ADDRESS = re.compile(r"(PROXY|ENDPOINT|UR[LI])$", re.IGNORECASE)
PATH = ("/", "~", ".")
# The fewest characters of a secret, and of a part by which a truncated secret is recognized.
MIN_SECRET_LENGTH, MIN_PART_LENGTH = 8, 12
# The first characters of a key, by which it is recognized in a server's message.
KEY_PREFIX_LENGTH = 6
REDACTION = "***"
CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"<>]*@")
LOGIN = re.compile(r"://([^/\s:@]*:[^/\s]+)@")
# Joins the signs of scripts and of emoji, and moves nothing.
JOINERS = "\u200c\u200d"
# Commands to a CI: GitHub's at the start of a line, those of Azure and TeamCity anywhere.
COMMAND_AT_START = re.compile(r"(^|[\r\n])([^\S\r\n]*)::")
COMMAND_ANYWHERE = re.compile(r"##(?=\[|vso\[|teamcity\[)")
# The escape sequences that pytest writes for colours; all others come from foreign text.
COLOR = re.compile(r"\x1b\[[0-9;]*m")
# A space of no width, which ends what GitHub would turn into a link, a mention or a reference.
BREAK = "\u200b"
AUTOLINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=[\w-])|(?<=#)(?=[0-9])|(?<=GH-)(?=[0-9])", re.IGNORECASE)
MARKDOWN_SYNTAX = re.compile(r"([\\`*_\[\]|~#!$@])")
_secrets: set[str] = set()


class Secret:
    """The secret in an environment variable. The object does not hold the value and can be shown.

    Args:
        variable: its name.
    """

    __slots__ = ("variable",)

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def __repr__(self) -> str:
        return f"<secret in {self.variable}>"

    def reveal(self) -> str:
        """Return the secret for a request; no local variable may hold it."""
        keep_secret(os.environ.get(self.variable, "").strip())
        return os.environ.get(self.variable, "").strip()

    def hide(self, text: str) -> str:
        """Return a server's message without the secret; some servers repeat it with stars in its middle."""
        return re.sub(re.escape(self.reveal()[:KEY_PREFIX_LENGTH]) + r"\S*", "[key]", text) if self.reveal() else text


def keep_secret(value: str) -> None:
    """Hide a value in every text from now on."""
    _secrets.add(value)


def hide_secrets(text: str) -> str:
    """Return text without secrets, and without the user and password of an address.

    Secrets are the values passed to `keep_secret`, those of environment variables with such a name, and passwords in
    addresses there. Parts of a secret are removed too, from twelve characters on.
    """
    if not text or text.isspace():  # half of the texts for a terminal are line ends
        return text
    for secret in _find_secrets():
        text = _hide(text, secret)
    return CREDENTIALS.sub(f"{REDACTION}@", text) if "://" in text else text


@cache
def _is_secret(name: str) -> bool:
    return SECRET.search(name) is not None


@cache
def _is_address(name: str) -> bool:
    return ADDRESS.search(name) is not None


def find_passwords(text: str) -> Iterator[str]:
    """Yield the passwords of addresses in a text, each also in the form that HTTP sends."""
    for login in LOGIN.findall(text):
        yield login.partition(":")[2]
        yield b64encode(unquote(login).encode(errors="replace")).decode()


def _find_secrets() -> Iterator[str]:
    names = list(os.environ)  # each name is decoded anew
    secrets = _secrets | {os.environ.get(name, "").strip() for name in names if _is_secret(name)}
    for name in filter(_is_address, names):
        secrets |= set(find_passwords(os.environ.get(name, "")))
    long = (secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH and not secret.startswith(PATH))
    yield from sorted(long, key=len, reverse=True)


def _hide(text: str, secret: str) -> str:
    """Return text without a secret, and without each part of it from `MIN_PART_LENGTH` characters on."""
    text = text.replace(secret, REDACTION)
    for start in range(len(secret) - MIN_PART_LENGTH + 1):
        while (index := text.find(secret[start : start + MIN_PART_LENGTH])) >= 0:
            size = MIN_PART_LENGTH
            while text[index : index + size + 1] == secret[start : start + size + 1] and start + size < len(secret):
                size += 1
            text = text[:index] + REDACTION + text[index + size :]
    return text


def one_line(text: str) -> str:
    """Return text for one line of a terminal or a log, with control characters as escapes."""
    return hide_secrets(disarm(_spell_all(text, "").strip()))


def lines(text: str) -> str:
    """Return text of several lines for a terminal or a log, such as a traceback."""
    text = text.replace("\r\n", "\n")
    return hide_secrets(disarm(_spell_all(text, "\n\t")))


def disarm(text: str, *, at_start: bool = True) -> str:
    """Return text in which no line is a command to the CI whose log it goes to.

    Args:
        text: of any number of lines.
        at_start: whether its first line begins where a line of the log does.
    """
    if "::" not in text and "##" not in text:
        return text
    text = COMMAND_ANYWHERE.sub(r"#\\#", text)
    return COMMAND_AT_START.sub(r"\1\2:\\:", text) if at_start else COMMAND_AT_START.sub(r"\1\2:\\:", f"\0{text}")[1:]


def in_log(text: str, *, at_start: bool = True) -> str:
    """Return text for a terminal or a log, with its colours; arguments as in `disarm`."""
    if not (text.isascii() and text.isprintable()):
        parts = map(partial(_spell_all, spaces="\n\t"), COLOR.split(text))
        text = "".join(part + color for part, color in zip(parts, [*COLOR.findall(text), ""], strict=True))
    return hide_secrets(disarm(text, at_start=at_start))


def in_html(text: str) -> str:
    """Return text for a page whose template escapes HTML: lines stay, and the reading direction cannot change."""
    return hide_secrets(_spell_all(text, "\n\t"))


def in_markdown(text: str) -> str:
    """Return text on one line that Markdown shows as it is, without links or mentions."""
    line = " ".join(one_line(text).split())
    return MARKDOWN_SYNTAX.sub(r"\\\1", html.escape(AUTOLINK.sub(BREAK, line), quote=False))


def in_code(texts: list[str], language: str = "") -> str:
    """Return lines as a block of code in Markdown, with a fence longer than any inside."""
    shown = [one_line(text) for text in texts]
    fence = "`" * max(3, 1 + max((len(run) for text in shown for run in re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}{language}", *shown, fence])


def in_message(text: str) -> str:
    """Return text for the message of a command to GitHub, which reads %0A as the end of a line."""
    shown = "\n".join(one_line(line) for line in text.splitlines())
    return shown.replace("%", "%25").replace("\n", "%0A")


def in_property(text: str) -> str:
    """Return text for a property of a command to GitHub, such as its title."""
    return in_message(one_line(text)).replace(":", "%3A").replace(",", "%2C")


class Command(str):
    """A line that is a command to a CI; all other lines are disarmed on the way to the log."""

    __slots__ = ()


def in_every(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text inside lists, tuples, dictionaries and objects; objects are changed in place."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        changed = [in_every(item, change) for item in value]
        return tuple(changed) if isinstance(value, tuple) else changed
    if isinstance(value, dict):
        return {in_every(key, change): in_every(item, change) for key, item in value.items()}
    for name, item in vars(value).items() if hasattr(value, "__dict__") else ():
        object.__setattr__(value, name, in_every(item, change))
    return value


def _spell_all(text: str, spaces: str) -> str:
    return text if text.isprintable() else "".join(_spell(sign, spaces) for sign in text)


def _spell(sign: str, spaces: str) -> str:
    """Return a sign as it is shown: itself, a space, or its escape as Python writes it."""
    if sign.isprintable() or sign in spaces or sign in JOINERS:
        return sign
    if sign.isspace() and (sign in "\t\n\r\x0b\x0c\x85\u2028\u2029" or unicodedata.category(sign) == "Zs"):
        return " "
    return ascii(sign)[1:-1]

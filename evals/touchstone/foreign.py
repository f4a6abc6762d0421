"""Text that strangers wrote, made harmless for where it is shown: a terminal, a CI's log, Markdown, GitHub, HTML.

Labels, names, messages of servers and excerpts of data sets reach all of these. Each place has one function; what it
returns shows the text and does nothing else there. Secrets are taken out in all of them.
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

# Environment variables that hold secrets by their names; the path of a file that holds one is none.
SECRET = re.compile(r"(^|_)(TOKEN|API_?KEY|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?|AUTH)$", re.IGNORECASE)
ADDRESS = re.compile(r"(PROXY|ENDPOINT|UR[LI])$", re.IGNORECASE)
PATH = ("/", "~", ".")
# Characters that a secret has at least, and by which one that was cut is known.
SHORTEST, PART = 8, 12
# So much of a key in a server's message is taken for the key.
BEGINS = 6
REDACTION = "***"
CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"<>]*@")
LOGIN = re.compile(r"://([^/\s:@]*:[^/\s]+)@")
# Joins the signs of scripts and of emoji, and moves nothing.
JOINERS = "\u200c\u200d"
# What a CI takes for a command: at the start of a line GitHub's, anywhere the forms of Azure and TeamCity.
AT_START = re.compile(r"(^|[\r\n])([^\S\r\n]*)::")
ANYWHERE = re.compile(r"##(?=\[|vso\[|teamcity\[)")
# What pytest and its colouring write themselves; other escape sequences are somebody else's.
COLOR = re.compile(r"\x1b\[[0-9;]*m")
# Puts nothing on the page, and ends what GitHub would turn into a link, a mention or a reference.
BREAK = "\u200b"
AUTOLINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=[\w-])|(?<=#)(?=[0-9])|(?<=GH-)(?=[0-9])", re.IGNORECASE)
SPECIAL = re.compile(r"([\\`*_\[\]|~#!$@])")
_secrets: set[str] = set()


class Secret:
    """What an environment variable holds: it is no part of this object, which can be shown, and is read each time.

    Args:
        variable: its name.
    """

    __slots__ = ("variable",)

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def __repr__(self) -> str:
        return f"<secret in {self.variable}>"

    def reveal(self) -> str:
        """Return it, for the one place that puts it on the wire; no local may hold it."""
        keep_secret(os.environ.get(self.variable, "").strip())
        return os.environ.get(self.variable, "").strip()

    def hide(self, text: str) -> str:
        """Return the words of a server that has it; some repeat it with its middle starred out."""
        return re.sub(re.escape(self.reveal()[:BEGINS]) + r"\S*", "[key]", text) if self.reveal() else text


def keep_secret(value: str) -> None:
    """Let no text that goes through here show a value from now on."""
    _secrets.add(value)


def hide_secrets(text: str) -> str:
    """Return text without secrets, and without the user and password of an address.

    Secrets are what `keep_secret` was told, the values of environment variables that are called so, and passwords in
    addresses there. Of one that was cut, what is left goes too, from twelve characters on.
    """
    if not text or text.isspace():  # half of what a terminal is given are line ends
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
    """Yield the passwords of addresses in a text, and what HTTP sends of each."""
    for login in LOGIN.findall(text):
        yield login.partition(":")[2]
        yield b64encode(unquote(login).encode(errors="replace")).decode()


def _find_secrets() -> Iterator[str]:
    names = list(os.environ)  # each name is decoded anew
    found = _secrets | {os.environ.get(name, "").strip() for name in names if _is_secret(name)}
    for name in filter(_is_address, names):
        found |= set(find_passwords(os.environ.get(name, "")))
    yield from sorted(
        (one for one in found if len(one) >= SHORTEST and not one.startswith(PATH)), key=len, reverse=True
    )


def _hide(text: str, secret: str) -> str:
    """Take out a secret, and each part of it of so many characters or more."""
    text = text.replace(secret, REDACTION)
    for start in range(len(secret) - PART + 1):
        while (found := text.find(secret[start : start + PART])) >= 0:
            size = PART
            while text[found : found + size + 1] == secret[start : start + size + 1] and start + size < len(secret):
                size += 1
            text = text[:found] + REDACTION + text[found + size :]
    return text


def one_line(text: str) -> str:
    """Return text for one line of a terminal or a log; what would move the cursor or the reader is spelled out."""
    return hide_secrets(disarm(_spell_all(text, "").strip()))


def lines(text: str) -> str:
    """Return text of several lines for a terminal or a log, such as what a failure shows."""
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
    text = ANYWHERE.sub(r"#\\#", text)
    return AT_START.sub(r"\1\2:\\:", text) if at_start else AT_START.sub(r"\1\2:\\:", f"\0{text}")[1:]


def in_log(text: str, *, at_start: bool = True) -> str:
    """Return what goes to a terminal or a log with its colours, whoever wrote it; arguments as in `disarm`."""
    if not (text.isascii() and text.isprintable()):
        parts = map(partial(_spell_all, spaces="\n\t"), COLOR.split(text))
        text = "".join(part + color for part, color in zip(parts, [*COLOR.findall(text), ""], strict=True))
    return hide_secrets(disarm(text, at_start=at_start))


def in_html(text: str) -> str:
    """Return text for a page that escapes it itself; its lines stay, and nothing turns the direction of reading."""
    return hide_secrets(_spell_all(text, "\n\t"))


def in_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line; nothing in it becomes a link or calls somebody."""
    line = " ".join(one_line(text).split())
    return SPECIAL.sub(r"\\\1", html.escape(AUTOLINK.sub(BREAK, line), quote=False))


def in_code(texts: list[str], language: str = "") -> str:
    """Return lines as a block of code in Markdown, whose fence is longer than any inside."""
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
    """A line that a CI is to obey; every other is disarmed on its way to the log."""

    __slots__ = ()


def in_every(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text inside lists, tuples, dictionaries and objects; objects are changed in place."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        changed = [in_every(one, change) for one in value]
        return tuple(changed) if isinstance(value, tuple) else changed
    if isinstance(value, dict):
        return {in_every(key, change): in_every(one, change) for key, one in value.items()}
    for name, one in vars(value).items() if hasattr(value, "__dict__") else ():
        object.__setattr__(value, name, in_every(one, change))
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

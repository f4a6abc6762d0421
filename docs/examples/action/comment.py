"""The one comment on a pull request: made by the first run, written over by each later one.

A hidden line at its top tells it from other comments. What goes wrong here is told and no more: the gate has decided.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Who writes with the token of a job. Others may know the hidden line, too, and their comments are left alone.
AUTHOR = "github-actions[bot]"


def main() -> None:
    """Write the comment with ``gh``, or say why there is none."""
    marker = f"<!-- touchstone: {re.sub(r'[^A-Za-z0-9._-]', '-', os.environ['NAME'])[:100]} -->"
    issue = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    try:
        earlier = find_comment(f"{issue}/{os.environ['PULL_REQUEST']}/comments", marker)
        if earlier is None:
            call("--method", "POST", f"{issue}/{os.environ['PULL_REQUEST']}/comments", body=write_body(marker))
        else:
            call("--method", "PATCH", f"{issue}/comments/{earlier}", body=write_body(marker))
    except subprocess.CalledProcessError as error:
        why = " ".join(error.stderr.split())[:300]
        if "HTTP 403" in why:
            why = f"no right to write one, as in a pull request of a fork, or without pull-requests: write ({why})"
        tell(why)
    except FileNotFoundError:
        tell("gh is not installed")


def tell(why: str) -> None:
    """Annotate the job; it goes on."""
    text = f"no comment on the pull request: {why}; the verdict is in the summary of the job"
    sys.stdout.write(f"::notice title=touchstone::{text.replace('%', '%25')}\n")


def write_body(marker: str) -> str:
    """Return the summary of the run, or that there is none."""
    where = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(os.environ)
    summary = Path(os.environ["REPORTS"], "summary.md")
    text = f"## touchstone\n\n🔴 Nothing was judged: exit code {os.environ['CODE']}; the log says why.\n"
    if summary.is_file():
        text = summary.read_text(encoding="utf-8")
    return f"{marker}\n{text}\n[Log and reports of this run]({where})\n"


def find_comment(path: str, marker: str) -> int | None:
    """Return the number of the comment that an earlier run made."""
    pages = call("--paginate", f"{path}?per_page=100")
    comments = [comment for page in read_pages(pages) for comment in page]
    ours = (it["id"] for it in comments if it["user"]["login"] == AUTHOR and it["body"].startswith(marker))
    return next(ours, None)


def read_pages(text: str) -> Iterator[Any]:
    """Read what ``gh`` prints: a list for each page, one behind the other, or all in one list."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        page, end = decoder.raw_decode(text)
        yield page
        text = text[end:]


def call(*arguments: str, body: str | None = None) -> str:
    """Ask GitHub, with the body of a comment on standard input."""
    more = () if body is None else ("--input", "-")
    sent = None if body is None else json.dumps({"body": body})
    command = ["gh", "api", *arguments, *more]
    return subprocess.run(command, input=sent, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()

"""The structure of a page without its looks: tags, what they are called, and their texts, a line each."""

from html.parser import HTMLParser

KEPT = ("id", "class", "href", "data-v", "aria-label", "open", "hidden")
SILENT = {"style", "script", "template"}
VOID = {"meta", "link", "input", "br", "img"}


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.broken = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":  # a name goes on behind it
            self.broken = True
            return
        self.tags.append(tag)
        if "svg" not in self.open and tag not in SILENT | {"meta", "link"}:
            kept = "".join(f" {name}={value}" for name, value in attributes if name in KEPT)
            self.lines.append(f"{'  ' * len(self.open)}{tag}{kept}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in SILENT and data.strip() and "svg" not in self.open:
            text = " ".join(data.split())
            if self.broken:
                self.lines[-1] += text
            else:
                self.lines.append(f"{'  ' * len(self.open)}{text}")
        self.broken = False


def outline(page: str) -> Outline:
    """Parse a page; every tag that it opens it must close, in order."""
    found = Outline()
    found.feed(page)
    found.close()
    assert not found.open
    return found

"""Reading pages and Markdown as a browser does, for tests of reports."""

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}
_ELEMENTS = """
    html head meta title style body h1 h2 h3 p div span i ul li details summary table thead tbody tr th td
    article figure figcaption img dl dt dd svg line text polyline polygon circle rect
"""
KNOWN = frozenset(_ELEMENTS.split())
"""Every element that a report may have: none that runs or loads anything."""


class Page(HTMLParser):
    """A page taken apart; an error if an element is left open, closed twice or not known."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        assert source.startswith("<!doctype html>\n")
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, f"<{tag}> in a report"
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> out of place"

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
        else:
            self.texts.append(data)

    def of(self, attribute: str) -> list[str]:
        """All values of an attribute."""
        return [value for _, name, value in self.attributes if name == attribute]

    @property
    def text(self) -> str:
        """All that can be read."""
        return "".join(self.texts)


def check_alone(source: str) -> Page:
    """Make sure that a page loads and runs nothing; returns it."""
    page = Page(source)
    loading = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), f"{tag} has {name}"
        if name in loading:
            assert tag == "img" and value.startswith("data:image/jpeg;base64,"), f"{tag} loads {value[:60]}"
        if name == "style":
            assert "url(" not in value
    assert page.style and "@import" not in page.style and "url(" not in page.style
    return page


def table_of(markdown: str, first: str) -> dict[str, list[str]]:
    """The rows of the table whose first head is this, by their first cells; all of equal width."""
    lines = markdown.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows: dict[str, list[str]] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells = [each.strip() for each in line.strip("|").split(" | ")]
        rows[cells[0]] = cells[1:]
    assert len({len(cells) for cells in rows.values()}) == 1
    return rows

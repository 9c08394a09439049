"""Pages that stand alone: no script, nothing loaded, every text escaped by who writes the elements.

A page is built of elements and never of pieces of text, so that no answer and no file name, whatever is
in it, can become markup.
"""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from pllava_cli.chart import Chart, Style, draw
from pllava_cli.terminal import escape_controls

ON_PAGE = Style(
    "currentColor",
    "var(--rule)",
    [f"var(--c{number})" for number in range(7)],
    None,
)
"""Charts in the page's own colours, light or dark."""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Says to the browser too that nothing is to be loaded or run."""
_STYLE = Path(__file__).with_name("page.css")


def new_page(title: str) -> tuple[Element, Element]:
    """Return a page and its body, which begins with the title."""
    page = Element("html", lang="en")
    head = SubElement(page, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY})
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "meta", name="color-scheme", content="light dark")
    add(head, "title", title)
    SubElement(head, "style").text = "\n" + _STYLE.read_text(encoding="utf-8")
    body = SubElement(page, "body")
    add(body, "h1", title)
    return page, body


def add(parent: Element, tag: str, text: str = "", kind: str = "", **attributes: str) -> Element:
    """Add an element with a text that is not ours; `kind` is its class."""
    made = SubElement(parent, tag, {name: escape_controls(value) for name, value in attributes.items()})
    if kind:
        made.set("class", kind)
    if text:
        made.text = escape_controls(text)
    made.tail = "\n"
    return made


def add_table(parent: Element, heads: "list[str]", kind: str = "") -> Element:
    """Add a table that may be wider than the page; returns the body of it."""
    table = add(add(parent, "div", kind="wide"), "table", kind=kind)
    if heads:
        row = add(add(table, "thead"), "tr")
        for head in heads:
            add(row, "th", head, scope="col")
    return add(table, "tbody")


def add_chart(parent: Element, chart: Chart) -> None:
    """Add a chart that has points, in the page's own colours."""
    svg = draw(chart, ON_PAGE)
    for each in svg.iter():
        painted = {name: each.get(name, "") for name in ("fill", "stroke")}
        colours = [f"{name}:{value}" for name, value in painted.items() if value.startswith("var(")]
        if colours:  # variables are sure to be known in a style only
            each.set("style", ";".join(colours))
    add(parent, "div", kind="wide").append(svg)


def to_text(page: Element) -> str:
    """Write a page."""
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"

"""Model cards as HTML by markdown-it-py: CommonMark and tables, with raw HTML, images and odd links off."""

from __future__ import annotations

from typing import Any

from markdown_it import MarkdownIt

DEEPER = 2  # cards stand inside a page, whose headings are levels 1 and 2


def to_html(text: str) -> str:
    """Render a card; its headings start at level 3. HTML in it is escaped, and only links to the web stay links."""
    tokens = PARSER.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + DEEPER, 6)}"
        elif token.type in ("th_open", "td_open"):
            token.attrs = {"scope": "col"} if token.tag == "th" else {}  # no style: the pages' policy forbids it inline
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("rel", "noreferrer")
    return str(PARSER.renderer.render(tokens, PARSER.options, {}))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = lambda link: link.startswith(("https://", "http://"))  # type: ignore[assignment, method-assign]
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _table_open(*_: Any) -> str:
    """A wide table scrolls, also by keys."""
    return '<div class="scroll" tabindex="0"><table>\n'


PARSER = _parser()

"""The little Markdown that model cards use, as HTML: headings, paragraphs, lists, tables, code and links.

Everything is escaped first, so that a card can hold no markup of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator


def to_html(text: str) -> str:
    """Render; headings start at level 3, since cards stand inside a page."""
    return "\n".join(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    position = 0
    while position < len(lines):
        kind = _kind(lines[position])
        end = position + 1
        if kind == "fence":
            while end < len(lines) and not lines[end].startswith("```"):
                end += 1
            yield f"<pre><code>{html.escape(chr(10).join(lines[position + 1 : end]))}</code></pre>"
            position = end + 1
            continue
        while end < len(lines) and kind not in ("heading", "blank") and _goes_on(kind, lines[end]):
            end += 1
        if kind != "blank":
            yield RENDERERS[kind](lines[position:end])
        position = end


def _goes_on(kind: str, line: str) -> bool:
    """Whether a line belongs to a block of this kind; a list's wrapped items go on in indented lines."""
    return _kind(line) == kind or (kind == "list" and line[:1].isspace() and _kind(line) == "paragraph")


def _kind(line: str) -> str:
    if line.startswith("```"):
        return "fence"
    if not line.strip():
        return "blank"
    if re.match(r"#{1,6} ", line):
        return "heading"
    if line.lstrip().startswith("|"):
        return "table"
    return "list" if re.match(r"\s*([-*]|\d+\.) ", line) else "paragraph"


def _heading(lines: list[str]) -> str:
    marks, _, text = lines[0].partition(" ")
    level = min(len(marks) + 2, 6)
    return f"<h{level}>{_inline(text)}</h{level}>"


def _paragraph(lines: list[str]) -> str:
    return f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>"


def _list(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        if _kind(line) == "list":
            items.append(re.sub(r"^([-*]|\d+\.) ", "", line.strip()))
        else:
            items[-1] += f" {line.strip()}"
    return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    rows = [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in rows[0]) if rows else ""
    body = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _inline(text: str) -> str:
    text = html.escape(text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"(?<![*\w])[*_]([^*_]+)[*_](?![*\w])", r"<em>\1</em>", text)
    return re.sub(r"\[([^\]]+)\]\((https?://[^\s)]+)\)", r'<a href="\2" rel="noreferrer">\1</a>', text)


RENDERERS = {"heading": _heading, "paragraph": _paragraph, "list": _list, "table": _table}

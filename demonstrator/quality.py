"""The quality page: hear the stems of an organised dataset in the browser and mark them, the most suspicious first.

A web.py application of its own: the demonstrator mounts it at ``/quality``, and ``splitstrument dataset listen --web``
serves it alone. It writes marks into the dataset, so it answers only the machine it runs on, and every change must
carry a token that only its own pages have. Items are named by a hash of track and class; no path ever comes from a
request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Any

import web

from demonstrator import local_app
from demonstrator.local_app import Refusal
from splitstrument.curation.checks.findings import CHECKS_FILE
from splitstrument.curation.listening import Item, Overview, excerpt, listening_queue, overview, wav_bytes
from splitstrument.datasets.marks import CHECKED, DEFECTS, MARKS, set_mark

STATIC = {"quality.js", "quality.css", "style.css", "base.js", "icon.svg"}
# mark -> (key, words on its button)
KEYS = {
    "bleed": ("b", "Bleed"),
    "bad_quality": ("q", "Bad quality"),
    "missing": ("m", "Missing"),
    "inaudible": ("i", "Inaudible"),
    "mislabeled": ("l", "Mislabeled"),
    "detailed": ("d", "Listen again"),
    "audible": ("h", "Audible"),
}
MAX_EXCERPT_S = 30.0
MAX_OVERVIEWS = 64


class Studio:
    """State that the pages share: the dataset's items, their overviews, and the token of this server."""

    def __init__(self, dataset: Path, target: str | None = None) -> None:
        self.dataset, self.target = Path(dataset), target
        self.token = secrets.token_hex(20)
        self.items: OrderedDict[str, Item] = OrderedDict()
        self._overviews: OrderedDict[str, Overview] = OrderedDict()
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Read the dataset and its findings again."""
        queue = listening_queue(self.dataset, self.target)
        items = OrderedDict((item_id(item), item) for item in queue)
        with self._lock:
            if items != self.items:
                self.items = items
                self._overviews.clear()

    def overview(self, name: str) -> Overview:
        """Overview of an item, kept for the next request; two readers do not read twice."""
        with self._lock:
            if name not in self._overviews:
                self._overviews[name] = overview(self.items[name])
                while len(self._overviews) > MAX_OVERVIEWS:
                    self._overviews.popitem(last=False)
            return self._overviews[name]

    def neighbours(self, name: str) -> tuple[str | None, str | None]:
        """The items before and after one in the order of listening."""
        names = list(self.items)
        place = names.index(name)
        return (names[place - 1] if place else None, names[place + 1] if place + 1 < len(names) else None)

    def next_open(self, name: str) -> str | None:
        """Return the next unchecked item, from `name` on and then from the start."""
        names = list(self.items)
        place = names.index(name) + 1
        return next((other for other in names[place:] + names[: place - 1] if not self.items[other].is_done), None)

    @property
    def n_done(self) -> int:
        """Number of checked items."""
        return sum(item.is_done for item in self.items.values())

    @property
    def was_checked(self) -> bool:
        """Whether the automatic checks have run on this dataset."""
        return (self.dataset / CHECKS_FILE).is_file()

    @cached_property
    def render(self) -> Any:
        """Templates, escaping what they are given."""
        builtins = {"len": len, "enumerate": enumerate, "sorted": sorted}
        return local_app.templates({"studio": self, "keys": KEYS, "defects": DEFECTS, "clock": clock, **builtins})


def item_id(item: Item) -> str:
    """Name of an item in addresses."""
    return hashlib.sha256(f"{item.track}/{item.stem_class}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def clock(seconds: float) -> str:
    """``83.2`` -> ``1:23``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def application(dataset: str | Path, target: str | None = None) -> web.application:
    """The pages of one dataset, to be served or mounted.

    Raises
    ------
    DatasetError
        If there is no organised track or none with the target.
    """
    item = "/([0-9a-f]{12})"
    pages = {"/?": List, item: Judge, f"{item}/sound": Sound, f"{item}/marks": Mark}
    return local_app.application(pages, Studio(Path(dataset), target), STATIC)


def serve(dataset: str | Path, target: str | None, port: int, open_browser: bool = True) -> None:
    """Serve the quality page alone on 127.0.0.1 until Ctrl-C.

    Raises
    ------
    SettingsError
        If the port is taken.
    """
    announcement = "Listening page: {address}  (Ctrl-C ends it)"
    local_app.serve(make_server(dataset, target, port), "/quality/", announcement, open_browser)


def make_server(dataset: str | Path, target: str | None, port: int) -> Any:
    """A server that listens already; port 0 takes any free one."""
    mapping = ("/quality", application(dataset, target), "/", Home)
    return local_app.make_server(web.application(mapping, {}, autoreload=False), port)


class Home:
    """The root of the page served alone."""

    def GET(self) -> None:
        raise web.seeother("/quality/")


class Page(local_app.Page):
    """Base of the handlers."""

    shared: Studio

    def item(self, name: str) -> Item:
        """The item of an address; 404 if there is none."""
        if name not in self.shared.items:
            raise Refusal("404 Not Found", "There is no such stem here: the dataset has changed; go back to the list.")
        return self.shared.items[name]


class List(Page):
    """The list of stems to listen to, in order."""

    def GET(self) -> str:
        if web.ctx.path != "/":
            raise web.seeother("/")  # the page's links are relative to it
        self.shared.refresh()
        items = list(self.shared.items.items())
        return self.html("quality_list", items, next((name for name, item in items if not item.is_done), None))


class Judge(Page):
    """One item: pictures, players, marks."""

    def GET(self, name: str) -> str:
        item = self.item(name)
        seen = self.shared.overview(name)
        place = list(self.shared.items).index(name)
        return self.html("quality_item", name, item, seen, _data(name, item, seen), place, self.shared.neighbours(name))


class Sound(Page):
    """A few seconds as WAV: the stem alone, or in its song."""

    def GET(self, name: str) -> bytes:
        item = self.item(name)
        query = web.input(start="0", end="0", whole="0")
        try:
            start, end = float(query.start), float(query.end)
        except ValueError:
            raise Refusal("400 Bad Request", "start and end should be seconds.") from None
        if not 0 <= start < end <= start + MAX_EXCERPT_S or end > 1e6:
            raise Refusal("400 Bad Request", f"Expected 0 <= start < end, at most {MAX_EXCERPT_S:g} s apart.")
        body = wav_bytes(*excerpt(item, [(start, end)], query.whole == "1"))
        web.header("Content-Type", "audio/wav")
        web.header("Content-Length", str(len(body)))
        web.header("Cache-Control", "private, max-age=600")
        return body


class Mark(Page):
    """Set or remove one mark."""

    def POST(self, name: str) -> str:
        form = self.form()
        item = self.item(name)
        mark = form.get("mark", "")
        if mark not in MARKS or form.get("set") not in ("0", "1"):
            raise Refusal("400 Bad Request", f"Expected one of {', '.join(MARKS)} and set=0 or set=1.")
        set_mark(item.folder, item.stem_class, mark, form["set"] == "1")
        if web.ctx.env.get("HTTP_ACCEPT", "").startswith("application/json"):
            web.header("Content-Type", "application/json")
            web.header("Cache-Control", "no-store")
            return json.dumps({"marks": sorted(item.marks), "next": self.shared.next_open(name)})
        following = self.shared.next_open(name) if mark == CHECKED and form["set"] == "1" else name
        raise web.seeother(f"/{following or ''}")


def _data(name: str, item: Item, seen: Overview) -> str:
    """Return the data of the page's script, as JSON that cannot end its element early."""
    data = {
        "id": name,
        "duration": seen.duration_s,
        "peaks": base64.b64encode((seen.peaks.clip(0, 1) * 255).astype("uint8").tobytes()).decode(),
        "spectrum": base64.b64encode(seen.spectrum.tobytes()).decode(),
        "bands": seen.spectrum.shape[1],
        "suspicious": seen.suspicious,
        "splits": seen.splits,
        "audible": seen.audible,
        "marks": sorted(item.marks),
    }
    return json.dumps(data).replace("<", "\\u003c")

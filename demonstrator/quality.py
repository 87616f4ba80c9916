"""The quality page: hear the stems of an organised dataset in the browser and mark them, the most suspicious first.

A web.py application of its own: the demonstrator mounts it at ``/quality``, and ``splitstrument dataset listen --web``
serves it alone. It writes marks into the dataset, so it answers only the machine it runs on, and every change must
carry a token that only its own pages have. Items are named by a hash of track and class; no path ever comes from a
request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import webbrowser
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import web

from demonstrator.guards import HEADERS, host_allowed, host_name, names_of, same_origin
from splitstrument.curation.checks.findings import CHECKS_FILE
from splitstrument.curation.listening import Item, Overview, excerpt, listening_queue, overview, wav_bytes
from splitstrument.datasets.marks import CHECKED, DEFECTS, MARKS, set_mark
from splitstrument.errors import SettingsError, SplitstrumentError

HERE = Path(__file__).parent
STATIC = {
    "quality.js": "text/javascript; charset=utf-8",
    "quality.css": "text/css; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "base.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
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
MAX_FORM_BYTES = 4096
MAX_OVERVIEWS = 64


class Studio:
    """What the pages share: the dataset's items, their overviews, and the token of this server."""

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
        """The next item that nobody has checked, from `name` on and then from the start."""
        names = list(self.items)
        place = names.index(name) + 1
        return next((other for other in names[place:] + names[: place - 1] if not self.items[other].is_done), None)

    @property
    def n_done(self) -> int:
        """Items that somebody has checked."""
        return sum(item.is_done for item in self.items.values())

    @property
    def was_checked(self) -> bool:
        """Whether the automatic checks have run on this dataset."""
        return (self.dataset / CHECKS_FILE).is_file()

    @cached_property
    def render(self) -> Any:
        """Templates, escaping what they are given."""
        return web.template.render(
            str(HERE / "templates"),
            cache=True,
            globals={
                "studio": self,
                "keys": KEYS,
                "defects": DEFECTS,
                "clock": clock,
                "len": len,
                "enumerate": enumerate,
                "sorted": sorted,
            },
        )


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
    studio = Studio(Path(dataset), target)
    handlers = [_bound(cls, studio) for cls in (List, Judge, Sound, Mark, Static)]
    name = "/([0-9a-f]{12})"
    patterns = ("/?", name, f"{name}/sound", f"{name}/marks", "/static/([a-z.]{1,20})")
    mapping = [part for pair in zip(patterns, handlers, strict=True) for part in pair]
    app = web.application(mapping, {}, autoreload=False)
    app.add_processor(guarded)
    app.notfound = lambda: Refusal("404 Not Found", "There is no such page.")
    return app


def serve(dataset: str | Path, target: str | None, port: int, open_browser: bool = True) -> None:
    """Serve the quality page alone on 127.0.0.1 until Ctrl-C.

    Raises
    ------
    SettingsError
        If the port is taken.
    """
    server = make_server(dataset, target, port)
    address = f"http://127.0.0.1:{server.bind_addr[1]}/quality/"
    print(f"Listening page: {address}  (Ctrl-C ends it)", flush=True)
    if open_browser:
        webbrowser.open(address)
    try:
        server.serve()
    finally:
        server.stop()


def make_server(dataset: str | Path, target: str | None, port: int) -> Any:
    """A server that listens already; port 0 takes any free one."""
    from cheroot.wsgi import Server

    web.config.debug = False  # True shows tracebacks
    root = web.application(("/quality", application(dataset, target), "/", "Home"), {"Home": Home}, autoreload=False)
    server = Server(("127.0.0.1", port), root.wsgifunc(), numthreads=4, server_name="splitstrument")
    server.max_request_body_size = MAX_FORM_BYTES
    try:
        server.prepare()
    except OSError as error:
        raise SettingsError(
            f"Port {port} cannot be used ({error.strerror or error}): choose another with --port."
        ) from None
    return server


class Home:
    """The root of the page served alone."""

    def GET(self) -> None:
        raise web.seeother("/quality/")


class Refusal(web.HTTPError):
    """An answer other than 200, as one plain sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, message)


def guarded(handle: Any) -> Any:
    """Answer this machine only, under its own names, with the headers of the demonstrator."""
    environ = web.ctx.env
    for name, value in HEADERS.items():
        web.header(name, value, unique=True)
    if environ.get("REMOTE_ADDR") not in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        raise Refusal("403 Forbidden", "The quality page is for the machine that it runs on.")
    if not host_allowed(environ.get("HTTP_HOST"), names_of("127.0.0.1")):
        host = host_name(environ.get("HTTP_HOST") or "")
        raise Refusal("421 Misdirected Request", f"This page does not go by the name {host[:60]!r}.")
    return handle()


def _bound(cls: type, studio: Studio) -> type:
    return type(cls.__name__, (cls,), {"studio": studio})


class Page:
    """Base of the handlers."""

    studio: Studio

    def html(self, template: str, *values: Any) -> str:
        """Render a page."""
        web.header("Content-Type", "text/html; charset=utf-8")
        web.header("Cache-Control", "no-store")
        return str(getattr(self.studio.render, template)(*values))

    def item(self, name: str) -> Item:
        """The item of an address; 404 if there is none."""
        if name not in self.studio.items:
            raise Refusal("404 Not Found", "There is no such stem here: the dataset has changed; go back to the list.")
        return self.studio.items[name]


class List(Page):
    """What to listen to, in order."""

    def GET(self) -> str:
        if web.ctx.path != "/":
            raise web.seeother("/")  # the page's links are relative to it
        self.studio.refresh()
        items = list(self.studio.items.items())
        return self.html("quality_list", items, next((name for name, item in items if not item.is_done), None))


class Judge(Page):
    """One item: pictures, players, marks."""

    def GET(self, name: str) -> str:
        item = self.item(name)
        seen = self.studio.overview(name)
        place = list(self.studio.items).index(name)
        return self.html("quality_item", name, item, seen, _data(name, item, seen), place, self.studio.neighbours(name))


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
        try:
            body = wav_bytes(*excerpt(item, [(start, end)], query.whole == "1"))
        except SplitstrumentError as error:  # web.py would make an internal error of it
            raise Refusal("409 Conflict", str(error)) from None
        web.header("Content-Type", "audio/wav")
        web.header("Content-Length", str(len(body)))
        web.header("Cache-Control", "private, max-age=600")
        return body


class Mark(Page):
    """Set or remove one mark."""

    def POST(self, name: str) -> str:
        form = self._form()
        item = self.item(name)
        mark = form.get("mark", "")
        if mark not in MARKS or form.get("set") not in ("0", "1"):
            raise Refusal("400 Bad Request", f"Expected one of {', '.join(MARKS)} and set=0 or set=1.")
        set_mark(item.folder, item.stem_class, mark, form["set"] == "1")
        if web.ctx.env.get("HTTP_ACCEPT", "").startswith("application/json"):
            web.header("Content-Type", "application/json")
            web.header("Cache-Control", "no-store")
            return json.dumps({"marks": sorted(item.marks), "next": self.studio.next_open(name)})
        following = self.studio.next_open(name) if mark == CHECKED and form["set"] == "1" else name
        raise web.seeother(f"/{following or ''}")

    def _form(self) -> dict[str, str]:
        """The fields of a small form that one of this server's pages sent."""
        environ = web.ctx.env
        if not same_origin(environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE"), environ["HTTP_HOST"]):
            raise Refusal("403 Forbidden", "This form was sent from another site.")
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isdigit() or int(length) > MAX_FORM_BYTES:
            raise Refusal("413 Content Too Large", f"Expected a form of at most {MAX_FORM_BYTES} bytes.")
        text = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
        form = {key: values[0] for key, values in parse_qs(text, max_num_fields=8).items()}
        if not hmac.compare_digest(form.get("token", "").encode(), self.studio.token.encode()):
            raise Refusal("403 Forbidden", "This page is from an earlier server: reload it and try again.")
        return form


class Static:
    """Scripts and styles, by name from a fixed list."""

    def GET(self, name: str) -> bytes:
        if name not in STATIC:
            raise Refusal("404 Not Found", "There is no such file.")
        web.header("Content-Type", STATIC[name])
        web.header("Cache-Control", "no-cache")
        return (HERE / "static" / name).read_bytes()


def _data(name: str, item: Item, seen: Overview) -> str:
    """What the script draws, as JSON that cannot end its element early."""
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

"""A small web application for the machine it runs on: what the quality page and the listening test share.

Such an application answers this machine only, under this machine's names; every form carries a token that only its own
pages have; errors are one plain sentence.
"""

from __future__ import annotations

import hmac
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import web

from demonstrator.guards import HEADERS, came_through_a_proxy, host_allowed, host_name, names_of, same_origin
from demonstrator.uploads import is_short_number
from splitstrument.errors import SettingsError, SplitstrumentError

HERE = Path(__file__).parent
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
MAX_FORM_BYTES = 8192
MAX_FIELDS = 64
STATIC_PATTERN = "/static/([a-z_.]{1,24})"
MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class Refusal(web.HTTPError):
    """An answer other than 200, as one plain sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, message)


class Page:
    """Base of the handlers; `shared` has what the pages share: at least `render` and `token`."""

    shared: Any

    def html(self, template: str, *values: Any) -> str:
        """Render a page."""
        web.header("Content-Type", "text/html; charset=utf-8")
        web.header("Cache-Control", "no-store")
        return str(getattr(self.shared.render, template)(*values))

    def form(self) -> dict[str, str]:
        """Return the fields of a small form that one of this server's pages sent."""
        environ = web.ctx.env
        if not same_origin(environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE"), environ["HTTP_HOST"]):
            raise Refusal("403 Forbidden", "This form was sent from another site.")
        length = str(environ.get("CONTENT_LENGTH") or "")
        if not is_short_number(length) or int(length) > MAX_FORM_BYTES:
            raise Refusal("413 Content Too Large", f"Expected a form of at most {MAX_FORM_BYTES} bytes.")
        text = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
        fields = {key: values[0] for key, values in parse_qs(text, max_num_fields=MAX_FIELDS).items()}
        if not hmac.compare_digest(fields.get("token", "").encode(), self.shared.token.encode()):
            raise Refusal("403 Forbidden", "This page is from an earlier server: reload it and try again.")
        return fields


class Static(Page):
    """Scripts and styles, by name from the application's list."""

    names: ClassVar[frozenset[str]]

    def GET(self, name: str) -> bytes:
        if name not in self.names:
            raise Refusal("404 Not Found", "There is no such file.")
        web.header("Content-Type", MEDIA_TYPES[Path(name).suffix])
        web.header("Cache-Control", "no-cache")
        return (HERE / "static" / name).read_bytes()


def templates(names: Mapping[str, Any]) -> Any:
    """Templates that see `names` and escape what they are given."""
    return web.template.render(str(HERE / "templates"), cache=True, globals=dict(names))


def application(pages: Mapping[str, type[Page]], shared: Any, static: set[str]) -> web.application:
    """The pages of an application by their pattern, with its static files, to be served or mounted."""
    found = {**pages, STATIC_PATTERN: Static}
    fields = {"shared": shared, "names": frozenset(static)}
    handlers = [type(cls.__name__, (cls,), fields | _plainly(cls)) for cls in found.values()]
    mapping = [part for pair in zip(found, handlers, strict=True) for part in pair]
    app = web.application(mapping, {}, autoreload=False)
    app.add_processor(guarded)
    app.notfound = lambda: Refusal("404 Not Found", "There is no such page.")
    return app


def _plainly(page: type[Page]) -> dict[str, Any]:
    """The methods of a page, whose errors are answered in a sentence: web.py would make internal errors of them."""

    def plain(method: Callable[..., Any]) -> Callable[..., Any]:
        def answer(self: Page, *parts: str) -> Any:
            try:
                return method(self, *parts)
            except SplitstrumentError as error:
                raise Refusal("409 Conflict", str(error)) from None

        return answer

    return {name: plain(getattr(page, name)) for name in ("GET", "POST") if hasattr(page, name)}


def guarded(handle: Any) -> Any:
    """Answer this machine only, under its own names, with the headers of the demonstrator."""
    environ = web.ctx.env
    for name, value in HEADERS.items():
        web.header(name, value, unique=True)
    if environ.get("REMOTE_ADDR") not in LOOPBACK or came_through_a_proxy(environ):
        raise Refusal("403 Forbidden", "This page is for the machine that it runs on.")
    if not host_allowed(environ.get("HTTP_HOST"), names_of("127.0.0.1")):
        host = host_name(environ.get("HTTP_HOST") or "")
        raise Refusal("421 Misdirected Request", f"This page does not go by the name {host[:60]!r}.")
    return handle()


def make_server(app: web.application, port: int) -> Any:
    """Return a server on 127.0.0.1 that listens already; port 0 takes any free one.

    Raises
    ------
    SettingsError
        If the port is taken.
    """
    from cheroot.wsgi import Server

    web.config.debug = False  # True shows tracebacks
    server = Server(("127.0.0.1", port), app.wsgifunc(), numthreads=4, server_name="splitstrument")
    server.max_request_body_size = MAX_FORM_BYTES
    try:
        server.prepare()
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"Port {port} cannot be used ({reason}): choose another with --port.") from None
    return server


def serve(server: Any, path: str, announcement: str, open_browser: bool) -> None:
    """Serve until Ctrl-C; `announcement` is printed with the address in the place of ``{address}``."""
    address = f"http://127.0.0.1:{server.bind_addr[1]}{path}"
    print(announcement.format(address=address), flush=True)
    if open_browser:
        webbrowser.open(address)
    try:
        server.serve()
    finally:
        server.stop()

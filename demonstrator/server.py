"""Put the demonstrator together and serve it: guard every request, answer it, shut down without losing a job."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import web
from cheroot.workers.threadpool import ThreadPool
from cheroot.wsgi import Gateway_10

from demonstrator.connections import PatientServer
from demonstrator.dispatcher import Dispatcher
from demonstrator.guards import HEADERS, VISITOR_COOKIE, host_allowed, is_address, is_secure, names_of
from demonstrator.handler import Refused
from demonstrator.log import log, log_rarely, short_address
from demonstrator.privacy import make_private
from demonstrator.routes import mapping
from demonstrator.settings import DemonstratorSettings
from demonstrator.site import Site
from demonstrator.supervision import Supervised
from demonstrator.workers import ClusterRunner, ProcessRunner, Runner
from splitstrument.errors import SettingsError

SWEEP_EVERY_S = 300
LINGER_BYTES, LINGER_S = 4_000_000, 2.0
SOCKET_TIMEOUT_S = 20
TOO_MANY = b"Too many requests: wait a little.\n"
COOKIE_S = 365 * 24 * 3600
PATHS_WITHOUT_COOKIE = ("/static/", "/health", "/favicon.ico", "/robots.txt")

web.config.debug = False  # True shows tracebacks to visitors


def make_app(site: Site) -> web.application:
    """The web.py application of a site."""
    app = web.application([*_mounted(site), *mapping(site)], {}, autoreload=False)
    app.add_processor(lambda handle: _guarded(site, handle))
    app.notfound = lambda: Refused(site, "404 Not Found", "There is no such page.")
    app.internalerror = lambda: Refused(site, "500 Internal Server Error", "Something went wrong here; this is a bug.")
    return app


def _mounted(site: Site) -> list[Any]:
    """The applications of other rooms that run here too, if they were asked for."""
    if site.settings.quality_dataset is None:
        return []
    from demonstrator import quality

    if site.settings.trust_proxy:
        raise SettingsError(
            "quality_dataset and trust_proxy exclude each other: the quality page is for the machine that it runs on, "
            "and behind a proxy everybody seems to come from there; start a second demonstrator without a proxy for it."
        )
    site.menu.append(("/quality/", "Quality"))
    return ["/quality", quality.application(site.settings.quality_dataset)]


def make_wsgi(site: Site) -> Callable[..., Any]:
    """The WSGI application: web.py's, logged, and without bodies where the method is HEAD."""
    inner = make_app(site).wsgifunc()

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        started, seen = time.perf_counter(), []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen.append(status)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        address = _address(site.settings, environ)
        if site.rate.seconds_to_wait(address):
            return _too_many(site, environ, start_response, address)
        _check_path(environ)
        body = inner(environ, start)
        _log_request(environ, seen[0] if seen else "?", time.perf_counter() - started, address)
        if environ["REQUEST_METHOD"] == "HEAD":
            for _ in body:
                break
            return [b""]
        return body

    return wsgi


def _too_many(site: Site, environ: dict[str, Any], start_response: Callable[..., Any], address: str) -> list[bytes]:
    """The answer to a visitor who asks too often: made before anything else is looked at, and logged once a minute."""
    log_rarely("too_many_requests", address=short_address(address))
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(TOO_MANY)))]
    retry = str(int(1 / site.rate.per_second) + 1)
    start_response("429 Too Many Requests", [*headers, *HEADERS.items(), ("Retry-After", retry)])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else TOO_MANY]


def _check_path(environ: dict[str, Any]) -> None:
    """web.py fails on paths that are not UTF-8; no such page exists, so one that does not exist takes its place."""
    try:
        environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeError:
        environ["PATH_INFO"] = "/not-utf-8"


def _guarded(site: Site, handle: Callable[[], Any]) -> Any:
    """Check every request, and put the headers on every answer."""
    environ = web.ctx.env
    for name, value in HEADERS.items():
        web.header(name, value)
    web.ctx.address = _address(site.settings, environ)
    allowed = names_of(site.host) | set(site.settings.allowed_hosts)
    if not host_allowed(environ.get("HTTP_HOST"), allowed):
        raise Refused(
            site,
            "421 Misdirected Request",
            "This server does not go by that name: use its address, or add the name to allowed_hosts.",
        )
    _recognise(site, environ)
    return handle()


def _recognise(site: Site, environ: dict[str, Any]) -> None:
    cookie = web.cookies().get(VISITOR_COOKIE)
    web.ctx.visitor = cookie if site.tokens.is_visitor(cookie) else site.tokens.new_visitor()
    if web.ctx.visitor != cookie and not environ["PATH_INFO"].startswith(PATHS_WITHOUT_COOKIE):
        secure = is_secure(site.settings.trust_proxy, environ)
        web.setcookie(
            VISITOR_COOKIE, web.ctx.visitor, expires=COOKIE_S, path="/", httponly=True, samesite="Lax", secure=secure
        )


def _address(settings: DemonstratorSettings, environ: dict[str, Any]) -> str:
    """The visitor's address: what the proxy says, where it is one, or where the connection comes from."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if settings.trust_proxy else ""
    told = forwarded.rpartition(",")[2].strip()
    return told if is_address(told) else environ.get("REMOTE_ADDR") or "unknown"


def _log_request(environ: dict[str, Any], status: str, seconds: float, address: str) -> None:
    path = re.sub(r"[0-9a-f]{32}", "*", environ["PATH_INFO"])[:120]
    if path.startswith("/static/") or path.endswith("/status"):
        return
    log(
        "request",
        method=environ["REQUEST_METHOD"][:10],
        path=path,
        status=int(status[:3]) if status[:3].isdigit() else 0,
        ms=round(seconds * 1000, 1),
        address=short_address(address),
    )


class PoliteGateway(Gateway_10):
    """Answers before a body was read: cheroot would first read all of it into memory.

    The connection is closed then, but only after some of the body was taken off the line and thrown away, since a
    client whose line is cut while it is still sending may never see the answer.
    """

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """See PEP 3333."""
        if self._unread():
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)

    def respond(self) -> None:
        """Answer, then take what is still coming, within bounds."""
        super().respond()
        if self._unread() and not self.req.chunked_write:
            self._linger(self.req.conn.socket)

    def _unread(self) -> bool:
        remaining = getattr(self.req.rfile, "remaining", None)
        return self.req.chunked_read if remaining is None else remaining > 0

    @staticmethod
    def _linger(connection: Any) -> None:
        limit, left = time.monotonic() + LINGER_S, LINGER_BYTES
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(LINGER_S / 4)
            while left > 0 and time.monotonic() < limit and (data := connection.recv(1 << 16)):
                left -= len(data)


class Server:
    """The demonstrator, listening.

    Parameters
    ----------
    port
        0 takes any free one; see `url`.
    scheduler
        Address of a dask.distributed scheduler; jobs then run there.

    Raises
    ------
    SettingsError
        If the port or the data folder is taken.
    """

    def __init__(
        self, settings: DemonstratorSettings, host: str, port: int, scheduler: str | None = None,
        config_folder: Path = Path(),
    ) -> None:  # fmt: skip
        self._umask = make_private(settings.data_folder)
        self._lock = _lock_folder(settings.data_folder)
        self.site = Site(settings, host, config_folder)
        self._wsgi = _bind(self.site, host, port)
        runners: list[Runner] = [self._runner(scheduler) for _ in range(settings.workers)]
        self.dispatcher = Dispatcher(
            self.site.store, self.site.room, runners, self.site.task_of, settings.job_limit_s, self.site.free_disk
        )
        self.site.dispatcher = self.dispatcher
        self._stopping = threading.Event()
        self.site.threads = [Supervised("sweep", self.site.sweep, self._stopping, SWEEP_EVERY_S)]

    def _runner(self, scheduler: str | None) -> Runner:
        return ClusterRunner(scheduler) if scheduler else ProcessRunner(self.site.warm_models())

    @property
    def url(self) -> str:
        """Address to open."""
        host, port = self._wsgi.bind_addr[:2]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    def start(self) -> None:
        """Serve from threads of its own, and return."""
        self.dispatcher.start()
        threading.Thread(target=self._wsgi.serve, daemon=True, name="web").start()
        for thread in self.site.threads:
            thread.start()
        log("started", url=self.url, models=list(self.site.models), workers=self.site.settings.workers)

    def stop(self) -> None:
        """End: no new requests, running jobs back into the queue, processes gone."""
        self._stopping.set()
        self._wsgi.stop()
        self.dispatcher.stop()
        self.site.store.close()
        self._lock.close()
        os.umask(self._umask)
        log("stopped")

    def wait(self) -> None:
        """Serve until Ctrl-C or SIGTERM, then stop."""
        with _signals(self._stopping):
            while not self._stopping.wait(0.5):
                pass
        self.stop()


def _bind(site: Site, host: str, port: int) -> PatientServer:
    """A server that listens already, so that a taken port is told at once."""
    server = PatientServer(
        (host, port), make_wsgi(site), numthreads=site.settings.threads, server_name="splitstrument",
        by_address=not site.settings.trust_proxy,
    )  # fmt: skip
    server.gateway = PoliteGateway
    server.timeout = SOCKET_TIMEOUT_S
    server.max_request_header_size = 32_768
    server.request_queue_size = 128
    server.shutdown_timeout = 3
    server.error_log = _log_server_error  # type: ignore[method-assign,assignment]
    try:
        server.prepare()
    except OSError as error:
        raise SettingsError(
            f"Port {port} of {host} cannot be used ({error.strerror or error}): choose another one with --port."
        ) from None
    assert isinstance(server.requests, ThreadPool)
    return server


def _log_server_error(message: str = "", level: int = 20, traceback: bool = False) -> None:
    kind = type(sys.exc_info()[1]).__name__ if traceback else None
    log_rarely("server", message=str(message).strip().splitlines()[0][:200] if message else "", error=kind)


def _lock_folder(folder: Path) -> Any:
    """Keep a second server off the same jobs; the lock ends with the process, however it ends."""
    file = (folder / "lock").open("w")
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; there the port alone keeps a second server off
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SettingsError(
            f"Another demonstrator uses {folder}: stop it, or set another `data_folder` in a configuration file."
        ) from None
    return file


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stopping`; the earlier handlers come back afterwards."""
    earlier = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)

"""A blind listening test in the browser: a web.py application of its own, for the machine that it runs on.

Routes only; stimuli, hidden orders and statistics are `splitstrument.evaluation.listening`'s. Sessions are random names
in the address; answers go into one CSV file, so the server can be stopped and started in mid-test.
"""

from __future__ import annotations

import datetime
import hmac
import json
import secrets
import string
import threading
import webbrowser
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import web

from demonstrator.guards import HEADERS, host_allowed, host_name, names_of, same_origin
from demonstrator.sending import parse_range
from splitstrument.errors import SettingsError, SplitstrumentError
from splitstrument.evaluation import listening
from splitstrument.evaluation.listening import Kind, Ratings, Trial
from splitstrument.files import write_json

HERE = Path(__file__).parent
STATIC = {
    "listening_test.js": "text/javascript; charset=utf-8",
    "listening_test.css": "text/css; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
MAX_FORM_BYTES = 8192
MAX_NAME = 80
SESSION = "([0-9a-f]{24})"


@dataclass
class Test:
    """What the pages share.

    Attributes
    ----------
    folder
        Where ``ratings.csv`` and ``sessions.json`` lie.
    """

    trials: list[Trial]
    kind: Kind
    folder: Path
    target: str = "instrument"

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.token = secrets.token_hex(20)
        self.ratings = Ratings(self.folder / "ratings.csv")
        self.sessions_file = self.folder / "sessions.json"
        known = json.loads(self.sessions_file.read_text("utf-8")) if self.sessions_file.is_file() else {}
        self.sessions: dict[str, str] = known

    def start(self, listener: str) -> str:
        """Open a session; returns its name."""
        session = secrets.token_hex(12)
        with self.lock:
            self.sessions[session] = listener
            write_json(self.sessions_file, self.sessions)
        return session

    def next_trial(self, session: str) -> int | None:
        """Place of the first trial that a session has not answered; None at the end."""
        answered = self.ratings.answered(session)
        order = listening.trial_order(session, len(self.trials))
        return next((place for place, trial in enumerate(order) if trial not in answered), None)

    def trial(self, session: str, place: int) -> tuple[int, Trial, dict[str, str]]:
        """Trial at a place of a session's order: its number, itself, and letter -> system."""
        number = listening.trial_order(session, len(self.trials))[place]
        trial = self.trials[number]
        order = listening.hidden_order(session, number, trial.stimuli)
        return number, trial, dict(zip(string.ascii_uppercase, order, strict=False))

    @cached_property
    def stimuli(self):
        """WAV files of a trial, kept for its players."""
        return lru_cache(maxsize=8)(lambda number: listening.matched_stimuli(self.trials[number]))

    @cached_property
    def render(self) -> Any:
        """Templates, escaping what they are given."""
        names = {"test": self, "len": len, "enumerate": enumerate}
        return web.template.render(str(HERE / "templates"), cache=True, globals=names)


def application(test: Test) -> web.application:
    """The pages of one test."""
    handlers = [type(cls.__name__, (cls,), {"test": test}) for cls in (Home, Page, Sound, Results, ResultsFile, Static)]
    patterns = (
        "/",
        f"/{SESSION}/([0-9]{{1,4}})",
        f"/{SESSION}/([0-9]{{1,4}})/([A-Z]|reference).wav",
        "/results",
        "/results.csv",
        "/static/([a-z_.]{1,24})",
    )
    app = web.application(
        [part for pair in zip(patterns, handlers, strict=True) for part in pair], {}, autoreload=False
    )
    app.add_processor(guarded)
    app.notfound = lambda: Refusal("404 Not Found", "There is no such page.")
    return app


def serve(test: Test, port: int, open_browser: bool = True) -> None:
    """Serve a test on 127.0.0.1 until Ctrl-C.

    Raises
    ------
    SettingsError
        If the port is taken.
    """
    server = make_server(test, port)
    address = f"http://127.0.0.1:{server.bind_addr[1]}/"
    print(f"Listening test: {address}  results: {address}results  (Ctrl-C ends it)", flush=True)
    if open_browser:
        webbrowser.open(address)
    try:
        server.serve()
    finally:
        server.stop()


def make_server(test: Test, port: int) -> Any:
    """A server that listens already; port 0 takes any free one."""
    from cheroot.wsgi import Server

    web.config.debug = False  # True shows tracebacks
    server = Server(("127.0.0.1", port), application(test).wsgifunc(), numthreads=4, server_name="splitstrument")
    server.max_request_body_size = MAX_FORM_BYTES
    try:
        server.prepare()
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"Port {port} cannot be used ({reason}): choose another with --port.") from None
    return server


class Refusal(web.HTTPError):
    """An answer other than 200, as one plain sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, message)


def guarded(handle: Any) -> Any:
    """Answer this machine only, under its own names, with the headers of the demonstrator."""
    environ = web.ctx.env
    for name, value in HEADERS.items():
        web.header(name, value, unique=True)
    if not host_allowed(environ.get("HTTP_HOST"), names_of("127.0.0.1")):
        host = host_name(environ.get("HTTP_HOST") or "")
        raise Refusal("421 Misdirected Request", f"This page does not go by the name {host[:60]!r}.")
    try:
        return handle()
    except SplitstrumentError as error:
        raise Refusal("409 Conflict", str(error)) from None


class Handler:
    """Base of the handlers."""

    test: Test

    def html(self, template: str, *values: Any) -> str:
        """Render a page."""
        web.header("Content-Type", "text/html; charset=utf-8")
        web.header("Cache-Control", "no-store")
        return str(getattr(self.test.render, template)(*values))

    def place(self, session: str, place: str) -> int:
        """Check an address; 404 for a session or page that does not exist."""
        if session not in self.test.sessions or int(place) >= len(self.test.trials):
            raise Refusal("404 Not Found", "There is no such session or page: start at the first page.")
        return int(place)

    def form(self) -> dict[str, str]:
        """The fields of a small form that one of this server's pages sent."""
        environ = web.ctx.env
        if not same_origin(environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE"), environ["HTTP_HOST"]):
            raise Refusal("403 Forbidden", "This form was sent from another site.")
        length = str(environ.get("CONTENT_LENGTH") or "")
        if not length.isdigit() or int(length) > MAX_FORM_BYTES:
            raise Refusal("413 Content Too Large", f"Expected a form of at most {MAX_FORM_BYTES} bytes.")
        text = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
        fields = {key: values[0] for key, values in parse_qs(text, max_num_fields=64).items()}
        if not hmac.compare_digest(fields.get("token", "").encode(), self.test.token.encode()):
            raise Refusal("403 Forbidden", "This page is from an earlier server: reload it and answer again.")
        return fields


class Home(Handler):
    """What the test is, and its start."""

    def GET(self) -> str:
        return self.html("listening_test_start")

    def POST(self) -> None:
        listener = " ".join(self.form().get("listener", "").split())[:MAX_NAME] or "anonymous"
        session = self.test.start(listener)
        raise web.seeother(f"/{session}/0")


class Page(Handler):
    """One trial: listen and rate."""

    def GET(self, session: str, place: str) -> str:
        at = self.place(session, place)
        _, trial, letters = self.test.trial(session, at)
        return self.html("listening_test_trial", session, at, trial, sorted(letters), "")

    def POST(self, session: str, place: str) -> str:
        at = self.place(session, place)
        form = self.form()
        number, trial, letters = self.test.trial(session, at)
        base = {
            "session": session,
            "listener": self.test.sessions[session],
            "trial": number,
            "kind": self.test.kind,
            "track": trial.track,
            "seconds": form.get("seconds", "")[:8],
            "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        try:
            answers = (_ratings if self.test.kind == "mushra" else _preference)(form, letters)
        except ValueError as error:
            return self.html("listening_test_trial", session, at, trial, sorted(letters), str(error))
        with self.test.lock:
            self.test.ratings.replace([{**base, **answer} for answer in answers])
        following = self.test.next_trial(session)
        raise web.seeother("/results" if following is None else f"/{session}/{following}")


class Sound(Handler):
    """A stimulus by its letter; the address does not tell which system it is."""

    def GET(self, session: str, place: str, letter: str) -> bytes:
        at = self.place(session, place)
        number, _, letters = self.test.trial(session, at)
        if letter != "reference" and letter not in letters:
            raise Refusal("404 Not Found", "There is no such sound.")
        body = self.test.stimuli(number)[letters.get(letter, "reference")]
        web.header("Content-Type", "audio/wav")
        web.header("Cache-Control", "no-store")
        web.header("Accept-Ranges", "bytes")
        try:
            part = parse_range(web.ctx.env.get("HTTP_RANGE", ""), len(body))
        except ValueError:
            raise Refusal("416 Range Not Satisfiable", "There are no such bytes.") from None
        if part:
            web.ctx.status = "206 Partial Content"
            web.header("Content-Range", f"bytes {part[0]}-{part[1]}/{len(body)}")
            body = body[part[0] : part[1] + 1]
        web.header("Content-Length", str(len(body)))
        return body


class Results(Handler):
    """What all listeners said so far."""

    def GET(self) -> str:
        rows = self.test.ratings.rows
        mushra, ab = listening.mushra_results(rows), listening.ab_results(rows)
        listeners = len({row["session"] for row in rows})
        return self.html("listening_test_results", mushra, ab, listeners, len(listening.unreliable_sessions(rows)))


class ResultsFile(Handler):
    """All answers as CSV."""

    def GET(self) -> str:
        web.header("Content-Type", "text/csv; charset=utf-8")
        web.header("Content-Disposition", 'attachment; filename="ratings.csv"')
        return self.test.ratings.text()


class Static:
    """Scripts and styles, by name from a fixed list."""

    def GET(self, name: str) -> bytes:
        if name not in STATIC:
            raise Refusal("404 Not Found", "There is no such file.")
        web.header("Content-Type", STATIC[name])
        web.header("Cache-Control", "no-cache")
        return (HERE / "static" / name).read_bytes()


def _ratings(form: dict[str, str], letters: dict[str, str]) -> list[dict[str, Any]]:
    """Every system's rating, 0 to 100."""
    answers = []
    for letter, system in letters.items():
        text = form.get(f"rating_{letter}", "")
        if not (text.isascii() and text.isdigit() and int(text) <= 100):
            raise ValueError(f"Rate {letter} from 0 to 100.")
        answers.append({"system": system, "rating": int(text)})
    return answers


def _preference(form: dict[str, str], letters: dict[str, str]) -> list[dict[str, Any]]:
    """Which of two was preferred: a row with the preferred system first; rating 0 stands for no difference."""
    choice = form.get("choice", "")
    if choice not in ("A", "B", "none"):
        raise ValueError("Choose A, B or no difference.")
    preferred = letters["A" if choice == "none" else choice]
    other = next(system for system in letters.values() if system != preferred)
    return [{"system": preferred, "other": other, "rating": 0 if choice == "none" else 1}]

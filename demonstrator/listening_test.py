"""A blind listening test in the browser: a web.py application of its own, for the machine that it runs on.

Routes only; stimuli, hidden orders and statistics are `splitstrument.evaluation.listening`'s. Sessions are random names
in the address; answers go into one CSV file, so the server can be stopped and started in mid-test.
"""

from __future__ import annotations

import datetime
import json
import secrets
import string
import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import web

from demonstrator import local_app
from demonstrator.local_app import Refusal
from demonstrator.sending import parse_range
from splitstrument.evaluation import listening
from splitstrument.evaluation.listening import Kind, Ratings, Trial
from splitstrument.files import write_json

STATIC = {"listening_test.js", "listening_test.css", "style.css", "icon.svg"}
MAX_NAME = 80
SESSION = "([0-9a-f]{24})"


@dataclass
class Test:
    """State that the pages share.

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
        return local_app.templates({"test": self, "len": len, "enumerate": enumerate})


def application(test: Test) -> web.application:
    """The pages of one test."""
    place = f"/{SESSION}/([0-9]{{1,4}})"
    pages = {
        "/": Home,
        place: Trials,
        f"{place}/([A-Z]|reference).wav": Sound,
        "/results": Results,
        "/results.csv": ResultsFile,
    }
    return local_app.application(pages, test, STATIC)


def serve(test: Test, port: int, open_browser: bool = True) -> None:
    """Serve a test on 127.0.0.1 until Ctrl-C.

    Raises
    ------
    SettingsError
        If the port is taken.
    """
    announcement = "Listening test: {address}  results: {address}results  (Ctrl-C ends it)"
    local_app.serve(make_server(test, port), "/", announcement, open_browser)


def make_server(test: Test, port: int) -> Any:
    """A server that listens already; port 0 takes any free one."""
    return local_app.make_server(application(test), port)


class Page(local_app.Page):
    """Base of the handlers."""

    shared: Test

    def place(self, session: str, place: str) -> int:
        """Check an address; 404 for a session or page that does not exist."""
        if session not in self.shared.sessions or int(place) >= len(self.shared.trials):
            raise Refusal("404 Not Found", "There is no such session or page: start at the first page.")
        return int(place)


class Home(Page):
    """The first page: what the test is, and its start."""

    def GET(self) -> str:
        return self.html("listening_test_start")

    def POST(self) -> None:
        listener = " ".join(self.form().get("listener", "").split())[:MAX_NAME] or "anonymous"
        session = self.shared.start(listener)
        raise web.seeother(f"/{session}/0")


class Trials(Page):
    """One trial: listen and rate."""

    def GET(self, session: str, place: str) -> str:
        at = self.place(session, place)
        _, trial, letters = self.shared.trial(session, at)
        return self.html("listening_test_trial", session, at, trial, sorted(letters), "")

    def POST(self, session: str, place: str) -> str:
        at = self.place(session, place)
        form = self.form()
        number, trial, letters = self.shared.trial(session, at)
        base = {
            "session": session,
            "listener": self.shared.sessions[session],
            "trial": number,
            "kind": self.shared.kind,
            "track": trial.track,
            "seconds": form.get("seconds", "")[:8],
            "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        try:
            answers = (_ratings if self.shared.kind == "mushra" else _preference)(form, letters)
        except ValueError as error:
            return self.html("listening_test_trial", session, at, trial, sorted(letters), str(error))
        with self.shared.lock:
            self.shared.ratings.replace([{**base, **answer} for answer in answers])
        following = self.shared.next_trial(session)
        raise web.seeother("/results" if following is None else f"/{session}/{following}")


class Sound(Page):
    """A stimulus by its letter; the address does not tell which system it is."""

    def GET(self, session: str, place: str, letter: str) -> bytes:
        at = self.place(session, place)
        number, _, letters = self.shared.trial(session, at)
        if letter != "reference" and letter not in letters:
            raise Refusal("404 Not Found", "There is no such sound.")
        body = self.shared.stimuli(number)[letters.get(letter, "reference")]
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


class Results(Page):
    """Results of all listeners so far."""

    def GET(self) -> str:
        rows = self.shared.ratings.rows
        mushra, ab = listening.mushra_results(rows), listening.ab_results(rows)
        listeners = len({row["session"] for row in rows})
        return self.html("listening_test_results", mushra, ab, listeners, len(listening.unreliable_sessions(rows)))


class ResultsFile(Page):
    """All answers as CSV."""

    def GET(self) -> str:
        web.header("Content-Type", "text/csv; charset=utf-8")
        web.header("Content-Disposition", 'attachment; filename="ratings.csv"')
        return self.shared.ratings.text()


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
    """Return the preferred of two: a row with the preferred system first; rating 0 stands for no difference."""
    choice = form.get("choice", "")
    if choice not in ("A", "B", "none"):
        raise ValueError("Choose A, B or no difference.")
    preferred = letters["A" if choice == "none" else choice]
    other = next(system for system in letters.values() if system != preferred)
    return [{"system": preferred, "other": other, "rating": 0 if choice == "none" else 1}]

"""Base of all handlers: rendering, JSON, refusals, checked forms, and songs that belong to a visitor."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import web

from demonstrator.guards import same_origin
from demonstrator.job import Job
from demonstrator.log import log_rarely
from demonstrator.room import Busy, is_full
from demonstrator.site import Site
from demonstrator.uploads import BadRequest, Form, Limits, is_short_number, read_form

NOT_YOURS = "Only the visitor who sent this song may do that: open the page in the browser that you sent it from."


class Refused(web.HTTPError):
    """An answer other than 200, as a page or as JSON."""

    def __init__(self, site: Site, status: str, message: str, headers: dict[str, str] | None = None) -> None:
        if wants_json():
            kind, text = "application/json", json.dumps({"error": message})
        else:
            kind, title = "text/html; charset=utf-8", status.partition(" ")[2]
            text = str(site.render.layout(site.render.message(title, message), title, ""))
        body = text.encode("utf-8", "replace")
        fixed = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        super().__init__(status, fixed | (headers or {}), body)


class Handler:
    """Base of all handlers; `site` is set on a subclass by `routes.mapping`."""

    site: Site

    def page(self, template: str, title: str, *values: Any, head: str = "") -> bytes:
        """Render a template inside the layout."""
        web.header("Content-Type", "text/html; charset=utf-8")
        web.header("Cache-Control", "no-store")
        return self._sent(self._rendered(template, title, *values, head=head))

    def kept_page(
        self, template: str, title: str, values: Callable[[], list[Any]], files: Callable[[], Iterable[Path]] = tuple
    ) -> bytes:
        """Like `page`, for one that is the same for everybody: rendered again when one of `files()` has changed."""
        kept = self.site.pages.get(template, files, lambda: self._rendered(template, title, *values()))
        web.header("Content-Type", "text/html; charset=utf-8")
        web.header("Cache-Control", "no-cache")
        web.header("ETag", kept.tag)
        if web.ctx.env.get("HTTP_IF_NONE_MATCH") == kept.tag:
            web.ctx.status = "304 Not Modified"
            return b""
        return self._sent(kept.body)

    def _rendered(self, template: str, title: str, *values: Any, head: str = "") -> bytes:
        body = getattr(self.site.render, template)(*values)
        return str(self.site.render.layout(body, title, head)).encode("utf-8", "replace")

    def json(self, data: Any) -> bytes:
        """Answer with JSON."""
        web.header("Content-Type", "application/json")
        web.header("Cache-Control", "no-store")
        return self._sent(json.dumps(data).encode())

    @staticmethod
    def _sent(body: bytes) -> bytes:
        web.header("Content-Length", str(len(body)))
        return body

    def refuse(self, status: str, message: str, **headers: str) -> Refused:
        """An error page to be raised."""
        return Refused(self.site, status, message, {name.replace("_", "-"): value for name, value in headers.items()})

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Answer with a page where the queue or the disk is full."""
        try:
            yield
        except Busy as busy:
            raise self.refuse(busy.status, str(busy), Retry_After=str(busy.retry_after_s)) from None

    def trouble(self, error: Exception) -> Refused:
        """The page of a disk that is full or fails; what can be freed is."""
        self.site.free_disk()
        log_rarely("trouble", error=type(error).__name__, reason=str(error)[:200])
        if is_full(error):
            return self.refuse("507 Insufficient Storage", "The server's disk is full: try again later.")
        return self.refuse("503 Service Unavailable", "The server has trouble with its disk: try again later.")

    @property
    def announced_bytes(self) -> int:
        """Length of the body as its header has it, if that is a number that may be."""
        text = web.ctx.env.get("CONTENT_LENGTH") or ""
        return min(int(text), int(self.site.settings.upload_limit_mb * 1e6)) if is_short_number(text) else 0

    @property
    def visitor(self) -> str:
        """Name of the visitor (set by the guard of every request)."""
        return web.ctx.visitor

    @property
    def token(self) -> str:
        """The visitor's form token."""
        return self.site.tokens.form_token(self.visitor)

    def job(self, job_id: str) -> Job:
        """The job of an address; 404 if there is none."""
        job = self.site.store.get(job_id)
        if job is None:
            raise self.refuse(
                "404 Not Found",
                f"There is no such song here, or it has been deleted: songs {self.site.kept}.",
            )
        return job

    def done_job(self, job_id: str) -> Job:
        """A job that has results; 409 if it has not got that far."""
        job = self.job(job_id)
        if job.state != "done":
            raise self.refuse("409 Conflict", "This song is not done yet.")
        return job

    def separated_job(self, job_id: str) -> Job:
        """A job that has stems; 409 if it is a mix, or has not got that far."""
        job = self.done_job(job_id)
        if job.kind == "remix":
            raise self.refuse("409 Conflict", "This is a mix, which has no stems: go back to its song.")
        return job

    def made_by_get(self) -> None:
        """Refuse HEAD for what is made when it is first asked for."""
        if web.ctx.method == "HEAD":
            raise self.refuse("404 Not Found", "This is made when it is first asked for by GET.")

    def result_file(self, job: Job, name: str) -> Path:
        """A file in a job's result folder; `name` comes from this program, never from a request."""
        return self.site.store.job_folder(job.id) / "result" / name

    def form(self, file_path: Path | None = None) -> Form:
        """Read the form of a POST and check that it came from a page of ours.

        Raises
        ------
        Refused
            400, 403, 408, 411, 413 or 415.
        """
        environ = web.ctx.env
        if not same_origin(environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE"), environ["HTTP_HOST"]):
            raise self.refuse("403 Forbidden", "This form was sent from another site.")
        settings = self.site.settings
        limits = Limits(int(settings.upload_limit_mb * 1e6), settings.upload_min_kb_per_s * 1000)
        try:
            form = read_form(environ, file_path, limits, self._check_token)
            self._check_token(form)
        except BadRequest as error:
            raise self.refuse(error.status, str(error)) from None
        return form

    def _check_token(self, form: Form) -> None:
        if not self.site.tokens.is_form_token(self.visitor, form.get("token")):
            raise BadRequest("403 Forbidden", "The form has expired: go back, reload the page and send it again.")

    def own_job(self, job_id: str) -> Job:
        """A job of this visitor; 403 if it is another's."""
        job = self.job(job_id)
        if job.owner != self.visitor:
            raise self.refuse("403 Forbidden", NOT_YOURS)
        return job


def wants_json() -> bool:
    """Whether the request asks for JSON: a script or the page's own, not somebody without scripts."""
    return "application/json" in web.ctx.env.get("HTTP_ACCEPT", "")


def see_other(path: str) -> web.HTTPError:
    """Redirect to a path of this site after a POST, so that reloading does not repeat it."""
    return web.HTTPError("303 See Other", {"Location": path, "Content-Type": "text/plain", "Cache-Control": "no-store"})


def plain_methods(handler: type[Handler]) -> dict[str, Callable[..., Any]]:
    """The methods of a handler; errors in them become a page and a line in the log: web.py would print a traceback."""
    return {name: _plain(getattr(handler, name)) for name in ("GET", "POST") if hasattr(handler, name)}


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    def answer(self: Handler, *parts: str) -> Any:
        try:
            return method(self, *parts)
        except web.HTTPError:
            raise
        except (OSError, sqlite3.Error) as error:
            raise self.trouble(error) from None
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            log_rarely("bug", error=type(error).__name__, reason=str(error)[:200], where=where)
            raise self.refuse("500 Internal Server Error", "Something went wrong here; this is a bug.") from None

    return answer

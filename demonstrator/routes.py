"""Every address of the demonstrator and what it answers. Reading a request, asking `site`, rendering: nothing more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import web

from demonstrator.handler import Handler, plain_methods, see_other, wants_json
from demonstrator.incoming import NewJob
from demonstrator.job import Job
from demonstrator.lanes import compare_lanes, song_lanes
from demonstrator.library import Library, Rename
from demonstrator.mixes import FORMATS, LOUDNESS, Mix, changes_of, mixes_of
from demonstrator.saving import FORMS, Save, Zip, download_name, is_flac_exact, sizes
from demonstrator.scores import Models, ModelSound, Scores
from demonstrator.sending import send_file
from demonstrator.site import HERE, Site
from demonstrator.sounds import Sound
from splitstrument.mixing.words import words
from splitstrument.version import __version__

ID = "([0-9a-f]{32})"
PART = "[a-z0-9_-]{1,60}"  # a stem or a picture, looked up among those that the result lists
PICTURES = ("mixture", "mask", "instrument", "rest")  # of results of earlier versions, which list none
STATIC = {path.name: path for path in (HERE / "static").iterdir() if not path.name.startswith(".")}
STRENGTHS = range(25, 401, 25)
STRENGTH_TEXTS = frozenset(map(str, STRENGTHS))


class Home(Handler):
    """Choose a model and a song."""

    def GET(self) -> bytes:
        deleted = self.site.deleted(str(web.input(deleted="").deleted), self.visitor)
        return self.page("home", "", self.token, self.site.store.of_owner(self.visitor, 8), deleted)


class Song(Handler):
    """A job: its place in the queue, its progress, or its result."""

    def GET(self, job_id: str) -> bytes:
        job = self.job(job_id)
        owner = job.owner == self.visitor
        if job.state != "done":
            head = "refresh" if job.active else ""
            return self.page("waiting", job.title, job, status_of(self.site, job), self.token, owner, head=head)
        if job.kind == "remix":
            changes = changes_of(job, self.site.mixed_stems(job))
            return self.page("mix", job.title, job, changes, self.token, owner)
        siblings = [
            other for other in self.site.store.of_song(job.song)
            if other.kind == "separate" and other.state == "done" and other.id != job.id
        ]  # fmt: skip
        lanes = song_lanes(self.site, job)
        files = {stem: sizes(self.site, job, stem) for stem in job.stems}
        asked = (words, LOUDNESS, FORMATS, mixes_of(self.site, job, self.visitor), is_flac_exact(self.site, job))
        return self.page("result", job.title, job, lanes, siblings, self.token, owner, STRENGTHS, files, *asked)


def status_of(site: Site, job: Job) -> dict[str, Any]:
    """Return the status that a waiting page shows and asks for every second."""
    position = site.store.position(job) if job.state == "queued" else 0
    left = site.left_s(job)
    return {
        "state": job.state,
        "cancelling": job.active and bool(job.cancel),
        "position": position + 1 if job.state == "queued" else 0,
        "progress": round(job.progress, 3),
        "stage": job.stage or ("waiting" if job.state == "queued" else ""),
        "left_s": None if left is None else round(left, 1),
        "previews": [
            {"name": site.label(job, stem).capitalize(), "address": f"/songs/{job.id}/preview/{stem}"}
            for stem in site.previews(job)
        ],
        "error": job.error,
        "title": job.title,
    }


class Status(Handler):
    """The state of a job as JSON."""

    def GET(self, job_id: str) -> bytes:
        return self.json(status_of(self.site, self.job(job_id)))


class Preview(Handler):
    """The first seconds of a stem, while the song is being separated."""

    def GET(self, job_id: str, stem: str) -> Iterator[bytes]:
        previews = self.site.previews(self.job(job_id))
        if stem not in previews:
            raise self.refuse("404 Not Found", "There is nothing to hear before the song is done.")
        return send_file(previews[stem], cache="no-store")


class View(Handler):
    """Peaks and activity of a result as JSON."""

    def GET(self, job_id: str) -> Iterator[bytes]:
        return send_file(self.result_file(self.separated_job(job_id), "view.json"))


class Picture(Handler):
    """A spectrogram."""

    def GET(self, job_id: str, name: str) -> Iterator[bytes]:
        job = self.separated_job(job_id)
        if name not in (job.result or {}).get("pictures", PICTURES):
            raise self.refuse("404 Not Found", "There is no such picture.")
        return send_file(self.result_file(job, f"{name}.png"))


class Download(Handler):
    """A stem or the sidecar, as the command line would have written it."""

    def GET(self, job_id: str, name: str) -> Iterator[bytes]:
        job = self.done_job(job_id) if name == "sidecar" else self.separated_job(job_id)
        if name not in job.files:
            raise self.refuse("404 Not Found", "This song has no such part.")
        path = self.result_file(job, job.files[name])
        return send_file(path, None if web.input(show=None).show else download_name(self.site, job, name, path.suffix))


class Cancel(Handler):
    """Stop waiting or running."""

    def POST(self, job_id: str) -> str:
        self.form()
        job = self.own_job(job_id)
        self.site.store.request_cancel(job.id)
        raise see_other(f"/songs/{job.id}")


class Delete(Handler):
    """Remove a song and its results."""

    def POST(self, job_id: str) -> str:
        self.form()
        self.site.delete(self.own_job(job_id))
        raise see_other(f"/?deleted={job_id}")


class Undelete(Handler):
    """Bring a song back that was deleted a moment ago."""

    def POST(self, job_id: str) -> str:
        self.form()
        job = self.site.deleted(job_id, self.visitor)
        if job is None:
            raise self.refuse("404 Not Found", "There is nothing to bring back: deleted songs stay for a minute.")
        self.site.undelete(job)
        raise see_other(f"/songs/{job_id}")


class Again(Handler):
    """The same song with another model."""

    def POST(self, job_id: str) -> str:
        form, job = self.form(), self.job(job_id)
        if job.kind == "remix":
            raise self.refuse("409 Conflict", "This is a mix: go back to its song.")
        model = form.get("model")
        if model not in self.site.models:
            raise self.refuse("400 Bad Request", f"There is no model {model[:60]!r} here.")
        with self.refusals():
            other = self.site.again(job, model, self.visitor, web.ctx.address)
        raise see_other(f"/songs/{other.id}")


class Strength(Handler):
    """The same mask at another strength, without running the network again."""

    def POST(self, job_id: str) -> bytes:
        form, job = self.form(), self.separated_job(job_id)
        text = form.get("strength")
        if text not in STRENGTH_TEXTS:
            raise self.refuse("400 Bad Request", "The strength must be one of the steps of the slider.")
        with self.refusals():
            other = self.site.variant(job, int(text), self.visitor, web.ctx.address)
        if wants_json():
            return self.json({"id": other.id, "state": other.state})
        raise see_other(f"/songs/{other.id}")


class Pair(Handler):
    """Two results on one song."""

    def pair(self, first: str, second: str) -> tuple[Job, Job]:
        """Both jobs, if they are done and on the same song."""
        one, other = self.separated_job(first), self.separated_job(second)
        if one.song != other.song:
            raise self.refuse("400 Bad Request", "Only two results on the same song can be compared.")
        return one, other


class Compare(Pair):
    """Two results on one song, switched while they play."""

    def GET(self, first: str, second: str) -> bytes:
        one, other = self.pair(first, second)
        return self.page("compare", one.title, one, other, compare_lanes(self.site, one, other))


class CompareView(Pair):
    """Peaks of both results as JSON."""

    def GET(self, first: str, second: str) -> bytes:
        views = [json.loads(self.result_file(job, "view.json").read_text()) for job in self.pair(first, second)]
        return self.json({"songs": views, "duration_s": views[0]["duration_s"]})


class Health(Handler):
    """For monitors: alive, and how busy."""

    def GET(self) -> bytes:
        troubles = self.site.troubles()
        counts = {} if "database" in troubles else self.site.store.counts()
        if troubles:
            web.ctx.status = "503 Service Unavailable"
        return self.json(
            {
                "status": "failing" if troubles else "ok",
                "troubles": troubles,
                "version": __version__,
                "uptime_s": round(time.monotonic() - self.site.started),
                "queued": counts.get("queued", 0),
                "running": counts.get("running", 0),
                "queue_limit": self.site.settings.queue_limit,
                "accepting": counts.get("queued", 0) + counts.get("running", 0) < self.site.settings.queue_limit,
            }
        )


class Static(Handler):
    """Style sheets, scripts and pictures: the files that lay there at the start, and no others."""

    def GET(self, name: str) -> Iterator[bytes]:
        if name not in STATIC:
            raise self.refuse("404 Not Found", "There is no such file.")
        return send_file(STATIC[name], cache="public, max-age=600")


class Favicon(Handler):
    """Browsers ask for it by this name."""

    def GET(self) -> str:
        raise web.HTTPError("301 Moved Permanently", {"Location": "/static/icon.svg"}, "")


class Robots(Handler):
    """Crawlers have nothing to do here."""

    def GET(self) -> str:
        web.header("Content-Type", "text/plain")
        return "User-agent: *\nDisallow: /\n"


class Route(NamedTuple):
    """An address, as a regular expression, and who answers it; a page with a name in `menu` stands in the menu."""

    address: str
    handler: type[Handler]
    menu: str = ""


ROUTES = (
    Route("/", Home),
    Route("/songs", NewJob),
    Route(f"/songs/{ID}", Song),
    Route(f"/songs/{ID}/status", Status),
    Route(f"/songs/{ID}/preview/({PART})", Preview),
    Route(f"/songs/{ID}/view", View),
    Route(f"/songs/{ID}/({PART}).png", Picture),
    Route(f"/songs/{ID}/sound/({PART})/([0-9]{{1,5}}).(ogg|flac)", Sound),
    Route(f"/songs/{ID}/save/({PART}).({'|'.join(FORMS)})", Save),
    Route(f"/songs/{ID}/zip", Zip),
    Route(f"/songs/{ID}/cancel", Cancel),
    Route(f"/songs/{ID}/delete", Delete),
    Route("/library", Library, "Library"),
    Route(f"/songs/{ID}/rename", Rename),
    Route(f"/songs/{ID}/undelete", Undelete),
    Route(f"/songs/{ID}/again", Again),
    Route(f"/songs/{ID}/strength", Strength),
    Route(f"/songs/{ID}/mix", Mix),
    Route(f"/songs/{ID}/({PART})", Download),
    Route(f"/compare/{ID}/{ID}", Compare),
    Route(f"/compare/{ID}/{ID}/view", CompareView),
    Route("/models", Models, "Models"),
    Route(r"/models/([^/]{1,60})/([a-z0-9_]{1,40}\.ogg)", ModelSound),
    Route("/scores", Scores, "Scores"),
    Route("/health", Health),
    Route(r"/static/([a-z][a-z0-9.-]{0,60})", Static),
    Route("/favicon.ico", Favicon),
    Route("/robots.txt", Robots),
)


def mapping(site: Site) -> list[Any]:
    """web.py's list of addresses and classes, the classes bound to `site`, whose menu is filled."""
    site.menu[:0] = [(route.address, route.menu) for route in ROUTES if route.menu]
    bound = [
        type(route.handler.__name__, (route.handler,), {"site": site, **plain_methods(route.handler)})
        for route in ROUTES
    ]
    pairs = [(route.address, handler) for route, handler in zip(ROUTES, bound, strict=True)]
    return [item for pair in pairs for item in pair]

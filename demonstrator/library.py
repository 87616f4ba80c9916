"""The library: a visitor's songs with all their results, to find, rename and delete."""

from __future__ import annotations

from dataclasses import dataclass

from demonstrator.handler import Handler, see_other
from demonstrator.job import Job
from demonstrator.site import Site, clean_title

MOST_JOBS = 1000


@dataclass(frozen=True)
class Entry:
    """A song and its results, the newest last."""

    jobs: tuple[Job, ...]
    n_bytes: int

    @property
    def title(self) -> str:
        """What the song is called."""
        return self.jobs[0].title

    @property
    def artist(self) -> str:
        """Who plays, as the file's tags say."""
        return next((str(job.result["artist"]) for job in self.jobs if job.result and job.result.get("artist")), "")

    @property
    def added(self) -> float:
        """When the song came, in seconds since 1970."""
        return self.jobs[0].created


def entries(site: Site, owner: str) -> list[Entry]:
    """A visitor's songs, newest first."""
    songs: dict[str, list[Job]] = {}
    for job in reversed(site.store.of_owner(owner, MOST_JOBS)):
        songs.setdefault(job.song, []).append(job)
    found = [Entry(tuple(jobs), sum(map(site.job_bytes, jobs))) for jobs in songs.values()]
    return sorted(found, key=lambda entry: -entry.added)


class Library(Handler):
    """All songs of a visitor."""

    def GET(self) -> bytes:
        return self.page("library", "Library", entries(self.site, self.visitor), self.token)


class Rename(Handler):
    """Call a song, and all its results, something else."""

    def POST(self, job_id: str) -> str:
        form, job = self.form(), self.own_job(job_id)
        title = clean_title(form.get("title").replace("/", "-") + ".x")
        if not form.get("title").strip():
            raise self.refuse("400 Bad Request", "A song needs a name.")
        for other in self.site.store.of_song(job.song):
            if other.owner == self.visitor:
                self.site.store.rename(other.id, title)
        raise see_other("/library")

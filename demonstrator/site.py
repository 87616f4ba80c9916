"""State that all requests share: settings, models, jobs, tokens and templates; and what may be done with them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from functools import cached_property
from pathlib import Path

import web

from demonstrator.dispatcher import Dispatcher
from demonstrator.guards import RateLimit, Tokens, is_secure
from demonstrator.job import TITLE_LENGTH, Job, new_id
from demonstrator.kept_pages import KeptPages
from demonstrator.log import log
from demonstrator.offered_models import offered_models
from demonstrator.room import KEEP_FREE_BYTES, Room
from demonstrator.settings import DemonstratorSettings
from demonstrator.store import JobStore
from demonstrator.supervision import Supervised
from demonstrator.work import MixTask, Task
from splitstrument.errors import ModelError, SettingsError
from splitstrument.executor import available_cores
from splitstrument.files import safe_name
from splitstrument.recipes import recipes_folder

HERE = Path(__file__).parent
EXAMPLE = ("sample", "example.ogg")
FROM_PARENT = ("variant", "remix")  # kinds of jobs that work on the files of another job


class Site:
    """The running demonstrator.

    Parameters
    ----------
    config_folder
        What relative model paths in the settings start from.
    """

    def __init__(self, settings: DemonstratorSettings, host: str = "127.0.0.1", config_folder: Path = Path()) -> None:
        self.settings, self.host = settings, host
        self.models = offered_models(settings, config_folder)
        self.store = JobStore(settings.data_folder)
        self.room = Room(self.store, settings)
        self.tokens = Tokens(settings.data_folder / "key")
        self.rate = RateLimit(settings.requests_per_minute)
        self.started = time.monotonic()
        self.dispatcher: Dispatcher | None = None
        self.pages = KeptPages()
        self.threads: list[Supervised] = []
        self.menu: list[tuple[str, str]] = []  # address and name of pages

    @property
    def example(self) -> Path | None:
        """The example song, if it is installed."""
        path = recipes_folder("datasets").joinpath(*EXAMPLE)
        return path if path.is_file() else None

    @property
    def threads_per_worker(self) -> int:
        """Cores that one worker may use."""
        return max(1, available_cores() // self.settings.workers)

    @property
    def targets(self) -> list[str]:
        """The instruments that can be taken out."""
        return list(dict.fromkeys(model.target for model in self.models.values()))

    def warm_models(self) -> list[tuple[str, str | None, int | None]]:
        """Return the models that a worker opens before its first song, as many as fit in a second or two."""
        return [
            (str(model.folder.path), self.settings.engine, self.threads_per_worker)
            for model in list(self.models.values())[:4]
        ]

    def task_of(self, job: Job, room_bytes: int) -> Task:
        """The work of a job, whose results may take `room_bytes`."""
        folder = self.store.job_folder(job.id)
        model = self.models.get(job.model)
        if model is None:
            raise ModelError(f"The model {job.model!r} is not offered any more: choose another one.")
        song = next((path.name for path in sorted(folder.glob("song.*"))), None)
        return Task(
            kind=job.kind,
            folder=str(folder),
            model=str(model.folder.path),
            song=song,
            link=job.options.get("link") if song is None else None,
            link_hosts=self.settings.link_hosts,
            max_bytes=min(int(self.settings.upload_limit_mb * 1e6), room_bytes),
            max_seconds=self.settings.length_limit_s,
            room_bytes=room_bytes,
            source=str(self.store.job_folder(job.parent)) if job.parent and job.kind in FROM_PARENT else None,
            mix=self._mix_of(job) if job.kind == "remix" else None,
            strength=job.strength,
            engine=self.settings.engine,
            threads=self.threads_per_worker,
        )

    def _mix_of(self, job: Job) -> MixTask:
        """The stems of a mix, which its parent has, and what is done to them."""
        parent = self.store.get(job.parent or "")
        if parent is None:
            raise SettingsError("The song of this mix has been deleted: separate it again.")
        stems = {name: path for name, path in parent.files.items() if name != "sidecar"}
        return MixTask(stems, job.options["mix"], job.options["format"])

    def mixed_stems(self, job: Job) -> list[tuple[str, str]]:
        """Stems of a separation, or of the one that a mix is made of: names, and names for people."""
        source = self.store.get(job.parent or "") if job.kind == "remix" else job
        model = self.models.get(job.model)
        shown = {"instrument": model.target if model else "instrument"}
        names = [name for name in (source.files if source else {}) if name != "sidecar"]
        return [(name, shown.get(name, name).capitalize()) for name in names]

    def add_job(self, job_id: str, **values: object) -> Job:
        """Queue a job and wake the dispatcher."""
        self.room.measure(job_id)
        job = self.store.add(id=job_id, **values)
        self.wake()
        log("job_queued", job=job.number, kind=job.kind, model=job.model)
        return job

    def again(self, job: Job, model: str, owner: str, address: str) -> Job:
        """The same song with another model; returns the job that there is already, if there is one."""
        for other in self.store.of_song(job.song):
            if other.model == model and other.kind == "separate" and other.state not in ("failed", "cancelled"):
                return other
        songs = list(self.store.job_folder(self._root(job).id).glob("song.*"))
        with self.room.place(address, sum(path.stat().st_size for path in songs)):
            job_id = new_id()
            target = self.store.job_folder(job_id)
            target.mkdir()
            for path in songs:
                _link_or_copy(path, target / path.name)
            return self.add_job(
                job_id, kind="separate", owner=owner, address=address, title=job.title, model=model, origin=job.origin,
                song=job.song, options={key: value for key, value in job.options.items() if key == "link"},
            )  # fmt: skip

    def _root(self, job: Job) -> Job:
        """The job that a variant was made from, in whose folder the song lies; any other job itself."""
        return (self.store.get(job.parent) if job.parent and job.kind == "variant" else job) or job

    def variant(self, job: Job, strength: int, owner: str, address: str) -> Job:
        """The same separation with its mask at another strength."""
        root = self._root(job)
        if strength == 100:
            return root
        found = self.store.find_variant(root.id, strength)
        if found:
            return found
        with self.room.place(address, 0):
            job_id = new_id()
            self.store.job_folder(job_id).mkdir()
            return self.add_job(
                job_id, kind="variant", owner=owner, address=address, title=root.title, model=root.model,
                origin=root.origin, song=root.song, parent=root.id, options={"strength": strength},
            )  # fmt: skip

    def delete(self, job: Job) -> None:
        """Remove a job with its files, and what was made of it: other strengths, mixes."""
        gone = {job.id}
        for other in self.store.of_song(job.song):  # oldest first: what a variant was mixed to comes behind it
            if other.id in gone or other.parent in gone:
                gone.add(other.id)
                self.store.request_cancel(other.id)
                self.store.delete(other.id)
                shutil.rmtree(self.store.job_folder(other.id), ignore_errors=True)
                self.room.measure(other.id)

    def sweep(self, now: float | None = None, lost_after_s: float = 3600) -> int:
        """Remove what has expired and folders that no job owns; return how many went."""
        now = time.time() if now is None else now
        kept_s = self.settings.result_hours * 3600
        expired = self.store.expired(now - kept_s, now + kept_s)
        for job in expired:
            self.delete(job)
        folders = [(path, _changed(path)) for path in (self.settings.data_folder / "jobs").iterdir()]
        known, lost = self.store.ids(), 0  # after the folders: a job that came in meanwhile is known
        for folder, changed in folders:
            if folder.name not in known and now - changed > lost_after_s:
                shutil.rmtree(folder, ignore_errors=True)
                self.room.measure(folder.name)
                lost += 1
        if expired or lost:
            log("swept", expired=len(expired), lost=lost)
        return len(expired) + lost

    def free_disk(self) -> None:
        """Free what can be freed on a full disk: what has expired, and what lies about unowned for ten minutes."""
        with contextlib.suppress(OSError, sqlite3.Error):
            self.sweep(lost_after_s=600)

    def troubles(self) -> list[str]:
        """What does not work, for monitors: ``database``, ``disk``, or a thread with what it raised."""
        found = []
        try:
            self.store.count_active()
        except sqlite3.Error:
            found.append("database")
        if self.room.free_bytes < KEEP_FREE_BYTES:
            found.append("disk")
        threads = [*self.threads, *(self.dispatcher.threads if self.dispatcher else [])]
        return found + [f"{thread.name}: {thread.state}" for thread in threads if thread.state != "ok"]

    def share_url(self, job: Job) -> str:
        """Address of a job's page, as the visitor's browser calls this server."""
        scheme = "https" if is_secure(self.settings.trust_proxy, web.ctx.env) else "http"
        return f"{scheme}://{web.ctx.env.get('HTTP_HOST', 'localhost')}/songs/{job.id}"

    def player_config(self, job: Job) -> str:
        """Return the player's sources: the two stems, and the mixture, which is both."""
        lanes = {
            "mixture": {"stems": [0, 1], "peaks": "peaks.mixture", "colour": "--wave-mixture", "muted": True},
            "instrument": {"stems": [0], "peaks": "peaks.instrument", "colour": "--wave-a"},
            "rest": {"stems": [1], "peaks": "peaks.rest", "colour": "--wave-b"},
        }
        return json.dumps({"view": f"/songs/{job.id}/view", "play": f"/songs/{job.id}/play", "lanes": lanes})

    def compare_config(self, one: Job, other: Job) -> str:
        """Return the player's sources when two results are compared: four stems."""
        names = (("a", 0, "instrument"), ("b", 1, "instrument"), ("a-rest", 0, "rest"), ("b-rest", 1, "rest"))
        lanes = {
            key: {
                "stems": [2 * song + (stem == "rest")],
                "peaks": f"songs.{song}.peaks.{stem}",
                "colour": "--wave-b" if song else "--wave-a",
                "solo": key == "a",
            }
            for key, song, stem in names
        }
        base = f"/compare/{one.id}/{other.id}"
        return json.dumps({"view": f"{base}/view", "play": f"{base}/play", "lanes": lanes})

    def wake(self) -> None:
        """Tell the dispatcher that there is work."""
        if self.dispatcher:
            self.dispatcher.wake()

    @cached_property
    def render(self) -> web.template.render:
        """The templates."""
        return web.template.render(str(HERE / "templates"), cache=True, globals={"site": self, "minutes": clock})


def clean_title(file_name: str) -> str:
    """Return the title of a song on a page: its file name without folder and ending."""
    stem = Path(file_name.replace("\\", "/")).stem
    return safe_name(stem, TITLE_LENGTH)


def clock(seconds: float) -> str:
    """Seconds as 3:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _changed(folder: Path) -> float:
    """When a folder or a file in it was last changed; far ahead if it is going just now."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return float("inf")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

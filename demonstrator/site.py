"""State that all requests share: settings, models, jobs, tokens and templates; and what may be done with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
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
from demonstrator.work import PREVIEW, MixTask, Task
from splitstrument.errors import ModelError, SettingsError
from splitstrument.executor import available_cores
from splitstrument.files import safe_name
from splitstrument.recipes import recipes_folder

HERE = Path(__file__).parent
UNDO_S = 60
USUAL_HOURS = 24.0
TELLING_SHARE = 0.25  # of a job, after which its own pace tells when it ends
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
    def kept_hours(self) -> float | None:
        """How long results stay; None until they are deleted."""
        own = self.host.strip("[]") in ("127.0.0.1", "localhost", "::1")
        return self.settings.result_hours or (None if own else USUAL_HOURS)

    @property
    def kept(self) -> str:
        """How long results stay, for a sentence."""
        return f"are deleted after {self.kept_hours:g} hours" if self.kept_hours else "stay until you delete them"

    @property
    def targets(self) -> list[str]:
        """The instruments that can be taken out."""
        return list(dict.fromkeys(target for model in self.models.values() for target in model.targets))

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
            n_stems=len(model.targets) + 1,
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
        stems = {stem: parent.files[stem] for stem in parent.stems}
        return MixTask(stems, job.options["mix"], job.options["format"])

    def mixed_stems(self, job: Job) -> dict[str, str]:
        """Stems of a separation, or of the one that a mix is made of: names -> names for people."""
        source = self.store.get(job.parent or "") if job.kind == "remix" else job
        return {stem: self.label(job, stem).capitalize() for stem in (source.stems if source else ())}

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
            if other.model == model and other.kind == "separate" and not other.lost:
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
        """Hide a job and what was made of it; `UNDO_S` later they are gone, unless `undelete` comes first."""
        gone = _made_of(job, self.store.of_song(job.song))
        for job_id in gone:
            self.store.request_cancel(job_id)
        self.store.hide(gone)
        timer = threading.Timer(UNDO_S, self._purge_later)
        timer.daemon = True
        timer.start()

    def deleted(self, job_id: str, owner: str) -> Job | None:
        """A job that its owner has deleted and may still have back."""
        return next((job for job in self.store.hidden() if job.id == job_id and job.owner == owner), None)

    def undelete(self, job: Job) -> None:
        """Bring a deleted job back, with what was made of it."""
        self.store.unhide(_made_of(job, self.store.hidden()))

    def purge(self, now: float | None = None) -> None:
        """Remove what was deleted `UNDO_S` ago, with its files."""
        for job in self.store.hidden((time.time() if now is None else now) - UNDO_S):
            self._remove(job.id)

    def _purge_later(self) -> None:
        with contextlib.suppress(OSError, sqlite3.Error):  # the server may have ended since
            self.purge()

    def _remove(self, job_id: str) -> None:
        self.store.delete(job_id)
        shutil.rmtree(self.store.job_folder(job_id), ignore_errors=True)
        self.room.measure(job_id)

    def sweep(self, now: float | None = None, lost_after_s: float = 3600) -> int:
        """Remove what has expired and folders that no job owns; return how many went."""
        now = time.time() if now is None else now
        kept_s = (self.kept_hours or float("inf")) * 3600
        expired = self.store.expired(now - kept_s, now + kept_s)
        for job in expired:
            for job_id in _made_of(job, self.store.of_song(job.song)):
                self.store.request_cancel(job_id)
                self._remove(job_id)
        self.purge(now)
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

    def previews(self, job: Job) -> dict[str, Path]:
        """The first seconds of each stem of a song that is being separated, once all of them are there."""
        folder = self.store.job_folder(job.id) / PREVIEW / "song"
        model = self.models.get(job.model)
        if job.state != "running" or model is None or not (folder / "separation.json").is_file():
            return {}
        stems = ("instrument", "rest") if len(model.targets) == 1 else (*model.targets, "rest")
        return {stem: folder / f"{stem}.wav" for stem in stems}

    def left_s(self, job: Job) -> float | None:
        """How long a job will still take; None for one that has ended.

        While little is done, the last songs' times say more than the share that is done.
        """
        if not job.active:
            return None
        usual = self.store.mean_seconds()
        if job.state == "queued" or not job.started:
            return usual * (self.store.position(job) + 1) / self.settings.workers
        elapsed = max(0.0, time.time() - job.started)
        by_usual = max(usual - elapsed, 0.25 * usual * (1 - job.progress))
        if job.progress <= 0:
            return by_usual
        weight = min(1.0, job.progress / TELLING_SHARE)
        return weight * elapsed * (1 - job.progress) / job.progress + (1 - weight) * by_usual

    def job_bytes(self, job: Job) -> int:
        """Return the disk space of one job, as of its last change."""
        return self.room.bytes_of(job.id)

    def label(self, job: Job, stem: str) -> str:
        """Return what people call a stem of a job."""
        model = self.models.get(job.model)
        return model.label(stem) if model else stem

    def wake(self) -> None:
        """Tell the dispatcher that there is work."""
        if self.dispatcher:
            self.dispatcher.wake()

    @cached_property
    def render(self) -> web.template.render:
        """The templates."""
        names = {"site": self, "minutes": clock, "engine": engine_name, "total": sum}
        return web.template.render(str(HERE / "templates"), cache=True, globals=names)


def _made_of(job: Job, others: list[Job]) -> list[str]:
    """Ids of a job and of what was made of it among others, oldest first: strengths, and mixes of either."""
    found = {job.id}
    for other in sorted(others, key=lambda one: one.number):
        if other.parent in found:
            found.add(other.id)
    return list(found)


def clean_title(file_name: str) -> str:
    """Return the title of a song on a page: its file name without folder and ending."""
    stem = Path(file_name.replace("\\", "/")).stem
    return safe_name(stem, TITLE_LENGTH)


def engine_name(job: Job) -> str:
    """Return what made a result: its model, and the strength where it is not the model's own."""
    return job.model if job.strength == 100 else f"{job.model}, strength {job.strength} %"


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

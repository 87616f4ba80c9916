"""Settings of a demonstrator: ``splitstrument demo --config FILE`` reads these from YAML."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from splitstrument.settings import Settings


def default_data_folder() -> Path:
    """Folder for jobs: the user's cache, as the desktop's conventions have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "splitstrument" / "demonstrator"


class ModelEntry(Settings):
    """One model on offer.

    Attributes
    ----------
    model
        Name of a shipped model, or path of a run or model folder (relative to the configuration file).
    name
        What pages and links call it; the model's own name unless set.
    """

    model: str = Field(min_length=1, max_length=1000)
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$")


class DemonstratorSettings(Settings):
    """All settings of a demonstrator.

    Attributes
    ----------
    models
        Models on offer, first one chosen at first; none listed means every shipped model.
    data_folder
        Where jobs live; only one server at a time may use it.
    workers
        Songs separated at the same time, each in a process of its own.
    queue_limit, jobs_per_visitor
        Songs that may wait, in all and per address; the next one is answered with 503 or 429 and Retry-After.
    upload_limit_mb, length_limit_s
        Largest upload and longest song.
    upload_min_kb_per_s
        An upload slower than this after its first ten seconds is ended, since it occupies a thread.
    job_limit_s
        A separation that takes longer is stopped.
    result_hours
        Results are deleted this long after they were finished. None: never where only this machine can reach the
        server, after a day elsewhere.
    disk_limit_gb
        New songs are refused while all jobs together take more.
    requests_per_minute
        Per address, pages and files together.
    allowed_hosts
        Names in the address bar besides localhost and the host that the server listens on.
    trust_proxy
        Take the visitor's address from X-Forwarded-For (only behind a proxy of yours that sets it).
    links
        Offer links (needs yt-dlp).
    link_hosts
        Hosts that links may reach although their addresses are private, such as a media server of your own.
    quality_dataset
        A dataset folder in organised form to be checked by ear at /quality.
    """

    title: str = Field("Splitstrument", max_length=80)
    models: tuple[ModelEntry, ...] = ()
    engine: str | None = None
    data_folder: Path = Field(default_factory=default_data_folder)
    workers: int = Field(1, ge=1, le=64)
    threads: int = Field(24, ge=4, le=256)
    queue_limit: int = Field(40, ge=1, le=10_000)
    jobs_per_visitor: int = Field(10, ge=1, le=10_000)
    upload_limit_mb: float = Field(200, gt=0, le=10_000)
    upload_min_kb_per_s: float = Field(4, ge=0)
    length_limit_s: float = Field(1200, gt=0)
    job_limit_s: float = Field(3600, gt=0)
    result_hours: float | None = Field(None, gt=0)
    disk_limit_gb: float = Field(20, gt=0)
    requests_per_minute: int = Field(1200, ge=10)
    allowed_hosts: tuple[str, ...] = ()
    trust_proxy: bool = False
    links: bool = True
    link_hosts: tuple[str, ...] = ()
    quality_dataset: Path | None = None

"""Files to keep: each stem as WAV, FLAC or MP3, or all of them in a zip.

WAV is what the command line writes, byte for byte. FLAC and MP3 are made from it when they are first asked for, one at
a time, and lie in the result's folder from then on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import web

from demonstrator.handler import Handler
from demonstrator.job import Job
from demonstrator.room import Busy
from demonstrator.sending import send_file, send_zip
from demonstrator.site import Site
from splitstrument.audio import AudioWriter, blocks, probe
from splitstrument.audio.resampling import resample_blocks
from splitstrument.audio.tags import Tags
from splitstrument.errors import AudioFileError

FORMS = ("mp3", "flac", "wav")
MP3_KBPS = 192  # what libsndfile writes of two channels at its usual level, about
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
FLAC_SHARE = 0.65  # of 16 bits a sample, about
INTEGERS = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24")
SMALL_BYTES = 1_000_000
PATIENCE_S = 120.0
AT_MOST = 4  # requests that convert or wait for it, so that the server's other threads stay free
_at_most = threading.BoundedSemaphore(AT_MOST)
_one_at_a_time = threading.BoundedSemaphore(1)


class Save(Handler):
    """A stem in one of the formats."""

    def GET(self, job_id: str, stem: str, form: str) -> Iterator[bytes]:
        job = self.separated_job(job_id)
        if stem not in job.stems:
            raise self.refuse("404 Not Found", "This song has no such part.")
        if form != "wav" and not kept_file(self.site, job, stem, form).is_file():
            self.made_by_get()
        try:
            with self.refusals():
                path = stem_file(self.site, job, stem, form)
        except AudioFileError:
            raise self.refuse("409 Conflict", f"{form.upper()} cannot hold this song: take WAV.") from None
        return send_file(path, download_name(self.site, job, stem, path.suffix))


class Zip(Handler):
    """All stems in one of the formats, and the sidecar, in one file."""

    def GET(self, job_id: str) -> Iterator[bytes]:
        job = self.done_job(job_id)
        form = str(web.input(form="wav").form)
        if form not in FORMS:
            raise self.refuse("400 Bad Request", f"Stems are written as {', '.join(FORMS)}.")
        if form != "wav":
            self.made_by_get()
        with self.refusals():
            files = list(self._files(job, form))
        return send_zip(files, f"{job.title} - {job.model}.zip")

    def _files(self, job: Job, form: str) -> Iterator[tuple[str, Path]]:
        for stem in job.stems:
            try:
                path = stem_file(self.site, job, stem, form)
            except AudioFileError:  # a format that cannot hold this song: it comes as it is
                path = stem_file(self.site, job, stem, "wav")
            yield download_name(self.site, job, stem, path.suffix), path
        sidecar = self.result_file(job, job.files["sidecar"])
        yield download_name(self.site, job, "sidecar", sidecar.suffix), sidecar


def download_name(site: Site, job: Job, stem: str, suffix: str) -> str:
    """Name to save a stem under: the song, then the instrument by its own name."""
    sidecar = "mix" if job.kind == "remix" else "separation"
    name = sidecar if stem == "sidecar" else site.label(job, stem)
    strength = "" if job.strength == 100 else f" {job.strength}%"
    return f"{job.title} - {name}{strength}{suffix}"


def kept_file(site: Site, job: Job, stem: str, form: str) -> Path:
    """Where a stem is kept in a format: WAV, which is there from the start, among the results themselves."""
    result = site.store.job_folder(job.id) / "result"
    return result / (job.files[stem] if form == "wav" else f"save/{stem}.{form}")


def stem_file(site: Site, job: Job, stem: str, form: str) -> Path:
    """The file of a stem in a format, made if it is not there yet.

    Raises
    ------
    Busy
        If there is no room for it, or too many others are being made, or for too long.
    """
    source, kept = (kept_file(site, job, stem, each) for each in ("wav", form))
    if form == "wav" or kept.is_file():
        return kept
    with _turn():
        if not kept.is_file():
            with site.room.bytes(source.stat().st_size + SMALL_BYTES):
                artist = str((job.result or {}).get("artist", ""))
                _convert(source, kept, Tags(title=f"{job.title} ({site.label(job, stem)})", artist=artist))
                site.room.measure(job.id)
    return kept


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Wait for the one conversion at a time, unless as many wait already as may."""
    busy = Busy("503 Service Unavailable", "The server is busy: try again.", 10)
    if not _at_most.acquire(blocking=False):
        raise busy
    try:
        if not _one_at_a_time.acquire(timeout=PATIENCE_S):
            raise busy
        try:
            yield
        finally:
            _one_at_a_time.release()
    finally:
        _at_most.release()


def is_flac_exact(site: Site, job: Job) -> bool:
    """Whether FLAC holds the stems to the bit: it has no floating point, and at most 24 bits."""
    try:
        return all(probe(kept_file(site, job, stem, "wav")).subtype in INTEGERS for stem in job.stems)
    except AudioFileError:  # deleted meanwhile
        return False


def sizes(site: Site, job: Job, stem: str) -> dict[str, float]:
    """Megabytes of a stem in each format: of what is there its size, of what is not an estimate."""
    kept = {form: kept_file(site, job, stem, form) for form in FORMS}
    try:
        info = probe(kept["wav"])
    except AudioFileError:
        return {}
    seconds, channels = info.duration_s, min(2, info.n_channels)
    estimates = {
        "mp3": seconds * MP3_KBPS * channels / 2 / 8000,
        "flac": FLAC_SHARE * seconds * info.sample_rate_hz * info.n_channels * 2 / 1e6,
    }
    return {
        form: path.stat().st_size / 1e6 if form == "wav" or path.is_file() else estimates[form]
        for form, path in kept.items()
    }


def _convert(source: Path, target: Path, tags: Tags) -> None:
    info = probe(source)
    mp3 = target.suffix == ".mp3"
    rate = next((one for one in MP3_RATES_HZ if one >= info.sample_rate_hz), MP3_RATES_HZ[-1])
    rate = rate if mp3 else info.sample_rate_hz
    n_channels = 1 if mp3 and info.n_channels > 2 else info.n_channels
    subtype = None if mp3 else ("PCM_16" if info.subtype in ("PCM_16", "PCM_S8", "PCM_U8") else "PCM_24")
    narrow = (block if n_channels == info.n_channels else block.mean(axis=1, keepdims=True) for block in blocks(source))
    target.parent.mkdir(exist_ok=True)
    with AudioWriter(target, rate, n_channels, subtype, tags=tags) as writer:
        for block in resample_blocks(narrow, n_channels, info.sample_rate_hz, rate):
            writer.write(np.clip(block, -1, 1))

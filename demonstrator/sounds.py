"""The sound of a result as the player fetches it: segment by segment, encoded when it is first asked for.

Opus takes a core 20 ms per second of sound, so at most `AT_ONCE` segments are encoded at a time and each only once:
they lie in the result's folder. FLAC takes a hundredth of that and is made anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import web

from demonstrator.handler import Handler
from demonstrator.job import Job
from demonstrator.sending import send_bytes, send_file
from splitstrument.files import atomic_path
from splitstrument.segments import encode_segment, n_segments, read_segment

AT_ONCE = 2
PATIENCE_S = 20.0
CACHE = "private, max-age=3600"
_encoders = threading.BoundedSemaphore(AT_ONCE)


class Sound(Handler):
    """One segment of one stem."""

    def GET(self, job_id: str, stem: str, index: str, form: str) -> Iterator[bytes]:
        job = self.separated_job(job_id)
        if stem not in job.stems or int(index) >= n_segments((job.result or {})["duration_s"]):
            raise self.refuse("404 Not Found", "There is no such sound.")
        kept = self.result_file(job, f"play/{stem}-{int(index)}.{form}")
        if kept.is_file():
            return send_file(kept, cache=CACHE)
        self.made_by_get()
        return send_bytes(self._encoded(job, stem, int(index), form, kept), kept.suffix, CACHE)

    def _encoded(self, job: Job, stem: str, index: int, form: str, kept: Path) -> bytes:
        if not _encoders.acquire(timeout=PATIENCE_S):
            raise self.refuse("503 Service Unavailable", "The server is busy: try again.", Retry_After="5")
        try:
            audio = read_segment(self.result_file(job, job.files[stem]), index)
            data = encode_segment(audio * float((job.result or {}).get("gain", 1.0)), form, len(job.stems))
        except OSError:
            raise web.notfound() from None
        finally:
            _encoders.release()
        if form == "ogg":
            with self.refusals(), self.site.room.bytes(len(data)):
                kept.parent.mkdir(exist_ok=True)
                with atomic_path(kept) as temporary:
                    temporary.write_bytes(data)
                self.site.room.measure(job.id)
        return data

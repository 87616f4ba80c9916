"""A song comes in: the example, a link or a file, checked and put into the queue."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import web

from demonstrator import sniff
from demonstrator.handler import Handler, see_other
from demonstrator.job import TITLE_LENGTH, new_id
from demonstrator.links import LinkError, check_link, refuse_private_host
from demonstrator.site import clean_title
from demonstrator.uploads import Form
from splitstrument.audio import reads_media
from splitstrument.files import safe_name


class NewJob(Handler):
    """A song comes in: the example, a link, or a file; the link wins over the file."""

    def GET(self) -> str:
        raise see_other("/")

    def POST(self) -> str:
        address, job_id = web.ctx.address, new_id()
        folder = self.site.store.job_folder(job_id)
        with self.refusals(), self.site.room.place(address, self.announced_bytes):
            folder.mkdir()
            with _removed_on_failure(folder):
                form = self.form(folder / "upload")
                model = self._model(form)
                values = self._song(form, folder)
                self.site.add_job(job_id, kind="separate", owner=self.visitor, address=address, model=model, **values)
        raise see_other(f"/songs/{job_id}")

    def _model(self, form: Form) -> str:
        name = form.get("model") or next(iter(self.site.models))
        if name not in self.site.models:
            known = ", ".join(self.site.models)
            raise self.refuse("400 Bad Request", f"There is no model {name[:60]!r} here: choose one of {known}.")
        return name

    def _song(self, form: Form, folder: Path) -> dict[str, Any]:
        upload = folder / "upload"
        link = form.get("link").strip()
        if link or "example" in form.fields:
            upload.unlink(missing_ok=True)
        if link:
            return self._link(link)
        if "example" in form.fields:
            return self._example(folder)
        return self._upload(form, upload)

    def _link(self, link: str) -> dict[str, Any]:
        if not self.site.settings.links:
            raise self.refuse("400 Bad Request", "Links are switched off here: upload a file.")
        try:
            check_link(link)
            refuse_private_host(link, self.site.settings.link_hosts)
        except LinkError as error:
            raise self.refuse("400 Bad Request", str(error)) from None
        host = urlsplit(link).hostname or "link"
        return {"title": safe_name(host, TITLE_LENGTH), "origin": "link", "song": new_id(), "options": {"link": link}}

    def _example(self, folder: Path) -> dict[str, Any]:
        if self.site.example is None:
            raise self.refuse("404 Not Found", "This installation has no example song: upload a file.")
        shutil.copyfile(self.site.example, folder / f"song{self.site.example.suffix}")
        return {"title": "Example", "origin": "example", "song": new_id()}

    def _upload(self, form: Form, upload: Path) -> dict[str, Any]:
        if form.file_name is None or not form.file_bytes:
            raise self.refuse("400 Bad Request", "No song came: choose a file that is not empty, or paste a link.")
        suffix = sniff.suffix_of(upload)
        if suffix is None:
            raise self.refuse(
                "415 Unsupported Media Type",
                f"{clean_title(form.file_name)!r} is no audio that is read here: send {_formats()}.",
            )
        upload.rename(upload.with_name(f"song{suffix}"))
        return {"title": clean_title(form.file_name), "origin": "upload", "song": new_id()}


def _formats() -> str:
    return "WAV, FLAC, OGG, MP3, M4A or AIFF" if reads_media() else "WAV, FLAC, OGG, MP3 or AIFF"


@contextlib.contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    """A refused song leaves nothing; a redirect is how an accepted one is answered."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise

"""Send files: whole, in ranges (what lets a browser seek), or several as one zip."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import web

from splitstrument.files import safe_name

BLOCK = 1 << 17
MAX_FILE_NAME = 200  # bytes
TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".aiff": "audio/aiff",
    ".json": "application/json", ".png": "image/png", ".zip": "application/zip", ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}  # fmt: skip


def send_file(path: Path, download_as: str | None = None, cache: str = "private, max-age=3600") -> Iterator[bytes]:
    """Answer with a file or the range of it that was asked for (one range; several are answered with the whole).

    Parameters
    ----------
    download_as
        File name to save under; None shows or plays the file.
    """
    try:
        status = path.stat()
        file = path.open("rb")
    except OSError:
        raise web.notfound() from None
    size = status.st_size
    tag = f'"{status.st_mtime_ns:x}-{size:x}"'
    _head(path.suffix, download_as, cache)
    web.header("Accept-Ranges", "bytes")
    web.header("ETag", tag)
    web.header("Last-Modified", formatdate(status.st_mtime, usegmt=True))
    if web.ctx.env.get("HTTP_IF_NONE_MATCH") == tag:
        file.close()
        web.ctx.status = "304 Not Modified"
        return iter(())
    try:
        part = parse_range(_range_header(tag), size)
    except ValueError:
        file.close()
        web.header("Content-Range", f"bytes */{size}")
        web.ctx.status = "416 Range Not Satisfiable"
        return iter((b"",))
    first, last = part or (0, size - 1)
    if part:
        web.ctx.status = "206 Partial Content"
        web.header("Content-Range", f"bytes {first}-{last}/{size}")
    web.header("Content-Length", str(last - first + 1))
    if web.ctx.method == "HEAD":
        file.close()
        return iter(())
    return _read(file, first, last - first + 1)


def send_bytes(data: bytes, suffix: str, cache: str) -> Iterator[bytes]:
    """Answer with bytes that lie in no file."""
    _head(suffix, None, cache)
    web.header("Content-Length", str(len(data)))
    return iter((data,))


def _range_header(tag: str) -> str:
    """The Range header, unless the file has changed since the part that the client already has."""
    environ = web.ctx.env
    return environ.get("HTTP_RANGE", "") if environ.get("HTTP_IF_RANGE", tag) == tag else ""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None stands for the whole file.

    Headers that are malformed or ask for several ranges stand for the whole file, as RFC 9110 allows.

    Raises
    ------
    ValueError
        If the file has no such bytes.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if not match or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last), size - 1) if first and last else size - 1
    if start > stop or (not first and int(last) == 0):
        raise ValueError(f"bytes {header!r} of {size}")
    return start, stop


def send_zip(files: Iterable[tuple[str, Path]], download_as: str) -> Iterator[bytes]:
    """Answer with a zip of (name, file), made while it is sent; audio is stored, not compressed again.

    Members get names that are safe as such wherever they are unpacked.
    """
    _head(".zip", download_as, "private, no-store")
    return _zip([(safe_name(name, MAX_FILE_NAME), path) for name, path in files])


def _zip(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name, path in files:
            with path.open("rb") as source, archive.open(zipfile.ZipInfo.from_file(path, name), "w") as target:
                while data := source.read(BLOCK):
                    target.write(data)
                    yield pipe.drain()
    yield pipe.drain()


class _Pipe(io.RawIOBase):
    """A file that cannot seek; what was written is taken out at once."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._data += data
        return len(data)

    def drain(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data


def _read(file, first: int, n_bytes: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while n_bytes and (data := file.read(min(BLOCK, n_bytes))):
            n_bytes -= len(data)
            yield data


def _head(suffix: str, download_as: str | None, cache: str) -> None:
    web.header("Content-Type", TYPES.get(suffix.lower(), "application/octet-stream"))
    web.header("Cache-Control", cache)
    if download_as is not None:
        download_as = safe_name(download_as, MAX_FILE_NAME)
        plain = re.sub(r"[^A-Za-z0-9._ -]", "_", download_as)
        web.header("Content-Disposition", f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(download_as)}")

"""Read a form as it arrives: bounded in size and time, its file written straight to its place.

web.py drops malformed forms in silence and reads any size; here the parser is strict and the limits hold while the
bytes stream in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs

from multipart import MultipartError, PushMultipartParser, parse_options_header

BLOCK = 1 << 16
FIELD_LIMIT = 8_192
FIELDS_LIMIT = 24
GRACE_S = 10.0
ROOM_FOR_FIELDS = 65_536
MAX_DIGITS = 18


class BadRequest(Exception):
    """A form that is refused.

    Attributes
    ----------
    status
        HTTP status line.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Form:
    """A form that was read.

    Attributes
    ----------
    fields
        Texts by name.
    file_name
        What the client called its file: shown, never used as a path. None if no file came.
    file_bytes
        Size of the file.
    """

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str | None = None
    file_bytes: int = 0

    def get(self, name: str, default: str = "") -> str:
        """Text of a field."""
        return self.fields.get(name, default)


@dataclass(frozen=True)
class Limits:
    """Limits of a form."""

    upload_bytes: int
    min_bytes_per_s: float = 0.0


def read_form(
    environ: dict[str, Any],
    file_path: Path | None,
    limits: Limits,
    before_file: Callable[[Form], None] = lambda form: None,
) -> Form:
    """Read the body of a POST.

    Parameters
    ----------
    file_path
        Where the file of the form goes; None refuses files.
    before_file
        Called with the fields that came so far, before any byte of the file is stored; may raise `BadRequest`.

    Raises
    ------
    BadRequest
        411 without a length, 413 too large, 415 another type, 408 too slow, 400 malformed or cut off.
    """
    length = _length(environ, limits, file_path is not None)
    kind, options = parse_options_header(environ.get("CONTENT_TYPE", ""))
    source = _Source(environ["wsgi.input"], length, limits.min_bytes_per_s)
    if kind == "application/x-www-form-urlencoded":
        return _read_urlencoded(source, length)
    if kind == "multipart/form-data" and options.get("boundary"):
        return _read_multipart(source, options["boundary"], length, limits, _Sink(Form(), file_path, before_file))
    raise BadRequest("415 Unsupported Media Type", f"A form was expected, but {kind or 'nothing'!r} came.")


def _length(environ: dict[str, Any], limits: Limits, with_file: bool) -> int:
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        raise BadRequest("411 Length Required", "The request does not say how long it is.")
    if not is_short_number(text):
        raise BadRequest("400 Bad Request", "The length of the request is not a number.")
    most = ROOM_FOR_FIELDS + (limits.upload_bytes if with_file else 0)
    if int(text) > most:
        megabytes = limits.upload_bytes / 1e6 if with_file else most / 1e6
        raise BadRequest("413 Content Too Large", f"At most {megabytes:g} MB are accepted: send a shorter file.")
    return int(text)


def is_short_number(text: str) -> bool:
    """Whether a text is a whole number of at most 18 ASCII digits: longer ones cost time, and mean nothing here."""
    return len(text) <= MAX_DIGITS and text.isascii() and text.isdigit()


class _Source:
    """The body, at most `length` bytes, not slower than allowed."""

    def __init__(self, stream: BinaryIO, length: int, min_bytes_per_s: float) -> None:
        self.stream, self.left, self.min_rate = stream, length, min_bytes_per_s
        self.started, self.got = time.monotonic(), 0

    def read(self) -> bytes:
        """Next bytes; empty at the end."""
        if not self.left:
            return b""
        try:
            data = self.stream.read(min(BLOCK, self.left))
        except TimeoutError:
            raise BadRequest("408 Request Timeout", "The upload stopped: try again.") from None
        except OSError:
            raise BadRequest("400 Bad Request", "The connection was lost during the upload: try again.") from None
        if not data:
            raise BadRequest("400 Bad Request", "The upload was cut off: try again.")
        self.left -= len(data)
        self.got += len(data)
        late = time.monotonic() - self.started - GRACE_S
        if late > 0 and self.got < late * self.min_rate:
            raise BadRequest("408 Request Timeout", "The upload is too slow: try a smaller file.")
        return data


def _read_urlencoded(source: _Source, length: int) -> Form:
    if length > ROOM_FOR_FIELDS:
        raise BadRequest("413 Content Too Large", "The form is too large.")
    body = b""
    while data := source.read():
        body += data
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_LIMIT, errors="strict")
    except ValueError:
        raise BadRequest("400 Bad Request", "The form is malformed.") from None
    return Form({name: values[-1] for name, values in fields.items()})


def _read_multipart(source: _Source, boundary: str, length: int, limits: Limits, sink: _Sink) -> Form:
    try:
        with PushMultipartParser(
            boundary, length, max_segment_size=limits.upload_bytes, max_segment_count=FIELDS_LIMIT, strict=True
        ) as parser:
            while not parser.closed:
                for event in parser.parse(source.read()):
                    sink.take(event)
            while source.read():  # what follows the end of the form is read and ignored
                pass
    except MultipartError as error:
        raise BadRequest("400 Bad Request", f"The form is malformed ({error}).") from None
    finally:
        sink.close()
    return sink.form


class _Sink:
    """Takes the parser's events: the head of a part, its bytes, its end."""

    def __init__(self, form: Form, file_path: Path | None, before_file: Callable[[Form], None]) -> None:
        self.form, self.file_path, self.before_file = form, file_path, before_file
        self.write: Callable[[bytes], Any] = lambda data: None
        self.close: Callable[[], None] = lambda: None

    def take(self, event: Any) -> None:
        if event is None:
            self.close()
            self.write, self.close = self._refuse_bytes, lambda: None
        elif isinstance(event, bytes | bytearray):
            self.write(bytes(event))
        elif event.filename is not None:
            self._begin_file(event.filename)
        else:
            self._begin_field(event.name)

    def _begin_field(self, name: str) -> None:
        text = bytearray()

        def write(data: bytes) -> None:
            text.extend(data)
            if len(text) > FIELD_LIMIT:
                raise BadRequest("413 Content Too Large", f"The field {name[:40]!r} is too long.")

        def close() -> None:
            try:
                self.form.fields[name] = text.decode("utf-8")
            except UnicodeDecodeError:
                raise BadRequest("400 Bad Request", f"The field {name[:40]!r} is not UTF-8 text.") from None

        self.write, self.close = write, close

    def _begin_file(self, name: str) -> None:
        if not name:  # a file field that was left empty
            self.write, self.close = self._refuse_bytes, lambda: None
            return
        if self.file_path is None or self.form.file_name is not None:
            raise BadRequest("400 Bad Request", "One file at a time is expected, and only where a song goes in.")
        self.before_file(self.form)
        self.form.file_name = name
        file = _create(self.file_path)

        def write(data: bytes) -> None:
            file.write(data)
            self.form.file_bytes += len(data)

        self.write, self.close = write, file.close

    @staticmethod
    def _refuse_bytes(data: bytes) -> None:
        raise BadRequest("400 Bad Request", "A file without a name came: choose a file.")


def _create(path: Path) -> BinaryIO:
    """A new file for this user alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

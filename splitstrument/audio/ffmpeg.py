"""The program ffmpeg as a reader, for what neither libsndfile nor PyAV reads."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from splitstrument.audio.channels import mask_of_wav
from splitstrument.audio.media import DEMUXERS, MediaError
from splitstrument.audio.reader import Dtype, Reader, Samples, from_int32
from splitstrument.audio.tags import Tags
from splitstrument.errors import AudioFileError

SAMPLE_BYTES = 4
LARGEST_CHUNK = 1 << 20
INFO = {b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICRD": "date", b"IPRT": "tracknumber"}


def is_installed() -> bool:
    """Tell whether the program is there."""
    return shutil.which("ffmpeg") is not None


class FfmpegReader(Reader):
    """See `Reader`; samples are float32.

    Raises
    ------
    MediaError
        If ffmpeg decodes no sound.
    """

    format, subtype = "ffmpeg", "FLOAT"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._start()

    def _start(self) -> None:
        self.position = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the reader
        with self.path.open("rb", buffering=0) as file:  # ffmpeg goes on where this stands
            is_mp4 = file.read(12)[4:8] == b"ftyp"
            file.seek(0)
            self._process = subprocess.Popen(
                self._command(is_mp4), stdin=file, stdout=subprocess.PIPE, stderr=self._errors
            )
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        head = b"".join(self._header())
        start = head.find(b"fmt ") + 8
        if not head.endswith(b"data") or start < 8:
            reason = self._last_line()
            self.close()
            raise MediaError(reason)
        self._output.read(4)
        self.n_channels = int.from_bytes(head[start + 2 : start + 4], "little")
        self.sample_rate_hz = int.from_bytes(head[start + 4 : start + 8], "little")
        self.channel_mask, self.tags = mask_of_wav(head), _tags(head)

    def _command(self, is_mp4: bool) -> list[str]:
        """ffmpeg reads its standard input, whatever a song says, and opens no file and no address.

        MP4 files, whose index may stand at the end, go through its cache, since a pipe cannot be sought in.
        """
        source = "cache:pipe:0" if is_mp4 else "pipe:0"
        protocols = "cache,pipe" if is_mp4 else "pipe"
        demuxers = ["-f", "mov"] if is_mp4 else []
        allowed = ["-protocol_whitelist", protocols, "-format_whitelist", DEMUXERS, *demuxers]
        output = ["-map", "0:a:0", "-c:a", "pcm_f32le", "-bitexact", "-f", "wav", "pipe:1"]
        return ["ffmpeg", "-nostdin", "-v", "error", *allowed, "-i", source, *output]

    def _header(self) -> Iterator[bytes]:
        """The WAV header, up to the name of the chunk of the sound."""
        yield self._output.read(12)
        while len(name := self._output.read(4)) == 4 and name != b"data":
            size = self._output.read(4)
            length = int.from_bytes(size, "little")
            yield name + size + self._output.read(min(length + length % 2, LARGEST_CHUNK))
        yield name

    def read(self, n_samples: int, dtype: Dtype = "float32") -> Samples:
        """See `Reader`."""
        data = self._output.read(n_samples * self.n_channels * SAMPLE_BYTES)
        n_read = len(data) // (self.n_channels * SAMPLE_BYTES)
        if n_read < n_samples and self._process.wait() != 0:
            raise AudioFileError(f"{self.path} is damaged ({self._last_line()}): get the file again.")
        self.position += n_read
        values = np.frombuffer(data, "<f4", n_read * self.n_channels).reshape(n_read, self.n_channels)
        if dtype == "int32":
            return from_int32(np.clip(np.rint(values * 2.0**31), -(2.0**31), 2.0**31 - 1).astype(np.int32), dtype)
        return values.astype(dtype)

    def _last_line(self) -> str:
        """The last thing that ffmpeg has said, without the file's name."""
        self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode("utf-8", "replace").splitlines() if _says_why(line)]
        return lines[-1].rsplit(": ", 1)[-1].strip() if lines else "ffmpeg decodes no sound"

    def rewind(self) -> None:
        """See `Reader`."""
        self.close()
        self._start()

    def close(self) -> None:
        """See `Reader`."""
        self._process.kill()
        self._output.close()
        self._process.wait()
        self._errors.close()


def _says_why(line: str) -> bool:
    """Tell whether a line is a reason; the cache complains of every pipe."""
    return bool(line.strip()) and not line.startswith("[cache @") and "Last message repeated" not in line


def _tags(head: bytes) -> Tags:
    """Tags of the LIST chunk that ffmpeg writes."""
    found, position = {}, head.find(b"INFO") + 4
    while position >= 8 and head[position : position + 4] in INFO:
        size = int.from_bytes(head[position + 4 : position + 8], "little")
        found[INFO[head[position : position + 4]]] = head[position + 8 : position + 8 + size].rstrip(b"\0")
        position += 8 + size + size % 2
    return Tags.of(found)

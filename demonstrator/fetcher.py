"""The process that fetches one link: ``python -m demonstrator.fetcher``, a request in, lines of JSON out.

What it may do is bounded before anything of the network is read, by means that later code cannot undo:

- an audit hook lets it connect to public addresses only, start no program, and write nowhere but in its folder;
- the system ends it above a processor time, a memory and a file size; reading stops at a number of bytes;
- it ends when whoever started it does, however that ended.

yt-dlp finds out where the sound is. It is downloaded as one file over HTTP, by yt-dlp's own code; playlists (HLS, DASH)
and other protocols, for which yt-dlp may call ffmpeg, are not chosen, and what arrives must begin like a file of sound.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from demonstrator.guards import is_public_address
from demonstrator.links import FetchRequest, LinkError
from demonstrator.sniff import suffix_of
from splitstrument.audio import EXTENSIONS, reads_media
from splitstrument.errors import SplitstrumentError, missing_extra
from splitstrument.files import safe_name

FORMATS = "bestaudio[protocol=https]/bestaudio[protocol=http]/best[protocol=https]/best[protocol=http]"
MAX_PAGES = 40_000_000  # bytes of pages read before the sound is found
MAX_TITLE = 200
CPU_S = 120
PROGRAMS = (
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
NO_NETWORK = (
    "name resolution", "Name or service", "unreachable", "timed out", "nodename", "No address", "getaddrinfo",
)  # fmt: skip
BEHIND = "What is behind the link is"
PRIVATE = "is a private address, which links may not reach"


class Blocked(OSError):
    """Something that this process may not do."""


def guard(folder: Path, allowed_hosts: Iterable[str] = ()) -> None:
    """From now on this process reaches public addresses and `allowed_hosts` only, starts nothing, writes in `folder`.

    An audit hook sees what Python code does in any module, and cannot be taken away again.
    """
    allowed = _addresses_of(allowed_hosts)
    inside = str(folder.resolve())

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in CONNECTIONS:
            _check_address(args[1], allowed)
        elif event in PROGRAMS:
            raise Blocked(f"{event}: no other program may be started")
        elif event == "open":
            _check_open(args, inside)

    sys.addaudithook(hook)


def _addresses_of(hosts: Iterable[str]) -> set[str]:
    """The addresses that these names stand for, and those among them that are addresses."""
    found = set()
    for host in hosts:
        with contextlib.suppress(OSError, UnicodeError):
            found |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return found


def _check_address(address: Any, allowed: set[str]) -> None:
    if not isinstance(address, tuple) or not address:
        raise Blocked("Only internet addresses may be reached")
    host = str(address[0])
    if not is_public_address(host) and host not in allowed:
        raise Blocked(f"{host} {PRIVATE}")


def _check_open(args: tuple[Any, ...], inside: str) -> None:
    """Let files be opened for writing in the folder only; `args` are those of the event ``open``."""
    path, mode, flags = args
    writes = (
        any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
    )
    if writes and isinstance(path, str | bytes) and os.fsdecode(path) != os.devnull:
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith(inside + os.sep):
            raise Blocked(f"{real} lies outside of the folder of the link")


def limit(request: FetchRequest) -> None:
    """Bound this process in memory, processor time and size of files, where the system can."""
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        wanted = {"AS": request.memory_bytes, "CPU": CPU_S, "FSIZE": request.max_bytes + 1_000_000, "CORE": 0}
        for name, value in wanted.items():
            with contextlib.suppress(ValueError, OSError):  # what is lower already stays
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def end_with_starter() -> None:
    """End this process when its standard input ends: whoever started it holds the other end."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Answer one request: lines of JSON on standard output, the last one with `name` and `title`, or `error`."""
    values = json.loads(sys.stdin.readline())
    request = FetchRequest(**{**values, "allowed_hosts": tuple(values["allowed_hosts"])})
    end_with_starter()

    def say(**answer: Any) -> None:
        print(json.dumps(answer), flush=True)

    try:
        path, title = fetch_here(request, lambda share: say(progress=share))
        say(progress=1.0, name=path.name, title=title)
    except SplitstrumentError as error:
        say(progress=1.0, error=str(error))
    except MemoryError:
        say(progress=1.0, error="The pages behind this link are too large: upload the file instead.")


def fetch_here(request: FetchRequest, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    """Fetch in this process, which is bounded for good; see `demonstrator.links.fetch`."""
    sys.modules["curl_cffi"] = None  # type: ignore[assignment]  # it opens sockets that are not Python's
    try:
        import yt_dlp
        from yt_dlp.downloader.http import HttpFD
    except ImportError:
        raise missing_extra("Links", "youtube") from None
    folder = Path(request.folder)
    guard(folder, request.allowed_hosts)
    limit(request)
    try:
        with yt_dlp.YoutubeDL(_options(request)) as finder:
            budget = _Budget(MAX_PAGES, f"more than {MAX_PAGES / 1e6:.0f} MB of pages")
            finder.urlopen = budget.over(finder.urlopen)
            found = _sound(finder.extract_info(request.link.strip(), download=False), request)
            budget.left, budget.reason = request.max_bytes, _too_large(request)
            downloader = HttpFD(finder, finder.params)
            downloader.add_progress_hook(_hook(request, on_progress))
            downloader.download(str(folder / "fetched"), found)
    except MemoryError:
        raise
    except Exception as error:
        raise LinkError(_explain(error)) from None
    return _named(folder / "fetched"), _title(found)


def _sound(info: Any, request: FetchRequest) -> dict[str, Any]:
    """The one file of sound that was found; yt-dlp calls the first of a list's entries by `entries`."""
    for _ in range(5):
        if isinstance(info, dict) and "entries" in info:
            info = next(iter(info["entries"] or ()), None)
    if not isinstance(info, dict) or not info.get("url") or info.get("protocol") not in ("http", "https"):
        raise LinkError(
            "No file of sound was found behind this link, or only a stream in pieces, which is not taken: "
            "upload the file."
        )
    if info.get("is_live") or (info.get("duration") or 0) > request.max_seconds:
        raise LinkError(
            f"The audio is live or longer than {request.max_seconds / 60:.0f} minutes: choose another one, or cut it."
        )
    return info


class _Budget:
    """Bytes that may still be read from the network."""

    def __init__(self, left: int, reason: str) -> None:
        self.left, self.reason = left, reason

    def over(self, urlopen: Callable[..., Any]) -> Callable[..., Any]:
        """`urlopen` whose answers count what is read of them."""

        def counted(request: Any) -> Any:
            response = urlopen(request)
            response.read = self._counting(response.read)
            return response

        return counted

    def _counting(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def counting(amount: int | None = None) -> bytes:
            most = self.left + 1
            data = read(most if amount is None or amount < 0 else min(amount, most))
            self.left -= len(data)
            if self.left < 0:
                raise LinkError(f"{BEHIND} {self.reason}: choose another one.")
            return data

        return counting


def _hook(request: FetchRequest, on_progress: Callable[[float], None]) -> Callable[[dict[str, Any]], None]:
    def hook(state: dict[str, Any]) -> None:
        total = state.get("total_bytes") or state.get("total_bytes_estimate") or 0
        if total > request.max_bytes:
            raise LinkError(f"{BEHIND} {_too_large(request)}: choose another one.")
        on_progress(min(1.0, (state.get("downloaded_bytes") or 0) / total) if total else 0.0)

    return hook


def _too_large(request: FetchRequest) -> str:
    return f"larger than {request.max_bytes / 1e6:.0f} MB"


def _options(request: FetchRequest) -> dict[str, Any]:
    return {
        "format": FORMATS, "noplaylist": True, "playlist_items": "1", "quiet": True, "no_warnings": True,
        "noprogress": True, "cachedir": False, "max_filesize": request.max_bytes, "socket_timeout": 20, "retries": 2,
        "extractor_retries": 1, "proxy": "", "postprocessors": [], "fixup": "never", "nopart": True,
        "updatetime": False, "writesubtitles": False, "writethumbnail": False, "allow_unplayable_formats": False,
        "enable_file_urls": False, "js_runtimes": {}, "remote_components": [], "color": "never", "logger": _Silent(),
        "ffmpeg_location": os.devnull, "plugin_dirs": [], "continuedl": False,
    }  # fmt: skip


class _Silent:
    """yt-dlp prints links and paths; our log does not want them."""

    def debug(self, message: str) -> None:
        """Drop."""

    info = warning = error = debug


def _explain(error: Exception) -> str:
    """One sentence from whatever yt-dlp raised."""
    if isinstance(error, LinkError):
        return str(error)
    text = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", str(error)))[:2000].removeprefix("ERROR: ")
    if BEHIND in text:  # ours, in yt-dlp's wrapping
        return BEHIND + text.partition(BEHIND)[2].partition(";")[0]
    if PRIVATE in text or "internet addresses" in text:
        return "This link leads to a private address, which links may not reach."
    if any(word in text for word in NO_NETWORK):
        return (
            "The link could not be reached: this machine seems to have no internet connection; upload the file instead."
        )
    if "Unsupported URL" in text:
        return "No audio was found behind this link: paste the address of a video, a track or an audio file."
    if "Requested format is not available" in text:
        return (
            "The site offers this only as a stream in pieces or to other programs, which is not taken: upload the file."
        )
    return f"The link could not be fetched ({text[:200].rstrip('.')}): try another one, or upload the file."


def _named(path: Path) -> Path:
    """The file with the ending that its content asks for; what is no sound, such as a playlist, is refused."""
    if not path.is_file():
        raise LinkError("Nothing was fetched: the file is empty, live or too large; upload the song instead.")
    suffix = suffix_of(path)
    if suffix is None:
        raise LinkError("What is behind this link is no file of sound: paste the address of a track or an audio file.")
    if suffix not in EXTENSIONS and not reads_media():
        raise LinkError(
            f"The site sends {suffix.lstrip('.')} files, which are not read here: install splitstrument[media] or "
            "ffmpeg on the server, or upload the song as WAV, FLAC, OGG or MP3."
        )
    return path.rename(path.with_name(f"fetched{suffix}"))


def _title(info: dict[str, Any]) -> str:
    return safe_name(str(info.get("title") or "song"), MAX_TITLE)


if __name__ == "__main__":
    main()

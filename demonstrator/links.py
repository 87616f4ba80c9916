"""Fetch a song from a link by yt-dlp, without ever reaching into a private network.

The check is made where it cannot be passed by: at the moment a socket connects, for the address it connects to. So
redirects, names that resolve to something else the second time, and what an extractor fetches on its own are covered.
`fetch` starts a process of its own for each link, whose sockets are guarded from its first line on.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demonstrator.guards import is_public_address
from splitstrument.audio import is_audio_name
from splitstrument.errors import SplitstrumentError, missing_extra

MAX_LINK = 2000
# only what Python's own sockets fetch: ffmpeg and other programs would pass the guard by
FORMATS = "bestaudio[protocol^=http][protocol!*=m3u8]/best[protocol^=http][protocol!*=m3u8]/bestaudio/best"
OFFLINE_WORDS = ("resol", "Name or service", "nreachable", "timed out", "nodename", "No address", "getaddrinfo")


class LinkError(SplitstrumentError):
    """A link that is refused or leads nowhere."""


class BlockedAddress(OSError):
    """A connection to an address that links may not reach."""


def check_link(link: str) -> str:
    """Refuse at once what is no web address; return the link without surrounding blanks.

    Raises
    ------
    LinkError
        For other schemes, credentials, addresses that are not public, and texts that are no link.
    """
    link = link.strip()
    if len(link) > MAX_LINK or re.search(r"[\x00-\x20\x7f\\]", link):
        raise LinkError("This is no link: paste the address of a page or an audio file, such as https://example.org/a.")
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise LinkError("This link is malformed: copy it again.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise LinkError(f"Links must start with http:// or https://, not {parts.scheme or 'nothing'!r}.")
    if parts.username or parts.password:
        raise LinkError("Links must not hold a user name or password.")
    return link


def refuse_private_host(link: str, allowed: Iterable[str]) -> None:
    """Refuse a host that is an address, or a name that is known to be private, without asking the network."""
    host = (urlsplit(link).hostname or "").rstrip(".").lower()
    if host in set(allowed):
        return
    numeric = _as_address(host)
    private_name = host == "localhost" or host.endswith((".localhost", ".local", ".internal", ".home.arpa"))
    if private_name or (not is_public_address(numeric) if numeric else "." not in host):
        raise LinkError("This link leads to a private address, which links may not reach.")


def _as_address(host: str) -> str | None:
    """The address that a host name spells, in any form that the system's resolver takes (0x7f.1, 2130706433)."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
    except OSError:
        return None


def guard_sockets(allowed_hosts: Iterable[str] = ()) -> None:
    """From now on, every socket of this process connects to public addresses only, or to `allowed_hosts`."""
    allowed = set(allowed_hosts)

    def check(address: Any) -> None:
        if not isinstance(address, tuple):
            raise BlockedAddress("only internet addresses may be reached")
        host = str(address[0])
        if not is_public_address(host) and host not in allowed and not allowed & _names_of(host):
            raise BlockedAddress(f"{host} is a private address, which links may not reach")

    def guarded(method: Callable[..., Any], position: int) -> Callable[..., Any]:
        def call(self: socket.socket, *args: Any) -> Any:
            check(args[position])
            return method(self, *args)

        return call

    # on the class itself, so that TLS sockets and whatever holds a reference to the class are guarded as well
    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name), position))


def _names_of(host: str) -> set[str]:
    return {"localhost"} if host in ("127.0.0.1", "::1") else set()


@dataclass(frozen=True)
class FetchRequest:
    """A link to fetch, where to, and its bounds; plain data, since it goes to a process of its own."""

    link: str
    folder: str
    max_bytes: int
    max_seconds: float
    allowed_hosts: tuple[str, ...] = ()


def fetch(request: FetchRequest, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    """Fetch the best audio behind a link, in a process of its own whose sockets are guarded.

    `on_progress` gets shares from 0 to 1; whatever it raises ends the process and the fetch.

    Returns
    -------
    path : a file that the audio module reads
    title : what the site calls it

    Raises
    ------
    LinkError
        One sentence that says why it did not work.
    """
    refuse_private_host(check_link(request.link), request.allowed_hosts)
    command = [sys.executable, "-m", "demonstrator.links"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdin and process.stdout
    answer: dict[str, Any] = {}
    try:
        process.stdin.write(json.dumps(asdict(request)))
        process.stdin.close()
        for line in process.stdout:
            answer = json.loads(line)
            on_progress(float(answer.get("progress", 0.0)))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if "path" in answer:
        return Path(answer["path"]), answer["title"]
    raise LinkError(answer.get("error") or "The link could not be fetched: try another one, or upload the file.")


def _main() -> None:
    """The process of its own: a request on standard input, lines of JSON on standard output."""
    values = json.load(sys.stdin)
    request = FetchRequest(**{**values, "allowed_hosts": tuple(values["allowed_hosts"])})

    def say(**answer: Any) -> None:
        print(json.dumps(answer), flush=True)

    try:
        path, title = _fetch_here(request, lambda share: say(progress=share))
        say(progress=1.0, path=str(path), title=title)
    except SplitstrumentError as error:
        say(progress=1.0, error=str(error))


def _fetch_here(request: FetchRequest, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    sys.modules["curl_cffi"] = None  # type: ignore[assignment]  # it opens sockets that are not Python's
    try:
        import yt_dlp
    except ImportError:
        raise missing_extra("Links", "youtube") from None
    guard_sockets(request.allowed_hosts)
    folder = Path(request.folder)
    try:
        with yt_dlp.YoutubeDL(_options(request, on_progress)) as downloader:
            info = downloader.extract_info(request.link.strip(), download=True) or {}
    except Exception as error:
        raise LinkError(_explain(error)) from None
    info = next(iter(info.get("entries") or ()), info)
    files = sorted(folder.glob("fetched.*"))
    if not files:
        raise LinkError(
            f"Nothing was fetched: the audio is live, longer than {request.max_seconds / 60:.0f} minutes or "
            f"larger than {request.max_bytes / 1e6:.0f} MB."
        )
    return _readable(files[0]), str(info.get("title") or "song")[:200]


def _options(request: FetchRequest, on_progress: Callable[[float], None]) -> dict[str, Any]:
    max_bytes, max_seconds = request.max_bytes, request.max_seconds

    def hook(state: dict[str, Any]) -> None:
        total = state.get("total_bytes") or state.get("total_bytes_estimate") or 0
        done = state.get("downloaded_bytes") or 0
        if done > max_bytes:
            raise LinkError(f"The file is larger than {max_bytes / 1e6:.0f} MB.")
        on_progress(done / total if total else 0.0)

    def filter_by_length(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        too_long = (info.get("duration") or 0) > max_seconds
        return f"longer than {max_seconds:.0f} s" if too_long or info.get("is_live") else None

    return {
        "format": FORMATS, "outtmpl": {"default": str(Path(request.folder) / "fetched.%(ext)s")}, "noplaylist": True,
        "playlist_items": "1", "quiet": True, "no_warnings": True, "noprogress": True, "cachedir": False,
        "max_filesize": max_bytes, "socket_timeout": 20, "retries": 2, "extractor_retries": 1, "proxy": "",
        "hls_prefer_native": True, "external_downloader": {"default": "native"}, "progress_hooks": [hook],
        "match_filter": filter_by_length, "postprocessors": [], "fixup": "never", "nopart": True, "updatetime": False,
        "writesubtitles": False, "writethumbnail": False, "allow_unplayable_formats": False,
        "enable_file_urls": False, "color": "never", "logger": _Silent(),
    }  # fmt: skip


class _Silent:
    """yt-dlp prints links and paths; our log does not want them."""

    def debug(self, message: str) -> None:
        """Drop."""

    info = warning = error = debug


def _explain(error: Exception) -> str:
    """One sentence from whatever yt-dlp raised."""
    text = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", str(error))).removeprefix("ERROR: ")
    if isinstance(error, LinkError):
        return str(error)
    if "private address" in text or "internet addresses" in text:
        return "This link leads to a private address, which links may not reach."
    network = (
        "name resolution",
        "Name or service",
        "unreachable",
        "timed out",
        "nodename",
        "No address",
        "getaddrinfo",
    )
    if any(word in text for word in network):
        return (
            "The link could not be reached: this machine seems to have no internet connection; upload the file instead."
        )
    if "Unsupported URL" in text:
        return "No audio was found behind this link: paste the address of a video, a track or an audio file."
    return f"The link could not be fetched ({text[:200].rstrip('.')}): try another one, or upload the file."


def _readable(path: Path) -> Path:
    """The file, if its format is read here."""
    if is_audio_name(path):
        return path
    raise LinkError(
        f"The site sends {path.suffix.lstrip('.') or 'unknown'} files, which are not read here: install "
        "splitstrument[media] or ffmpeg on the server, or upload the song as WAV, FLAC, OGG or MP3."
    )


if __name__ == "__main__":
    _main()

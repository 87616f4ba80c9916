"""Links to songs: which ones may be tried, and their fetching in a process of its own.

`demonstrator.fetcher` is that process: it may connect to public addresses only, starts no other program, and is bounded
in memory, time and bytes. Here it is started, watched and ended with everything that it began.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from demonstrator.guards import is_public_address
from splitstrument.errors import SplitstrumentError

MAX_LINK = 2000
MAX_HOST = 253
POLL_S = 0.1
MAX_LINE = 100_000  # of what the fetcher says
NOTHING_FETCHED = "The link could not be fetched: try another one, or upload the file."


class LinkError(SplitstrumentError):
    """A link that is refused or leads nowhere."""


def check_link(link: str) -> str:
    """Refuse at once what is no web address; return the link without surrounding blanks.

    Raises
    ------
    LinkError
        For other schemes, credentials, names that cannot be, and texts that are no link.
    """
    link = link.strip()
    if len(link) > MAX_LINK or re.search(r"[\x00-\x20\x7f-\xa0\ud800-\udfff\\]", link):
        raise LinkError("This is no link: paste the address of a page or an audio file, such as https://example.org/a.")
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise LinkError("This link is malformed: copy it again.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise LinkError(f"Links must start with http:// or https://, not {parts.scheme[:20] or 'nothing'!r}.")
    if parts.username is not None or parts.password is not None:
        raise LinkError("Links must not hold a user name or password.")
    if len(host) > MAX_HOST:
        raise LinkError(
            f"The name of a server has at most {MAX_HOST} characters, not {len(host)}: copy the link again."
        )
    return link


def refuse_private_host(link: str, allowed: Iterable[str]) -> None:
    """Refuse a host that is an address, or a name that is known to be private, without asking the network."""
    host = (urlsplit(link).hostname or "").rstrip(".").lower()
    if host in {name.lower() for name in allowed}:
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


@dataclass(frozen=True)
class FetchRequest:
    """A link to fetch, where to, and its bounds; plain data, since it goes to a process of its own.

    Attributes
    ----------
    max_seconds
        Longest song.
    allowed_hosts
        Names and addresses that may be reached although they are private.
    fetch_limit_s, memory_bytes
        What the fetching may take.
    """

    link: str
    folder: str
    max_bytes: int
    max_seconds: float
    allowed_hosts: tuple[str, ...] = ()
    fetch_limit_s: float = 600.0
    memory_bytes: int = 1_500_000_000


def fetch(request: FetchRequest, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    """Fetch the best audio behind a link, in a process of its own.

    `on_progress` gets shares from 0 to 1, several times a second also while nothing moves; whatever it raises ends the
    fetch with all its processes.

    Returns
    -------
    path : a file of sound
    title : what the site calls it

    Raises
    ------
    LinkError
        One sentence that says why it did not work.
    """
    refuse_private_host(check_link(request.link), request.allowed_hosts)
    command = [sys.executable, "-m", "demonstrator.fetcher"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        env=environment,
    )  # fmt: skip
    assert process.stdin and process.stdout
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            process.stdin.flush()  # and stays open: its end tells the process that nobody waits any more
        answer = _listen(process.stdout, time.monotonic() + request.fetch_limit_s, on_progress)
    finally:
        _end(process)
    path = Path(request.folder) / str(answer.get("name"))
    if "name" in answer and path.parent == Path(request.folder) and path.is_file():
        return path, str(answer.get("title"))
    raise LinkError(str(answer.get("error") or NOTHING_FETCHED))


def _listen(output: IO[bytes], limit: float, on_progress: Callable[[float], None]) -> dict[str, Any]:
    """Return the last line that the process says, passing on how far it is."""
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_put_lines, args=(output, lines), daemon=True).start()
    share = 0.0
    answer: dict[str, Any] = {}
    while True:
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            line = None
        if line == b"":
            return answer
        if line:
            answer = _parsed(line)
            share = max(share, min(1.0, float(answer.get("progress") or 0.0)))
        on_progress(share)
        if time.monotonic() > limit:
            return {"error": "Fetching the link took too long: try another one, or upload the file."}


def _put_lines(output: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Put every line into the queue, an empty one at the end."""
    with contextlib.suppress(OSError, ValueError):  # closed while reading
        while line := output.readline(MAX_LINE):
            lines.put(line)
    lines.put(b"")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and whatever it began: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()

"""The structured log: one line of JSON per event on standard error.

Never logged: cookies, tokens, job ids (who knows an id may open its page), links, file names and whole addresses.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import sys
import threading
import time
from typing import Any

RARELY_S = 60.0
MOST_KINDS = 1000

_lock = threading.Lock()
# kind of event -> when it was last logged, how often it came since
_rare: dict[tuple[str, ...], tuple[float, int]] = {}


def log(event: str, **values: Any) -> None:
    """Write one event."""
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": stamp, "event": event, **values}, ensure_ascii=True, default=str)
    with _lock, contextlib.suppress(OSError, ValueError):  # a log that cannot be written ends nothing
        print(line, file=sys.stderr, flush=True)


def log_rarely(event: str, **values: Any) -> None:
    """Write an event that visitors can cause at will: once a minute, with the number of those that were left out."""
    kind, now = (event, *(str(value)[:60] for value in values.values())), time.monotonic()
    with _lock:
        since, left_out = _rare.get(kind, (-RARELY_S, 0))
        if is_due := now - since >= RARELY_S:
            if len(_rare) >= MOST_KINDS:
                _rare.clear()
            _rare[kind] = now, 0
        else:
            _rare[kind] = since, left_out + 1
    if is_due:
        log(event, **values, **({"left_out": left_out} if left_out else {}))


def short_address(address: str) -> str:
    """An address with its last part cut off: enough to see a pattern, too little to follow a person."""
    try:
        bits = 24 if ipaddress.ip_address(address).version == 4 else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return "unknown"

"""The structured log: one line of JSON per event on standard error.

Never logged: cookies, tokens, job ids (who knows an id may open its page), links, file names and whole addresses.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import sys
import threading
from typing import Any

_lock = threading.Lock()


def log(event: str, **values: Any) -> None:
    """Write one event."""
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": time, "event": event, **values}, ensure_ascii=True, default=str)
    with _lock:
        print(line, file=sys.stderr, flush=True)


def short_address(address: str) -> str:
    """An address with its last part cut off: enough to see a pattern, too little to follow a person."""
    try:
        bits = 24 if ipaddress.ip_address(address).version == 4 else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return "unknown"

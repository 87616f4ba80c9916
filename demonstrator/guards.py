"""Access control: host names, cross-site requests, rate limits, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from splitstrument.errors import SettingsError
from splitstrument.files import atomic_path

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
VISITOR_COOKIE = "splitstrument_visitor"
MAX_ADDRESSES = 10_000
KEY_BYTES = 32
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # deprecated, but still routed inside of some networks
IPV4_COMPATIBLE = ipaddress.ip_network("::/96")  # deprecated forms of IPv4 addresses
ANY_ADDRESS = "any address"


class Tokens:
    """Visitor names and their form tokens; the key lives in the data folder, so that tokens outlive a restart."""

    def __init__(self, key_file: Path) -> None:
        if not os.path.lexists(key_file):
            with atomic_path(key_file) as temporary:
                temporary.write_bytes(secrets.token_bytes(KEY_BYTES))
            key_file.chmod(0o600)
        self._key = _read_key(key_file)

    def new_visitor(self) -> str:
        """Return a new visitor's name: random and signed, so that it cannot be chosen."""
        name = secrets.token_hex(16)
        return f"{name}.{self._sign('visitor', name)}"

    def is_visitor(self, cookie: str | None) -> bool:
        """Whether a cookie is a name that this server gave out."""
        name, _, signature = (cookie or "").partition(".")
        return bool(name) and hmac.compare_digest(signature.encode(), self._sign("visitor", name).encode())

    def form_token(self, visitor: str) -> str:
        """Return the token that every form of this visitor must carry."""
        return self._sign("form", visitor)

    def is_form_token(self, visitor: str, token: str | None) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest((token or "").encode(), self.form_token(visitor).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()[:40]


def _read_key(key_file: Path) -> bytes:
    """The key, if it can be one that this program wrote for this user: of full length, no link, nobody else's."""
    status = key_file.lstat()
    key = key_file.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size == KEY_BYTES else b""
    is_ours = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    if len(key) != KEY_BYTES or not is_ours or len(set(key)) < KEY_BYTES // 4:
        raise SettingsError(
            f"The key {key_file} is not one that this server made for you alone: delete it; a new one is made at the "
            "next start, and visitors can then no longer delete the songs of before."
        )
    return key


class RateLimit:
    """A bucket per address that fills at `per_minute`; at most `MAX_ADDRESSES` of them are remembered."""

    def __init__(self, per_minute: float) -> None:
        self.per_second = per_minute / 60
        self.size = max(10.0, per_minute / 4)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str, now: float | None = None) -> float:
        """Take one request from the bucket of `address`: 0 if there was one, else the time until there is."""
        now = time.monotonic() if now is None else now
        with self._lock:
            level, since = self._buckets.pop(address, (self.size, now))
            level = min(self.size, level + (now - since) * self.per_second)
            allowed = level >= 1
            self._buckets[address] = (level - allowed, now)
            while len(self._buckets) > MAX_ADDRESSES:
                self._buckets.pop(next(iter(self._buckets)))
        return 0.0 if allowed else (1 - level) / self.per_second


def host_allowed(host_header: str | None, allowed: Iterable[str]) -> bool:
    """Whether the Host header names this server: what keeps foreign names from being bound to its address."""
    host, names = host_name(host_header or ""), set(allowed)
    return bool(host) and (host in names or "*" in names or (ANY_ADDRESS in names and is_address(host)))


def host_name(header: str) -> str:
    """Name in a Host header, without port, in lower case; empty if malformed."""
    header = header.strip().lower()
    if header.startswith("["):
        name, bracket, rest = header[1:].partition("]")
        return name if bracket and _is_port(rest.removeprefix(":")) else ""
    name, _, port = header.partition(":")
    return name.rstrip(".") if _is_port(port) else ""


def _is_port(text: str) -> bool:
    return text == "" or (len(text) <= 5 and text.isascii() and text.isdigit() and int(text) < 65536)


def names_of(host: str) -> set[str]:
    """Names under which a server that listens on `host` may be called.

    One that listens on all addresses goes by any address, which cannot be bound to a foreign name, and by the
    machine's own name.
    """
    host = host.strip("[]").lower()
    names = {"localhost", "127.0.0.1", "::1"}
    if host not in ("0.0.0.0", "::", ""):
        return names | {host}
    own = socket.gethostname().lower()
    return names | {ANY_ADDRESS, own, f"{own.partition('.')[0]}.local"}


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def same_origin(origin: str | None, fetch_site: str | None, host_header: str) -> bool:
    """Whether a POST came from a page of this server, as far as the browser says (old ones say nothing)."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    return origin.partition("://")[2].lower() == host_header.strip().lower()


def is_secure(trust_proxy: bool, environ: Mapping[str, Any]) -> bool:
    """Whether the visitor's connection is encrypted, as the proxy says where there is one."""
    told = str(environ.get("HTTP_X_FORWARDED_PROTO", "")) if trust_proxy else ""
    return (told.rpartition(",")[2].strip() or environ.get("wsgi.url_scheme")) == "https"


PROXY_HEADERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")


def came_through_a_proxy(environ: Mapping[str, Any]) -> bool:
    """Whether a request bears the mark of a proxy; then its address is the proxy's."""
    return any(environ.get(name) for name in PROXY_HEADERS)


def is_public_address(text: str) -> bool:
    """Whether an IP address is one that anybody may reach: neither private, loopback, link-local nor reserved."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    teredo = getattr(address, "teredo", None)
    hidden = [inner] if inner else list(teredo or ())
    if address in NAT64:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if any(not is_public_address(str(one)) for one in hidden):
        return False
    if address in SITE_LOCAL or address in IPV4_COMPATIBLE:
        return False
    return (address.is_global or bool(hidden)) and not address.is_multicast

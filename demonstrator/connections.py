"""cheroot, made patient: connections that say nothing hold no thread, and slow ones hold it for a bounded time.

cheroot hands a new connection to a thread at once, which then waits for its first byte; two dozen silent visitors stall
everybody. Here a connection waits in the selector until it says something; a request's head must be there within
seconds; one address holds a part of the threads only, the rest of its requests wait in a line of their own; and there
are at most so many connections, those above it being closed at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from cheroot.connections import ConnectionManager
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server as WsgiServer

from demonstrator.log import log_rarely

HEAD_S = 10.0  # within which a request's head must have come
WATCH_EVERY_S = 1.0
MOST_CONNECTIONS = 512
MOST_OF_ADDRESS = 128
SHARE_OF_ADDRESS = 2 / 3  # of the threads
PAUSE_S = 0.05  # after a connection could not be taken


class TimedRequest(HTTPRequest):
    """A request whose head is watched while it comes in."""

    def parse_request(self) -> None:
        """See cheroot."""
        with self.server.watching(self.conn):
            super().parse_request()


class CountedConnection(HTTPConnection):
    """A connection that tells its server when a request of it is done, and when it is closed.

    Attributes
    ----------
    has_spoken
        Whether it has been in the selector: what comes from there has something to say.
    """

    RequestHandlerClass = TimedRequest
    has_spoken = False

    def communicate(self) -> bool:
        """See cheroot."""
        try:
            return bool(super().communicate())
        finally:
            self.server.served(self)

    def close(self) -> None:
        """See cheroot."""
        self.server.closed(self)
        super().close()


class Manager(ConnectionManager):
    """Takes connections up to a budget; what the system refuses (no descriptors left) is told once a minute."""

    def _from_server_socket(self, server_socket: Any) -> Any:
        try:
            connection = super()._from_server_socket(server_socket)  # type: ignore[misc]
        except OSError as error:
            log_rarely("connection_refused", error=type(error).__name__, reason=error.strerror)
            time.sleep(PAUSE_S)
            return None
        if connection is None or self.server.opened(connection):
            return connection
        log_rarely("connection_refused", error="Budget", reason="too many connections")
        with contextlib.suppress(OSError):
            connection.close()
        return None


class PatientServer(WsgiServer):
    """See the module."""

    ConnectionClass = CountedConnection

    def __init__(self, *args: Any, by_address: bool = True, **more: Any) -> None:
        super().__init__(*args, **more)
        self.by_address = by_address  # False behind a proxy, from which everybody comes
        self._lock = threading.Lock()
        self._open: dict[int, str] = {}
        self._heads: dict[int, tuple[float, Any]] = {}
        self._busy: Counter[str] = Counter()
        self._lines: dict[str, deque[Any]] = {}

    def prepare(self) -> None:
        """See cheroot."""
        super().prepare()
        self._connections.close()
        self._connections: Any = Manager(self)

    def serve(self) -> None:
        """See cheroot."""
        threading.Thread(target=self._watch, daemon=True, name="connections").start()
        super().serve()

    # ---- the budget of connections

    def opened(self, connection: Any) -> bool:
        """Count a new connection; False if there are too many."""
        address = str(connection.remote_addr)
        with self._lock:
            most = MOST_OF_ADDRESS if self.by_address else MOST_CONNECTIONS
            if len(self._open) >= MOST_CONNECTIONS or list(self._open.values()).count(address) >= most:
                return False
            self._open[id(connection)] = address
            return True

    def closed(self, connection: Any) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.pop(id(connection), None)

    # ---- whose turn it is

    def process_conn(self, conn: Any) -> None:
        """Give a connection that has something to say to a thread, or put it in its address's line."""
        if not conn.has_spoken:
            conn.has_spoken = True
            self._connections.put(conn)
            return
        address = str(conn.remote_addr) if self.by_address else ""
        with self._lock:
            if self.by_address and self._busy[address] >= max(1, int(self.requests.min * SHARE_OF_ADDRESS)):
                self._lines.setdefault(address, deque()).append(conn)
                return
            self._busy[address] += 1
        super().process_conn(conn)

    def served(self, connection: Any) -> None:
        """A thread has answered: the next of this address's line has its turn."""
        address = str(connection.remote_addr) if self.by_address else ""
        with self._lock:
            line = self._lines.get(address)
            following = line.popleft() if line else None
            if not line:
                self._lines.pop(address, None)
            if following is None:
                self._busy[address] -= 1
                if self._busy[address] <= 0:
                    del self._busy[address]
        if following is not None:
            super().process_conn(following)

    # ---- slow heads

    @contextlib.contextmanager
    def watching(self, connection: Any) -> Iterator[None]:
        """Cut a connection whose request's head takes too long."""
        with self._lock:
            self._heads[id(connection)] = time.monotonic(), connection.socket
        try:
            yield
        finally:
            with self._lock:
                self._heads.pop(id(connection), None)

    def _watch(self) -> None:
        while self.ready:
            time.sleep(WATCH_EVERY_S)
            late = time.monotonic() - HEAD_S
            with self._lock:
                slow = [line for since, line in self._heads.values() if since < late]
            for line in slow:
                log_rarely("slow_request", reason="the head of a request took too long")
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

"""A long run of the demonstrator under everything at once: ``python benchmarks/demonstrator_soak.py --minutes 60``.

Visitors look at pages, upload songs and damaged files, paste links, change strengths, cancel and delete; some
connections say nothing. Half-way the disk is filled, if `--folder` lies on a small one that was mounted for this, and
later freed; after two thirds the server is killed (-9) and started again. At the end: every song that was accepted has
ended, every thread lives, and memory, descriptors and log have stayed flat. Exits with 1 where one of these does not
hold. Traffic goes to loopback only. A small disk: ``mount -t tmpfs -o size=400m tmpfs FOLDER``, also inside of
``unshare --mount``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from demonstrator_site import Client, make_model, song_bytes  # noqa: E402

SERVE = """
import sys
from pathlib import Path
from demonstrator_site import settings_for
from demonstrator.server import Server
folder, model, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = settings_for(
    folder, [model], jobs_per_visitor=200, queue_limit=60, disk_limit_gb=0.3, links=True, link_hosts=("127.0.0.1",),
    result_hours=float(sys.argv[4]), upload_limit_mb=5, length_limit_s=60,
)
server = Server(settings, "127.0.0.1", port)
server.start()
print(server.url, flush=True)
server.wait()
"""
ENDED = ("done", "failed", "cancelled")
GROWTH = 1.25  # of memory, and of descriptors, from the first third to the last
LOG_BYTES_PER_REQUEST = 400
STUCK_S = 180  # without any song coming to its end
EVENTS_SHOWN = 80  # of the log, where something went wrong


class Soak:
    """The server as a process, its visitors, and what was seen."""

    def __init__(self, folder: Path, minutes: float, visitors: int) -> None:
        self.folder, self.seconds, self.visitors = folder, 60 * minutes, visitors
        self.model = make_model(folder / "guitar", "guitar", work=1)
        self.port = free_port()
        self.stop, self.down = threading.Event(), threading.Event()
        self.counts: Counter[str] = Counter()
        self.jobs: dict[str, Client] = {}
        self.deleted: set[str] = set()
        self.samples: list[tuple[float, int, int]] = []
        self.problems: list[str] = []
        self.lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Start the server, and wait until it answers."""
        self.log = (self.folder / "log").open("ab")
        command = [sys.executable, "-c", SERVE, str(self.folder), str(self.model), str(self.port), "0.05"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, "PYTHONPATH": path}, text=True
        )
        self.url = self.process.stdout.readline().strip()
        self.down.clear()

    def kill(self) -> None:
        """Kill the server without warning, and start it again."""
        self.down.set()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.begin()
        self.counts["kill -9"] += 1

    # ---- visitors

    def visitor(self, seed: int) -> None:
        """One visitor: does something, waits a moment, until the end."""
        rng, client, mine = random.Random(seed), Client(self.url), []
        actions = (self.look, self.look, self.look, self.upload, self.upload, self.damaged, self.link, self.change)
        while not self.stop.is_set():
            action = rng.choice(actions)
            try:
                action(rng, client, mine)
                self.counts[action.__name__] += 1
            except (OSError, AssertionError, ValueError, KeyError, http.client.HTTPException) as error:
                if not self.down.is_set():
                    self.counts[f"failed: {type(error).__name__}"] += 1
            self.stop.wait(rng.uniform(0.2, 1.5))

    def look(self, rng: random.Random, client: Client, mine: list[str]) -> None:
        """A page."""
        pages = ("/", "/models", "/scores", "/health", "/static/style.css", "/nothing", *mine[-3:])
        status = client.get(rng.choice(pages)).status
        if status >= 500 and status not in (503, 507):
            self.problems.append(f"a page was answered with {status}")

    def upload(self, rng: random.Random, client: Client, mine: list[str]) -> None:
        """A song of a few seconds."""
        self._sent(client, client.upload(song_bytes(rng.uniform(0.2, 8), seed=rng.randrange(99))), mine)

    def damaged(self, rng: random.Random, client: Client, mine: list[str]) -> None:
        """A song whose bytes have been changed, or that is none."""
        data = bytearray(song_bytes(1, rng.choice(["WAV", "FLAC", "OGG"])))
        for _ in range(50):
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        self._sent(client, client.upload(bytes(data[: rng.randrange(100, len(data))])), mine)

    def link(self, rng: random.Random, client: Client, mine: list[str]) -> None:
        """A link to the site beside us: a song, a page, nothing, silence."""
        if rng.random() < 0.7:
            return
        path = rng.choice(["/song.wav", "/page", "/nothing", "/silent"])
        self._sent(client, client.upload(None, fields={"link": f"http://127.0.0.1:{self.site_port}{path}"}), mine)

    def change(self, rng: random.Random, client: Client, mine: list[str]) -> None:
        """Another strength, a cancel, or a delete."""
        if not mine:
            return
        path = rng.choice(mine[-5:])
        what = rng.choice(["strength", "cancel", "delete"])
        answer = client.post(f"{path}/{what}", {"strength": str(rng.choice([25, 50, 200]))})
        if what == "delete" and answer.status == 303:
            with self.lock:
                self.deleted.add(path)
            mine.remove(path)

    def _sent(self, client: Client, answer, mine: list[str]) -> None:
        self.counts[f"upload {answer.status}"] += 1
        if answer.status == 303:
            path = "/songs/" + answer.headers["location"].rpartition("/")[2]
            mine.append(path)
            with self.lock:
                self.jobs[path] = client
        elif answer.status not in (400, 411, 413, 415, 429, 503, 507):
            self.problems.append(f"an upload was answered with {answer.status}")

    # ---- what happens meanwhile

    def watch(self) -> None:
        """Memory, descriptors and health, every few seconds."""
        while not self.stop.wait(2.0):
            with contextlib.suppress(OSError, ValueError, IndexError):  # killed just now
                status = Path(f"/proc/{self.process.pid}/status").read_text()
                memory = int(status.partition("VmRSS:")[2].split()[0])
                descriptors = len(os.listdir(f"/proc/{self.process.pid}/fd"))
                self.samples.append((time.monotonic(), memory, descriptors))

    def silent(self) -> None:
        """Connections that say nothing, or only half a word."""
        while not self.stop.wait(1.0):
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                for _ in range(20):
                    line = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=2))
                    line.sendall(random.choice([b"", b"GET / HT", b"POST /songs HTTP/1.1\r\nHost: 127.0.0.1\r\n"]))
                self.stop.wait(3.0)

    def fill(self) -> None:
        """Fill the disk, or what the settings leave of it, for a while."""
        filler = self.folder / "data" / "jobs" / "filler"
        filler.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError), (filler / "zeros").open("wb") as file:
            while not self.stop.is_set() and file.tell() < 2_000_000_000 and is_small(self.folder):
                file.write(bytes(1 << 20))
                file.flush()
        self.counts["disk filled"] += is_small(self.folder)
        self.stop.wait(max(5.0, self.seconds / 12))
        with contextlib.suppress(OSError):
            (filler / "zeros").unlink()
            filler.rmdir()

    def run(self) -> None:
        """All of it."""
        with site() as self.site_port:
            threads = [
                threading.Thread(target=self.visitor, args=(seed,), daemon=True) for seed in range(self.visitors)
            ]
            threads += [threading.Thread(target=work, daemon=True) for work in (self.watch, self.silent)]
            for thread in threads:
                thread.start()
            self.stop.wait(self.seconds / 2)
            self.fill()
            self.stop.wait(self.seconds / 12)
            self.kill()
            self.stop.wait(self.seconds / 3)
            self.stop.set()
            for thread in threads:
                thread.join(30)
            self.settle()

    def settle(self) -> None:
        """Wait until every song has ended, and look at each."""
        moved, states = time.monotonic(), Counter()
        pending = {path: client for path, client in self.jobs.items() if path not in self.deleted}
        while pending and time.monotonic() - moved < STUCK_S:
            for path, client in list(pending.items()):
                answer = client.get(f"{path}/status")
                state = "expired or deleted" if answer.status == 404 else answer.json()["state"]
                if state not in ("queued", "running"):
                    states[state] += 1
                    moved = time.monotonic()
                    del pending[path]
            time.sleep(1.0)
        self.counts.update({f"songs {state}": number for state, number in states.items()})
        if pending:
            self.problems.append(f"{len(pending)} songs never ended")
        health = Client(self.url).get("/health").json()
        if health["status"] != "ok":
            self.problems.append(f"health says {health['troubles']}")

    def finish(self) -> int:
        """Stop the server, say what came out, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.problems.append("the server did not stop within 30 s of SIGTERM")
            self.process.kill()
        log_bytes = (self.folder / "log").stat().st_size
        n_requests = sum(
            number for name, number in self.counts.items() if name in ("look", "upload", "damaged", "change")
        )
        self._check_growth()
        if log_bytes > LOG_BYTES_PER_REQUEST * 4 * max(1, n_requests):
            self.problems.append(f"the log has {log_bytes} bytes for {n_requests} requests")
        if left := list((self.folder / "data").rglob("*.part*")):
            self.problems.append(f"{len(left)} files were left half-written")
        print(json.dumps(dict(sorted(self.counts.items())), indent=1))
        print(f"log {log_bytes / 1e6:.2f} MB; songs accepted {len(self.jobs)}, deleted {len(self.deleted)}")
        for problem in self.problems:
            print(f"PROBLEM: {problem}")
        if self.problems:
            events = [
                line for line in (self.folder / "log").read_text().splitlines() if '"event": "request"' not in line
            ]
            print("\n".join(events[-EVENTS_SHOWN:]))
        return bool(self.problems)

    def _check_growth(self) -> None:
        """Compare the first third of the samples since the last start with the last third."""
        names = ("memory", "descriptors")
        third = len(self.samples) // 3
        for index, name in enumerate(names, 1):
            values = [sample[index] for sample in self.samples]
            if third < 3:
                continue
            first, last = sorted(values[third // 2 : third])[third // 4], sorted(values[-third:])[third // 2]
            print(f"{name}: {first} at first, {last} at last")
            if last > GROWTH * first + (20_000 if name == "memory" else 40):
                self.problems.append(f"{name} grew from {first} to {last}")


def is_small(folder: Path) -> bool:
    """Whether the disk may be filled: one of less than 2 GB, such as one that was mounted for this."""
    status = os.statvfs(folder)
    return status.f_blocks * status.f_frsize < 2_000_000_000


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def site():
    """A site to fetch from; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/silent":
                time.sleep(5)
                return
            body = {"/song.wav": song_bytes(2), "/page": b"<title>x</title>"}.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "audio/wav" if self.path.endswith(".wav") else "text/html")
            self.end_headers()
            self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="Where to work; a small mounted disk is filled for real.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        soak = Soak(Path(folder), options.minutes, options.visitors)
        try:
            soak.run()
        finally:
            status = soak.finish()
    return status


if __name__ == "__main__":
    sys.exit(main())

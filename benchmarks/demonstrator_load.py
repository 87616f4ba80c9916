"""Load on the demonstrator: visitors who look at pages while songs are separated; what waits, what is lost, what grows.

A server with one worker runs in a process of its own on loopback. Three parts:

1. pages with no song in work: the base line;
2. `--visitors` at once, each looking at pages over and over (home, a result, its status, a range of its audio), while
   `--songs` songs from several addresses wait and are separated;
3. `--repeat` short songs one after another: memory of the server and of its worker.

Every figure is of this run; page times are given as a ratio to the base line, too.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from demonstrator_site import Client, make_model, song_bytes  # noqa: E402

from splitstrument.files import write_yaml  # noqa: E402


def main() -> None:
    """Start a server, send it visitors, and print what they met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30, help="length of each song")
    parser.add_argument("--repeat", type=int, default=100, help="songs of the memory part")
    parser.add_argument("--pause", type=float, default=0.5, help="mean pause of a visitor between pages, in seconds")
    parser.add_argument("--model", help="a shipped model or a model folder; a small test network unless given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(make_model(Path(folder) / "guitar", "guitar", work=2))
        process, url = start(Path(folder), model, options)
        try:
            report = measure(url, process.pid, options)
        finally:
            process.terminate()
            process.wait(20)
    print(json.dumps(report, indent=2) if options.json else text(report))
    sys.exit(0 if report["lost_songs"] == 0 and report["failed_requests"] == 0 else 1)


def start(folder: Path, model: str, options: argparse.Namespace) -> tuple[subprocess.Popen, str]:
    """Start the server; returns it and its address."""
    config = folder / "demo.yaml"
    write_yaml(
        config,
        {
            "data_folder": str(folder / "data"),
            "models": [{"model": model}],
            "queue_limit": 1000,
            "jobs_per_visitor": 1000,
            "requests_per_minute": 1_000_000,
        },
    )
    command = [sys.executable, "-m", "splitstrument", "demo", "--no-browser", "--port", "0", "--config", config]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    line = process.stdout.readline()
    return process, next(word for word in line.split() if word.startswith("http://"))


def measure(url: str, pid: int, options: argparse.Namespace) -> dict[str, object]:
    """All three parts."""
    owner = Client(url)
    done = owner.send(song_bytes(5))
    owner.wait(done)
    before = [visit(owner, done)[0] for _ in range(60)]
    during, failed, states, took = under_load(url, done, options)
    return {
        "visitors": options.visitors,
        "songs": options.songs,
        "song_s": options.seconds,
        "pages": len(during),
        "failed_requests": failed,
        "lost_songs": options.songs - states.count("done"),
        "songs_took_s": round(took, 1),
        "idle_median_ms": round(1000 * statistics.median(before), 1),
        "median_ms": round(1000 * statistics.median(during), 1),
        "p95_ms": round(1000 * statistics.quantiles(during, n=20)[-1], 1),
        "median_to_idle": round(statistics.median(during) / statistics.median(before), 1),
        "memory_mb": memory_over_songs(url, pid, options.repeat),
    }


def under_load(url: str, done: str, options: argparse.Namespace) -> tuple[list[float], int, list[str], float]:
    """Times of the pages, failures, states of the songs in the end, and how long they took."""
    started = time.perf_counter()
    sender = Client(url)
    data = song_bytes(options.seconds)
    paths = [sender.send(data) for _ in range(options.songs)]
    stop, times, failures = threading.Event(), [], []

    def visitor(seed: int) -> None:
        client, draw = Client(url), random.Random(seed)
        client.get("/")
        while not stop.wait(draw.expovariate(1 / options.pause)):
            try:
                seconds, status = visit(client, draw.choice([done, *paths]), draw.randrange(4))
            except OSError:
                status = 0
            if status not in (200, 206, 409):  # 409: the audio of a song that is not done yet
                failures.append(status)
            else:
                times.append(seconds)

    threads = [threading.Thread(target=visitor, args=(seed,)) for seed in range(options.visitors)]
    for thread in threads:
        thread.start()
    while any(sender.status(path)["state"] in ("queued", "running") for path in paths[-1:]):
        time.sleep(0.5)
    took = time.perf_counter() - started
    stop.set()
    for thread in threads:
        thread.join()
    return times, len(failures), [sender.status(path)["state"] for path in paths], took


def visit(client: Client, path: str, kind: int = 1) -> tuple[float, int]:
    """One request: seconds and status."""
    started = time.perf_counter()
    if kind == 0:
        answer = client.get("/")
    elif kind == 1:
        answer = client.get(path)
    elif kind == 2:
        answer = client.get(f"{path}/status")
    else:
        answer = client.get(f"{path}/sound/rest/0.ogg")
    return time.perf_counter() - started, answer.status


def memory_over_songs(url: str, pid: int, count: int) -> dict[str, object]:
    """Resident memory of the server and of its worker after every tenth of `count` songs."""
    import psutil

    client = Client(url)
    data = song_bytes(3)
    server = psutil.Process(pid)
    worker = max(server.children(recursive=True), key=lambda process: process.memory_info().rss)
    values: dict[str, list[float]] = {"server": [], "worker": []}
    for number in range(count):
        path = client.send(data)
        client.wait(path)
        client.post(f"{path}/delete")
        if number % max(1, count // 10) == max(1, count // 10) - 1:
            values["server"].append(round(server.memory_info().rss / 1e6, 1))
            values["worker"].append(round(worker.memory_info().rss / 1e6, 1))
    growth = {name: round(one[-1] / one[len(one) // 3] - 1, 3) if one else None for name, one in values.items()}
    return {"songs": count, **values, "growth_after_the_first_third": growth}


def text(report: dict[str, object]) -> str:
    """The report as lines."""
    lines = [f"{name.replace('_', ' '):>20}: {value}" for name, value in report.items() if name != "memory_mb"]
    lines += [f"{'memory, ' + name:>20}: {value}" for name, value in report["memory_mb"].items()]  # type: ignore[attr-defined]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

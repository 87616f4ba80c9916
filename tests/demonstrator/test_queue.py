"""The queue never dies: disks that fill, databases that break, files that vanish; and limits are kept together."""

from __future__ import annotations

import errno
import io
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from demonstrator_site import Client, inline_server, multipart, settings_for, song_bytes
from waiting import wait_until

from demonstrator.job import new_id
from demonstrator.room import Busy, Room
from demonstrator.server import Server
from demonstrator.site import Site
from demonstrator.store import JobStore
from demonstrator.supervision import Supervised
from demonstrator.work import Task, result_bytes, run_task
from demonstrator.workers import ProcessRunner
from splitstrument.audio import probe
from splitstrument.errors import SettingsError


@pytest.fixture(scope="module")
def site(tmp_path_factory, model):
    """One server for all tests that leave it working, which is what they are about."""
    folder = tmp_path_factory.mktemp("site")
    with inline_server(settings_for(folder, [model], jobs_per_visitor=100)) as server:
        yield server, Client(server.url)


# ---- one job's trouble is its own


def test_the_next_song_is_done_after_one_whose_end_cannot_be_written_down(site, monkeypatch):
    server, client = site
    real, failed = server.site.store.finish, []

    def finish(job_id, state, *rest, **more):
        if not failed:
            failed.append(job_id)
            raise sqlite3.OperationalError("database or disk is full")
        real(job_id, state, *rest, **more)

    monkeypatch.setattr(server.site.store, "finish", finish)
    status = client.wait(client.send(song_bytes(0.3)), "failed")
    assert "disk is full" in status["error"]
    assert not (server.site.store.job_folder(failed[0]) / "result").exists()
    client.wait(client.send(song_bytes(0.3)))
    assert client.get("/health").json()["status"] == "ok"


def test_how_a_song_ended_is_written_down_as_soon_as_the_database_lets(site, monkeypatch):
    server, client = site
    real, broken = server.site.store.finish, [True]

    def finish(*values, **more):
        if broken[0]:
            raise sqlite3.OperationalError("disk I/O error")
        real(*values, **more)

    monkeypatch.setattr(server.site.store, "finish", finish)
    path = client.send(song_bytes(0.3))
    wait_until(lambda: client.get("/health").status == 503, 30)
    health = client.get("/health").json()
    assert health["status"] == "failing" and "OperationalError" in health["troubles"][0]
    broken[0] = False
    client.wait(path)
    wait_until(lambda: client.get("/health").json()["status"] == "ok", 30)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\0"])
def test_half_characters_anywhere_end_nothing(site, text):
    server, client = site
    job = server.site.store.add(
        kind="separate", owner=text, address=text, title=text, model=text, origin="upload", song=text,
        options={"link": text},
    )  # fmt: skip
    server.site.wake()
    assert client.wait(f"/songs/{job.id}", "failed")["error"]
    assert client.get(f"/songs/{job.id}").status == 200
    server.site.store.finish(job.id, "failed", error=text, result={"x": text})
    client.wait(client.send(song_bytes(0.3)))


@pytest.mark.parametrize("column", ["options", "result"])
@pytest.mark.parametrize("value", ["{", "[]", "3", ""])
def test_a_broken_row_is_no_other_songs_trouble(site, column, value):
    server, client = site
    with server.site.store._write() as db:
        db.execute(
            "INSERT INTO jobs (id, kind, owner, address, state, title, model, origin, song, options, created) "
            f"VALUES ('{new_id()}', 'variant', '', '', 'queued', '', 'guitar', 'upload', '', '{{}}', 0)"
        )
        db.execute(f"UPDATE jobs SET {column} = ? WHERE state = 'queued'", (value,))
    client.wait(client.send(song_bytes(0.3)))
    server.site.sweep()
    assert client.get("/").status == 200 and server.site.store.counts().get("running", 0) == 0


def test_a_worker_with_a_full_disk_says_so_and_frees_what_it_wrote(site, monkeypatch):
    server, client = site
    freed = []
    monkeypatch.setattr(server.dispatcher, "free", lambda: freed.append(1))

    def run(task, report, stop):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(server.dispatcher.runners[0], "run", run)
    status = client.wait(client.send(song_bytes(0.3)), "failed")
    assert "disk is full" in status["error"] and freed
    assert client.get("/health").json()["status"] == "ok"


def test_a_full_disk_in_the_worker_process_is_told_apart(tmp_path, model):
    """The stem cannot be written: the limit of files' sizes stands in for the end of the disk."""
    from demonstrator.workers import _answer

    (tmp_path / "song.wav").write_bytes(song_bytes(0.3))
    task = Task("separate", str(tmp_path), str(model), song="song.wav")

    def report(share, stage):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert _answer(task, report)[0] == "full"


@pytest.mark.parametrize("where", ["folder", "file", "database"])
def test_an_upload_onto_a_full_disk_gets_507_and_leaves_nothing(site, monkeypatch, where):
    server, client = site
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*args, **more):
        raise sqlite3.OperationalError("database or disk is full") if where == "database" else full

    target = {"folder": "pathlib.Path.mkdir", "file": "demonstrator.uploads._create", "database": "add"}[where]
    body, kind = multipart({"token": client.token()}, song_bytes(0.3), "a.wav")
    before = set((server.site.store.folder / "jobs").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(server.site.store, "add", fail) if where == "database" else patch.setattr(target, fail)
        assert client.request("POST", "/songs", body, Content_Type=kind).status == 507
    assert set((server.site.store.folder / "jobs").iterdir()) == before
    client.wait(client.send(song_bytes(0.3)))


@pytest.mark.parametrize(
    ("error", "status"),
    [("database or disk is full", 507), ("disk I/O error", 503), ("no such table: jobs", 503)],
)
def test_a_database_that_cannot_be_written_is_a_page_and_a_line_in_the_log(site, monkeypatch, capfd, error, status):
    server, client = site
    path = client.send(song_bytes(0.3))
    client.wait(path)

    def fail(*args):
        raise sqlite3.OperationalError(error)

    monkeypatch.setattr("demonstrator.log._rare", {})
    with monkeypatch.context() as patch:
        patch.setattr(server.site.store, "request_cancel", fail)
        patch.setattr(server.site.store, "of_owner", fail)
        token = server.site.tokens.form_token(client.cookie.partition("=")[2])
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        assert client.request("POST", f"{path}/cancel", f"token={token}".encode(), **kind).status == status
        assert client.get("/").status == status
    lines = capfd.readouterr().err.splitlines()
    assert len([line for line in lines if '"trouble"' in line]) == 1 and not [line for line in lines if "Trace" in line]
    assert client.get("/").status == 200


def test_a_bug_of_ours_is_a_page_and_a_line_in_the_log(site, monkeypatch, capfd):
    server, client = site
    monkeypatch.setattr("demonstrator.log._rare", {})
    with monkeypatch.context() as patch:
        patch.setattr(server.site.store, "of_owner", lambda *args: 1 / 0)
        assert client.get("/").status == 500
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "ZeroDivisionError" in line]
    assert '"where": "test_queue.py:' in line


def test_files_that_vanish_during_a_sweep_end_nothing(site, monkeypatch):
    server, _ = site
    jobs = server.site.store.folder / "jobs"
    for number in range(5):
        (jobs / f"lost{number}").mkdir()
    real = server.site.store.ids

    def ids():
        for number in range(3):
            shutil.rmtree(jobs / f"lost{number}", ignore_errors=True)
        return real()

    monkeypatch.setattr(server.site.store, "ids", ids)
    (jobs / "dangling").symlink_to("nowhere")
    server.site.sweep(time.time() + 10_000)
    assert not list(jobs.glob("lost*"))


def test_a_slow_upload_is_not_swept_away(site):
    server, _ = site
    folder = server.site.store.folder / "jobs" / "coming"
    folder.mkdir()
    import os

    os.utime(folder, (0, 0))
    (folder / "upload").write_bytes(b"x")
    os.utime(folder, (0, 0))
    assert server.site.sweep() == 0 and folder.exists()


def test_the_sweeper_goes_on_after_an_error_and_health_tells(tmp_path, model, monkeypatch):
    monkeypatch.setattr("demonstrator.supervision.FIRST_PAUSE_S", 0.3)
    calls = []
    real = Site.sweep

    def sweep(self, *args, **more):
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a file vanished")
        return real(self, *args, **more)

    monkeypatch.setattr(Site, "sweep", sweep)
    with inline_server(settings_for(tmp_path, [model])) as server:
        client = Client(server.url)
        wait_until(lambda: "sweep: RuntimeError" in client.get("/health").json()["troubles"], 10)
        wait_until(lambda: client.get("/health").json()["status"] == "ok", 20)


def test_a_supervised_thread_survives_whatever_its_step_raises(monkeypatch):
    monkeypatch.setattr("demonstrator.supervision.FIRST_PAUSE_S", 0.001)
    stopping, seen = threading.Event(), []

    def step():
        seen.append(1)
        if len(seen) > 4:
            stopping.set()
            return
        raise (ValueError, MemoryError, sqlite3.DatabaseError, RecursionError)[len(seen) - 1]("x")

    thread = Supervised("a", step, stopping)
    thread.start()
    thread.join(10)
    assert len(seen) == 5 and thread.state == "dead" and thread.trouble is None


def test_a_log_that_cannot_be_written_ends_nothing(site, monkeypatch):
    _, client = site

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    client.wait(client.send(song_bytes(0.3)))


def test_a_task_that_was_given_up_does_not_answer_the_next(tmp_path, slow_model):
    runner = ProcessRunner()
    try:
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "song.wav").write_bytes(song_bytes(3.0 if name == "a" else 0.5))

        def fail(share, stage):
            raise ValueError("a bug of ours")

        def task(name):
            return Task("separate", str(tmp_path / name), str(slow_model), song="song.wav")

        with pytest.raises(ValueError, match="bug of ours"):
            runner.run(task("a"), fail, lambda: None)
        assert runner.run(task("b"), lambda share, stage: None, lambda: None)["duration_s"] == 0.5
    finally:
        runner.close()


# ---- databases


@pytest.mark.parametrize("how", ["noise", "another program's", "an old one's", "torn", "a folder"])
def test_a_database_that_cannot_be_used_is_one_sentence_with_a_way_out(tmp_path, model, how):
    path = tmp_path / "data" / "jobs.sqlite3"
    path.parent.mkdir()
    if how == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif how == "another program's":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE jobs (what TEXT)")
    elif how == "an old one's":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE jobs (number INTEGER, id TEXT, kind TEXT, owner TEXT, state TEXT, song TEXT)")
    elif how == "torn":
        store = JobStore(path.parent)
        for _ in range(200):
            store.add(kind="separate", owner="o", address="a", title="t" * 80, model="m", origin="upload", song="s")
        store._read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        data = bytearray(path.read_bytes())
        data[4096:20_000] = bytes(20_000 - 4096)
        path.write_bytes(data)
    else:
        path.mkdir()
    with pytest.raises(SettingsError) as caught:
        Server(settings_for(tmp_path, [model]), "127.0.0.1", 0)
    assert str(path) in str(caught.value) and "--data" in str(caught.value) and "\n" not in str(caught.value)


# ---- limits are kept together


def test_fifteen_uploads_at_once_do_not_pass_a_limit_of_three(tmp_path, slow_model):
    settings = settings_for(tmp_path, [slow_model], jobs_per_visitor=3, queue_limit=30)
    with inline_server(settings) as server:
        client = Client(server.url)
        body, kind = multipart({"token": client.token()}, song_bytes(30), "a.wav")
        with ThreadPoolExecutor(15) as pool:
            sent = [pool.submit(client.request, "POST", "/songs", body, Content_Type=kind) for _ in range(15)]
            answers = [future.result().status for future in sent]
        assert answers.count(303) == 3 and answers.count(429) == 12
        assert server.site.store.count_active() == 3


def test_uploads_at_once_do_not_pass_the_disk_limit_together(tmp_path, slow_model):
    size = len(song_bytes(20))
    with inline_server(settings_for(tmp_path, [slow_model], disk_limit_gb=2.5 * size / 1e9)) as server:
        client = Client(server.url)
        body, kind = multipart({"token": client.token()}, song_bytes(20), "a.wav")
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(client.request, "POST", "/songs", body, Content_Type=kind) for _ in range(8)]
            answers = [future.result().status for future in sent]
        assert answers.count(303) in (1, 2) and answers.count(503) == 8 - answers.count(303)
        assert server.site.room.used_bytes <= 2.5 * size


@pytest.fixture
def room(tmp_path):
    store = JobStore(tmp_path)
    yield Room(store, settings_for(tmp_path, [], disk_limit_gb=1e-3, jobs_per_visitor=2, queue_limit=3))
    store.close()


def test_places_and_bytes_are_promised_once_and_given_back(room):
    with room.place("a", 400_000), room.place("a", 400_000):
        with pytest.raises(Busy, match="songs waiting"), room.place("a", 0):
            pass
        with pytest.raises(Busy, match="disk is full"), room.place("b", 300_000):
            pass
        with room.place("b", 200_000):
            assert room.left_bytes == 0
            with pytest.raises(Busy, match="queue is full"), room.place("c", 0):
                pass
    assert room.left_bytes == 1_000_000
    with room.share(2) as one, room.share(1) as other:
        assert (one, other, room.left_bytes) == (250_000, 375_000, 375_000)
    assert room.left_bytes == 1_000_000 and not room._promised and not room._coming


def test_the_disks_use_is_a_number_that_follows_the_files(room):
    folder = room.store.job_folder("x")
    (folder / "result").mkdir(parents=True)
    (folder / "song.wav").write_bytes(bytes(1000))
    (folder / "result" / "a").write_bytes(bytes(500))
    room.measure("x")
    assert room.used_bytes == 1500 and Room(room.store, room.settings).used_bytes == 1500
    shutil.rmtree(folder)
    room.measure("x")
    assert room.used_bytes == 0


def flac(seconds: float, channels: int, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((int(seconds * rate), channels), np.int16), rate, format="FLAC")
    return buffer.getvalue()


@pytest.mark.parametrize(("seconds", "channels", "rate"), [(600, 8, 8000), (600, 2, 96000), (1100, 1, 44100)])
def test_what_a_song_may_become_is_reserved_before_it_starts(tmp_path, model, seconds, channels, rate):
    with inline_server(settings_for(tmp_path, [model], disk_limit_gb=0.05, length_limit_s=1200)) as server:
        client = Client(server.url)
        data = flac(seconds, channels, rate)
        assert len(data) < 2_000_000
        status = client.wait(client.send(data, "a.flac"), "failed")
        assert "may take" in status["error"] and "MB that are left" in status["error"]
        assert server.site.room.used_bytes < 3_000_000 and server.site.room.left_bytes > 46_000_000
        client.wait(client.send(song_bytes(0.3)))


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF"])
@pytest.mark.parametrize("subtype", ["worst", None])
def test_no_result_is_larger_than_what_was_reserved(tmp_path, model, form, subtype):
    """Noise, which no coder makes small."""
    worst = {"WAV": "DOUBLE", "FLAC": "PCM_24", "OGG": "VORBIS", "AIFF": "DOUBLE"}[form] if subtype else None
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (22050 * 40, 2))
    song = tmp_path / f"song.{form.lower()}"
    soundfile.write(song, noise, 22050, format=form, subtype=worst)
    run_task(Task("separate", str(tmp_path), str(model), song=song.name), lambda share, stage: None)
    written = sum(path.stat().st_size for path in (tmp_path / "result").rglob("*") if path.is_file())
    assert written <= result_bytes(probe(song))


def test_head_writes_nothing_and_what_is_made_on_request_counts(tmp_path, model):
    with inline_server(settings_for(tmp_path, [model], jobs_per_visitor=20)) as server:
        client = Client(server.url)
        path = client.send(song_bytes(1.0))
        client.wait(path)
        other = client.post(f"{path}/strength", {"strength": "50"}).headers["location"]
        client.wait(other)
        pair = f"/compare/{path[7:]}/{other[7:]}"
        before, jobs = server.site.room.used_bytes, server.site.store.folder / "jobs"
        files = sorted(jobs.rglob("*"))
        made = (f"{path}/sound/rest/0.ogg", f"{path}/save/rest.mp3")
        for page in (path, other, pair, *made, f"{pair}/view", f"{path}/zip", f"{path}/zip?form=mp3", "/songs", "/"):
            client.request("HEAD", page)
        assert sorted(jobs.rglob("*")) == files
        for page in made:
            assert client.get(page).status == 200
            assert server.site.room.used_bytes > before
            before = server.site.room.used_bytes
        server.site.room.settings = server.site.settings.model_copy(update={"disk_limit_gb": 1e-4})
        for page in (f"{other}/sound/rest/0.ogg", f"{other}/save/rest.mp3"):
            assert client.get(page).status == 503

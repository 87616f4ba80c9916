"""The demonstrator's rooms one by one: store, guards, uploads, links, workers, and what a restart keeps."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from demonstrator_site import Client, multipart, running_server, settings_for, song_bytes

from demonstrator.guards import RateLimit, Tokens, host_allowed, is_public_address, names_of, same_origin
from demonstrator.markdown import to_html
from demonstrator.server import Server
from demonstrator.sniff import suffix_of
from demonstrator.store import JobStore
from demonstrator.uploads import BadRequest, Limits, read_form
from demonstrator.work import Task
from demonstrator.workers import ClusterRunner, ProcessRunner, WorkerError
from splitstrument.errors import CancelledError, SettingsError, SplitstrumentError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path)
    yield store
    store.close()


def add(store: JobStore, **values):
    defaults = {"kind": "separate", "owner": "o", "address": "a", "title": "t", "model": "m", "origin": "upload"}
    return store.add(**{**defaults, "song": "s", **values})


# ---- the store


def test_queue_is_first_come_first_served_and_variants_go_first(store):
    first, second = add(store), add(store)
    variant = add(store, kind="variant", parent=first.id, options={"strength": 50})
    assert [store.position(job) for job in (variant, first, second)] == [0, 1, 2]
    assert [store.claim().id for _ in range(3)] == [variant.id, first.id, second.id]
    assert store.claim() is None


def test_two_claims_at_once_never_get_the_same_job(store):
    jobs = [add(store).id for _ in range(40)]
    claimed: list[str] = []

    def take():
        while job := store.claim():
            claimed.append(job.id)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(jobs)


def test_a_job_that_kills_the_server_is_given_up_after_three_attempts(store):
    job = add(store)
    for attempt in (1, 2, 3):
        assert store.claim().attempts == attempt
        store.requeue_running(max_attempts=3)
    assert store.get(job.id).state == "failed" and "repeatedly" in store.get(job.id).error


def test_shutdown_puts_back_without_counting_the_attempt(store):
    job = add(store)
    store.claim()
    store.put_back(job.id)
    assert (store.get(job.id).state, store.get(job.id).attempts) == ("queued", 0)


def test_everything_survives_closing(tmp_path):
    store = JobStore(tmp_path)
    job = add(store, options={"link": "https://example.org/ü"})
    store.claim()
    store.finish(job.id, "done", result={"files": {"a": "b"}})
    store.close()
    again = JobStore(tmp_path).get(job.id)
    assert again.options == {"link": "https://example.org/ü"} and again.result == {"files": {"a": "b"}}


# ---- guards


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.9", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::", "198.18.0.1", "192.0.2.1", "2001:db8::1", "no address"],
)  # fmt: skip
def test_addresses_that_links_may_not_reach(address):
    assert not is_public_address(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::101:101"]
)
def test_addresses_that_links_may_reach(address):
    assert is_public_address(address)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("127.0.0.1:8080", True), ("localhost", True), ("LOCALHOST:1", True), ("[::1]:8080", True), ("localhost.", True),
     ("evil.example", False), ("", False), (None, False), ("localhost:evil", False), ("localhost:99999", False),
     ("127.0.0.1.evil", False), ("[::1]evil", False), ("[::2]", False)],
)  # fmt: skip
def test_host_names(host, allowed):
    assert host_allowed(host, names_of("127.0.0.1")) is allowed


def test_a_server_open_to_others_goes_by_any_address_but_by_no_foreign_name():
    names = names_of("0.0.0.0")
    assert host_allowed("192.168.1.5:8080", names) and host_allowed("[fe80::1]:8080", names)
    assert not host_allowed("evil.example", names) and not host_allowed("192.168.1.5.evil.example", names)
    assert not host_allowed("192.168.1.5", names_of("127.0.0.1"))


def test_same_origin():
    assert same_origin(None, None, "a:1") and same_origin("http://a:1", "same-origin", "A:1")
    assert not same_origin("http://b:1", None, "a:1")
    assert not same_origin("http://a:1", "cross-site", "a:1")
    assert not same_origin("null", None, "a:1")


def test_tokens_outlive_a_restart_and_cannot_be_made_up(tmp_path):
    tokens = Tokens(tmp_path / "key")
    visitor = tokens.new_visitor()
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    again = Tokens(tmp_path / "key")
    assert again.is_visitor(visitor) and again.is_form_token(visitor, tokens.form_token(visitor))
    for bad in (None, "", "x", visitor[:-1] + "0" * (visitor[-1] != "0") + "1" * (visitor[-1] == "0"), "ü.ü"):
        assert not again.is_visitor(bad)
    assert not Tokens(tmp_path / "other").is_visitor(visitor)


def test_rate_limit_allows_a_burst_and_then_the_rate():
    limit = RateLimit(per_minute=60)
    assert [limit.seconds_to_wait("a", now=0.0) for _ in range(15)] == [0.0] * 15
    assert limit.seconds_to_wait("a", now=0.0) == pytest.approx(1.0)
    assert limit.seconds_to_wait("b", now=0.0) == 0.0
    assert limit.seconds_to_wait("a", now=1.01) == 0.0


# ---- forms


def read(body: bytes, kind: str, path=None, limit=10_000, length=None):
    environ = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body) if length is None else length)}
    return read_form({**environ, "wsgi.input": io.BytesIO(body)}, path, Limits(limit))


@pytest.mark.parametrize("block", [b"", b"--", b"\r\n--", bytes(range(256)) * 300, b"\r\n" * 1000])
def test_files_arrive_byte_for_byte(tmp_path, block):
    body, kind = multipart({"a": "ü", "b": ""}, b"x" + block, "my song.wav")
    form = read(body, kind, tmp_path / "f", limit=100_000)
    assert (tmp_path / "f").read_bytes() == b"x" + block
    assert form.fields == {"a": "ü", "b": ""} and form.file_name == "my song.wav" and form.file_bytes == 1 + len(block)


def test_every_cut_of_a_form_is_refused(tmp_path):
    body, kind = multipart({"a": "1"}, b"data" * 20, "x.wav")
    for cut in range(len(body) - 4):
        with pytest.raises(BadRequest):
            read(body[:cut], kind, tmp_path / f"f{cut}", length=len(body))


def test_slow_uploads_are_ended(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("demonstrator.uploads.time.monotonic", lambda: now[0])

    class Drip(io.BytesIO):
        def read(self, n=-1):
            now[0] += 5
            return super().read(10)

    body, kind = multipart({}, bytes(10_000), "x.wav")
    environ = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "wsgi.input": Drip(body)}
    with pytest.raises(BadRequest) as caught:
        read_form(environ, tmp_path / "f", Limits(20_000, min_bytes_per_s=100))
    assert caught.value.status.startswith("408")


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        ("WAV", ".wav"),
        ("FLAC", ".flac"),
        ("OGG", ".ogg"),
        ("MP3", ".mp3"),
        ("AIFF", ".aiff"),
        ("CAF", ".caf"),
        ("AU", ".au"),
        ("W64", ".w64"),
        ("RF64", ".wav"),
    ],
)
def test_sniffing_goes_by_content(tmp_path, form, suffix):
    path = tmp_path / "upload"
    path.write_bytes(song_bytes(0.5, form))
    assert suffix_of(path) == suffix


def test_model_cards_are_escaped_and_link_to_the_web_only():
    html = to_html(
        "# A <b>\n\n- one\n- `two`\n\n| a | b |\n|---|--:|\n| <script> | **x** |\n\n[l](javascript:alert(1)) "
        "[m](data:text/html,x) [n](../other.md) ![o](https://example.org/o.png) [p](https://example.org/?a=1&b=2)"
    )
    assert "<script>" not in html and "<b>" not in html and "<img" not in html and "<td><strong>x</strong></td>" in html
    assert "<h3>A &lt;b&gt;</h3>" in html and '<th scope="col">a</th>' in html
    assert re.findall(r'href="([^"]*)" rel="noreferrer"', html) == [
        "https://example.org/o.png",
        "https://example.org/?a=1&amp;b=2",
    ]


def test_wrapped_items_of_a_model_card_stay_one_item_each():
    html = to_html("- **Trained\n  on** <b>\n  songs\n- `two`\n\nAfter.")
    assert re.findall(r"<li>(.*?)</li>", html, re.DOTALL) == [
        "<strong>Trained\non</strong> &lt;b&gt;\nsongs",
        "<code>two</code>",
    ]
    assert html.endswith("<p>After.</p>\n")


@pytest.mark.parametrize("text", ["[" * 20_000, "*a " * 10_000, "[a](b" * 5_000, "`a" * 10_000])
def test_a_card_of_open_marks_is_text(text):
    assert len(to_html(text)) >= len(text.strip())


# ---- workers


def task(folder, model, seconds=1.0, **values) -> Task:
    folder.mkdir(parents=True)
    (folder / "song.wav").write_bytes(song_bytes(seconds))
    return Task("separate", str(folder), str(model), song="song.wav", **values)


def test_worker_that_dies_is_replaced(tmp_path, model):
    runner = ProcessRunner()
    try:
        with pytest.raises(WorkerError, match="died"):
            runner.run(task(tmp_path / "a", model), lambda share, stage: runner._process.kill(), lambda: None)
        assert runner.run(task(tmp_path / "b", model), lambda share, stage: None, lambda: None)["files"]
    finally:
        runner.close()


def test_worker_keeps_its_process_and_reports_what_is_wrong_without_our_paths(tmp_path, model):
    runner = ProcessRunner()
    try:
        pid = runner._process.pid
        bad = task(tmp_path / "a", model)
        (tmp_path / "a" / "song.wav").write_bytes(b"RIFF" + bytes(100))
        with pytest.raises(SplitstrumentError) as caught:
            runner.run(bad, lambda share, stage: None, lambda: None)
        assert str(tmp_path) not in str(caught.value)
        assert runner.run(task(tmp_path / "b", model), lambda share, stage: None, lambda: None)["duration_s"] == 1.0
        assert runner._process.pid == pid
    finally:
        runner.close()


@pytest.mark.slow
def test_jobs_run_on_a_dask_cluster_and_can_be_cancelled_there(tmp_path, model, slow_model):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        runner = ClusterRunner(cluster.scheduler_address)
        seen = []
        result = runner.run(task(tmp_path / "a", model, 2), lambda share, stage: seen.append(share), lambda: None)
        assert result["duration_s"] == 2.0 and seen
        started = time.monotonic()
        with pytest.raises(CancelledError):
            runner.run(
                task(tmp_path / "b", slow_model, 60), lambda share, stage: None,
                lambda: "cancel" if time.monotonic() - started > 3 else None,
            )  # fmt: skip
        runner.close()


# ---- the whole server


def test_second_server_on_the_same_folder_is_refused(tmp_path, model):
    settings = settings_for(tmp_path, [model])
    with running_server(settings), pytest.raises(SettingsError, match="Another demonstrator"):
        Server(settings, "127.0.0.1", 0)


def test_taken_port_is_one_sentence(tmp_path, model):
    with running_server(settings_for(tmp_path / "a", [model])) as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(SettingsError, match=f"Port {port}"):
            Server(settings_for(tmp_path / "b", [model]), "127.0.0.1", port)


def test_full_queue_says_so_and_a_visitor_may_not_fill_it_alone(tmp_path, slow_model):
    settings = settings_for(tmp_path, [slow_model], queue_limit=3, jobs_per_visitor=2)
    with running_server(settings) as server:
        client = Client(server.url)
        client.send(song_bytes(60))
        client.send(song_bytes(60))
        mine = client.upload(song_bytes(1))
        assert mine.status == 429 and int(mine.headers["retry-after"]) > 0
        for job in range(2):
            server.site.store.add(
                kind="separate", owner="x", address=f"192.0.2.{job}", title="", model="slow", origin="upload", song=""
            )
        full = client.upload(song_bytes(1))
        assert full.status == 503 and int(full.headers["retry-after"]) > 0 and "queue is full" in full.text
        assert not client.get("/health").json()["accepting"]
        # what was turned away left nothing
        assert len(list((tmp_path / "data" / "jobs").iterdir())) == 2


def test_rate_limit_answers_429(tmp_path, model):
    with running_server(settings_for(tmp_path, [model], requests_per_minute=40)) as server:
        answers = [Client(server.url).get("/models") for _ in range(12)]
        assert answers[0].status == 200 and answers[-1].status == 429 and int(answers[-1].headers["retry-after"]) >= 1


def test_stop_puts_the_running_song_back_and_the_next_start_finishes_it(tmp_path, slow_model):
    settings = settings_for(tmp_path, [slow_model])
    with running_server(settings) as server:
        client = Client(server.url)
        path = client.send(song_bytes(10))
        client.wait(path, "running")
        cookie = client.cookie
    with running_server(settings) as server:
        client = Client(server.url)
        client.cookie = cookie
        client.wait(path)
        assert "Delete this song" in client.get(path).text  # still the owner
        assert not list((tmp_path / "data").rglob("*.part*"))


def test_time_limit_of_a_job(tmp_path, slow_model):
    with running_server(settings_for(tmp_path, [slow_model], job_limit_s=1.0)) as server:
        client = Client(server.url)
        status = client.wait(client.send(song_bytes(120)), "failed")
        assert "longer than" in status["error"]


def test_results_expire_with_their_variants_and_lost_folders_go(tmp_path, model):
    with running_server(settings_for(tmp_path, [model], result_hours=1)) as server:
        client = Client(server.url)
        path = client.send(song_bytes(0.5))
        client.wait(path)
        variant = client.post(f"{path}/strength", {"strength": "50"}).headers["location"]
        client.wait(variant)
        (tmp_path / "data" / "jobs" / "lost").mkdir()
        assert server.site.sweep(time.time() + 3000) == 0
        assert server.site.sweep(time.time() + 3700) == 3
        assert not list((tmp_path / "data" / "jobs").iterdir())
        assert client.get(path).status == 404


def test_a_full_disk_budget_refuses_songs(tmp_path, model):
    with running_server(settings_for(tmp_path, [model], disk_limit_gb=1e-6)) as server:
        client = Client(server.url)
        assert client.upload(song_bytes(0.5)).status == 503
        assert not list((tmp_path / "data" / "jobs").iterdir())


def test_log_is_json_and_holds_no_secret(tmp_path, model, capfd):
    with running_server(settings_for(tmp_path, [model])) as server:
        client = Client(server.url)
        path = client.send(song_bytes(0.5), "private name.wav")
        client.wait(path)
        client.get(path)
    text = capfd.readouterr().err
    events = [json.loads(line) for line in text.splitlines()]
    assert {"started", "request", "job_queued", "job_started", "job_done", "stopped"} <= {
        one["event"] for one in events
    }
    cookie = client.cookie.partition("=")[2]
    for secret in (path[7:], cookie, cookie[:32], "private name", server.site.tokens.form_token(cookie), '127.0.0.1"'):
        assert secret not in text.replace(f'"url": "{server.url}"', "")


def test_start_needs_a_model(tmp_path):
    from splitstrument.model_folder import shipped_models

    if shipped_models():
        pytest.skip("this checkout ships models")
    with pytest.raises(SettingsError, match="no model to offer"):
        Server(settings_for(tmp_path, []), "127.0.0.1", 0)


def test_command_line_starts_within_five_seconds_of_processor_time_and_without_tensorflow(tmp_path, model):
    """Counts what is loaded and done before the first page, not the clock of a busy machine."""
    code = (
        "import sys, time; from demonstrator.server import Server; from demonstrator.settings import *\n"
        "from pathlib import Path; from demonstrator_site import settings_for\n"
        "server = Server(settings_for(Path(sys.argv[1]), [Path(sys.argv[2])]), '127.0.0.1', 0); server.start()\n"
        "import urllib.request; urllib.request.urlopen(server.url).read()\n"
        "heavy = {'tensorflow', 'keras', 'onnxruntime', 'yt_dlp', 'matplotlib'}\n"
        "print(time.process_time(), sorted(heavy & set(sys.modules)))\n"
        "server.stop()"
    )
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code, str(tmp_path), str(model)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    seconds, loaded = run.stdout.split(maxsplit=1)
    assert float(seconds) < 5 and loaded.strip() == "[]"


def test_pictures_and_peaks_against_a_slow_reference(tmp_path, rng):
    import soundfile

    from splitstrument import pictures

    instrument, rest = (rng.normal(0, 0.1, (50_001, 2)).astype(np.float32) for _ in range(2))
    for name, audio in (("i.wav", instrument), ("r.wav", rest)):
        soundfile.write(tmp_path / name, audio, 22050, subtype="FLOAT")
    view = pictures.draw_song({"instrument": tmp_path / "i.wav", "rest": tmp_path / "r.wav"})
    slices = (np.arange(50_001) * pictures.N_PEAKS) // 50_001
    loud = np.abs(instrument).max(axis=1)
    assert view.peaks["instrument"] == pytest.approx([loud[slices == index].max() for index in range(pictures.N_PEAKS)])
    assert all(picture.shape == (192, 1200) for picture in view.pictures.values())
    assert view.pictures["mixture"].min() > 60  # noise everywhere: no hole in time or frequency


def test_pictures_have_no_seams_where_the_reading_was_cut_into_blocks(tmp_path, monkeypatch):
    import soundfile

    from splitstrument import pictures

    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(120_000) / 22050)
    soundfile.write(tmp_path / "a.wav", tone.astype(np.float32), 22050, subtype="FLOAT")
    drawn, stems = [], {"instrument": tmp_path / "a.wav", "rest": tmp_path / "a.wav"}
    for block in (1 << 10, 7001, 1 << 20):
        monkeypatch.setattr(pictures, "BLOCK", block)
        drawn.append(pictures.draw_song(stems).pictures["mixture"])
    for picture in drawn:
        inner = picture[:, 60:-60].astype(int)  # the song's own ends are seams
        assert np.ptp(inner, axis=1).max() <= 12
        assert np.abs(picture.astype(int) - drawn[-1])[:, 60:-60].max() <= 12


@pytest.mark.parametrize("n_samples", [1, 100, 2047, 2048, 70_000])
def test_views_take_any_length(tmp_path, n_samples):
    import soundfile

    from splitstrument import pictures

    soundfile.write(tmp_path / "a.wav", np.full((n_samples, 1), 0.25, np.float32), 8000, subtype="FLOAT")
    view = pictures.draw_song({"instrument": tmp_path / "a.wav", "rest": tmp_path / "a.wav"})
    assert view.peaks["mixture"].max() == pytest.approx(0.5) and view.peaks["mixture"].min() == pytest.approx(0.5)
    pictures.write_png(tmp_path / "a.png", view.pictures["mask"])


def test_scores_page_shows_evaluations_that_lie_beside_a_model_with_their_baselines(tmp_path):
    from types import SimpleNamespace

    from demonstrator.scores import measured
    from splitstrument.evaluation.record import build_record
    from splitstrument.files import write_yaml

    def scores(value):
        one = {"sdr": value, "sir": value + 1, "sar": value + 2, "si_sdr": value + 3}
        return {"instrument": one, "rest": {name: -number for name, number in one.items()}}

    tracks = [
        {
            "track": str(n),
            "problems": [],
            "scores": {"estimate": scores(n), "mixture": scores(n - 5), "irm": scores(n + 5)},
        }
        for n in range(3)
    ]
    write_yaml(tmp_path / "evaluation_real.yaml", build_record("x", tracks, {}, measured_on={"name": "four songs"}))
    write_yaml(
        tmp_path / "scores.yaml", {"note": "Rendered.", "held out": {"model": {"SI-SDR": 4.5}, "EQ": {"SI-SDR": 1}}}
    )
    model = SimpleNamespace(name="guitar", folder=SimpleNamespace(path=tmp_path))
    (row,) = measured([model])
    assert row["note"] == "Rendered."
    instrument, rest, held_out = row["tables"]
    gain = "SI-SDR {} over the song as it is at the median, worse on {} of 3"
    assert instrument["caption"] == "four songs: instrument, medians of 3 tracks; " + gain.format("+5.0", 0)
    assert rest["caption"] == "four songs: rest, medians of 3 tracks; " + gain.format("−5.0", 3)
    assert instrument["rows"][0] == ["this model", "1.00", "2.00", "3.00", "4.00"]
    assert instrument["rows"][1][:2] == ["the mixture as estimate", "-4.00"] and rest["rows"][2][1] == "-6.00"
    assert held_out["rows"] == [["model", "4.50"], ["EQ", "1"]]


# ---- the command line


def test_quality_page_of_a_dataset_is_served_beside_the_songs(tmp_path, model):
    for stem_class in ("guitar", "drums"):
        (tmp_path / "dataset" / "one song" / stem_class).mkdir(parents=True)
        (tmp_path / "dataset" / "one song" / stem_class / "a.wav").write_bytes(song_bytes(3))
    with running_server(settings_for(tmp_path, [model], quality_dataset=tmp_path / "dataset")) as server:
        client = Client(server.url)
        assert 'href="/quality/"' in client.get("/").text
        page = client.get("/quality/")
        assert page.status == 200 and "one song" in page.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("worker: 2", "did you mean 'workers'"),
        ("workers: 0", "greater than or equal to 1"),
        ("models: [{model: nosuch}]", "There is no model 'nosuch'"),
        ("- a", "keys and values"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(tmp_path, capsys, config, message):
    from splitstrument.cli import main

    path = tmp_path / "demo.yaml"
    path.write_text(f"data_folder: {tmp_path / 'data'}\n{config}\n" if ":" in config else config)
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--no-browser", "--port", "0", "--config", str(path)])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


def test_model_folders_are_relative_to_the_configuration(tmp_path, model, monkeypatch):
    from demonstrator.offered_models import offered_models
    from demonstrator.settings import DemonstratorSettings, ModelEntry

    monkeypatch.chdir("/")
    settings = DemonstratorSettings(models=(ModelEntry(model=model.name, name="mine"),), data_folder=tmp_path)
    assert offered_models(settings, model.parent)["mine"].folder.path == model
    twice = DemonstratorSettings(models=(ModelEntry(model=str(model)),) * 2, data_folder=tmp_path)
    with pytest.raises(SettingsError, match="Two models"):
        offered_models(twice, model.parent)

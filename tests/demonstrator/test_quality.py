"""The quality page: guarded in-process, and used with keys in a real browser."""

from __future__ import annotations

import http.client
import io
import json
import re
import threading
import time
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile
import web

from demonstrator.quality import application, make_server
from splitstrument import audio
from splitstrument.curation.checks.findings import ChecksFile, Finding, TrackChecks, write_checks
from splitstrument.datasets.marks import read_marks
from splitstrument.errors import SettingsError

RATE = 8000
NASTY = 'b<script>alert("1")</script>& "q"'


@pytest.fixture
def dataset(tmp_path, rng):
    """Three songs, one of them with a hostile name and a finding."""
    for name in ("alpha", "gamma", NASTY.replace("/", "⁄")):
        samples = 0.1 * rng.standard_normal((30 * RATE, 1)).astype(np.float32)
        audio.write(tmp_path / name / "guitar" / "g.wav", samples, RATE)
        audio.write(tmp_path / name / "drums" / "d.wav", samples, RATE)
    finding = Finding(
        check="bleed", stem_class="guitar", severity=0.8, message="hears <b>drums</b>", seconds=((20.0, 23.0),)
    )
    write_checks(tmp_path, ChecksFile(tracks={"gamma": TrackChecks(findings=(finding,))}))
    return tmp_path


@pytest.fixture
def server(dataset):
    server = make_server(dataset, "guitar", 0)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    assert Client(server).ask("/quality/static/icon.svg")[0] == 200  # it serves: only then does `stop` end it
    yield server
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


class Client:
    """Plain HTTP, with the headers one wants."""

    def __init__(self, server):
        self.port = server.bind_addr[1]

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        values = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            values.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection.request(method, path, body if body is None or isinstance(body, bytes) else urlencode(body), values)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data, answer.headers

    def items(self):
        return re.findall(r'<a href="([0-9a-f]{12})"><span', self.ask("/quality/")[1].decode())

    def token(self, item):
        return re.search(r'name="token" value="(\w+)"', self.ask(f"/quality/{item}")[1].decode())[1]


def test_list_comes_in_order_and_escapes_names(server):
    status, page, headers = Client(server).ask("/quality/")
    text = page.decode()
    assert status == 200 and text.index("gamma") < text.index("alpha")
    assert "<script>alert" not in text and "default-src 'none'" in headers["Content-Security-Policy"]
    assert Client(server).ask("/quality")[0] == 303 and Client(server).ask("/")[0] == 303


def test_item_page_has_what_the_script_draws(server):
    client = Client(server)
    text = client.ask(f"/quality/{client.items()[0]}")[1].decode()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["suspicious"] == [[20.0, 23.0]] and len(data["splits"]) == 5 and data["duration"] == 30
    assert "hears &lt;b&gt;drums" in text


def test_a_dataset_that_was_never_checked_says_so(server, dataset):
    client = Client(server)
    clean = f"/quality/{client.items()[1]}"
    assert "checks found nothing here" in client.ask(clean)[1].decode()
    (dataset / "checks.yaml").unlink()
    assert "have not run" in client.ask(clean)[1].decode()
    assert f"dataset check {dataset}" in client.ask("/quality/")[1].decode()


def test_a_stem_that_cannot_be_read_has_a_page_to_mark_it(server, dataset):
    (dataset / "alpha" / "guitar" / "g.wav").write_text("no audio")
    client, told = Client(server), []
    for item in client.items():
        status, page, _ = client.ask(f"/quality/{item}")
        assert status == 200 and b'data-mark="missing"' in page
        if b'class="warning"' in page:
            told.append(item)
            status, body, _ = client.ask(f"/quality/{item}/sound?start=0&end=1")
            assert status == 409 and b"cannot be read as audio" in page and b"no guitar stem that can be read" in body
    assert told


def test_sound_is_the_asked_seconds(server):
    client = Client(server)
    item = client.items()[0]
    status, body, headers = client.ask(f"/quality/{item}/sound?start=2&end=5")
    assert status == 200 and headers["Content-Type"] == "audio/wav"
    assert soundfile.info(io.BytesIO(body)).duration == 3
    for query in ("start=5&end=2", "start=0&end=31", "start=nan&end=2", "start=a&end=b", "start=-1&end=2", ""):
        assert client.ask(f"/quality/{item}/sound?{query}")[0] == 400


def test_marks_need_the_token_and_an_own_page(server, dataset):
    client = Client(server)
    item = client.items()[0]
    path, form = f"/quality/{item}/marks", {"mark": "bleed", "set": "1", "token": client.token(item)}
    assert client.ask(path, "POST", {**form, "token": "wrong"})[0] == 403
    assert client.ask(path, "POST", {"mark": "bleed", "set": "1"})[0] == 403
    assert client.ask(path, "POST", form, Origin="http://evil.example")[0] == 403
    assert client.ask(path, "POST", form, Sec_Fetch_Site="cross-site")[0] == 403
    assert client.ask(path, "POST", {**form, "mark": "../x"})[0] == 400
    assert client.ask(path, "POST", {**form, "more": "x" * 9000})[0] == 413
    assert client.ask(path)[0] == 405
    assert read_marks(dataset / "gamma", "guitar") == frozenset()
    status, body, _ = client.ask(path, "POST", form, Accept="application/json")
    assert status == 200 and json.loads(body)["marks"] == ["bleed"]
    assert read_marks(dataset / "gamma", "guitar") == {"bleed"}
    assert client.ask(path, "POST", {**form, "set": "0"})[0] == 303
    assert read_marks(dataset / "gamma", "guitar") == frozenset()


def test_foreign_names_addresses_and_files_are_refused(server, dataset):
    client = Client(server)
    assert client.ask("/quality/", Host="evil.example")[0] == 421
    for path in ("/quality/000000000000", "/quality/../x", "/quality/static/app.py", "/quality/static/..", "/other"):
        assert client.ask(path)[0] == 404
    app = application(dataset, "guitar")
    outside = app.request("/", host="127.0.0.1", env={"REMOTE_ADDR": "192.168.1.5"})
    assert outside.status == "403 Forbidden"


def test_mounted_below_another_application(dataset):
    root = web.application(("/quality", application(dataset, "guitar")), {}, autoreload=False)
    answer = root.request("/quality/", host="127.0.0.1:8080", env={"REMOTE_ADDR": "127.0.0.1"})
    assert answer.status == "200 OK" and b"gamma" in answer.data


def test_a_taken_port_is_one_sentence(server, dataset):
    with pytest.raises(SettingsError, match="choose another with --port"):
        make_server(dataset, "guitar", server.bind_addr[1])


# --- in a real browser ----------------------------------------------------------------------------------------------


@pytest.fixture
def open_page(browser, server):
    contexts = []

    def open_page(path="", **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.bind_addr[1]}/quality/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def answer(page, expression):
    """What the page says, or why it cannot say it yet (the element is not there, the page is being replaced)."""
    try:
        return page.evaluate(expression)
    except Exception as error:
        return str(error)


def until(page, expression, expected=True, limit_s=30):
    """Ask the page until it answers as expected (the page's own policy forbids Playwright's waiting by eval)."""
    end = time.monotonic() + limit_s
    while (value := answer(page, expression)) != expected:
        assert time.monotonic() < end, f"{expression} stays {value!r}; problems: {page.problems}"
        page.wait_for_timeout(50)


@pytest.mark.browser
def test_keys_play_mark_and_go_on(open_page, dataset):
    page = open_page()
    page.click("text=Start listening")
    until(page, "document.getElementById('audio').currentTime > 0.2")
    assert "start=20&end=23" in page.evaluate("document.getElementById('audio').src")
    page.keyboard.press("3")
    until(
        page,
        "document.querySelector('.span.playing').dataset.kind + document.querySelector('.span.playing').dataset.index",
        "splits2",
    )
    page.keyboard.press("w")
    until(page, "document.getElementById('audio').src.endsWith('whole=1')")
    page.keyboard.press(" ")
    until(page, "document.getElementById('audio').paused")
    page.keyboard.press("b")
    until(page, "document.querySelector('[data-mark=bleed]').getAttribute('aria-pressed')", "true")
    assert read_marks(dataset / "gamma", "guitar") == {"bleed"}
    second = items_of(page)[1]
    page.keyboard.press("a")
    page.wait_for_url(f"**/{second}")
    assert read_marks(dataset / "gamma", "guitar") == {"bleed", "checked"}
    assert page.problems == []


def items_of(page):
    """Ids of the list in its order, as the browser sees them."""
    text = page.request.get(re.sub(r"[^/]*$", "", page.url)).text()
    return re.findall(r'<a href="([0-9a-f]{12})"><span', text)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_size_names_contrast_and_drawing(open_page, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("text=gamma")
    page.wait_for_selector("#wave")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    nameless = """[...document.querySelectorAll("button, a, input:not([type=hidden]), canvas")].filter(
        (e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)).length"""
    assert page.evaluate(nameless) == 0
    assert page.evaluate("document.querySelector('#play').getBoundingClientRect().height") >= 44
    drawn = "new Set(document.getElementById('{}').getContext('2d').getImageData(0, 0, 300, 60).data).size"
    assert page.evaluate(drawn.format("wave")) > 3 and page.evaluate(drawn.format("spectrogram")) > 20
    assert page.problems == []


@pytest.mark.browser
def test_without_scripts_it_still_plays_and_marks(open_page, dataset):
    page = open_page(java_script_enabled=False)
    page.click("text=gamma")
    assert page.locator("noscript audio, audio[controls]").count() >= 6
    page.click("button[data-mark=bleed]")
    assert read_marks(dataset / "gamma", "guitar") == {"bleed"}
    page.click("#accept")
    assert read_marks(dataset / "gamma", "guitar") == {"bleed", "checked"} and "gamma" not in page.title()

"""The demonstrator in a real headless Chromium: what a visitor sees, hears and does.

Screenshots go to the folder that SCREENSHOTS names (a temporary one unless set), for people to look at.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from demonstrator_site import RATE, Client, make_model, running_server, settings_for, song_bytes

pytestmark = pytest.mark.browser
READY = "#player[data-ready=true]"
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    guitar, piano = make_model(folder / "guitar", "guitar"), make_model(folder / "piano", "piano", 0.6)
    scores = {"best fixed EQ fitted on training songs": {"SDR": -0.51, "SIR": 12.15, "SAR": 238.08, "SI-SDR": -2.59}}
    (guitar / "scores.yaml").write_text(yaml.safe_dump({"held out": scores}))
    return [guitar, piano, make_model(folder / "slow", "guitar", work=4)]


@pytest.fixture(scope="module")
def server(tmp_path_factory, models):
    with running_server(settings_for(tmp_path_factory.mktemp("site"), models)) as server:
        yield server


@pytest.fixture(scope="module")
def song_url(server):
    """A finished song of ten seconds."""
    client = Client(server.url)
    path = client.send(song_bytes(10), "Ten seconds.wav")
    client.wait(path)
    return server.url.rstrip("/") + path


@pytest.fixture
def shots(tmp_path):
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def context(browser, request):
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1200, "height": 900}}))
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context):
    """A page on which an error of a script, or of the content security policy, fails the test."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    assert problems == []


def open_song(page, url):
    page.goto(url)
    page.wait_for_selector(READY)


def until(page, expression: str) -> None:
    """Wait until JavaScript is true; Playwright's own wait is stopped by our content security policy."""
    for _ in range(WAIT_MS // 50):
        with contextlib.suppress(Exception):  # a page on its way to the next one cannot answer
            if page.evaluate(expression):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def player(page, expression: str):
    return page.evaluate(f"(() => {{ const p = window.Player, audio = p.audio; return {expression}; }})()")


def levels(page) -> list[float]:
    """RMS of each stem as it is heard, measured behind the mixer of the page while it plays."""
    return page.evaluate(
        """async () => {
          const { context, gains } = window.Player.state();
          const meters = gains.map((gain) => {
            const meter = context.createAnalyser();
            meter.fftSize = 4096;
            gain.connect(meter);
            return meter;
          });
          await new Promise((done) => setTimeout(done, 400));
          return meters.map((meter) => {
            const wave = new Float32Array(meter.fftSize);
            meter.getFloatTimeDomainData(wave);
            return Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
          });
        }"""
    )


def heard(page, wanted) -> list[float]:
    """Measure until `wanted` (a predicate of the levels) holds; a busy machine plays late, but it must get there."""
    for _ in range(40):
        measured = levels(page)
        if wanted(measured):
            return measured
    raise AssertionError(f"never heard as wanted; last levels {measured}")


def hear_pitch(page, wanted_hz: float, tolerance_hz: float) -> None:
    """Measure the pitch until it is the one that is wanted."""
    for _ in range(20):
        found = pitch_hz(page)
        if abs(found - wanted_hz) <= tolerance_hz:
            return
    raise AssertionError(f"{found} Hz is heard, not {wanted_hz} Hz")


def pitch_hz(page) -> float:
    """The loudest frequency that is heard."""
    return page.evaluate(
        """async () => {
          const { context, master } = window.Player.state();
          const meter = context.createAnalyser();
          meter.fftSize = 8192;
          master.connect(meter);
          await new Promise((done) => setTimeout(done, 700));
          const bins = new Float32Array(meter.frequencyBinCount);
          meter.getFloatFrequencyData(bins);
          return bins.indexOf(Math.max(...bins)) * context.sampleRate / meter.fftSize;
        }"""
    )


# ---- from a song to a result


def test_example_one_click_to_a_playing_result(page, server, shots):
    page.goto(server.url)
    page.screenshot(path=shots / "home.png", full_page=True)
    page.click("text=Try the example")
    page.wait_for_selector(READY)
    page.click("#play")
    until(page, "window.Player.audio.currentTime > 0.5")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.screenshot(path=shots / "result.png", full_page=True)
    heard(page, lambda level: level[0] > 1e-3 and level[1] > 1e-4)  # sound, not only a moving clock


def test_upload_with_progress_and_download_equal_to_the_command_line(page, server, models, tmp_path, shots):
    song = tmp_path / "My song.flac"
    song.write_bytes(song_bytes(12, "FLAC", "PCM_16"))
    page.goto(server.url)
    page.check("input[value=slow]")
    page.set_input_files("#file", song)
    page.click("text=Separate")
    page.wait_for_selector("#bar")
    until(page, "document.getElementById('bar') && document.getElementById('bar').value > 0.2")
    assert re.search(r"\d+ %", page.inner_text("#stage"))
    page.screenshot(path=shots / "waiting.png", full_page=True)
    page.wait_for_selector(READY)
    assert page.inner_text("h1") == "My song"
    command = [sys.executable, "-m", "splitstrument", "separate", song, "--model", models[2], "-o", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("instrument", "rest"):
        with page.expect_download() as download:
            page.click(f"a[data-file={name}]")
        ours = tmp_path / "out" / "My song" / f"{name}.wav"
        assert Path(download.value.path()).read_bytes() == ours.read_bytes()
    assert download.value.suggested_filename == "My song - rest.wav"


def test_a_song_can_be_dropped(page, server):
    page.goto(server.url)
    data = list(song_bytes(0.5))
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        data,
    )
    page.click("text=Separate")
    page.wait_for_selector(READY)
    assert page.inner_text("h1") == "dropped"


def test_what_is_no_song_is_refused_on_the_page(context, server, tmp_path):
    page = context.new_page()
    note = tmp_path / "note.mp3"
    note.write_text("Dear diary")
    page.goto(server.url)
    page.click("text=Separate")
    assert "Choose a song" in page.inner_text("#problem")
    page.set_input_files("#file", note)
    page.click("text=Separate")
    until(page, "document.getElementById('problem').textContent.includes('no audio')")
    assert page.is_enabled("text=Separate")


def send_slow_song(page, server, name, seconds):
    """Send a song to the model that takes its time."""
    page.goto(server.url)
    page.check("input[value=slow]")
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": song_bytes(seconds)})
    page.click("text=Separate")


def test_cancel(page, server):
    send_slow_song(page, server, "long.wav", 60)
    page.click("text=Cancel")
    assert page.wait_for_selector("text=Cancelled.").is_visible()


def test_cancel_is_answered_at_once_and_not_taken_back(page, server):
    send_slow_song(page, server, "answered.wav", 60)
    until(page, "document.getElementById('bar') && document.getElementById('bar').value > 0")
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault())")  # the server hears it later
    page.click("#cancel button")
    said = "[document.getElementById('stage').textContent, document.querySelector('#cancel button').disabled]"
    assert page.evaluate(said) == ["Cancelling…", True]
    for _ in range(2):
        with page.expect_response("**/status") as answer:
            pass
    assert answer.value.json()["state"] == "running" and page.evaluate(said) == ["Cancelling…", True]
    page.evaluate("document.getElementById('cancel').submit()")
    page.wait_for_selector("text=Cancelled.")


def test_reload_in_the_middle_of_a_job(page, server):
    send_slow_song(page, server, "reload.wav", 12)
    until(page, "document.getElementById('bar') && document.getElementById('bar').value > 0.1")
    page.reload()
    assert page.wait_for_selector(READY).is_visible()


# ---- the practice room


def test_seek_by_click_and_slider(page, song_url):
    open_song(page, song_url)
    box = page.locator(".lane[data-lane=rest] .picture").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert player(page, "audio.currentTime") == pytest.approx(5, abs=0.1)
    page.locator("#seek").fill("8")
    assert player(page, "audio.currentTime") == pytest.approx(8, abs=0.05)
    page.click("#play")
    until(page, "window.Player.audio.currentTime > 8.3")  # it plays on from there


def test_loop_between_a_and_b(page, song_url, shots):
    open_song(page, song_url)
    page.locator("#seek").fill("2")
    page.click("#loop-a")
    page.locator("#seek").fill("2.6")
    page.click("#loop-b")
    assert page.get_attribute("#loop", "aria-pressed") == "true"
    page.click("#play")
    until(
        page,
        """() => { const t = window.Player.audio.currentTime; window.seen = window.seen || []; window.seen.push(t);
        return window.seen.some((value, i) => i && value < window.seen[i - 1] - 0.3); }""",
    )
    seen = page.evaluate("window.seen")
    assert max(seen) < 2.9 and min(seen) > 1.9
    page.screenshot(path=shots / "loop.png")


def test_solo_mute_and_volume_are_heard(page, song_url):
    open_song(page, song_url)
    page.click("#loop")  # the whole song again and again
    page.click("#play")
    both = heard(page, lambda level: min(level) > 1e-3)
    page.click("[data-lane=instrument] .solo")
    heard(page, lambda level: level[0] == pytest.approx(both[0], rel=0.3) and level[1] < 1e-4)
    page.click("[data-lane=instrument] .solo")
    page.click("[data-lane=instrument] .mute")
    heard(page, lambda level: level[0] < 1e-4 and level[1] == pytest.approx(both[1], rel=0.3))
    page.locator("[data-lane=rest] input").fill("50")
    heard(page, lambda level: level[1] == pytest.approx(both[1] / 4, rel=0.3))  # a square law
    page.click("[data-lane=mixture] .solo")
    heard(page, lambda level: level == pytest.approx(both, rel=0.3))


def test_slow_down_keeps_the_pitch(page, song_url):
    open_song(page, song_url)
    page.click("#loop")
    page.click("#play")
    hear_pitch(page, 440, 8)
    page.locator("#speed").fill("50")
    assert player(page, "[audio.playbackRate, audio.preservesPitch]") == [0.5, True]
    hear_pitch(page, 440, 8)  # at half speed a pitch that follows would be 220 Hz
    page.locator("#seek").fill("1")
    before = player(page, "[audio.currentTime, performance.now()]")
    page.wait_for_timeout(2000)
    after = player(page, "[audio.currentTime, performance.now()]")
    assert 0 < (after[0] - before[0]) / (after[1] - before[1]) * 1000 < 0.75


def test_keyboard(page, song_url):
    open_song(page, song_url)
    page.keyboard.press("Space")
    until(page, "!window.Player.audio.paused")
    page.keyboard.press("Space")
    until(page, "window.Player.audio.paused")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert player(page, "audio.currentTime") == pytest.approx(5, abs=0.05)
    page.keyboard.press("2")
    assert page.get_attribute("[data-lane=instrument] .solo", "aria-pressed") == "true"
    page.keyboard.press("[")
    assert player(page, "audio.playbackRate") == pytest.approx(0.95)
    page.keyboard.press("a")
    assert player(page, "p.loop.a") == pytest.approx(5, abs=0.05)


def test_strength_slider_changes_the_sound_in_place(page, song_url, shots):
    open_song(page, song_url)
    page.locator("#seek").fill("3")
    before = page.get_attribute("a[data-file=instrument]", "href")
    page.locator("#strength").fill("300")
    page.locator("#strength").dispatch_event("change")
    until(page, "document.getElementById('strength-state').textContent === 'Done.'")
    until(page, "window.Player.audio.currentTime > 2.9")  # the place is kept
    after = page.get_attribute("a[data-file=instrument]", "href")
    assert after != before and after.split("/")[2] in page.url and "300 %" in page.inner_text("#strength-text")
    page.reload()
    page.wait_for_selector(READY)
    assert page.input_value("#strength") == "300"


SHOWN = """() => {
  const main = document.querySelector("main").cloneNode(true);
  for (const one of main.querySelectorAll("noscript, .transport, #strength-state, script")) one.remove();
  const all = (selector, value) => [...main.querySelectorAll(selector)].map(value);
  return {
    text: main.textContent.replace(/\\s+/g, " "), links: all("a", (one) => one.href),
    forms: all("form", (one) => one.action), pictures: all("img", (one) => one.src),
    warnings: all(".warning", (one) => one.textContent),
    labels: all("[aria-label]", (one) => one.getAttribute("aria-label")),
    values: all("input:not([type=hidden])", (one) => one.value),
  };
}"""


def apply_strength(page, percent: int) -> None:
    """Move the slider as a hand does, and wait for the result."""
    page.locator("#strength").fill(str(percent))
    page.locator("#strength").dispatch_event("change")
    until(page, "document.getElementById('strength-state').textContent === 'Done.'")


def own_song(page, server, name: str, song: bytes) -> str:
    """A finished song that this browser has sent, and may delete."""
    page.goto(server.url)
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": song})
    page.click("text=Separate")
    page.wait_for_selector(READY)
    return page.url


def test_after_a_change_of_strength_the_whole_page_is_the_one_that_a_reload_shows(page, server):
    high = 0.3 * np.sin(2 * np.pi * 6000 * np.arange(4 * RATE) / RATE)  # little of it gets through the mask, or nothing
    buffer = io.BytesIO()
    soundfile.write(buffer, high, RATE, format="WAV")
    original = own_song(page, server, "follows.wav", buffer.getvalue())
    first = page.evaluate(SHOWN)
    page.click("#loop")
    page.click("#play")
    until(page, "window.Player.audio.currentTime > 0.2")
    apply_strength(page, 300)
    until(page, "!window.Player.audio.paused && window.Player.audio.currentTime > 0.2")
    followed, url = page.evaluate(SHOWN), page.url
    page.reload()
    page.wait_for_selector(READY)
    assert page.url == url != original and page.evaluate(SHOWN) == followed
    assert "compare with it" in followed["text"] and first["warnings"] != followed["warnings"] != []
    assert "audible for 0 percent" in str(followed["labels"]) and "audible for 0 percent" not in str(first["labels"])
    apply_strength(page, 100)
    assert page.url == original and page.evaluate(SHOWN) == first


def test_delete_after_a_change_of_strength_leaves_the_original(page, server):
    original = own_song(page, server, "stays.wav", song_bytes(1))
    apply_strength(page, 200)
    variant = page.url
    page.click("text=Delete this song")
    page.wait_for_selector("#ask")
    client = Client(server.url)
    assert [client.get(url[len(server.url) - 1 :]).status for url in (original, variant)] == [200, 404]


def test_what_is_heard_is_exported(page, server, song_url, tmp_path, shots):
    open_song(page, song_url)
    fields = page.locator("#mix-form input[data-stem]")
    assert [fields.nth(index).input_value() for index in (0, 1)] == ["0", "0"]
    page.locator("[data-lane=instrument] .lane-volume input").fill("50")
    page.click("[data-lane=rest] .mute")
    until(page, "document.querySelector('#mix-form [name=gain_rest]').value === '-60'")
    assert [fields.nth(index).input_value() for index in (0, 1)] == ["-12", "-60"]
    page.select_option("#mix-form [name=loudness]", "off")
    page.select_option("#mix-form [name=format]", "wav")
    page.locator("#mix-form").screenshot(path=shots / "mix_form.png")
    page.click("#mix-form button")
    page.wait_for_selector("#mix")
    page.screenshot(path=shots / "mix.png", full_page=True)
    assert page.evaluate(CONTRAST) == []
    with page.expect_download() as download:
        page.click("#save-mix")
    mix, _ = soundfile.read(download.value.path())
    stem, _ = soundfile.read(io.BytesIO(Client(server.url).get(song_url[len(server.url) - 1 :] + "/instrument").body))
    np.testing.assert_allclose(mix, 10 ** (-12 / 20) * stem, atol=2**-15)
    assert download.value.suggested_filename == "Ten seconds - mix.wav"
    page.click("text=Back to the song")
    page.wait_for_selector(READY)


def test_compare_two_models_without_a_gap(page, song_url, shots):
    open_song(page, song_url)
    page.select_option("#model", "piano")
    page.click("text=Go")
    page.wait_for_selector(READY)
    page.click("text=Compare with")
    page.wait_for_selector(READY)
    page.click("#play")
    heard(page, lambda measured: [level > 1e-3 for level in measured] == [True, False, False, False])
    page.keyboard.press("2")
    heard(page, lambda measured: [level > 1e-3 for level in measured] == [False, False, True, False])
    page.screenshot(path=shots / "compare.png", full_page=True)


def test_spectrograms_show_mixture_mask_and_instrument(page, song_url, shots):
    open_song(page, song_url)
    sizes = page.eval_on_selector_all(".figures img", "all => all.map((one) => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[1200, 192]] * 3
    page.click("#view-spectrum")
    assert page.locator(".lane img:visible").count() == 3
    page.screenshot(path=shots / "spectra.png")


# ---- visitors and machines


def test_two_visitors_at_once(browser, server):
    contexts = [browser.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for number, page in enumerate(pages):
        page.goto(server.url)
        name = f"visitor {number}.wav"
        page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": song_bytes(2, seed=number)})
        page.click("text=Separate")
    for number, page in enumerate(pages):
        page.wait_for_selector(READY, timeout=WAIT_MS)
        assert page.inner_text("h1") == f"visitor {number}"
        page.goto(server.url)
        listed = page.inner_text(".songs")
        assert f"visitor {number}" in listed and f"visitor {1 - number}" not in listed
    for context in contexts:
        context.close()


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_without_javascript_a_song_goes_in_and_comes_out(context, server, shots):
    page = context.new_page()
    page.goto(server.url)
    page.set_input_files("#file", {"name": "plain.wav", "mimeType": "audio/wav", "buffer": song_bytes(1)})
    page.click("text=Separate")
    page.wait_for_selector("text=What happened")  # the waiting page reloads itself
    assert page.locator("noscript audio, audio").count() == 2
    assert page.locator("#player").is_hidden()
    page.screenshot(path=shots / "no_javascript.png", full_page=True)
    with page.expect_download() as download:
        page.click("a[data-file=instrument]")
    assert Path(download.value.path()).read_bytes()[:4] == b"RIFF"
    page.click("#strength-form button")
    page.wait_for_selector("text=What happened")


PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DARK = {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"}
CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()


@pytest.mark.parametrize("context", [PHONE, DARK, {**PHONE, "color_scheme": "dark"}, {}], indirect=True,
                         ids=["phone", "dark", "phone_dark", "light"])  # fmt: skip
def test_every_page_fits_and_can_be_read(context, server, song_url, shots, request):
    name = request.node.callspec.id
    page = context.new_page()
    for title, url in (
        ("home", server.url), ("result", song_url), ("models", server.url + "models"),
        ("scores", server.url + "scores"), ("missing", server.url + "songs/" + "0" * 32),
    ):  # fmt: skip
        page.goto(url)
        if title == "result":
            page.wait_for_selector(READY)
        width, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= inner, f"{title} is {width} pixels wide on a screen of {inner}"
        assert page.evaluate(CONTRAST) == [], title
        page.screenshot(path=shots / f"{name}_{title}.png", full_page=True)


@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_scores_show_numbers_on_a_phone_without_scrolling(page, server):
    page.goto(server.url + "scores")
    visible = page.eval_on_selector_all(
        ".scroll",
        """boxes => boxes.map((box) => [...box.querySelectorAll("tbody tr:first-child td")].filter(
          (cell) => /^-?[0-9.]+$/.test(cell.textContent)
            && cell.getBoundingClientRect().right <= box.getBoundingClientRect().right + 1).length)""",
    )
    assert visible[0] == 4 and len(visible) == 2 and visible[1] >= 2


def test_every_control_has_a_name_and_can_be_reached(page, song_url):
    open_song(page, song_url)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input:not([type=hidden]), select, a[href]")]
          .filter((one) => !one.closest("noscript") && one.offsetParent)
          .filter((one) => !(one.innerText || "").trim() && !one.ariaLabel
                           && !(one.labels && one.labels.length && one.labels[0].textContent.trim()))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1


def test_restart_of_the_server_in_the_middle_of_a_job(browser, models, tmp_path):
    config = tmp_path / "demo.yaml"
    config.write_text(yaml.safe_dump({"data_folder": str(tmp_path / "data"), "models": [{"model": str(models[2])}]}))

    def start(port: int) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-m", "splitstrument", "demo", "--no-browser", "--port", str(port)]
        process = subprocess.Popen([*command, "--config", config], stdout=subprocess.PIPE, text=True)
        return process, re.search(r"http://\S+", process.stdout.readline()).group()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, url = start(port)
    page = browser.new_page()
    try:
        page.goto(url)
        page.set_input_files("#file", {"name": "survivor.wav", "mimeType": "audio/wav", "buffer": song_bytes(15)})
        page.click("text=Separate")
        until(page, "document.getElementById('bar') && document.getElementById('bar').value > 0.1")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.wait_for_selector("text=does not answer")
        process, _ = start(port)
        page.wait_for_selector(READY, timeout=WAIT_MS)
        assert page.inner_text("h1") == "survivor"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        page.close()
        process.kill()
        process.wait()


def test_the_tones_of_the_song_land_where_the_model_puts_them(song_url, page):
    """440 Hz in the instrument, 6 kHz in the rest."""
    open_song(page, song_url)
    page.click("#loop")
    page.click("#play")
    page.click("[data-lane=instrument] .solo")
    hear_pitch(page, 440, 8)
    page.click("[data-lane=instrument] .solo")
    page.click("[data-lane=rest] .solo")
    hear_pitch(page, 6000, 12)

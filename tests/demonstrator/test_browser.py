"""The demonstrator in a real headless Chromium: what a visitor sees, hears and does.

Screenshots go to the folder that SCREENSHOTS names (a temporary one unless set), for people to look at.
"""

from __future__ import annotations

import io
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
from demonstrator_browser import READY, WAIT_MS, open_song, until
from demonstrator_site import RATE, Client, make_model, running_server, settings_for, song_bytes

pytestmark = pytest.mark.browser


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


def player(page, expression: str):
    return page.evaluate(f"(() => {{ const p = window.Player, sound = p.sound; return {expression}; }})()")


HEAR = """async (tones) => {
  while (!window.Player.sound.node) await new Promise((done) => setTimeout(done, 20));
  const { context, node } = window.Player.sound;
  const meter = context.createAnalyser();
  meter.fftSize = 16384;
  node.connect(meter);
  await new Promise((done) => setTimeout(done, 450));
  const wave = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(wave);
  node.disconnect(meter);
  const level = (hz) => {
    let [x, y] = [0, 0];
    wave.forEach((value, k) => {
      const window = 1 - Math.cos((2 * Math.PI * k) / wave.length);
      x += value * window * Math.cos((2 * Math.PI * hz * k) / context.sampleRate);
      y += value * window * Math.sin((2 * Math.PI * hz * k) / context.sampleRate);
    });
    return (2 * Math.hypot(x, y)) / wave.length;
  };
  return tones.map(level);
}"""
LOW, HIGH = 440, 6000  # what the songs of these tests are made of: the instrument's tone, the rest's


def heard(page, wanted, tones=(LOW, HIGH)) -> list[float]:
    """Measure the amplitude of each tone behind the player until `wanted` (a predicate) holds; a busy machine plays
    late, but it must get there."""
    for _ in range(40):
        measured = page.evaluate(HEAR, list(tones))
        if wanted(measured):
            return measured
    raise AssertionError(f"never heard as wanted; last levels {measured}")


def hear_pitch(page, wanted_hz: float) -> None:
    """Wait until a tone is heard and next to nothing a semitone away from it."""
    near = [wanted_hz, wanted_hz * 2 ** (1 / 12), wanted_hz / 2 ** (1 / 12)]
    heard(page, lambda level: level[0] > 0.02 and max(level[1:]) < 0.05 * level[0], near)


# ---- from a song to a result


def test_example_one_click_to_a_playing_result(page, server, shots):
    page.goto(server.url)
    page.screenshot(path=shots / "home.png", full_page=True)
    page.click("text=Try the example")
    page.wait_for_selector(READY)
    page.click("#play")
    until(page, "window.Player.sound.position > 0.5")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.screenshot(path=shots / "result.png", full_page=True)
    measured = page.evaluate(HEAR.replace("tones.map(level)", "[Math.hypot(...wave) / wave.length ** 0.5]"), [])
    assert measured[0] > 1e-3  # sound, not only a moving clock


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


def test_several_songs_at_once_are_found_in_the_library(page, server, shots):
    page.goto(server.url)
    files = [{"name": f"{name}.wav", "mimeType": "audio/wav", "buffer": song_bytes(0.5)} for name in ("Alpha", "Beta")]
    page.set_input_files("#file", files)
    page.click("text=Separate")
    page.wait_for_selector(".songs")
    assert all(name in page.inner_text(".songs") for name in ("Alpha", "Beta"))
    page.goto(server.url + "library")
    assert page.locator(".library h2").all_inner_texts()[:2] == ["Beta", "Alpha"]
    page.select_option("#sort", "title")
    assert page.locator(".library h2").all_inner_texts()[0] == "Alpha"
    page.fill("#search", "bet")
    assert page.locator(".library > li:visible h2").all_inner_texts() == ["Beta"]
    page.click(".library > li:visible >> text=Rename")
    page.fill(".library > li:visible input[name=title]", "Gamma / <b>live</b>")
    page.click(".library > li:visible button:text('Rename')")
    page.wait_for_selector("h2:text('Gamma')")
    page.screenshot(path=shots / "library.png", full_page=True)
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button[aria-label^='Delete Gamma']")
    page.click("text=Undo")
    assert page.wait_for_selector("h1").inner_text().startswith("Gamma - ")


def test_songs_beyond_the_limit_stay_chosen_and_no_others(context, models, tmp_path):
    page = context.new_page()
    with running_server(settings_for(tmp_path, [models[2]], jobs_per_visitor=2)) as server:
        page.goto(server.url)
        songs = [{"name": f"{n}.wav", "mimeType": "audio/wav", "buffer": song_bytes(20)} for n in range(6)]
        page.set_input_files("#file", songs)
        page.click("text=Separate")
        page.wait_for_selector("#problem:visible")
        said = page.inner_text("#problem")
        left = page.evaluate("[...document.getElementById('file').files].map((one) => one.name)")
        assert said.startswith(f"{6 - len(left)} of 6 songs were sent. ") and "waiting" in said
        assert 0 < len(left) < 6 and left == [song["name"] for song in songs[-len(left) :]]


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
    assert player(page, "sound.position") == pytest.approx(5, abs=0.1)
    page.locator("#seek").fill("8")
    assert player(page, "sound.position") == pytest.approx(8, abs=0.05)
    page.click("#play")
    until(page, "window.Player.sound.position > 8.3")  # it plays on from there


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
        """() => { const t = window.Player.sound.position; window.seen = window.seen || []; window.seen.push(t);
        return window.seen.some((value, i) => i && value < window.seen[i - 1] - 0.3); }""",
    )
    seen = page.evaluate("window.seen")
    assert max(seen) < 2.9 and min(seen) > 1.9
    page.screenshot(path=shots / "loop.png")


def test_solo_mute_volume_and_the_original_are_heard(page, song_url):
    open_song(page, song_url)
    page.click("#loop")  # the whole song again and again
    page.click("#play")
    both = heard(page, lambda level: level[0] > 0.1 and level[1] > 0.03)
    page.click("[data-lane=instrument] .solo")
    heard(page, lambda level: level[0] == pytest.approx(0.95 * both[0], rel=0.05) and level[1] < 0.1 * both[1])
    page.click("[data-lane=instrument] .solo")
    page.click("[data-lane=instrument] .mute")
    heard(page, lambda level: level[0] < 0.1 * both[0] and level[1] == pytest.approx(0.95 * both[1], rel=0.05))
    page.locator("[data-lane=rest] .lane-volume input").fill("50")
    heard(page, lambda level: level[1] == pytest.approx(0.95 * both[1] / 4, rel=0.05))  # a square law
    page.click("[data-lane=mixture] .solo")  # the original in the place of its parts, never on top of them
    heard(page, lambda level: level == pytest.approx(both, rel=0.05))
    page.click("[data-lane=instrument] .mute")  # back to the parts
    assert page.get_attribute("[data-lane=mixture] .solo", "aria-pressed") == "false"


def test_speed_and_key_are_heard_apart_and_together(page, song_url):
    open_song(page, song_url)
    page.click("#loop")
    page.click("#play")
    hear_pitch(page, LOW)
    page.locator("#speed").fill("50")
    hear_pitch(page, LOW)  # at half speed a pitch that follows would be 220 Hz
    for _ in range(3):
        page.click("#key-up")
    page.locator("#cents").fill("20")
    hear_pitch(page, LOW * 2 ** (3.2 / 12))
    page.locator("#seek").fill("1")
    until(page, "window.Player.sound.position > 1.05")
    before = player(page, "[sound.position, performance.now()]")
    page.wait_for_timeout(2000)
    after = player(page, "[sound.position, performance.now()]")
    assert 0 < (after[0] - before[0]) / (after[1] - before[1]) * 1000 < 0.75


def test_keyboard(page, song_url):
    open_song(page, song_url)
    page.keyboard.press("Space")
    until(page, "window.Player.sound.playing")
    page.focus("#loop-clear")
    page.keyboard.press("Space")  # whatever has the focus
    until(page, "!window.Player.sound.playing")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert player(page, "sound.position") == pytest.approx(5, abs=0.05)
    page.keyboard.press("1")
    assert page.get_attribute("[data-lane=instrument] .solo", "aria-pressed") == "true"
    page.keyboard.press("Shift+2")
    assert page.get_attribute("[data-lane=rest] .mute", "aria-pressed") == "true"
    page.keyboard.press("m")  # the lane that was used last
    assert page.get_attribute("[data-lane=rest] .mute", "aria-pressed") == "false"
    page.keyboard.press("0")
    assert page.get_attribute("[data-lane=mixture] .solo", "aria-pressed") == "true"
    page.keyboard.press("[")
    page.keyboard.press("+")
    assert player(page, "[p.settings().speed, p.settings().semitones]") == [95, 1]
    page.keyboard.press("a")
    assert player(page, "p.loop.a") == pytest.approx(5, abs=0.05)


def test_strength_slider_changes_the_sound_in_place(page, song_url, shots):
    open_song(page, song_url)
    page.locator("#seek").fill("3")
    before = page.get_attribute("a[data-file=instrument]", "href")
    page.locator("#strength").fill("300")
    page.locator("#strength").dispatch_event("change")
    until(page, "document.getElementById('strength-state').textContent === 'Done.'")
    until(page, "window.Player.sound.position > 2.9")  # the place is kept
    after = page.get_attribute("a[data-file=instrument]", "href")
    assert after != before and after.split("/")[2] in page.url and "300 %" in page.inner_text("#strength-text")
    page.reload()
    page.wait_for_selector(READY)
    assert page.input_value("#strength") == "300"


SHOWN = """() => {
  const main = document.querySelector("main").cloneNode(true);
  const left = "noscript, .transport, .tools, .ruler, .marks, #strength-state, script";
  for (const one of main.querySelectorAll(left)) one.remove();
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
    until(page, "window.Player.sound.position > 0.2")
    apply_strength(page, 300)
    until(page, "window.Player.sound.playing && window.Player.sound.position > 0.2")
    followed, url = page.evaluate(SHOWN), page.url
    page.reload()
    page.wait_for_selector(READY)
    assert page.url == url != original and page.evaluate(SHOWN) == followed
    assert "compare with it" in followed["text"] and followed["warnings"] != []
    assert "audible for 0 percent" in str(followed["labels"]) and "audible for 0 percent" not in str(first["labels"])
    apply_strength(page, 100)
    assert page.url == original and page.evaluate(SHOWN) == first


def test_delete_after_a_change_of_strength_leaves_the_original(page, server):
    original = own_song(page, server, "stays.wav", song_bytes(1))
    apply_strength(page, 200)
    variant = page.url
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("text=Delete this song")
    assert "“stays” (guitar, strength 200 %)" in asked[0] and page.url == variant
    page.once("dialog", lambda dialog: dialog.accept())
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
    page.click("form[data-action=again] button")
    page.wait_for_selector(READY)
    page.click("text=Compare with")
    page.wait_for_selector(READY)
    page.click("#loop")
    page.click("#play")
    heard(page, lambda level: level[0] > 0.1 and level[1] > 0.05)  # the piano's model takes the high tone, too
    page.keyboard.press("2")
    heard(page, lambda level: level[0] > 0.1 and level[1] < 0.01)
    page.screenshot(path=shots / "compare.png", full_page=True)


def test_spectrograms_show_mixture_mask_and_instrument(page, song_url, shots):
    open_song(page, song_url)
    page.click("text=What happened")
    until(page, "[...document.querySelectorAll('.figures img')].every((one) => one.complete && one.naturalWidth)")
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
    page.wait_for_selector("text=Details")  # the waiting page reloads itself
    assert page.locator("noscript audio, audio").count() == 2
    assert page.locator("#player").is_hidden()
    page.screenshot(path=shots / "no_javascript.png", full_page=True)
    with page.expect_download() as download:
        page.click("a[data-file=instrument]")
    assert Path(download.value.path()).read_bytes()[:4] == b"RIFF"
    page.click("#strength-form button")
    page.wait_for_selector("text=Details")


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
        ("library", server.url + "library"), ("scores", server.url + "scores"),
        ("missing", server.url + "songs/" + "0" * 32),
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
    page.click("summary")
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
    hear_pitch(page, LOW)
    page.click("[data-lane=instrument] .solo")
    page.click("[data-lane=rest] .solo")
    heard(page, lambda level: level[1] > 5 * level[0])

"""What one does in the practice room day by day, in a real headless Chromium: loops, beats, marks, and coming back."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from demonstrator_browser import READY, open_song, until
from demonstrator_site import RATE, Client, make_model, running_server, settings_for
from tiny_models import band_kernel, band_settings, tiny_model

pytestmark = pytest.mark.browser
SECONDS = 30


def drums() -> bytes:
    """Two drums a second from 0.25 s on, the first of four a low one, over a soft tone."""
    rng = np.random.default_rng(4)
    time = np.arange(SECONDS * RATE) / RATE
    audio = 0.05 * np.sin(2 * np.pi * 330 * time)
    decay = np.exp(-np.arange(2000) / 400)
    for number, start in enumerate(np.arange(0.25, SECONDS - 0.2, 0.5)):
        low = np.sin(2 * np.pi * 70 * np.arange(2000) / RATE)
        audio[round(start * RATE) :][:2000] += decay * (0.6 * low if number % 4 == 0 else rng.normal(0, 0.2, 2000))
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([audio, audio], axis=1).astype(np.float32), RATE, format="WAV")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    """Pages of a finished song: of a model of one instrument, and of a model of three."""
    folder = tmp_path_factory.mktemp("practice")
    settings = band_settings(("guitar", "piano", "bass"))
    tiny_model(folder / "band", settings, band_kernel(settings))
    with running_server(settings_for(folder, [make_model(folder / "guitar", "guitar"), folder / "band"])) as server:
        client = Client(server.url)
        models = {"one": "guitar", "band": "tiny"}
        paths = {name: client.send(drums(), "Drums.wav", model=model) for name, model in models.items()}
        for path in paths.values():
            client.wait(path)
        yield {name: server.url.rstrip("/") + path for name, path in paths.items()}


def loop(page) -> list:
    return page.evaluate("[window.Player.loop.a, window.Player.loop.b, window.Player.loop.on]")


def position(page) -> float:
    return page.evaluate("window.Player.sound.position")


def drag(page, lane: str, from_s: float, to_s: float) -> None:
    """Drag on the picture of a lane, or on the ruler."""
    box = page.locator(f"[data-lane={lane}] .picture" if lane != "ruler" else "#ruler").bounding_box()
    x = [box["x"] + box["width"] * seconds / SECONDS for seconds in (from_s, to_s)]
    page.mouse.move(x[0], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x[0] + 8 * np.sign(x[1] - x[0]), box["y"] + 10)
    page.mouse.move(x[1], box["y"] + 10, steps=3)
    page.mouse.up()


def test_a_drag_makes_a_loop_its_edges_move_and_keys_nudge_them(page, urls, shots):
    open_song(page, urls["one"])
    drag(page, "rest", 6, 9)
    assert loop(page) == [pytest.approx(6, abs=0.05), pytest.approx(9, abs=0.05), True]
    assert position(page) == pytest.approx(loop(page)[0])
    drag(page, "instrument", 9, 12)  # the edge goes along
    assert loop(page)[:2] == pytest.approx([6, 12], abs=0.1)
    drag(page, "ruler", 6, 3)
    assert loop(page)[:2] == pytest.approx([3, 12], abs=0.1)
    before = loop(page)
    page.focus("#handle-b")
    page.keyboard.press("ArrowLeft")
    assert loop(page)[1] == pytest.approx(before[1] - 0.01)
    page.keyboard.press("Shift+ArrowRight")
    assert (loop(page)[1] - 0.25) % 0.5 == pytest.approx(0, abs=0.02) or (loop(page)[1] - 0.25) % 0.5 > 0.48
    page.screenshot(path=shots / "practice_loop.png")


def test_setting_a_and_b_moves_nothing_and_a_click_beyond_b_leaves(page, urls):
    open_song(page, urls["one"])
    boxes = """() => [...document.querySelectorAll("#player button, #player input, .picture")].filter((one) =>
      one.offsetParent && !one.matches(".handle, .marks *")).map((one) => { const b = one.getBoundingClientRect();
      return [b.x, b.y, b.width, b.height]; })"""
    before = page.evaluate(boxes)
    page.locator("#seek").fill("2")
    page.click("#loop-a")
    page.locator("#seek").fill("4")
    page.click("#loop-b")
    assert loop(page) == [2, 4, True] and page.evaluate(boxes) == before
    box = page.locator("[data-lane=rest] .picture").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 20)
    assert loop(page)[2] is False and position(page) == pytest.approx(15, abs=0.1)
    page.click("#play")
    until(page, "window.Player.sound.position > 15.3")


def test_reload_finds_the_room_as_it_was_left(page, urls):
    open_song(page, urls["one"])
    page.locator("#seek").fill("7")
    page.keyboard.press("a")
    page.locator("#seek").fill("11")
    page.keyboard.press("b")
    page.click("#keep-loop")
    page.locator(".marks input").fill("Chorus")
    page.locator(".marks input").press("Enter")
    page.click("#mark")
    page.locator("#speed").fill("70")
    page.click("#key-down")
    page.locator("[data-lane=rest] .lane-volume input").fill("40")
    page.locator("[data-lane=rest] .lane-pan input").fill("-100")
    page.click("[data-lane=instrument] .mute")
    page.click("[data-lane=rest] .silence")
    page.click("#click")
    left = page.evaluate("window.Player.settings()")
    page.reload()
    page.wait_for_selector(READY)
    assert page.evaluate("window.Player.settings()") == left
    assert left["loop"] == {"a": 7, "b": 11, "on": True} and left["lanes"]["rest"]["quiet"] == [[7, 11]]
    assert [mark["name"] for mark in left["marks"]] == ["Chorus", "Mark 1"]
    page.keyboard.press("l")
    page.click("[aria-label='Go to Chorus']")
    assert loop(page) == [7, 11, True] and position(page) == 7
    page.click("[data-lane=rest] .silence")  # pressed again, it is heard again
    assert page.evaluate("window.Player.settings().lanes.rest.quiet") == []


def test_beats_are_found_snapped_to_and_tapped(page, urls, shots):
    open_song(page, urls["one"])
    assert page.inner_text("#bpm") == "120"
    page.click("#snap")
    drag(page, "rest", 6.1, 8.4)
    assert loop(page)[:2] == pytest.approx([6.25, 8.25], abs=0.03)
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    assert position(page) == pytest.approx(0.25, abs=0.03)
    page.click("#half")
    assert float(page.inner_text("#bpm")) == pytest.approx(60, abs=0.3)
    page.click("#double")
    page.evaluate("[3.0, 3.4, 3.8, 4.2, 4.6].forEach((time) => window.Player.grid.tap(time))")  # as taps do
    page.click("#click")
    assert page.inner_text("#bpm") == "150"
    bars = page.evaluate("window.Player.grid.beats.filter((beat) => beat[1]).map((beat) => beat[0])")
    assert min(abs(bar - 3.0) for bar in bars) < 0.01 and np.diff(bars) == pytest.approx(1.6)
    page.click("#zoom-in")
    page.click("#zoom-in")
    page.screenshot(path=shots / "practice_beats.png")


def test_a_band_plays_in_little_memory(page, urls, shots):
    open_song(page, urls["band"])
    page.screenshot(path=shots / "practice_band.png", full_page=True)
    page.click("#play")
    held = []
    for seconds in (0, 9, 22, 3):
        page.locator("#seek").fill(str(seconds))
        until(page, f"window.Player.sound.position > {seconds} + 0.3 && !window.Player.sound.waiting")
        held.append(page.evaluate("window.Player.sound.held.size"))
    assert max(held) <= 4  # segments of 4 s, of eight


PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("context", [PHONE, {**PHONE, "color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_a_phone_has_room_for_a_band(context, urls, shots, request):
    page = context.new_page()
    open_song(page, urls["band"])
    page.tap("[data-lane=bass] .solo")
    page.tap("#mark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("window.Player.lanes.used.key") == "bass"
    page.screenshot(path=shots / f"practice_phone_{request.node.callspec.id}.png", full_page=True)


IN_STEP = """async (folder) => {
  const decoded = async (form) => {
    const bytes = await (await fetch(`${folder}/1.${form}`)).arrayBuffer();
    return (await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes)).getChannelData(0);
  };
  const [exact, packed] = [await decoded("flac"), await decoded("ogg")];
  let best = [0, -Infinity];
  for (let lag = -600; lag <= 600; lag++) {
    let sum = 0;
    for (let k = 50000; k < 150000; k += 1) sum += exact[k] * packed[k + lag];
    if (sum > best[1]) best = [lag, sum];
  }
  return [exact.length, packed.length, best[0]];
}"""


def test_the_browser_gives_compressed_segments_back_in_step(page, urls):
    open_song(page, urls["one"] + "?sound=ogg")
    folder = page.evaluate("window.Player.sound.stems[1]")
    assert page.evaluate(IN_STEP, folder) == [201_600, 201_600, 0]
    page.click("#play")
    until(page, "window.Player.sound.position > 0.5")
    assert page.evaluate("window.Player.sound.form") == "ogg"


def test_the_end_of_the_song_is_the_end_of_a_page_that_is_zoomed_in(page, urls):
    open_song(page, urls["one"])
    page.click("#zoom-in")
    shown = """(duration) => {
      const { sound, timeline } = window.Player;
      sound.duration = duration;  // of songs that are no whole number of samples at the engine's rate
      sound.hear({ type: "state", serial: sound.serial, position: Math.ceil(duration * 48000) / 48000, missing: -1 });
      return [sound.position, timeline.shown.to];
    }"""
    for duration in np.sort(np.random.default_rng(1).uniform(5, 30, 50)):
        assert page.evaluate(shown, duration) == pytest.approx([duration, duration])


def test_an_end_moved_to_before_the_playhead_keeps_it_in_the_loop(page, urls):
    open_song(page, urls["one"])
    page.evaluate("window.Player.timeline.setLoop(3, 12)")
    page.locator("#seek").fill("10")
    drag(page, "ruler", 12, 11)
    assert position(page) == 10
    drag(page, "ruler", 11, 8)
    assert loop(page) == [3, pytest.approx(8, abs=0.05), True] and position(page) == 3


def test_lanes_of_the_song_s_other_pages_are_kept(page, urls):
    open_song(page, urls["one"])
    page.click("[data-lane=rest] .mute")
    lanes = "JSON.parse(Object.entries(localStorage).find(([key]) => key.startsWith('room:'))[1]).lanes"
    add = '([key, text]) => localStorage.setItem(key, text.replace(\'"lanes":{\', \'"lanes":{"other":{"pan":-70},\'))'
    page.evaluate(f"Object.entries(localStorage).filter(([key]) => key.startsWith('room:')).forEach({add})")
    page.click("[data-lane=instrument] .mute")
    kept = page.evaluate(lanes)
    assert kept["other"] == {"pan": -70} and kept["rest"]["mute"] and kept["instrument"]["mute"]


def test_keys_go_between_a_part_and_the_original_and_space_switches_a_box(page, urls):
    open_song(page, urls["one"])
    solo = "['instrument', 'mixture'].map((key) => document.querySelector(`[data-lane=${key}] .solo`).ariaPressed)"
    for key, wanted in [("1", ["true", "false"]), ("0", ["true", "true"]), ("1", ["true", "false"])]:
        page.keyboard.press(key)
        assert page.evaluate(solo) == wanted
    page.locator("#as-practised").evaluate("(box) => box.focus()")
    page.keyboard.press("Space")
    assert not page.is_checked("#as-practised") and not page.evaluate("window.Player.sound.playing")


def test_a_connection_that_comes_back_is_heard(context, urls):
    page = context.new_page()
    asked: list[str] = []

    def first_fail(route):
        asked.append(route.request.url)
        route.abort() if len(asked) <= failing else route.continue_()

    failing = 6  # of two stems: three tries
    page.route("**/0.flac", first_fail)
    open_song(page, urls["one"])
    page.click("#play")
    until(page, "window.Player.sound.position > 0.3")
    assert len(asked) == 8 and page.is_hidden("#player-problem")
    asked.clear()
    failing = 1000
    page.reload()
    page.wait_for_selector(READY)
    page.locator("#seek").fill("0")
    page.click("#play")
    page.wait_for_selector("#player-problem:visible")
    assert not page.evaluate("window.Player.sound.playing")
    failing = 0
    page.click("#play")
    until(page, "window.Player.sound.position > 0.3")
    assert page.is_hidden("#player-problem")

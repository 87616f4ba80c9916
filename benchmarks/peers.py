"""Our separation beside the peers, on this machine, in one run: seconds per minute of audio and peak memory.

The peers run with random weights (time and memory do not depend on their values) and their own default segments and
overlaps: HTDemucs with six sources (PyPI demucs), Open-Unmix with four targets (PyPI openunmix), and Spleeter's
two-stem U-Net rebuilt at its published sizes (Hennequin et al. 2020: n_fft 4096, 512 x 1024 patches, 5x5 kernels,
16 to 512 filters). Each tool runs in a process of its own, reads the song from a file and writes its stems to files;
the time to import and to load weights is listed apart.

Demucs and Open-Unmix need PyTorch in an environment of their own:

    python3 -m venv .venv-peers
    .venv-peers/bin/pip install torch soundfile einops julius tqdm pyyaml
    .venv-peers/bin/pip install --no-deps torchaudio demucs openunmix dora-search omegaconf \
        antlr4-python3-runtime==4.9.3 treetable lameenc retrying submitit cloudpickle
    rm -f .venv-peers/lib/python3*/site-packages/torchaudio/lib/*.so   # only with a CPU build of PyTorch

Example: python benchmarks/peers.py song.wav --rounds 3
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def read(song: Path):
    """Song as float32 (n_samples, 2) with its rate."""
    import soundfile

    audio, rate = soundfile.read(song, dtype="float32", always_2d=True)
    return audio[:, [0, -1]], rate


def write(folder: Path, stems: dict, rate: int) -> None:
    """Write stems as 16-bit WAV."""
    import soundfile

    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem, rate)


def ours(model: str):
    """Splitstrument with a model of the store and its default engine."""
    from splitstrument.separation.options import SeparationOptions
    from splitstrument.separation.pipeline import load_model
    from splitstrument.separation.songs import separate_file

    loaded = load_model(model)
    return lambda song, output: separate_file(song, output, loaded, SeparationOptions())


def htdemucs():
    """HTDemucs, six sources, segments of 7.8 s with a quarter of overlap (its command line's defaults)."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    names = ["drums", "bass", "other", "vocals", "guitar", "piano"]
    model = HTDemucs(sources=names, segment=7.8).eval()

    def run(song: Path, output: Path) -> None:
        audio, rate = read(song)
        with torch.no_grad():
            estimates = apply_model(model, torch.from_numpy(audio.T)[None], shifts=0, split=True, overlap=0.25)[0]
        write(output, {name: stem.T.numpy() for name, stem in zip(names, estimates, strict=True)}, rate)

    return run


def openunmix():
    """Open-Unmix (umx's sizes), four targets, one iteration of its Wiener filter (its defaults)."""
    import torch
    from openunmix.model import OpenUnmix, Separator

    targets = ["vocals", "drums", "bass", "other"]
    networks = {name: OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487) for name in targets}
    separator = Separator(target_models=networks, niter=1, n_fft=4096, n_hop=1024, nb_channels=2, sample_rate=44100)
    separator.eval()

    def run(song: Path, output: Path) -> None:
        audio, rate = read(song)
        with torch.no_grad():
            estimates = separator(torch.from_numpy(audio.T)[None])[0]
        write(output, {name: stem.T.numpy() for name, stem in zip(targets, estimates, strict=True)}, rate)

    return run


def spleeter_unet():
    """One U-Net of Spleeter: (batch, 512, 1024, 2) magnitudes to a mask of the same shape."""
    import keras
    from keras import layers

    x = inputs = keras.Input((512, 1024, 2))
    skips = []
    for filters in (16, 32, 64, 128, 256, 512):
        conv = layers.Conv2D(filters, 5, strides=2, padding="same")(x)
        skips.append(conv)
        x = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(conv))
    x = skips.pop()
    for index, filters in enumerate((256, 128, 64, 32, 16, 1)):
        x = layers.Conv2DTranspose(filters, 5, strides=2, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        if index < 3:
            x = layers.Dropout(0.5)(x)
        if skips:
            x = layers.Concatenate()([skips.pop(), x])
    mask = layers.Conv2D(2, 4, dilation_rate=2, padding="same", activation="sigmoid")(x)
    return keras.Model(inputs, mask)


def spleeter():
    """Spleeter's two stems: two U-Nets on patches of 512 frames, ratio masks, everything above 11 kHz cut."""
    import numpy as np

    from splitstrument.spectrogram import istft, stft

    networks = [spleeter_unet() for _ in range(2)]

    def run(song: Path, output: Path) -> None:
        audio, rate = read(song)
        spectrum = stft(audio, 4096, 1024)
        n_frames = spectrum.shape[-1]
        n_patches = -(-n_frames // 512)
        magnitude = np.zeros((2, 1024, n_patches * 512), np.float32)
        magnitude[..., :n_frames] = np.abs(spectrum[:, :1024])
        patches = magnitude.reshape(2, 1024, n_patches, 512).transpose(2, 3, 1, 0)
        estimates = [
            np.concatenate([network.predict_on_batch(patch[None]) for patch in patches]) for network in networks
        ]
        total = sum(estimate**2 for estimate in estimates) + 1e-10
        for name, estimate in zip(("vocals", "accompaniment"), estimates, strict=True):
            ratio = (estimate**2 / total).transpose(3, 2, 0, 1).reshape(2, 1024, -1)[..., :n_frames]
            masked = np.zeros_like(spectrum)
            masked[:, :1024] = spectrum[:, :1024] * ratio
            write(output, {name: istft(masked, len(audio), 4096, 1024)}, rate)

    return run


TOOLS = {"splitstrument": ours, "htdemucs_6s": htdemucs, "open-unmix": openunmix, "spleeter-2stems": spleeter}
IN_PEERS_ENVIRONMENT = ("htdemucs_6s", "open-unmix")


def run_tool(tool: str, song: Path, model: str) -> None:
    """Child process: load, separate once, print what it took."""
    started = time.perf_counter()
    run = TOOLS[tool](model) if tool == "splitstrument" else TOOLS[tool]()
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        run(song, Path(output))
        done = time.perf_counter()
        if not list(Path(output).rglob("*.*")):
            raise SystemExit(f"{tool} wrote nothing")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"load_s": loaded - started, "separate_s": done - loaded, "peak_mib": peak}))


def measure(tool: str, arguments: argparse.Namespace) -> dict | None:
    """One run of a tool in a fresh process; None if its environment is not there."""
    python = arguments.peers_python if tool in IN_PEERS_ENVIRONMENT else Path(sys.executable)
    if not python.exists():
        return None
    command = [python, __file__, str(arguments.song), "--tool", tool, "--model", arguments.model]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise SystemExit(f"{tool} failed:\n{child.stderr[-2000:]}")
    return json.loads(child.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run every tool in turn, `--rounds` times, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path, help="stereo song at 44.1 kHz, a minute or more")
    parser.add_argument("--model", default="guitar")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tool:
        run_tool(arguments.tool, arguments.song, arguments.model)
        return
    import soundfile

    minutes = soundfile.info(arguments.song).duration / 60
    runs: dict[str, list[dict]] = {tool: [] for tool in TOOLS}
    for _ in range(arguments.rounds):  # in turn, so that a drift of the machine's speed meets all of them
        for tool in TOOLS:
            if result := measure(tool, arguments):
                runs[tool].append(result)
    print(f"{arguments.song.name}: {minutes:.2f} min, medians of {arguments.rounds} rounds\n")
    print("| tool | s per minute of audio | x real time | to ours | load s | peak MiB |\n|---|---|---|---|---|---|")
    base = None
    for tool, results in runs.items():
        if not results:
            print(f"| {tool} | not measured: no {arguments.peers_python} | | | | |")
            continue
        median = {key: statistics.median(result[key] for result in results) for key in results[0]}
        per_minute = median["separate_s"] / minutes
        base = base or per_minute
        print(
            f"| {tool} | {per_minute:.2f} | {60 / per_minute:.1f} | {per_minute / base:.1f} | "
            f"{median['load_s']:.1f} | {median['peak_mib']:.0f} |"
        )


if __name__ == "__main__":
    main()

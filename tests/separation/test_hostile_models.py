"""Models and masks that somebody else made, to do harm: each ends at once, in one sentence."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_models import tiny_model, tiny_settings

from splitstrument.errors import AudioFileError, ModelError
from splitstrument.model_folder import ModelDescription, write_model_folder
from splitstrument.separation.engines import open_engine
from splitstrument.separation.onnx_graph import check_onnx

ROOT = Path(__file__).resolve().parents[2]
N_BINS, N_FRAMES, N_VIEWS = tiny_settings().input_shape
SHAPE = ["batch", N_BINS, N_FRAMES, N_VIEWS]


def value(name: str, kind: int = TensorProto.FLOAT, shape=SHAPE):
    return helper.make_tensor_value_info(name, kind, shape)


def save(path: Path, nodes, inputs=("mixture",), constants=(), functions=(), domains=("",)) -> Path:
    """A model folder of these nodes, whose files have the hashes that it lists."""
    graph = helper.make_graph(list(nodes), "g", [value(name) for name in inputs], [value("mask")], list(constants))
    opsets = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8)
    path.mkdir()
    onnx.save(model, path / "model.onnx")
    write_model_folder(path, ModelDescription(name="hostile", model=tiny_settings()), ["model.onnx"])
    return path


def endless_body():
    """A loop's body whose condition stays true."""
    return helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"]), helper.make_node("Identity", ["before"], ["after"])],
        "body",
        [value("step", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), value("before")],
        [value("still", TensorProto.BOOL, []), value("after")],
    )


def constant(name: str, array) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


FOREVER = [constant("n", np.int64(2**62)), constant("yes", np.bool_(True))]


def loop():
    return helper.make_node("Loop", ["n", "yes", "mixture"], ["mask"], body=endless_body())


def an_endless_loop(path):
    return save(path, [loop()], constants=FOREVER)


def an_endless_loop_within_a_condition(path):
    branch = helper.make_graph([loop()], "branch", [], [value("mask")])
    node = helper.make_node("If", ["yes"], ["mask"], then_branch=branch, else_branch=branch)
    return save(path, [node], constants=FOREVER)


def an_endless_loop_within_a_function(path):
    node = helper.make_node("Loop", ["n", "yes", "a"], ["b"], body=endless_body())
    function = helper.make_function("ours", "F", ["a", "n", "yes"], ["b"], [node], [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["mixture", "n", "yes"], ["mask"], domain="ours")
    return save(path, [call], constants=FOREVER, functions=[function], domains=("", "ours"))


def conditions_twelve_deep(path):
    branch = helper.make_graph([helper.make_node("Identity", ["mixture"], ["mask"])], "b", [], [value("mask")])
    for depth in range(12):
        node = helper.make_node("If", ["yes"], ["mask"], then_branch=branch, else_branch=branch if depth < 2 else None)
        branch = helper.make_graph([node], "b", [], [value("mask")])
    return save(path, branch.node, constants=FOREVER[1:])


def two_inputs(path):
    return save(path, [helper.make_node("Add", ["mixture", "other"], ["mask"])], inputs=("mixture", "other"))


def no_input(path):
    ones = constant("ones", np.ones((1, N_BINS, N_FRAMES, N_VIEWS), np.float32))
    return save(path, [helper.make_node("Identity", ["ones"], ["mask"])], inputs=(), constants=[ones])


def weights_that_are_not_numbers(path):
    """The maximum hides them from a trial: max(0, NaN * 0) may be 0."""
    return save(
        path,
        [helper.make_node("Mul", ["mixture", "w"], ["x"]), helper.make_node("Max", ["zero", "x"], ["mask"])],
        constants=[constant("w", np.full((1, 1, 1, 1), np.nan, np.float32)), constant("zero", np.float32(0))],
    )


def a_constant_that_is_no_number(path):
    node = helper.make_node("Constant", [], ["w"], value=constant("w", np.full((1, 1, 1, 1), np.nan, np.float32)))
    return save(path, [node, helper.make_node("Mul", ["mixture", "w"], ["mask"])])


def weights_in_another_file(path):
    save(path, [helper.make_node("Mul", ["mixture", "w"], ["mask"])], constants=[constant("w", np.float32([1]))])
    model = onnx.load(path / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/hostname")
    (path / "model.onnx").write_bytes(model.SerializeToString())
    write_model_folder(path, ModelDescription(name="hostile", model=tiny_settings()), ["model.onnx"])
    return path


def bytes_that_are_no_network(path, data=b"\x08\x07" + bytes(range(256)) * 20):
    path.mkdir()
    (path / "model.onnx").write_bytes(data)
    write_model_folder(path, ModelDescription(name="hostile", model=tiny_settings()), ["model.onnx"])
    return path


def lengths_beyond_the_file(path):
    return bytes_that_are_no_network(path, b"\x3a" + b"\xff" * 9 + b"\x01")


HOSTILE = [
    an_endless_loop, an_endless_loop_within_a_condition, an_endless_loop_within_a_function, conditions_twelve_deep,
    two_inputs, no_input, weights_that_are_not_numbers, a_constant_that_is_no_number, weights_in_another_file,
    bytes_that_are_no_network, lengths_beyond_the_file,
]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_hostile_model_ends_at_once_in_one_sentence(tmp_path, make, engine):
    """In a process of its own: what it is kept from would never end."""
    pytest.importorskip(engine)
    code = (
        "import sys; from splitstrument.separation.engines import open_engine\n"
        "from splitstrument.model_folder import read_model_folder; from splitstrument.errors import ModelError\n"
        "from pathlib import Path\n"
        "try: open_engine(read_model_folder(Path(sys.argv[1])), sys.argv[2], 1); print('opened')\n"
        "except ModelError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(make(tmp_path / "m")), engine]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert run.returncode == 0 and run.stdout.count("\n") == 1 and "opened" not in run.stdout, run.stdout + run.stderr


def test_a_sound_model_is_taken(tmp_path):
    folder = tiny_model(tmp_path / "m")
    check_onnx(folder.path / "model.onnx")
    assert open_engine(folder, threads=1).name == "onnxruntime"


def test_every_cut_of_a_model_is_one_sentence_or_harmless(tmp_path, rng):
    data = (tiny_model(tmp_path / "m").path / "model.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    for _ in range(300):
        damaged = bytearray(data[: rng.integers(1, len(data))])
        damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            check_onnx(path)
        except ModelError as error:
            assert str(path) in str(error)


def mask_bomb(path: Path) -> Path:
    """A mask of 260 kB that unpacks to 250 MB of ones."""
    from splitstrument.separation.stored_mask import HEADER, MaskHeader

    header = MaskHeader(song_sha256="0" * 64, model_name="m", model=tiny_settings(), n_views=1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("00000000", bytes(N_BINS * 1_000_000))
        archive.writestr(HEADER, header.model_dump_json())
    return path


def test_a_small_mask_does_not_become_large_in_memory(tmp_path):
    path = mask_bomb(tmp_path / "mask.zip")
    assert path.stat().st_size < 400_000
    code = (
        "import sys, resource, numpy as np; from splitstrument.separation.stored_mask import *\n"
        "from splitstrument.errors import AudioFileError\n"
        "header = read_header(sys.argv[1]); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"spectra = iter([np.zeros((1, {N_BINS}, 64), np.complex64)] * 10)\n"
        "try:\n"
        "    for pair in stored_masks(sys.argv[1], header, header.stems)(spectra): pass\n"
        "except AudioFileError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT, check=True)
    sentence, megabytes = run.stdout.strip().splitlines()
    assert "no mask of Splitstrument" in sentence and int(megabytes) < 150


def test_blocks_of_any_length_are_read_as_they_were_written(tmp_path, rng):
    from splitstrument.separation.stored_mask import MaskHeader, MaskWriter, read_header, stored_masks

    header = MaskHeader(song_sha256="0" * 64, model_name="m", model=tiny_settings(), n_views=1)
    mask = rng.random((1, 1, N_BINS, 40_000), dtype=np.float32)
    with MaskWriter(tmp_path / "mask.zip", lambda n_views: header) as writer:
        writer.add(mask)
    with zipfile.ZipFile(tmp_path / "mask.zip") as archive:
        assert max(one.file_size for one in archive.infolist()) <= 1 << 23
    spectra = iter([np.zeros((1, N_BINS, 8_000), np.complex64)] * 5)
    read = stored_masks(tmp_path / "mask.zip", read_header(tmp_path / "mask.zip"), header.stems)
    found = np.concatenate([masks for _, masks in read(spectra)], axis=-1)
    assert np.array_equal(found, np.square(np.rint(255 * np.sqrt(mask)).astype(np.float32) / 255))
    with pytest.raises(AudioFileError):
        read_header(mask_bomb(tmp_path / "x.zip").with_suffix(".nothing"))

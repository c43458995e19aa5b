"""The sources for a board, compiled where there is a compiler.

TensorFlow Lite Micro itself is not here: `stand_in` has the few classes that the sources use, and
a network that repeats its input.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.errors import ArtifactError
from frugalseg.core.labels import LabelSpace
from frugalseg.cost.tflm import KERNELS
from frugalseg.export.board import BoardArena, BoardModel, method, write_board
from frugalseg.export.flatbuffer import read_model, schema, write_model
from frugalseg.runtime.manifest import Manifest

STAND_IN = Path(__file__).parent / "stand_in"
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
ARENA = BoardArena(bytes=40_000, bytes_32bit=30_000)
SOURCES = ("model.cc", "segment.cc", "main.cc")
# Writes the ids of a picture in which many values are equal, then those of a tensor of bytes.
SHOW = """
#include <cstdio>
#include "model.h"
#include "segment.h"
static uint8_t pixels[MODEL_INPUT_BYTES], ids[MODEL_OUTPUT_HEIGHT * MODEL_OUTPUT_WIDTH];
static void show() { for (uint8_t id : ids) std::printf("%d ", id); std::printf("\\n"); }
int main() {
  if (!segment_begin() || !segment_begin()) return 1;
  for (int i = 0; i < MODEL_INPUT_BYTES; ++i) pixels[i] = static_cast<uint8_t>(i % 7 * i % 7 * 36);
  if (!segment(pixels, ids)) return 2;
  show();
  for (int i = 0; i < MODEL_INPUT_BYTES; ++i) segment_input()[i] = static_cast<int8_t>(i * 5);
  if (!segment(nullptr, ids)) return 3;
  show();
}
"""
SHOW_CLASSES = """
#include <cstdio>
#include "model.h"
int main() {
  for (int i = 0; i < MODEL_NUM_CLASSES; ++i) {
    const uint8_t* c = model_class_colors[i];
    std::printf("%s%c%d %d %d%c", model_class_names[i], 0, c[0], c[1], c[2], 0);
  }
  return reinterpret_cast<uintptr_t>(model_data) % 16 != 0;
}
"""

Edit = Callable[[Any], None]
Edited = Callable[[Edit], Path]


@pytest.fixture
def labels(golden: Path) -> LabelSpace:
    return Manifest.load(golden).label_space


@pytest.fixture
def model(golden: Path, labels: LabelSpace) -> BoardModel:
    return BoardModel.read(golden / "model.int8.tflite", labels.num_classes)


@pytest.fixture
def edited(golden: Path, tmp_path: Path) -> Edited:
    """Writes the golden file with a change."""

    def write(edit: Edit) -> Path:
        changed = read_model(golden / "model.int8.tflite")
        edit(changed)
        write_model(changed, tmp_path / "edited.tflite")
        return tmp_path / "edited.tflite"

    return write


def seen(count: NDArray[Any]) -> NDArray[np.int8]:
    """What the input tensor holds of the picture of SHOW."""
    values: NDArray[np.int8] = (count % 7 * count % 7 * 36 - 128).astype(np.int8)
    return values


class Board:
    """A folder with the sources, and a compiler."""

    def __init__(self, folder: Path, model: BoardModel) -> None:
        if shutil.which("g++") is None:
            pytest.skip("there is no g++ to compile with")
        self.folder, self.model = folder, model

    def build(self, *sources: str, standard: str = "c++11", flags: str = "") -> Path:
        ends = self.model.input.shape, self.model.output.shape
        sizes = [int(np.prod(shape)) for shape in ends]
        if self.model.output.element == "INT32":
            sizes[1] *= 4
        made = self.folder / "made"
        subprocess.run(
            [
                "g++", f"-std={standard}", *STRICT, *flags.split(), f"-I{STAND_IN}", "-I.",
                f"-DINPUT_BYTES={sizes[0]}", f"-DOUTPUT_BYTES={sizes[1]}",
                *sources, "-o", str(made),
            ],
            cwd=self.folder, check=True,
        )  # fmt: skip
        return made

    def show(self, program: str, *sources: str) -> str:
        (self.folder / "show.cc").write_text(program, encoding="utf-8")
        made = self.build("show.cc", *sources)
        return subprocess.run([made], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def board(tmp_path: Path, labels: LabelSpace) -> Callable[..., Board]:
    def write(model: BoardModel, of: LabelSpace = labels, arena: BoardArena = ARENA) -> Board:
        write_board(tmp_path / "board", model, of, arena, device="mcu-256k")
        return Board(tmp_path / "board", model)

    return write


def test_a_file_tells_what_the_firmware_must_know(model: BoardModel) -> None:
    assert model.methods == ("AddAdd", "AddConv2D", "AddMean", "AddResizeBilinear")
    assert (model.input.shape, model.output.shape[3]) == ((1, 48, 64, 3), 5)
    assert model.output.element == "INT8"
    assert not model.output_is_ids


def test_the_array_holds_the_bytes_of_the_file(
    model: BoardModel, labels: LabelSpace, golden: Path, tmp_path: Path
) -> None:
    write_board(tmp_path / "board", model, labels, ARENA, device="mcu-256k")
    text = (tmp_path / "board" / "model.cc").read_text(encoding="utf-8")
    held = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", text))
    assert held == (golden / "model.int8.tflite").read_bytes()
    assert f"model_data_bytes = {len(held)};" in text


@pytest.mark.parametrize(("standard", "flags"), [("c++11", ""), ("c++17", "-DIN_MICRO")])
def test_the_sources_compile_and_link(
    board: Callable[..., Board], model: BoardModel, standard: str, flags: str
) -> None:
    made = board(model).build(*SOURCES, standard=standard, flags=flags)
    assert subprocess.run([made], check=False).returncode == 0


def test_the_headers_compile_as_c(board: Callable[..., Board], model: BoardModel) -> None:
    folder = board(model).folder
    program = '#include "model.h"\n#include "segment.h"\nint main(void) { return 0; }\n'
    (folder / "show.c").write_text(program, encoding="utf-8")
    words = ["gcc", "-std=c11", *STRICT, "-c", "show.c", "-o", "show.o"]
    assert subprocess.run(words, cwd=folder, check=False).returncode == 0


def test_the_arena_of_the_header_is_what_the_interpreter_gets(
    board: Callable[..., Board], model: BoardModel
) -> None:
    made = board(model).build(*SOURCES)
    for wanted, code in ((ARENA.bytes, 0), (ARENA.bytes + 1, 1)):
        wish = {**os.environ, "WANTED_BYTES": str(wanted)}
        ran = subprocess.run([made], check=False, capture_output=True, text=True, env=wish)
        assert ran.returncode == code
        assert ("raise MODEL_ARENA_BYTES" in ran.stderr) is bool(code)


def test_a_pixel_gets_the_class_of_its_largest_score(
    board: Callable[..., Board], model: BoardModel
) -> None:
    shown = board(model).show(SHOW, "model.cc", "segment.cc").splitlines()
    count = np.arange(int(np.prod(model.output.shape[1:])))
    given = [seen(count), (count * 5).astype(np.int8)]
    for line, held in zip(shown, given, strict=True):
        expected = held.reshape(model.output.shape[1:]).argmax(-1).ravel()
        assert [int(word) for word in line.split()] == expected.tolist()


@pytest.mark.parametrize("element", ["INT8", "INT32"])
def test_ids_of_the_file_are_copied(
    board: Callable[..., Board], model: BoardModel, element: str
) -> None:
    output = replace(model.output, element=element, shape=(1, 12, 16))
    ids_board = board(replace(model, output=output, output_is_ids=True))
    shown = ids_board.show(SHOW, "model.cc", "segment.cc").splitlines()[0]
    held = seen(np.arange(4 * 12 * 16))
    expected = held.view("<i4" if element == "INT32" else np.int8)[: 12 * 16].astype(np.uint8)
    assert [int(word) for word in shown.split()] == expected.tolist()


def test_names_of_classes_arrive_whatever_letters_they_have(
    board: Callable[..., Board], model: BoardModel
) -> None:
    names = ['say "ah"', "back\\slash", "what??!", "Müll1", "面", "*/", "%s", "//"]
    of = LabelSpace.of(names)
    shown = board(model, of).show(SHOW_CLASSES, "model.cc").split("\0")[:-1]
    assert shown[::2] == names
    assert shown[1::2] == [" ".join(map(str, color)) for color in of.colors]


def test_as_many_classes_as_there_can_be(board: Callable[..., Board], model: BoardModel) -> None:
    of = LabelSpace.of([str(i) for i in range(255)], ignore_on_disk=[255])
    output = replace(model.output, shape=(1, 3, 2, 255))
    written = board(replace(model, output=output), of)
    shown = written.show(SHOW, "model.cc", "segment.cc").splitlines()[0]
    held = seen(np.arange(3 * 2 * 255)).reshape(3, 2, 255)
    assert [int(word) for word in shown.split()] == held.argmax(-1).ravel().tolist()


@pytest.mark.parametrize(
    ("arena", "told"),
    [
        (ARENA, "Estimated: 40,000 bytes"),
        (replace(ARENA, measured_with="1.2"), "runs in the interpreter of tflite_micro 1.2"),
        (replace(ARENA, measured_with="1.2", is_least=True), "does not in 16 bytes less"),
    ],
)
def test_header_and_readme_say_where_the_arena_comes_from(
    model: BoardModel, labels: LabelSpace, tmp_path: Path, arena: BoardArena, told: str
) -> None:
    write_board(tmp_path / "board", model, labels, arena, device="mcu-256k")
    for name in ("model.h", "README.md"):
        text = (tmp_path / "board" / name).read_text(encoding="utf-8")
        plain = " ".join(text.replace("\n * ", " ").split())
        assert told in plain
        assert "30,000 bytes do there (computed, not measured)" in plain
        assert "$" not in text


def test_a_grey_network_takes_one_value_for_each_pixel(
    edited: Edited, labels: LabelSpace, tmp_path: Path
) -> None:
    def grey(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = np.array([1, 48, 64, 1], np.int32)

    model = BoardModel.read(edited(grey), labels.num_classes)
    write_board(tmp_path / "board", model, labels, ARENA, device="mcu-256k")
    assert "MODEL_INPUT_BYTES 3072\n" in (tmp_path / "board" / "model.h").read_text()
    assert "64 pixels, grey" in (tmp_path / "board" / "README.md").read_text()


def test_operators_that_the_tool_lacks_are_named(edited: Edited, labels: LabelSpace) -> None:
    def foreign(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema().BuiltinOperator.GELU
        model.operatorCodes[1].builtinCode = schema().BuiltinOperator.CUSTOM

    with pytest.raises(ArtifactError, match=r"has no operator custom; .* has no operator gelu"):
        BoardModel.read(edited(foreign), labels.num_classes)


def test_files_that_no_board_can_feed_or_read_are_refused(
    edited: Edited, labels: LabelSpace
) -> None:
    def floats(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.type = schema().TensorType.FLOAT32

    def other_scale(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].quantization.scale = np.array([0.5], np.float32)

    with pytest.raises(ArtifactError, match=r"it takes float32 .*; it gives float32"):
        BoardModel.read(edited(floats), labels.num_classes)
    with pytest.raises(ArtifactError, match=r"it takes int8 .* of scale 0.5, expected int8"):
        BoardModel.read(edited(other_scale), labels.num_classes)
    with pytest.raises(ArtifactError, match=r"it gives int8 .*expected int8 .*, 6\)"):
        BoardModel.read(edited(lambda _: None), labels.num_classes + 1)


def test_ids_are_told_from_scores(edited: Edited, labels: LabelSpace) -> None:
    def ids(model: Any) -> None:
        graph = model.subgraphs[0]
        end = graph.tensors[graph.outputs[0]]
        end.type, end.shape = schema().TensorType.INT32, np.array([1, 12, 16], np.int32)

    model = BoardModel.read(edited(ids), labels.num_classes)
    assert model.output_is_ids
    assert model.output.shape == (1, 12, 16)


def test_every_operator_whose_memory_is_known_has_a_method() -> None:
    assert [kind for kind in KERNELS if method(kind) is None] == []
    assert [kind for kind in ("gelu", "select", "tile", "custom") if method(kind)] == []


def test_a_disk_that_is_full_is_not_passed_over(
    model: BoardModel, labels: LabelSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _text: str, **_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_board(tmp_path / "board", model, labels, ARENA, device="mcu-256k")
    assert list((tmp_path / "board").iterdir()) == []

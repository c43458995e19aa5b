"""A board's part of an artifact: what a firmware engineer compiles around an int8 .tflite file.

`model.h` and `model.cc` hold the file as a C array and all that the firmware must know of it,
`resolver.h` its operators; `segment.h`, `segment.cc` and `main.cc` run it. What is the same for
every network lies in the folder `firmware`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod
from pathlib import Path
from string import Template
from textwrap import wrap
from typing import Any, Self

from frugalseg.core.errors import ArtifactError
from frugalseg.core.files import write_text
from frugalseg.core.labels import LabelSpace
from frugalseg.cost.tflite import read_tflite
from frugalseg.export.flatbuffer import read_model, schema

FOLDER = "board"
FIXED = ("segment.h", "segment.cc", "main.cc")
TOOL = "TensorFlow Lite Micro"
C_TYPES = {"INT8": ("int8_t", 1), "UINT8": ("uint8_t", 1), "INT32": ("int32_t", 4)}
PIXEL_SCALE, PIXEL_ZERO = 1 / 64, 0
PICTURE_SIDES = 4  # NHWC
GREY = 1
BYTES_A_LINE = 16
TEXT_WIDTH = 94  # characters, in comments and in the README


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The one input or output tensor of a file; an element type has the schema's name."""

    shape: tuple[int, ...]
    element: str
    scale: float
    zero_point: int

    def __str__(self) -> str:
        return f"{self.element.lower()} {self.shape} of scale {self.scale:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardModel:
    """A network file as the firmware sees it.

    The output is scores for each class, or class ids. `methods` are those of the tool's resolver,
    one for each kind of operator.
    """

    file: str
    raw: bytes
    input: End
    output: End
    output_is_ids: bool
    methods: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, num_classes: int) -> Self:
        """Read a .tflite file.

        Raises ArtifactError, with all problems, for a file that does not take one picture as
        pixel minus 128, or give scores for so many classes or ids, and for operators that
        TensorFlow Lite Micro does not have.
        """
        kinds = {op.kind for op in read_tflite(path, views=False).ops}
        graph = read_model(path).subgraphs[0]
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ArtifactError(f"{path.name} has more than one input or output")
        source, result = (_end(graph.tensors[ends[0]]) for ends in (graph.inputs, graph.outputs))
        problems = [
            *_input_problems(source),
            *_output_problems(result, num_classes),
            *(f"{TOOL} has no operator {kind}" for kind in sorted(kinds) if not method(kind)),
        ]
        if problems:
            raise ArtifactError(f"{path.name} cannot run on a board: {'; '.join(problems)}")
        return cls(
            file=path.name, raw=path.read_bytes(), input=source, output=result,
            output_is_ids=not _is_scores(result, num_classes),
            methods=tuple(sorted(filter(None, map(method, kinds)))),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardArena:
    """The memory for activations, in bytes, and where the figure comes from.

    `bytes` holds for 64-bit hosts. There the network ran in it, in the interpreter of the version
    `measured_with`, and not in 16 bytes less if it `is_least`; without a version it is an
    estimate. `bytes_32bit` is computed.
    """

    bytes: int
    bytes_32bit: int
    measured_with: str | None = None
    is_least: bool = False

    @property
    def note(self) -> str:
        """What the figure is and is not, in sentences."""
        less = " It does not in 16 bytes less." if self.is_least else ""
        told = (
            f"Measured: in {self.bytes:,} bytes the network runs in the interpreter of tflite_micro"
            f" {self.measured_with}, on a 64-bit host.{less}"
            if self.measured_with
            else f"Estimated: {self.bytes:,} bytes, for a 64-bit host. No interpreter has run the"
            " network in them; `frugalseg toolchain install tflm`, then export again, to prove it."
        )
        return (
            f"{told} On 32-bit processors with the same kernels it is an upper bound, since"
            f" pointers are shorter: {self.bytes_32bit:,} bytes do there (computed, not measured)."
        )


def write_board(
    folder: Path, model: BoardModel, labels: LabelSpace, arena: BoardArena, *, device: str
) -> None:
    """Write the sources and their README into `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    write_text(folder / "model.h", _header(model, labels, arena))
    write_text(folder / "model.cc", "".join(_source(model, labels)))
    write_text(folder / "resolver.h", _resolver(model))
    write_text(folder / "README.md", _readme(model, labels, arena, device))
    for name in FIXED:
        write_text(folder / name, _shipped(name))


def method(kind: str) -> str | None:
    """Name the resolver's method for an operator; None where there is none.

    >>> method("depthwise_conv_2d"), method("padv2"), method("gelu")
    ('AddDepthwiseConv2D', 'AddPadV2', None)
    """
    return _methods().get(f"add{kind}".replace("_", "").lower())


def _end(tensor: Any) -> End:
    names = {v: name for name, v in vars(schema().TensorType).items() if isinstance(v, int)}
    held = tensor.quantization
    known = held is not None and held.scale is not None and held.zeroPoint is not None
    return End(
        shape=tuple(map(int, tensor.shape)),
        element=names[tensor.type],
        scale=float(held.scale[0]) if known else 0.0,
        zero_point=int(held.zeroPoint[0]) if known else 0,
    )


def _input_problems(end: End) -> list[str]:
    as_pixels = (end.element, end.scale, end.zero_point) == ("INT8", PIXEL_SCALE, PIXEL_ZERO)
    if as_pixels and len(end.shape) == PICTURE_SIDES and end.shape[0] == 1:
        return []
    return [f"it takes {end}, expected int8 (1, height, width, channels) of scale 0.015625"]


def _is_scores(end: End, num_classes: int) -> bool:
    return end.element == "INT8" and end.shape[3:] == (num_classes,)


def _output_problems(end: End, num_classes: int) -> list[str]:
    is_ids = end.element in C_TYPES and end.shape[3:] in {(), (1,)}
    if len(end.shape) in {3, 4} and end.shape[0] == 1 and (_is_scores(end, num_classes) or is_ids):
        return []
    return [
        f"it gives {end}, expected int8 (1, height, width, {num_classes}), or class ids as int8,"
        " uint8 or int32 (1, height, width)"
    ]


def _header(model: BoardModel, labels: LabelSpace, arena: BoardArena) -> str:
    _, height, width, channels = model.input.shape
    element, element_bytes = C_TYPES[model.output.element]
    values = {
        "INPUT_HEIGHT": height,
        "INPUT_WIDTH": width,
        "INPUT_CHANNELS": channels,
        "INPUT_BYTES": prod(model.input.shape),
        "OUTPUT_HEIGHT": model.output.shape[1],
        "OUTPUT_WIDTH": model.output.shape[2],
        "OUTPUT_CHANNELS": prod(model.output.shape[3:]),
        "OUTPUT_BYTES": prod(model.output.shape) * element_bytes,
        "OUTPUT_IS_IDS": int(model.output_is_ids),
        "OUTPUT_SCALE": f"{model.output.scale!r}f",
        "OUTPUT_ZERO_POINT": model.output.zero_point,
        "NUM_CLASSES": labels.num_classes,
    }
    return _filled(
        "model.h",
        arena_note="\n * ".join(wrap(arena.note, TEXT_WIDTH)),
        arena_bytes=arena.bytes,
        output_note="\n * ".join(wrap(_output_note(model), TEXT_WIDTH)),
        constants="\n".join(f"#define MODEL_{name} {value}" for name, value in values.items()),
        element=element,
    )


def _source(model: BoardModel, labels: LabelSpace) -> Iterator[str]:
    yield '#include "model.h"\n\nalignas(16) const unsigned char model_data[] = {\n'
    for start in range(0, len(model.raw), BYTES_A_LINE):
        line = model.raw[start : start + BYTES_A_LINE].hex(",")
        yield f"0x{line.replace(',', ',0x')},\n"
    yield f"}};\n\nconst size_t model_data_bytes = {len(model.raw)};\n\n"
    yield "const char* const model_class_names[MODEL_NUM_CLASSES] = {\n"
    yield from (f"    {_literal(name)},\n" for name in labels.names)
    yield "};\n\nconst uint8_t model_class_colors[MODEL_NUM_CLASSES][3] = {\n"
    yield from (f"    {{{red}, {green}, {blue}}},\n" for red, green, blue in labels.colors)
    yield "};\n"


def _literal(text: str) -> str:
    r"""Write a C string in UTF-8; whatever a compiler might misread is written in octal.

    >>> print(_literal('a "b"'), _literal("né1"))
    "a \042b\042" "n\303\2511"
    """
    plain = {byte for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def _resolver(model: BoardModel) -> str:
    calls = (f"  if (resolver.{it}() != kTfLiteOk) return kTfLiteError;" for it in model.methods)
    return _filled("resolver.h", count=len(model.methods), calls="\n".join(calls))


def _readme(model: BoardModel, labels: LabelSpace, arena: BoardArena, device: str) -> str:
    _, height, width, channels = model.input.shape
    return _filled(
        "README.md",
        device=device,
        classes=labels.num_classes,
        picture=f"{height} rows of {width} pixels, {'grey' if channels == GREY else 'RGB'}",
        input_bytes=f"{prod(model.input.shape):,}",
        model_file=model.file,
        model_bytes=f"{len(model.raw):,}",
        arena_bytes=f"{arena.bytes:,}",
        arena_origin="measured on a 64-bit host" if arena.measured_with else "estimated",
        arena_note="\n".join(wrap(arena.note, TEXT_WIDTH)),
        ids=f"{model.output.shape[1]} rows of {model.output.shape[2]} class ids",
        ids_bytes=f"{prod(model.output.shape[1:3]):,}",
        output_note="\n".join(wrap(_output_note(model), TEXT_WIDTH)),
        num_operators=len(model.methods),
    )


def _output_note(model: BoardModel) -> str:
    if model.output_is_ids:
        return "The output holds the class id of each pixel."
    return (
        "The output holds a score for each class, NHWC: scale * (value - zero point). The id of a"
        " pixel is that of its largest value, the first of equals."
    )


def _filled(name: str, **values: object) -> str:
    return Template(_shipped(name)).substitute(values)


def _shipped(name: str) -> str:
    return files("frugalseg.export").joinpath("firmware", name).read_text(encoding="utf-8")


@cache
def _methods() -> dict[str, str]:
    """Methods of MicroMutableOpResolver, as its public header has them, by small letters."""
    return {name.lower(): name for name in _shipped("methods.txt").split()}

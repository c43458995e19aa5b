"""Tensors of the Open Inference Protocol v2: JSON, and the extension for binary data."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frugalseg.core.parse import reason
from frugalseg.serve.problems import ProblemError

HEADER_LENGTH = "Inference-Header-Content-Length"
IMAGE, SCORES, IDS = "image", "scores", "ids"

_NAMES = {np.dtype(np.uint8): "UINT8", np.dtype(np.float32): "FP32"}
_MOST_TENSORS = 16
_MOST_AXES = 8
_WHITE = 255

Side = Annotated[int, Field(ge=0, le=2**31 - 1)]
Parameters = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TensorIn(_Part):
    """An input: its data here, or behind the JSON, `binary_data_size` bytes long."""

    name: Annotated[str, Field(max_length=200)]
    shape: Annotated[list[Side], Field(max_length=_MOST_AXES)]
    datatype: str
    parameters: Parameters = {}
    data: Any = None


class Wanted(_Part):
    """An output that is asked for."""

    name: Literal["scores", "ids"]
    parameters: Parameters = {}


class InferRequest(_Part):
    """What is asked: inputs, and the outputs that are wanted, all if none is named."""

    id: Annotated[str, Field(max_length=200)] | None = None
    parameters: Parameters = {}
    inputs: Annotated[list[TensorIn], Field(min_length=1, max_length=_MOST_TENSORS)]
    outputs: Annotated[list[Wanted], Field(max_length=_MOST_TENSORS)] = []


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read: the pictures, and which outputs come how."""

    id: str | None
    images_NHWC: NDArray[np.uint8]
    binary: dict[str, bool]


def read_request(
    body: bytes, header_length: int | None, shape_HWC: tuple[int, ...], gives: Sequence[str],
    most: int,
) -> Asked:  # fmt: skip
    """Read a request for pictures of one shape, up to `most` of them; `gives` names the outputs.

    Raises a problem: 400 where the syntax is broken, 413 for too many pictures, 422 for a name, a
    type, a shape or a value that is not the model's.
    """
    if header_length == 0:  # the body is the tensor, with nothing before it
        count = len(body) // math.prod(shape_HWC)
        raw = TensorIn(
            name=IMAGE, shape=[count, *shape_HWC], datatype="UINT8",
            parameters={"binary_data_size": len(body)},
        )  # fmt: skip
        request, rest = InferRequest(inputs=[raw], parameters={"binary_data_output": True}), body
    else:
        request, rest = _divide(body, header_length)
    [tensor] = _only_image(request.inputs)
    shape = tuple(tensor.shape)
    if len(shape) != len(shape_HWC) + 1 or shape[1:] != shape_HWC or shape[0] < 1:
        expected = ", ".join(map(str, shape_HWC))
        raise _wrong(f"{IMAGE} has shape {list(shape)}, expected [N, {expected}]")
    if shape[0] > most:
        raise ProblemError(
            413, f"at most {most} pictures, got {shape[0]}", name="too-many-pictures"
        )
    if tensor.datatype != "UINT8":
        raise _wrong(f"{IMAGE} has datatype {tensor.datatype[:40]!r}, expected UINT8")
    return Asked(request.id, _values(tensor, rest).reshape(shape), _outputs(request, gives))


def _divide(body: bytes, header_length: int | None) -> tuple[InferRequest, bytes]:
    if header_length is not None and header_length > len(body):
        raise ProblemError(
            400, f"{HEADER_LENGTH} is {header_length:,}, but the body has {len(body):,} bytes"
        )
    head = body if header_length is None else body[:header_length]
    try:
        values = json.loads(head, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as wrong:
        why = reason(wrong) if isinstance(wrong, ValueError) else "it is nested too deeply"
        raise ProblemError(
            400, f"the request is not JSON: {why[:200]}", name="broken-json"
        ) from wrong
    try:
        request = InferRequest.model_validate(values)
    except ValidationError as wrong:
        told = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors()[:10]]
        raise _wrong("; ".join(told)) from wrong
    return request, b"" if header_length is None else body[header_length:]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _only_image(inputs: Sequence[TensorIn]) -> Sequence[TensorIn]:
    if [tensor.name for tensor in inputs] != [IMAGE]:
        names = ", ".join(repr(tensor.name[:40]) for tensor in inputs)
        raise _wrong(f"expected one input named {IMAGE!r}, got {names}")
    return inputs


def _values(tensor: TensorIn, rest: bytes) -> NDArray[np.uint8]:
    expected = math.prod(tensor.shape)
    if "binary_data_size" in tensor.parameters:
        size = tensor.parameters["binary_data_size"]
        if type(size) is not int or size < 0:
            raise _wrong("binary_data_size is not a number of bytes")
        if size != expected or len(rest) != expected:
            raise _wrong(
                f"{IMAGE} needs {expected:,} bytes; binary_data_size says {str(size)[:20]}, and"
                f" {len(rest):,} follow the JSON"
            )
        return np.frombuffer(rest, np.uint8)
    if rest:
        raise _wrong(f"{len(rest):,} bytes follow the JSON, and no input has binary_data_size")
    return _from_lists(tensor.data, tuple(tensor.shape))


def _from_lists(data: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read nested or flat lists of whole numbers from 0 to 255.

    Not by numpy alone: of a list with one long text it would make as long a text of each element.
    """
    if not isinstance(data, list):
        raise _wrong(f"{IMAGE} has no data: expected a list, or binary_data_size")
    level, found = data, [len(data)]
    while level and isinstance(level[0], list) and len(found) <= len(shape):
        widths = {len(part) if isinstance(part, list) else None for part in level}
        if len(widths) > 1:
            raise _wrong(f"{IMAGE} needs lists of equal length")
        found.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if not level or set(map(type, level)) != {int} or min(level) < 0 or max(level) > _WHITE:
        raise _wrong(f"{IMAGE} needs whole numbers from 0 to 255, in lists of equal length")
    if tuple(found) not in {shape, (math.prod(shape),)}:
        raise _wrong(f"{IMAGE} has data of shape {found}, expected {list(shape)}")
    return np.array(level, np.uint8)


def _outputs(request: InferRequest, gives: Sequence[str]) -> dict[str, bool]:
    usual = bool(request.parameters.get("binary_data_output", False))
    wanted = request.outputs or [Wanted.model_validate({"name": name}) for name in gives]
    if missing := [output.name for output in wanted if output.name not in gives]:
        raise _wrong(f"this model gives no {missing[0]}, only {', '.join(gives)}")
    return {o.name: bool(o.parameters.get("binary_data", usual)) for o in wanted}


def _wrong(detail: str) -> ProblemError:
    return ProblemError(422, detail, name="wrong-tensor")


def write_response(
    outputs: dict[str, NDArray[Any]], binary: dict[str, bool], **about: str
) -> tuple[bytes, int | None]:
    """Write outputs; also the length of the JSON, where binary data follows it."""
    listed, behind = [], []
    for name, is_binary in binary.items():
        array = outputs[name]
        entry: dict[str, Any] = {
            "name": name, "datatype": _NAMES[array.dtype], "shape": list(array.shape),
        }  # fmt: skip
        if is_binary:
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            entry["parameters"] = {"binary_data_size": len(data)}
            behind.append(data)
        else:
            entry["data"] = array.ravel().tolist()
        listed.append(entry)
    try:
        head = json.dumps({**about, "outputs": listed}, allow_nan=False).encode()
    except ValueError as wrong:
        raise ProblemError(
            422, "the scores are not finite, which JSON cannot say; ask for binary data"
        ) from wrong
    return b"".join([head, *behind]), len(head) if behind else None

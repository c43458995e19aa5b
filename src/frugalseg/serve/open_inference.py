"""Routes of the Open Inference Protocol v2, as Triton, KServe and MLServer clients speak it."""

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from frugalseg import __version__
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.serve.bodies import held_body
from frugalseg.serve.openapi import TENSORS, answers, tensors
from frugalseg.serve.problems import ProblemError
from frugalseg.serve.schemas import Inferred, ServerMetadata, TensorMetadata
from frugalseg.serve.segmenting import model_headers
from frugalseg.serve.service import TheService
from frugalseg.serve.shelf import Model
from frugalseg.serve.tensors import (
    HEADER_LENGTH,
    IDS,
    IMAGE,
    SCORES,
    read_request,
    write_response,
)

router = APIRouter(prefix="/v2")

_LENGTH = re.compile(r"[0-9]{1,12}")

ONE = "/models/{name}"
VERSION = ONE + "/versions/{version}"


@router.get("", responses=answers(ServerMetadata))
async def server() -> Response:
    """Describe the server."""
    return JSONResponse(
        {"name": "frugalseg", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


@router.get("/health/live", responses=answers("application/json"))
async def live() -> Response:
    """Tell that the process answers."""
    return JSONResponse({"live": True})


@router.get("/health/ready", responses=answers("application/json", 503))
async def ready(service: TheService) -> Response:
    """Tell whether requests can be taken now."""
    if service.workers.is_closed or not service.shelf.models:
        raise ProblemError(503, "not ready: no model is loaded, or the service is shutting down")
    return JSONResponse({"ready": True})


@router.get(VERSION + "/ready", responses=answers("application/json", 404, 503))
@router.get(ONE + "/ready", responses=answers("application/json", 404, 503))
async def model_ready(service: TheService, name: str, version: str | None = None) -> Response:
    """Tell whether a model can be asked; one that is loaded can."""
    found = service.model(name, version)
    return JSONResponse({"name": found.name, "ready": True})


@router.get(VERSION, responses=answers(TensorMetadata, 404, 503))
@router.get(ONE, responses=answers(TensorMetadata, 404, 503))
async def metadata(service: TheService, name: str, version: str | None = None) -> Response:
    """Describe the tensors of a model."""
    found = service.model(name, version)
    return JSONResponse(
        {
            "name": found.name,
            "versions": [m.version for m in service.shelf.models if m.name == found.name],
            "platform": f"frugalseg_{found.file.format}",
            "inputs": [{"name": IMAGE, "datatype": "UINT8", "shape": [-1, *_takes(found)]}],
            "outputs": _gives(found),
        }
    )


@router.post(VERSION + "/infer", openapi_extra=TENSORS, **tensors(Inferred))
@router.post(ONE + "/infer", openapi_extra=TENSORS, **tensors(Inferred))
async def infer(
    request: Request, service: TheService, name: str, version: str | None = None
) -> Response:
    """Run pictures of the network's own size; scores and class ids at its native size."""
    model = service.model(name, version)
    header_length = _header_length(request)
    limits = service.settings.limits
    most = limits.json_bytes if header_length is None else limits.tensor_bytes
    async with held_body(request, most, limits, service.buffer) as body:
        job = partial(_infer, model, body, header_length, limits.batch_tensors)
        [done] = await service.compute(request, [job])
    made = done.unwrap()
    service.metrics.count_pictures(made.count)
    service.metrics.count_phases({"queue": done.queue_s, "infer": made.seconds})
    request.scope["logged"] = {
        "model": model.name,
        "version": model.version,
        "pictures": made.count,
    }
    headers = model_headers(model)
    if made.json_bytes is not None:
        headers[HEADER_LENGTH] = str(made.json_bytes)
    kind = "application/json" if made.json_bytes is None else "application/octet-stream"
    return Response(made.content, media_type=kind, headers=headers)


@dataclass(frozen=True, slots=True)
class _Made:
    content: bytes
    json_bytes: int | None
    count: int
    seconds: float


def _infer(model: Model, body: bytes, header_length: int | None, most: int, number: int) -> _Made:
    """Do one request in a worker. One picture after the other: see ADR 0024."""
    segmenter = model.segmenters[number]
    gives = [output["name"] for output in _gives(model)]
    asked = read_request(body, header_length, _takes(model), gives, most)
    began = time.perf_counter()
    results = [_run(segmenter, image_HWC) for image_HWC in asked.images_NHWC]
    seconds = time.perf_counter() - began
    outputs = {name: np.stack([result[name] for result in results]) for name in gives}
    about = {"model_name": model.name, "model_version": model.version}
    if asked.id is not None:
        about["id"] = asked.id
    content, json_bytes = write_response(outputs, asked.binary, **about)
    return _Made(content, json_bytes, len(results), seconds)


def _run(segmenter: Segmenter, image_HWC: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    if segmenter.file.output == IDS:
        return {IDS: segmenter.native_labels(image_HWC)}
    scores_hwC = segmenter.scores(image_HWC)
    return {SCORES: scores_hwC, IDS: scores_hwC.argmax(-1).astype(np.uint8)}


def _takes(model: Model) -> tuple[int, int, int]:
    spec = model.segmenters[0].input
    return spec.height, spec.width, spec.channels


def _gives(model: Model) -> list[dict[str, Any]]:
    classes = model.segmenters[0].labels.num_classes
    height, width = model.native_size
    ids = {"name": IDS, "datatype": "UINT8", "shape": [-1, height, width]}
    if model.file.output == IDS:
        return [ids]
    scores = {"name": SCORES, "datatype": "FP32", "shape": [-1, height, width, classes]}
    return [scores, ids]


def _header_length(request: Request) -> int | None:
    given = request.headers.get(HEADER_LENGTH)
    if given is None:
        return None
    if not _LENGTH.fullmatch(given):
        raise ProblemError(400, f"{HEADER_LENGTH} is a number of bytes, got {given[:40]!r}")
    return int(given)

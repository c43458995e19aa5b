"""Routes that segment: one picture, or several."""

import asyncio
import io
import json
import re
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from frugalseg.core.errors import DataError
from frugalseg.serve.answers import Answer, answer
from frugalseg.serve.bodies import Part, held_body, image_parts, is_multipart
from frugalseg.serve.openapi import ONE_FORMATS, ONE_PICTURE, PICTURES, segmented
from frugalseg.serve.problems import ProblemError, of_picture
from frugalseg.serve.schemas import Batch, Segmented
from frugalseg.serve.service import Service, TheService
from frugalseg.serve.shelf import Model
from frugalseg.serve.wishes import MEDIA_TYPES, TheWish, Wish
from frugalseg.serve.workers import Done, Job

SUFFIXES = {"ids": ".png", "color": ".png", "overlay": ".png", "npz": ".npz"}

router = APIRouter()


@router.post("/v1/segment", openapi_extra=ONE_PICTURE, **segmented(Segmented, *ONE_FORMATS))
async def segment(request: Request, service: TheService, wish: TheWish) -> Response:
    """Segment one picture: the body itself, or the part `image` of a multipart body."""
    wish = wish.negotiated(request.headers.get("accept"))
    limits = service.settings.limits
    model = service.model(wish.model, wish.version)
    wish.check(model, limits.pixels)
    async with held_body(request, limits.picture_bytes, limits, service.buffer) as body:
        picture = bytes(image_parts(request, body, 1)[0].content) if is_multipart(request) else body
        job = partial(_job, model, picture, wish, limits.pixels)
        [done] = await service.compute(request, [job])
    service.metrics.count_pictures(1)
    made = done.unwrap()
    phases = _phases(service, [done])
    request.scope["logged"] = _logged(model, phases, 1)
    assert wish.format is not None  # negotiated
    return Response(
        made.content,
        media_type=MEDIA_TYPES[wish.format],
        headers=_headers(model, phases) | {"Vary": "Accept"},
    )


@router.post("/v1/segment/batch", openapi_extra=PICTURES, **segmented(Batch, "application/zip"))
async def segment_batch(request: Request, service: TheService, wish: TheWish) -> Response:
    """Segment several pictures, parts named `image`; one that is bad is a problem of its own."""
    wish = wish if wish.format else wish.model_copy(update={"format": "json"})
    limits = service.settings.limits
    model = service.model(wish.model, wish.version)
    wish.check(model, limits.pixels)
    async with held_body(request, limits.batch_bytes, limits, service.buffer) as body:
        parts = image_parts(request, body, limits.batch_pictures)
        jobs: list[Job[Answer]] = [
            partial(_job, model, bytes(part.content), wish, limits.pixels, filename=part.filename)
            for part in parts
        ]
        done = await service.compute(request, jobs)
    service.metrics.count_pictures(len(parts))
    phases = _phases(service, done)
    request.scope["logged"] = _logged(model, phases, len(parts))
    is_json = wish.format == "json"
    results = [_result(part, one) for part, one in zip(parts, done, strict=True)]
    if is_json:
        content = _as_json(results)
    else:
        content = await asyncio.to_thread(_as_zip, parts, results, str(wish.format))
    return Response(
        content,
        media_type="application/json" if is_json else "application/zip",
        headers=_headers(model, phases),
    )


def _job(
    model: Model, picture: bytes, wish: Wish, most_pixels: int, number: int, **lead: str
) -> Answer:
    return answer(model, number, picture, wish, most_pixels, **lead)


def _result(part: Part, done: Done[Answer]) -> tuple[bytes, bool]:
    """Return the content for one picture and whether it is good; a bug is nobody's problem."""
    try:
        return done.unwrap().content, True
    except DataError as wrong:
        problem = of_picture(wrong)
    except ProblemError as told:
        problem = told
    told_of = {"filename": part.filename, "problem": problem.to_dict()}
    return json.dumps(told_of).encode(), False


def _as_json(results: Sequence[tuple[bytes, bool]]) -> bytes:
    return b'{"results": [' + b", ".join(content for content, _ in results) + b"]}"


def _as_zip(parts: Sequence[Part], results: Sequence[tuple[bytes, bool]], kind: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for number, (part, (content, good)) in enumerate(zip(parts, results, strict=True), start=1):
            stem = re.sub(r"[^\w-]+", "_", PurePath(part.filename).stem)[:80]
            suffix = SUFFIXES[kind] if good else ".problem.json"
            archive.writestr(f"{number:03d}_{stem}{suffix}", content)
    return stream.getvalue()


def _phases(service: Service, done: Sequence[Done[Answer]]) -> dict[str, float]:
    """Count the phases of all pictures, and add them up."""
    total: dict[str, float] = {}
    for one in done:
        made = one.result
        phases = {"queue": one.queue_s, **({} if isinstance(made, Exception) else made.phases)}
        service.metrics.count_phases(phases)
        for phase, seconds in phases.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total


def _headers(model: Model, phases: dict[str, float]) -> dict[str, str]:
    timing = [f"{phase};dur={1000 * seconds:.2f}" for phase, seconds in phases.items()]
    return model_headers(model) | {"Server-Timing": ", ".join(timing)}


def model_headers(model: Model) -> dict[str, str]:
    """Say in headers which model answered; a name is written in ASCII."""
    return {
        "X-Model": model.name.encode("ascii", "replace").decode(),
        "X-Model-Version": model.version,
        "X-Artifact-SHA256": model.file.sha256,
    }


def _logged(model: Model, phases: dict[str, float], pictures: int) -> dict[str, Any]:
    times = {f"{phase}_ms": round(1000 * seconds, 2) for phase, seconds in phases.items()}
    return {"model": model.name, "version": model.version, "pictures": pictures, **times}

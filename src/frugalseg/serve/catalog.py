"""Routes that tell of the models: what there is, cards, manifests, network files."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from frugalseg.serve.openapi import answers
from frugalseg.serve.schemas import ModelOf, Models
from frugalseg.serve.segmenting import model_headers
from frugalseg.serve.service import Service, TheService
from frugalseg.serve.shelf import Model

router = APIRouter()

ONE = "/v1/models/{name}"
VERSION = ONE + "/versions/{version}"


@router.get("/v1/models", responses=answers(Models))
async def models(service: TheService) -> Response:
    """List the models, the default first."""
    return JSONResponse({"models": [_described(service, model) for model in service.shelf.models]})


@router.get(VERSION, responses=answers(ModelOf, 404, 503))
@router.get(ONE, responses=answers(ModelOf, 404, 503))
async def model(service: TheService, name: str, version: str | None = None) -> Response:
    """Describe a model, by default its newest version."""
    return JSONResponse(_described(service, service.model(name, version)))


@router.get(VERSION + "/card", responses=answers("text/markdown", 404, 503))
@router.get(ONE + "/card", responses=answers("text/markdown", 404, 503))
async def card(service: TheService, name: str, version: str | None = None) -> Response:
    """Give the model card."""
    found = service.model(name, version)
    return Response(found.card, media_type="text/markdown", headers=model_headers(found))


@router.get(VERSION + "/manifest", responses=answers("application/json", 404, 503))
@router.get(ONE + "/manifest", responses=answers("application/json", 404, 503))
async def manifest(service: TheService, name: str, version: str | None = None) -> Response:
    """Give the manifest as it lies in the artifact."""
    found = service.model(name, version)
    headers = model_headers(found)
    return Response(found.manifest_text, media_type="application/json", headers=headers)


@router.get(VERSION + "/file", responses=answers("application/octet-stream", 404, 503))
@router.get(ONE + "/file", responses=answers("application/octet-stream", 404, 503))
async def file(
    request: Request, service: TheService, name: str, version: str | None = None
) -> Response:
    """Give the network file that is served."""
    found = service.model(name, version)
    etag = f'"{found.file.sha256}"'
    headers = model_headers(found) | {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type="application/octet-stream", headers=headers)


def _described(service: Service, model: Model) -> dict[str, Any]:
    default = service.shelf.find(None, None)
    return model.to_dict(default=model is default)

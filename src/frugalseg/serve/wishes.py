"""What a client may wish for: the query of a request, read and checked against the model."""

import re
from typing import Annotated, Any, Literal, Self

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request

from frugalseg.serve.problems import ProblemError
from frugalseg.serve.shelf import Model

Format = Literal["json", "ids", "color", "overlay", "npz"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "ids": "image/png",
    "color": "image/png",
    "overlay": "image/png",
    "npz": "application/x-npz",
}
MOST_DIGITS = 5

_SIZE = re.compile(
    rf"picture|native|([1-9]\d{{0,{MOST_DIGITS - 1}}})x([1-9]\d{{0,{MOST_DIGITS - 1}}})"
)
_BY_ACCEPT: dict[str, Format] = {
    "application/json": "json",
    "image/png": "ids",
    "application/x-npz": "npz",
}


class Wish(BaseModel):
    """The query of `/v1/segment`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str | None, Field(description="Name of a model; default: the first.")] = None
    version: Annotated[str | None, Field(description="Its version; default: the newest.")] = None
    format: Annotated[
        Format | None, Field(description="What comes back; default: by Accept, else json.")
    ] = None
    size: Annotated[
        str,
        Field(
            description="Size of the labels: the picture's, the network's own (native), or HxW.",
            pattern=f"^(?:{_SIZE.pattern})$",
            examples=["picture", "native", "360x480"],
        ),
    ] = "picture"
    regions: Annotated[
        Literal["none", "rle", "polygons"],
        Field(description="Connected regions, background left out: COCO run lengths or outlines."),
    ] = "none"
    scores: Annotated[bool, Field(description="How sure the network is; JSON and NPZ.")] = False
    tta: Annotated[
        Literal["none", "flip"],
        Field(description="flip: mean of the picture and its mirror image."),
    ] = "none"
    alpha: Annotated[
        float | None, Field(ge=0, le=1, description="Opacity of an overlay; default 0.5.")
    ] = None

    @field_validator("model", "version")
    @classmethod
    def _is_short(cls, text: str | None) -> str | None:
        return text if text is None else text[:200]

    def negotiated(self, accept: str | None) -> Self:
        """Return the wish with a format, from the Accept header if none was named; else 406."""
        if self.format is not None:
            return self
        for media_type in _accepted(accept or "*/*"):
            if media_type in {"*/*", "application/*"}:
                return self.model_copy(update={"format": "json"})
            if found := _BY_ACCEPT.get("image/png" if media_type == "image/*" else media_type):
                return self.model_copy(update={"format": found})
        raise ProblemError(
            406, f"nothing of what is accepted can be given; there is {', '.join(_BY_ACCEPT)}"
        )

    def pixels(self) -> tuple[int, int] | None:
        """Return the (height, width) that was asked for in pixels, if it was."""
        named = _SIZE.fullmatch(self.size)
        return (int(named[1]), int(named[2])) if named and named[1] else None

    def check(self, model: Model, most_pixels: int) -> None:
        """Raise a problem (422, 413) for what does not go together, or not with the model."""
        wrong = []
        if self.regions != "none" and self.format != "json":
            wrong.append(f"regions come in json, not in {self.format}")
        if self.scores and self.format not in {"json", "npz"}:
            wrong.append(f"scores come in json and npz, not in {self.format}")
        if self.alpha is not None and self.format != "overlay":
            wrong.append(f"alpha is for an overlay, not for {self.format}")
        if model.file.output == "ids":
            asked = [
                name for name, on in (("scores", self.scores), ("tta", self.tta == "flip")) if on
            ]
            wrong += [f"{name}: this model gives class ids alone, no scores" for name in asked]
        if wrong:
            raise ProblemError(422, "; ".join(wrong), name="wrong-value")
        size = self.pixels()
        if size and size[0] * size[1] > most_pixels:
            raise ProblemError(
                413, f"size {self.size} is more than {most_pixels:,} pixels", name="too-many-pixels"
            )


async def _wished(request: Request) -> Wish:
    """Read the query. FastAPI could, from its model, in half of the time that a request takes."""
    named = [name for name, _ in request.query_params.multi_items()]
    if len(named) > len(request.query_params):
        twice = next(name for name in named if named.count(name) > 1)
        raise ProblemError(422, f"{twice[:80]}: is there more than once", name="wrong-value")
    try:
        return Wish.model_validate(dict(request.query_params))
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors()) from wrong


TheWish = Annotated[Wish, Depends(_wished)]


def query_parameters() -> list[dict[str, Any]]:
    """Describe the query as OpenAPI wants it, from the model."""
    properties = Wish.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description"),
            "schema": {**schema, **next(iter(schema.pop("anyOf", [{}])))},
        }
        for name, schema in properties.items()
    ]


def _accepted(accept: str) -> list[str]:
    """List media types, the most wanted first; what has q=0 is not wanted.

    >>> _accepted("image/png;q=0.5, application/json, text/html;q=0")
    ['application/json', 'image/png']
    """
    wanted = []
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        wanted.append(
            (float(quality) if re.fullmatch(r"[01](\.\d*)?", quality) else 0.0, media_type)
        )
    ordered = sorted(wanted, key=lambda pair: -pair[0])
    return [media_type for quality, media_type in ordered if quality > 0]

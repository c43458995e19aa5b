"""What is answered, for `/openapi.json`, with examples. Nothing is checked by it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemDocument(_Answer):
    """What went wrong (RFC 9457); below /v2 with the member `error` too."""

    type: str = Field(examples=["urn:frugalseg:problem:not-a-picture"])
    title: str = Field(examples=["Unsupported Media Type"])
    status: int = Field(examples=[415])
    detail: str = Field(examples=["picture: not a JPEG, PNG, BMP or WebP picture"])
    instance: str | None = Field(default=None, description="The request's id.")
    error: str | None = Field(default=None, description="The detail again; below /v2 alone.")


class ClassShare(_Answer):
    """One class in one picture."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["paper"])
    color: str = Field(examples=["#deb862"])
    pixels: int = Field(examples=[1102])
    share: float = Field(examples=[0.2296])
    score: float | None = Field(description="Mean softmax score of its pixels, with scores=true.")


class Region(_Answer):
    """Connected pixels of one class."""

    id: int = Field(alias="class", examples=[1])
    bbox: list[int] = Field(description="x, y, width, height", examples=[[10, 4, 33, 21]])
    pixels: int
    score: float | None
    rle: dict[str, Any] | None = Field(
        default=None, description="COCO: size, counts", examples=[{"size": [60, 80], "counts": "2"}]
    )
    polygons: list[list[int]] | None = Field(
        default=None,
        description="Rings of corners x, y, x, y; the outer one first, then its holes.",
        examples=[[[0, 0, 2, 0, 2, 1, 0, 1]]],
    )


class Segmented(_Answer):
    """One picture."""

    filename: str | None = Field(default=None, description="In a batch.")
    model: str
    version: str
    sha256: str
    width: int
    height: int
    classes: list[ClassShare]
    regions: list[Region]
    regions_left_out: int = Field(description="Of the smallest, where there are very many.")


class BatchProblem(_Answer):
    """A picture of a batch that cannot be used."""

    filename: str
    problem: ProblemDocument


class Batch(_Answer):
    """Several pictures, in their order."""

    results: list[Segmented | BatchProblem]


class LabelOf(_Answer):
    """A class of a model."""

    id: int
    name: str
    color: str


class InputOf(_Answer):
    """What a network takes; pictures of any size are stretched to it."""

    height: int
    width: int
    channels: Literal[1, 3]


class Links(_Answer):
    """Addresses, relative to the root of the service."""

    card: str
    manifest: str
    file: str


class ModelOf(_Answer):
    """A model."""

    name: str
    version: str
    default: bool
    sha256: str
    format: str
    precision: str
    bytes: int
    output: Literal["scores", "ids"]
    input: InputOf
    labels: list[LabelOf]
    background: int | None
    scores: dict[str, Any] | None
    scored_on: str | None
    footprint: dict[str, Any] | None
    device: str | None
    created: str
    links: Links


class Models(_Answer):
    """All models, the default first."""

    models: list[ModelOf]


class TensorOf(_Answer):
    """A tensor of the Open Inference Protocol, described."""

    name: str
    datatype: str
    shape: list[int]


class TensorMetadata(_Answer):
    """A model of the Open Inference Protocol, described."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorOf]
    outputs: list[TensorOf]


class OutputTensor(TensorOf):
    """An output with its data, or how many bytes of it follow the JSON."""

    data: list[float] | None = None
    parameters: dict[str, Any] | None = None


class Inferred(_Answer):
    """The answer of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class ServerMetadata(_Answer):
    """The server of the Open Inference Protocol, described."""

    name: str
    version: str
    extensions: list[str]

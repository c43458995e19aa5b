"""Recipe: one training run as a value. YAML on disk; an unknown key is an error."""

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.inputs import InputSpec
from frugalseg.core.parse import Part, or_value_error, parse, parse_yaml
from frugalseg.training.overrides import override
from frugalseg.training.smaller import LowRank, Quantize, Sparsity

Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
LEAST_SCALE, MOST_SCALE = 0.1, 8.0

_T = TypeVar("_T")


class Model(Part):
    """Which network; `settings` go to its config (width, depth, ...).

    `shapes` are those of weights that were made smaller, as a pruned network has them, and `ranks`
    schemes and ranks of layers that are written as smaller ones: see `models.factors`.
    """

    name: str = "frugalnet"
    settings: dict[str, Any] = Field(default_factory=dict)
    shapes: dict[str, list[int]] = Field(default_factory=dict)
    ranks: dict[str, list[str | int]] = Field(default_factory=dict)


class Length(Part):
    """How long to train: exactly one of steps, epochs, time ("90s", "30m", "2h")."""

    steps: int | None = Field(default=None, gt=0)
    epochs: float | None = Field(default=None, gt=0)
    time: float | None = Field(default=None, gt=0, description="seconds")

    @field_validator("time", mode="before")
    @classmethod
    def _read_time(cls, value: object) -> object:
        return or_value_error(seconds, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        given = {
            k: v
            for k, v in (("steps", self.steps), ("epochs", self.epochs), ("time", self.time))
            if v
        }
        if len(given) != 1:
            raise ValueError(f"give one of steps, epochs, time; got {given or 'none'}")
        return self


class Optimizer(Part):
    """AdamW; weight decay is not applied to biases and norms."""

    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    betas: tuple[Decay, Decay] = (0.9, 0.999)


class Schedule(Part):
    """Learning rate over the run, which always ends near zero."""

    name: Literal["onecycle", "poly"] = "onecycle"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    power: float = Field(default=0.9, gt=0)


class LossTerms(Part):
    """What is minimised. `stride` 2 compares at half size: a quarter of the work.

    The loss `name`, and those of `plus` times their weights (`{dice: 1.0}`), are those of all
    scores. `class_weights` act on losses of pixels (cross_entropy, focal, ohem); those of regions
    (dice, lovasz, surface, tversky) count each class alike as it is. `auxiliary` weighs each head
    for training, `boundary` a head for edges, and `near_boundary` the loss of the scores once more,
    only where that head sees an edge (PIDNet). With `shrink_labels` the labels are brought to the
    size of the scores, nearest pixel, instead of the scores to that of the labels (the cascade
    label guidance of ICNet).
    """

    name: str = "cross_entropy"
    plus: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    class_weights: Literal["none", "enet", "frequency", "median_frequency", "effective_number"] = (
        "frequency"
    )
    frequency_power: float = Field(default=0.3, ge=0, le=1, description="of `frequency`")
    effective_beta: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="of `effective_number`: 0.99 says that 100 pictures full of a class suffice",
    )
    focal_gamma: float = Field(default=2.0, ge=0, le=10)
    tversky_beta: float = Field(
        default=0.7, ge=0, le=1, description="above 0.5, a missed pixel is worse than a false one"
    )
    auxiliary: float = Field(default=0.4, ge=0)
    boundary: float = Field(default=1.0, ge=0)
    near_boundary: float = Field(default=0.0, ge=0)
    shrink_labels: bool = False
    stride: int = Field(default=2, ge=1, le=8)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if self.name in self.plus:
            raise ValueError(f"{self.name!r} is the loss already: leave it out of plus")
        return self


class Sampling(Part):
    """Which pictures are drawn, and where they are cropped. An epoch has as many as there are.

    `each` shows each once. `repeat_factor` shows those of classes that are in few pictures more
    often, `class_balanced` shows each class alike. `rare_crops` is the share of crops that are
    placed so that they hold a pixel of a class drawn by rarity.
    """

    name: Literal["each", "repeat_factor", "class_balanced"] = "each"
    threshold: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="of repeat_factor: a class in a smaller share of pictures is repeated",
    )
    rare_crops: float = Field(default=0.0, ge=0, le=1)
    rarity_power: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a class is drawn by its share of pixels to minus this power, for rare_crops"
        " and augment.copy_paste",
    )


class Augment(Part):
    """Random changes. `crop` defaults to the input size; 0 switches a change off.

    Of 0 to 1 and a share of the pictures: flip, flip_vertical, fog, rain, shadow, cutout,
    copy_paste, cutmix, classmix. How strong at most: rotate (degrees), color (brightness, contrast,
    hue and saturation, 0 to 1), blur (pixels), noise (0 to 1), jpeg (100 less the quality). A
    strength is drawn between nothing and that for each picture; of blur, noise and jpeg, for half
    of them.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    rotate: float = Field(default=0.0, ge=0, le=180, description="degrees to either side, at most")
    crop: str | None = None
    flip: Share = 0.5
    flip_vertical: Share = 0.0
    color: float = Field(default=0.3, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=10, description="largest sigma in pixels")
    noise: float = Field(
        default=0.0, ge=0, le=1, description="largest standard deviation, in shares of white"
    )
    jpeg: int = Field(default=0, ge=0, le=99, description="100 less the lowest quality")
    fog: Share = 0.0
    rain: Share = 0.0
    shadow: Share = 0.0
    cutout: Share = 0.0
    copy_paste: Share = 0.0
    cutmix: Share = 0.0
    classmix: Share = 0.0

    @field_validator("crop", mode="before")
    @classmethod
    def _read_crop(cls, value: object) -> object:
        return _size(value)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not LEAST_SCALE <= self.scale[0] <= self.scale[1] <= MOST_SCALE:
            raise ValueError(
                f"scale must be (low, high) within {LEAST_SCALE} to {MOST_SCALE}, got {self.scale}"
            )
        if self.cutmix + self.classmix > 1:
            raise ValueError("cutmix and classmix are done to different pictures: 1 together")
        return self


class Teacher(Part):
    """A trained network, as run or checkpoint, whose scores are to be learnt: see `losses.distil`.

    Each loss has a weight, none at 0: `pixel` for the classes of each pixel at `temperature`,
    `channel` for where each class is, `pair` for which parts of the picture are alike, `holistic`
    for what a critic takes for the teacher's (SKD has 0.1). `cache` is a folder that keeps the
    teacher's scores for later runs by the same recipe.
    """

    run: str | None = None
    pixel: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    channel: float = Field(default=0.0, ge=0)
    channel_temperature: float = Field(default=4.0, gt=0)
    pair: float = Field(default=0.0, ge=0)
    holistic: float = Field(default=0.0, ge=0)
    cache: str | None = None

    @model_validator(mode="after")
    def _teaches(self) -> Self:
        if self.run is None and self.model_fields_set - {"run"} and self != Teacher():
            raise ValueError("say with `run` who teaches")
        if self.run is not None and not (self.pixel or self.channel or self.pair or self.holistic):
            raise ValueError("pixel, channel, pair and holistic are all 0: nothing is taught")
        if self.cache is not None and self.pair:
            raise ValueError(
                "cache keeps scores, and pair needs the maps before them: leave out one"
            )
        return self


class Recipe(Part):
    """A training run. Equal recipes, data and machines give equal weights (ADR 0007).

    >>> Recipe(length={"epochs": 2}).model.name
    'frugalnet'
    """

    model: Model = Model()
    input: str | None = Field(default=None, description="HEIGHTxWIDTH; default: of the pictures")
    length: Length = Length(epochs=100)
    batch_size: int = Field(default=8, ge=2, le=1024)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: LossTerms = LossTerms()
    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    sparsity: Sparsity = Sparsity()
    low_rank: LowRank = LowRank()
    quantize: Quantize = Quantize()
    teacher: Teacher = Teacher()
    start: str | None = Field(
        default=None, description="checkpoint or run whose weights are taken where they fit"
    )
    average: float = Field(default=0.998, ge=0, lt=1, description="decay of averaged weights")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    compile: bool = Field(default=False, description="torch.compile; needs a C++ compiler")
    validations: int = Field(default=20, ge=1, description="how often during the run")
    workers: Annotated[int, Field(ge=0, le=64)] | Literal["auto"] = Field(
        default="auto", description="processes that load pictures"
    )
    seed: int = Field(default=0, ge=0, lt=2**32)

    @field_validator("input", mode="before")
    @classmethod
    def _read_input(cls, value: object) -> object:
        return _size(value)


def recipe_names() -> list[str]:
    """Name the recipes that ship with the package."""
    folder = resources.files("frugalseg") / "recipes"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def load_recipe(source: str | Path | Recipe, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or from a YAML file; `settings` such as "optimizer.lr=2e-3" win.

    A recipe that is there already is changed as they say.

    Raises ConfigError for a file that is missing or not YAML, and for every unknown key, with
    the nearest known one.
    """
    values = source.model_dump() if isinstance(source, Recipe) else _read_yaml(source)
    for setting in settings:
        override(values, setting)
    return recipe_from(values)


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Check plain values and build the recipe."""
    return parse(Recipe, values, "the recipe is wrong")


def with_time(recipe: Recipe, time: str | float) -> Recipe:
    """Return the recipe with its length set to a duration, "30m" or seconds."""
    return recipe_from(recipe.model_dump() | {"length": {"time": time}})


def seconds(text: str) -> float:
    """Read a duration.

    >>> seconds("30m"), seconds("1h30m"), seconds("45")
    (1800.0, 5400.0, 45.0)
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([hms]?)", text.strip().lower())
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", "").lower():
        raise ConfigError(f"time {text!r} is not a duration such as 90s, 30m or 1h30m")
    return sum(float(number) * units[unit or "s"] for number, unit in parts)


def _size(value: object) -> object:
    """Bring "192X256", or 256 for a square, to one form."""
    if isinstance(value, str | int):
        return str(or_value_error(InputSpec.parse, str(value)))
    return value


def _read_yaml(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"}:
        if str(source) not in recipe_names():
            raise unknown("recipe", str(source), recipe_names())
        path = Path(str(resources.files("frugalseg") / "recipes" / f"{source}.yaml"))
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise ConfigError(f"cannot read the recipe {path}: {wrong}") from wrong
    if not isinstance(values or {}, dict):
        raise ConfigError(f"{path} is not a recipe: expected keys and values")
    return values or {}

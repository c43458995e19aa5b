"""The contact sheet: a few samples as picture and overlay, with a legend."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import complete_file
from frugalseg.core.labels import IGNORE, Color
from frugalseg.data.check.regions import regions_of
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.draw import overlay
from frugalseg.imaging.resize import resize_image, resize_labels

POOL = 400  # labels looked at, so that a large data set takes seconds too

_TILE_WIDTH, _TILE_MAX_HEIGHT = 300, 300
_COLUMNS = 3
_GAP, _CAPTION = 20, 40
_TITLE, _LEGEND_ROW, _LEGEND_COLUMN, _SWATCH = 64, 34, 250, 20
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 34), (100, 100, 106)
_DIMMED = (70, 70, 74)
_HATCH = (255, 255, 255)
_ALPHA, _DIM = 0.6, 0.35
_RING = 6
_PROBE = (256, 256)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    caption: str
    classes: str
    picture: Image.Image
    ignores: bool


def draw_sheet(dataset: Dataset, path: Path, *, count: int = 12, seed: int = 0) -> Path:
    """Write a PNG of `count` samples, chosen so that rare classes occur; the same for a seed.

    Samples that cannot be read are passed over; `check_dataset` names them.
    """
    if count < 1:
        raise ConfigError(f"count must be 1 or more, got {count}")
    tiles = [tile for pair in choose(dataset, count, seed) if (tile := _tile(dataset, *pair))]
    if not tiles:
        raise DataError(f"{dataset.root}: no sample that can be drawn; see `data check`")
    with complete_file(path) as draft:
        _page(dataset, tiles).save(draft, format="PNG")
    return path


def choose(dataset: Dataset, count: int, seed: int = 0) -> list[tuple[str, Sample]]:
    """Choose samples, each with its split: the class seen least so far chooses the next one."""
    rng = np.random.default_rng(seed)
    every = [(name, s) for name, samples in dataset.splits.items() for s in samples]
    pool = [every[i] for i in rng.permutation(len(every))[:POOL]]
    with ThreadPoolExecutor() as workers:
        present = list(workers.map(lambda pair: _present(dataset, pair[1]), pool))
    readable = [i for i, classes in enumerate(present) if classes]
    images_C = np.zeros(dataset.labels.num_classes, dtype=np.int64)
    for i in readable:
        images_C[list(present[i])] += 1
    shown_C = np.zeros_like(images_C)
    chosen: list[int] = []
    while readable and len(chosen) < count:
        left_C = np.zeros_like(images_C)
        for i in readable:
            left_C[list(present[i])] += 1
        # By how often it was shown, then by how rare it is; classes that are used up are out.
        order = sorted(np.flatnonzero(left_C), key=lambda c: (shown_C[c], images_C[c]))
        taken = next(i for i in readable if order[0] in present[i])
        readable.remove(taken)
        chosen.append(taken)
        shown_C[list(present[taken])] += 1
    return [pool[i] for i in sorted(chosen, key=lambda i: (pool[i][0], pool[i][1].name))]


def _present(dataset: Dataset, sample: Sample) -> set[int]:
    try:
        found = np.unique(dataset.rasterise(sample, _PROBE)).tolist()
    except DataError:
        return set()
    return {label for label in found if label < dataset.labels.num_classes}


def draw_pair(
    dataset: Dataset, sample: Sample, most: tuple[int, int], *, ring_px: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Load a sample; give its picture and overlay at most so (high, wide), and all its labels.

    Regions of up to `ring_px` pixels, which are lost in a small overlay, get a ring.

    Raises DataError where the sample cannot be read.
    """
    image_HWC, labels_HW = dataset.load(sample)
    height, width = labels_HW.shape
    scale = min(most[0] / height, most[1] / width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small_HWC, small_HW = resize_image(image_HWC, size), resize_labels(labels_HW, size)
    marked_HWC = _marked(dataset, small_HWC, small_HW)
    if ring_px:
        found = regions_of(labels_HW)
        marked_HWC = _ringed(marked_HWC, found.small(ring_px)[found.map()], scale)
    return small_HWC, marked_HWC, labels_HW


def _ringed(
    image_HWC: NDArray[np.uint8], small_HW: NDArray[np.bool_], scale: float
) -> NDArray[np.uint8]:
    picture = Image.fromarray(image_HWC)
    draw = ImageDraw.Draw(picture)
    for y, x in np.argwhere(small_HW) * scale:
        for radius, color in ((_RING + 1, _INK), (_RING, _HATCH)):
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, outline=color, width=1)
    return np.array(picture)


def _tile(dataset: Dataset, split: str, sample: Sample) -> _Tile | None:
    try:
        small_HWC, marked_HWC, labels_HW = draw_pair(
            dataset, sample, (_TILE_MAX_HEIGHT, _TILE_WIDTH)
        )
    except DataError:
        return None
    height, width = small_HWC.shape[:2]
    pair_HWC = np.full((height, 2 * _TILE_WIDTH, 3), _PAPER, dtype=np.uint8)
    pair_HWC[:, :width] = small_HWC
    pair_HWC[:, _TILE_WIDTH : _TILE_WIDTH + width] = marked_HWC
    names = [dataset.labels.names[i] for i in np.unique(labels_HW) if i < len(dataset.labels.names)]
    return _Tile(
        caption=f"{split}/{sample.name}  {labels_HW.shape[1]} x {labels_HW.shape[0]}",
        classes=", ".join(names),
        picture=Image.fromarray(pair_HWC),
        ignores=bool((labels_HW == IGNORE).any()),
    )


def _marked(
    dataset: Dataset, image_HWC: NDArray[np.uint8], labels_HW: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay the classes over a grey version of the picture, so that its colours do not mix in."""
    grey_HW = image_HWC.mean(axis=2, dtype=np.float32)
    grey_HWC = np.repeat(grey_HW[..., None], 3, axis=2).astype(np.uint8)
    marked_HWC = overlay(grey_HWC, labels_HW, dataset.labels.colors, alpha=_ALPHA)
    background = dataset.labels.background
    if background is not None:
        bare_HW = labels_HW == background
        marked_HWC[bare_HW] = (image_HWC[bare_HW] * _DIM).astype(np.uint8)
    marked_HWC[(labels_HW == IGNORE) & _hatching(labels_HW.shape)] = _HATCH
    return marked_HWC


def _hatching(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw diagonal lines, two pixels wide, eight apart."""
    down, right = np.indices(shape[:2])
    lines_HW: NDArray[np.bool_] = (down + right) % 8 < 2  # noqa: PLR2004
    return lines_HW


def _page(dataset: Dataset, tiles: Sequence[_Tile]) -> Image.Image:
    columns = min(_COLUMNS, len(tiles))
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(tile.picture.height for tile in row) + _CAPTION + _GAP for row in rows]
    width = _GAP + columns * (2 * _TILE_WIDTH + _GAP)
    per_row = max(1, (width - 2 * _GAP) // _LEGEND_COLUMN)
    legend = _legend(dataset, hatched=any(tile.ignores for tile in tiles))
    legend_rows = -(-len(legend) // per_row)
    page = Image.new("RGB", (width, _TITLE + legend_rows * _LEGEND_ROW + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(page)
    _title(draw, dataset, width)
    for i, (name, color) in enumerate(legend):
        row, column = divmod(i, per_row)
        corner = (_GAP + column * _LEGEND_COLUMN, _TITLE + row * _LEGEND_ROW)
        _swatch(page, corner, name, color)
    top = _TITLE + legend_rows * _LEGEND_ROW
    for tiles_of_row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(tiles_of_row):
            left = _GAP + column * (2 * _TILE_WIDTH + _GAP)
            page.paste(tile.picture, (left, top))
            _captions(draw, tile, (left, top + tile.picture.height))
        top += height
    return page


def _legend(dataset: Dataset, *, hatched: bool) -> list[tuple[str, Color | None]]:
    """Name each class with its colour; `None` for what is hatched."""
    labels = dataset.labels
    entries: list[tuple[str, Color | None]] = [
        (f"{name} (dimmed)", _DIMMED) if i == labels.background else (name, labels.colors[i])
        for i, name in enumerate(labels.names)
    ]
    return [*entries, ("ignored", None)] if hatched else entries


def _title(draw: ImageDraw.ImageDraw, dataset: Dataset, width: int) -> None:
    counts = ", ".join(f"{len(s)} {name}" for name, s in dataset.splits.items())
    text = f"{dataset.root.resolve().name}: {counts} images, {dataset.labels.num_classes} classes"
    font = _font(24)
    draw.text((_GAP, 18), _fitted(draw, text, width - 2 * _GAP, font), fill=_INK, font=font)


def _swatch(page: Image.Image, corner: tuple[int, int], name: str, color: Color | None) -> None:
    left, top = corner
    square_HWC = np.full((_SWATCH, _SWATCH, 3), color or _DIMMED, dtype=np.uint8)
    if color is None:
        square_HWC[_hatching(square_HWC.shape)] = _HATCH
    page.paste(Image.fromarray(square_HWC), corner)
    draw, font = ImageDraw.Draw(page), _font(17)
    text = _fitted(draw, name, _LEGEND_COLUMN - _SWATCH - 20, font)
    draw.text((left + _SWATCH + 8, top), text, fill=_INK, font=font)


def _captions(draw: ImageDraw.ImageDraw, tile: _Tile, corner: tuple[int, int]) -> None:
    left, top = corner
    for i, (text, color) in enumerate(((tile.caption, _INK), (tile.classes, _FAINT))):
        font = _font(14)
        shown = _fitted(draw, text, 2 * _TILE_WIDTH, font)
        draw.text((left, top + 3 + 17 * i), shown, fill=color, font=font)


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: int, font: Font) -> str:
    """Shorten a text in its middle until it fits; names may hold what is not drawn in one line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    keep = len(text)
    while keep > 1 and draw.textlength(text, font=font) > width:
        keep -= 1
        text = text[: keep // 2] + "…" + text[-(keep // 2) :]
    return text


def _font(size: int) -> Font:
    return ImageFont.load_default(size)

"""Masks: their values or colours to train ids, and values that cannot be meant."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.dataset import Sample, refuse
from frugalseg.imaging.read import has_colors, read_color_mask, read_mask

ColorTable = tuple[tuple[Color, int], ...]  # colours on disk, and the train id of each

_STRETCHED = (
    "masks hold only the values 0 and {high}: is {high} the object? Write into {path}:"
    " 'values: {{0: background, {high}: object}}'"
)


def rasterise(
    sample: Sample, size: tuple[int, int], *, labels: LabelSpace, table: ColorTable
) -> NDArray[np.uint8]:
    """Read a mask as train ids: of colours if there is a table and the mask has colours."""
    if table and has_colors(sample.label):
        return from_colors(read_color_mask(sample.label), sample.label, table)
    return rasterise_mask(sample, size, labels=labels)


def rasterise_mask(
    sample: Sample, _size: tuple[int, int], *, labels: LabelSpace
) -> NDArray[np.uint8]:
    """Read a mask of values as train ids, at its own size; the picture's does not matter."""
    return to_train_ids(read_mask(sample.label), sample.label, labels=labels)


def to_train_ids(
    values_HW: NDArray[np.uint8], path: Path, *, labels: LabelSpace
) -> NDArray[np.uint8]:
    """Map values on disk to train ids; refuses values that the label space does not declare.

    >>> labels = LabelSpace.of(["sky", "road"], ignore_on_disk=[11])
    >>> to_train_ids(np.array([[1, 11]], np.uint8), Path("a.png"), labels=labels).tolist()
    [[1, 255]]
    """
    # Bytes are translated ten times as fast as an array is indexed.
    content, declared = values_HW.tobytes(), labels.from_disk
    if content.translate(None, bytes(declared)):
        strange = ", ".join(map(str, sorted(set(content) - set(declared))))
        raise DataError(
            f"{path}: undeclared mask values {strange}; declared are {ranges(declared)}"
        )
    if all(value == train_id for value, train_id in declared.items()):
        return values_HW
    table = bytes(declared.get(value, 0) for value in range(256))
    writable = bytearray(content.translate(table))
    return np.frombuffer(writable, np.uint8).reshape(values_HW.shape)


def from_colors(mask_HWC: NDArray[np.uint8], path: Path, table: ColorTable) -> NDArray[np.uint8]:
    """Map colours (HxWx3) to train ids (HxW); refuses colours that the table does not declare."""
    codes_HW = mask_HWC.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    labels_HW = np.zeros(codes_HW.shape, dtype=np.uint8)
    known_HW = np.zeros(codes_HW.shape, dtype=np.bool_)
    for (red, green, blue), label in table:
        here_HW = codes_HW == (red << 16 | green << 8 | blue)
        labels_HW[here_HW] = label
        known_HW |= here_HW
    if not known_HW.all():
        strange = np.unique(mask_HWC[~known_HW], axis=0)
        shown = ", ".join(str(color) for color in strange[:5].tolist())
        raise DataError(f"{path}: {len(strange)} undeclared mask colours: {shown}")
    return labels_HW


def found(root: Path, masks: Sequence[Path]) -> LabelSpace:
    """Take the values that occur for the classes; refuse where that would be a guess."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(_values_or_problem, masks))
    refuse(root, [result for result in results if isinstance(result, str)])
    values = set().union(*(result for result in results if not isinstance(result, str)))
    if len(values) == 2 and 0 in values and 1 not in values:  # noqa: PLR2004
        high = max(values)
        raise DataError(f"{root}: " + _STRETCHED.format(high=high, path=root / "labels.yaml"))
    classes = sorted(values - {IGNORE})
    if classes != list(range(len(classes))) or not classes:
        raise DataError(
            f"{root}: masks hold the values {classes or [IGNORE]}, which are not 0, 1, 2 ..."
            f" without gaps; write into {root / 'labels.yaml'} what each one means, such as"
            f" 'values: {{0: background, {max(values)}: object}}'"
        )
    return LabelSpace.of([f"class_{value}" for value in classes])


def _values_or_problem(mask: Path) -> set[int] | str:
    try:
        return set(np.unique(read_mask(mask)).tolist())
    except DataError as wrong:
        return str(wrong)


def refuse_stretched(
    root: Path, masks: Iterable[Path], labels: LabelSpace, table: ColorTable
) -> None:
    """Refuse masks of 0 and 255 alone where 255 is ignored, and say what to write."""
    loses_a_class = labels.from_disk.get(IGNORE) == IGNORE and labels.num_classes > 1
    if loses_a_class and _are_two_values(masks, table):
        text = _STRETCHED.format(high=IGNORE, path=root / "labels.yaml")
        raise DataError(
            f"{root}: {text}; as it is, {IGNORE} is ignored and one class alone remains"
        )


def refuse_two_values(masks: Sequence[Path], remedy: str) -> None:
    """Refuse masks of 0 and 255 alone, and say how to declare what 255 means."""
    if _are_two_values(masks):
        raise DataError(
            f"{masks[0].parent}: masks hold only the values 0 and {IGNORE}, and {IGNORE} is"
            f" ignored, so that one class alone remains; {remedy}"
        )


def _are_two_values(masks: Iterable[Path], table: ColorTable = ()) -> bool:
    """Tell whether masks hold 0 and 255 alone; the first mask or so clears a sound data set.

    Masks that cannot be read are told with all others when they are loaded, but where none can be
    read, DataError is raised for the first.
    """
    seen: set[int] = set()
    problems: list[DataError] = []
    for mask in masks:
        try:
            if table and has_colors(mask):
                return False
            seen |= set(np.unique(read_mask(mask)).tolist())
        except DataError as wrong:
            problems.append(wrong)
        if seen - {0, IGNORE}:
            return False
    if problems and not seen:
        raise problems[0]
    return IGNORE in seen


def ranges(values: Mapping[int, int] | set[int]) -> str:
    """Write numbers briefly.

    >>> ranges({0, 1, 2, 255})
    '0-2, 255'
    """
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and parts[-1][-1] == value - 1:
            parts[-1] = [parts[-1][0], value]
        else:
            parts.append([value])
    return ", ".join("-".join(map(str, part)) for part in parts)

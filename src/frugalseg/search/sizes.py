"""Sizes of the input that are worth a look where the largest one leaves too little room."""

from dataclasses import replace

from frugalseg.core.inputs import MIN_SIDE, InputSpec
from frugalseg.cost.device import Device

SHARES = (0.8, 2 / 3, 0.5, 0.4, 1 / 3, 0.25)
SIDE_MULTIPLE = 8  # so that the large maps, down to 1/8, have whole sides


def sizes_from(largest: InputSpec, device: Device) -> list[InputSpec]:
    """List the sizes worth a look, largest first, in about the proportions of `largest`.

    The first is `largest` itself; none is smaller than the device takes.

    >>> from frugalseg.cost.device import load_device
    >>> [str(size) for size in sizes_from(InputSpec.parse("96x128"), load_device("x86"))]
    ['96x128', '80x104', '64x88', '48x64', '40x48', '32x40', '24x32']
    """
    least = InputSpec.parse(device.input.least or str(MIN_SIDE))
    sizes = {largest.size: largest}
    for share in SHARES:
        height, width = (
            max(SIDE_MULTIPLE, round(side * share / SIDE_MULTIPLE) * SIDE_MULTIPLE)
            for side in largest.size
        )
        if height >= least.height and width >= least.width:
            sizes[height, width] = replace(largest, height=height, width=width)
    return list(sizes.values())

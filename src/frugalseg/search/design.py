"""What to train for a device: the input's size, the scores' stride, the network, its execution.

Which of two designs is the more accurate one is known only after training. The order of
preference here is a rule of thumb: detail first, so the largest picture and scores at 1/4, as long
as a network of `ENOUGH_PARAMS` fits, in bands of rows if need be; below that, whatever leaves room
for the largest network.
"""

from collections.abc import Iterator, Sequence

from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device
from frugalseg.models.frugalnet import OUTPUT_STRIDES
from frugalseg.search.ladder import Choice, choose

ENOUGH_PARAMS = 100_000


def design(device: Device, sizes: Sequence[InputSpec], num_classes: int) -> Choice:
    """Choose among inputs, the preferred one first; raises what `choose` does for that one.

    A size is taken if a network of `ENOUGH_PARAMS` fits there; if none does, the size and stride
    with the largest network.
    """
    best: Choice | None = None
    for choice in _choices(device, sizes, num_classes):
        if choice.params >= ENOUGH_PARAMS:
            return choice
        if best is None or choice.params > best.params:
            best = choice
    return choose(device, sizes[0], num_classes) if best is None else best


def _choices(device: Device, sizes: Sequence[InputSpec], num_classes: int) -> Iterator[Choice]:
    ways = (False, True) if device.runtime == "tflite-micro" else (False,)
    for spec in sizes:
        for stride in OUTPUT_STRIDES:
            for in_bands in ways:
                try:
                    yield choose(device, spec, num_classes, output_stride=stride, in_bands=in_bands)
                except OverBudgetError:
                    continue
                except ConfigError:  # the device does not take it
                    if spec == sizes[0]:
                        raise

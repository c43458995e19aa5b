"""Memory of Sony's IMX500, as the converter of its maker reports it: run time and model, in bytes.

Both come from the shapes alone, by rules found from the converter's reports (version 3.19.2,
8-bit weights and activations). They hold for a network that runs layer by layer; where that does
not fit, the converter tries tiles, and what it then needs is not known here.
"""

from dataclasses import dataclass, replace

from frugalseg.cost.graph import Graph
from frugalseg.cost.imx500_layers import doubts, lower
from frugalseg.cost.imx500_place import runtime_bytes
from frugalseg.cost.imx500_schedule import plan
from frugalseg.cost.imx500_weights import model_bytes
from frugalseg.cost.order import best_order, reordered
from frugalseg.cost.peak import Moment, peak

CAPACITY_BYTES = 8_388_480
RESERVED_BYTES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Imx500Memory:
    """What a network needs on the sensor. `at` is the step with most memory in use.

    `doubts` are kinds of operators that were not measured, or not enough, and how often they occur.
    Without them both sizes are what the converter reports, or off by less than a KiB.
    """

    runtime_bytes: int
    model_bytes: int
    at: str
    timeline: tuple[Moment, ...]
    doubts: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """What is compared with the capacity."""
        return self.runtime_bytes + self.model_bytes + RESERVED_BYTES

    @property
    def fits(self) -> bool:
        """Whether it runs layer by layer; the converter may still find tiles for what does not."""
        return self.total_bytes <= CAPACITY_BYTES


def imx500_memory(graph: Graph, *, input_stays: bool = True) -> Imx500Memory:
    """Weigh the operators of a graph such as `trace.record` gives, before any fusion.

    `input_stays` is the converter's default: the picture can be read back after inference.

    >>> from frugalseg.cost.graph import Op, Window, chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("image",), writes=("map",),
    ...           window=Window(kernel=(1, 1)))
    >>> found = imx500_memory(chain(conv, shapes={"image": (1, 3, 64, 64), "map": (1, 8, 64, 64)}))
    >>> found.runtime_bytes, found.model_bytes, found.fits
    (180224, 1248, True)
    """
    net = lower(graph)
    schedule = plan(net)
    steps = schedule.graph()
    if input_stays:
        steps = replace(steps, outputs=(*steps.outputs, *net.inputs))
    steps = reordered(steps, best_order(steps).ops)
    found = peak(steps)
    return Imx500Memory(
        runtime_bytes=runtime_bytes(steps, net.inputs[0] if input_stays else None),
        model_bytes=model_bytes(net),
        at=found.at,
        timeline=found.timeline,
        doubts=doubts(net),
    )

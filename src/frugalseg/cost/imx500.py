"""Memory of Sony's IMX500, as the converter of its maker reports it: run time and model, in bytes.

Both come from the shapes alone, by rules found from the converter's reports (version 3.19.2,
8-bit weights and activations). They hold for a network that runs layer by layer; where that does
not fit, the converter tries tiles, and what it then needs is not known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from frugalseg.cost.graph import Graph
from frugalseg.cost.imx500_layers import lower
from frugalseg.cost.imx500_schedule import Schedule, plan
from frugalseg.cost.imx500_weights import model_bytes
from frugalseg.cost.peak import Moment

CAPACITY_BYTES = 8_388_480
RESERVED_BYTES = 1_024
NEAR = 0.9  # steps known roughly are off by less than a tenth of the peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Imx500Memory:
    """What a network needs on the sensor. `at` is the step with most memory in use.

    `doubts` are steps that come near the peak and whose need is known only roughly. Without them
    `runtime_bytes` is what the converter reports.
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
    timeline = tuple(_moments(schedule, input_stays))
    through = Moment(
        op="", bytes=sum(schedule.buffers[name] for name in net.inputs), tensors=net.inputs
    )
    largest = max((*timeline, through), key=lambda moment: moment.bytes)
    near = NEAR * largest.bytes
    return Imx500Memory(
        runtime_bytes=largest.bytes,
        model_bytes=model_bytes(net),
        at=largest.op,
        timeline=timeline,
        doubts=tuple(
            step.name
            for step, moment in zip(schedule.steps, timeline, strict=True)
            if not step.is_exact and moment.bytes > near
        ),
    )


def _moments(schedule: Schedule, input_stays: bool) -> Iterator[Moment]:
    last_use = {name: i for i, step in enumerate(schedule.steps) for name in step.reads}
    last_use |= dict.fromkeys(schedule.results, len(schedule.steps))
    if input_stays:
        last_use |= dict.fromkeys(schedule.inputs, len(schedule.steps))
    alive = {*schedule.inputs}
    for i, step in enumerate(schedule.steps):
        alive |= {*step.writes}
        yield Moment(
            op=step.name,
            bytes=sum(schedule.buffers[name] for name in alive) + step.scratch,
            tensors=tuple(sorted(alive)),
        )
        alive = {name for name in alive if last_use.get(name, -1) > i}

import re

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.footprint import footprint
from frugalseg.models.catalog import Architecture
from frugalseg.search.smaller import what_would_fit
from frugalseg.trace import record

SIZE = InputSpec.parse("96x128")
NETWORK = Architecture(
    name="frugalnet", settings={"num_classes": 4, "width": 0.25, "depth": 1}
).build()


def test_the_largest_input_that_should_fit_is_named_with_what_it_needs() -> None:
    device = load_device("mcu-256k")
    assert not device.check(footprint(record(NETWORK, InputSpec.parse("240x320")), device))
    told = what_would_fit(NETWORK, InputSpec.parse("240x320"), device)
    found = re.match(
        r"At (\S+) instead of 240x320 it should: estimated are ([\d,]+) bytes for the network and"
        r" ([\d,]+) to run it\.",
        told,
    )
    assert found is not None
    together = sum(int(figure.replace(",", "")) for figure in found.groups()[1:])
    assert together <= 0.95 * 256_000
    assert "`frugalseg fit --device mcu-256k`" in told

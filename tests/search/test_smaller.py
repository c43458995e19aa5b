import re

import pytest

from frugalseg.core.errors import OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.footprint import footprint
from frugalseg.models.catalog import Architecture
from frugalseg.search.smaller import check_fits, what_would_fit
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


def test_a_network_that_fits_in_bands_alone_is_let_pass() -> None:
    device, spec = load_device("mcu-256k"), InputSpec.parse("176x240")
    assert not device.check(footprint(record(NETWORK, spec), device))
    check_fits(NETWORK, spec, device)


@pytest.mark.parametrize(
    ("name", "device", "told"),
    [
        ("enet", "imx500", r"has no operator greater_equal \(in up4"),
        ("dabnet", "imx500", r"has no operator prelu \(in "),
        ("frugalnet", "mcu-256k", r"total needs [\d,]+ bytes of"),
    ],
)
def test_a_network_that_does_not_run_is_refused_with_what_is_wrong(
    name: str, device: str, told: str
) -> None:
    network = Architecture(name=name, settings={"num_classes": 4}).build()
    with pytest.raises(OverBudgetError, match=told) as refused:
        check_fits(network, InputSpec.parse("96x128"), load_device(device))
    assert "Nothing was trained." in str(refused.value)

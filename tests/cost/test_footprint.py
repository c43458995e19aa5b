import json
from dataclasses import replace

from frugalseg.cost.device import load_device
from frugalseg.cost.footprint import footprint, weigh
from frugalseg.cost.graph import Graph, Op, chain


def small() -> Graph:
    conv = Op(
        name="stem conv_2d", kind="conv_2d", reads=("a",), writes=("b",), layer="stem",
        macs=1_000, params=120, weight_elements=100, bias_elements=10,
    )  # fmt: skip
    pool = Op(name="mean", kind="mean", reads=("b",), writes=("c",))
    return chain(conv, pool, shapes={"a": (1, 3, 8, 8), "b": (1, 10, 4, 4), "c": (1, 10, 1, 1)})


def test_the_report_has_the_keys_that_programs_rely_on() -> None:
    written = json.loads(json.dumps(weigh(small()).to_dict()))
    wanted = {
        "params", "macs", "weight_bytes", "peak_activation_bytes", "peak_at", "uncounted",
    }  # fmt: skip
    assert wanted <= set(written)
    assert written["weight_bytes"] == {"fp32": 480, "int8": 100 + 10 * 8}
    assert written["peak_activation_bytes"] == 3 * 64 + 160
    assert written["peak_at"] == "stem conv_2d"


def test_the_table_has_a_row_for_each_operator() -> None:
    first, second = weigh(small()).layers
    assert (first.layer, first.kind, first.shape) == ("stem", "conv_2d", (1, 10, 4, 4))
    assert (first.params, first.macs, first.out_bytes) == (120, 1_000, 160)
    assert (second.layer, second.macs, second.out_bytes) == ("", 0, 10)


def test_the_estimate_says_that_it_is_one() -> None:
    assert not footprint(small()).measured


def test_a_report_without_a_device_has_no_verdict() -> None:
    report = weigh(small())
    assert report.fits is None
    assert report.excess is None
    assert report.to_dict().keys().isdisjoint({"device", "fits", "excess", "verdict"})


def test_a_report_for_a_device_says_whether_it_fits_and_what_is_too_much() -> None:
    board = load_device("mcu-2mb")
    fits = weigh(small()).for_device(board)
    assert (fits.fits, fits.excess, fits.to_dict()["device"]) == (True, {}, "mcu-2mb")
    large = replace(weigh(small()), peak_activation_bytes=2_000_000).for_device(board)
    told = json.loads(json.dumps(large.to_dict()))
    assert told["fits"] is False
    assert told["excess"] == {"total": large.file_bytes + 2_000_000 - 1_900_000}

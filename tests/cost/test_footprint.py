import json
from dataclasses import replace

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.footprint import footprint, weigh
from frugalseg.cost.graph import Graph, Op, Window, chain

SPEC = InputSpec(height=64, width=64)


def small() -> Graph:
    conv = Op(
        name="stem conv_2d", kind="conv_2d", reads=("a",), writes=("b",), layer="stem",
        macs=1_000, params=120, weight_elements=100, bias_elements=10,
        window=Window(kernel=(3, 3), stride=(2, 2), padding=((0, 1), (0, 1))),
    )  # fmt: skip
    pool = Op(name="mean", kind="mean", reads=("b",), writes=("c",))
    return chain(conv, pool, shapes={"a": (1, 3, 8, 8), "b": (1, 10, 4, 4), "c": (1, 10, 1, 1)})


def test_the_report_has_the_keys_that_programs_rely_on() -> None:
    written = json.loads(json.dumps(weigh(small(), SPEC).to_dict()))
    wanted = {
        "params", "macs", "weight_bytes", "peak_activation_bytes", "peak_at", "uncounted",
    }  # fmt: skip
    assert wanted <= set(written)
    assert written["weight_bytes"] == {"fp32": 480, "int8": 100 + 10 * 8}
    assert written["peak_activation_bytes"] == 3 * 64 + 160
    assert written["peak_at"] == "stem conv_2d"


def test_the_table_has_a_row_for_each_operator() -> None:
    first, second = weigh(small(), SPEC).layers
    assert (first.layer, first.kind, first.shape) == ("stem", "conv_2d", (1, 10, 4, 4))
    assert (first.params, first.macs, first.out_bytes) == (120, 1_000, 160)
    assert (second.layer, second.macs, second.out_bytes) == ("", 0, 10)


def test_the_estimate_says_that_it_is_one() -> None:
    assert not footprint(small()).measured


def test_a_report_without_a_device_has_no_verdict() -> None:
    report = weigh(small(), SPEC)
    assert report.fits is None
    assert report.excess is None
    assert report.to_dict().keys().isdisjoint({"device", "fits", "excess", "verdict"})


def test_a_report_for_a_device_says_whether_it_fits_and_what_is_too_much() -> None:
    board = load_device("mcu-2mb")
    fits = weigh(small(), SPEC, board)
    assert (fits.fits, fits.excess, fits.to_dict()["device"]) == (True, {}, "mcu-2mb")
    large = weigh(small(), SPEC, board, file=2_000_000)
    told = json.loads(json.dumps(large.to_dict()))
    assert told["fits"] is False
    assert told["excess"] == {"total": 2_000_000 + large.memory.ram_bytes - 1_900_000}


def test_what_a_device_cannot_run_does_not_fit_whatever_its_size() -> None:
    small_input = replace(SPEC, height=32)
    report = weigh(small(), small_input, load_device("imx500"))
    assert report.verdict
    assert report.fits is False
    assert report.refusals == ("takes pictures of at least 64x64, not 32x64",)


def test_the_size_of_a_file_is_measured_but_not_that_of_what_a_compiler_makes() -> None:
    assert weigh(small(), SPEC, file=900).footprint.origin_of("storage_bytes") == "measured"
    camera = weigh(small(), SPEC, load_device("imx500"))
    assert camera.footprint.origin_of("storage_bytes") == "estimated"
    assert camera.footprint.storage_bytes == camera.memory.storage_bytes != camera.file_bytes

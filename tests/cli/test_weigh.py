import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frugalseg.models.catalog import MODELS
from frugalseg.workflows.weigh import weigh

Run = Callable[..., Any]
KEYS = {"params", "macs", "weight_bytes", "peak_activation_bytes", "peak_at", "uncounted"}


def test_json_has_the_promised_keys(cli: Run) -> None:
    ended = cli("weigh", "frugalnet", "--size", "48x64", "--classes", "3", "--json")
    told = json.loads(ended.out)
    assert ended.code == 0
    assert told.keys() >= KEYS
    assert told.keys().isdisjoint({"fits", "excess"})
    assert {*told["weight_bytes"]} == {"fp32", "int8"}


def test_a_device_adds_the_verdict(cli: Run) -> None:
    ended = cli("weigh", "frugalnet", "--size", "48x64", "--device", "mcu-2mb", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["fits"], told["excess"]) == (0, True, {})


def test_a_bound_that_bands_go_below_says_what_it_is_for(
    cli: Run, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = golden / "model.int8.tflite"
    report = weigh(file)
    assert "  in any order, at least" in cli("weigh", str(file)).out
    below = replace(report.memory, ram_bytes=report.least_peak_bytes - 1)
    in_bands = replace(report, memory=below)
    monkeypatch.setattr("frugalseg.workflows.weigh.weigh", lambda *_, **__: in_bands)
    assert "  in any order, were no map in another, at least" in cli("weigh", str(file)).out


def test_a_network_that_does_not_fit_ends_with_one(cli: Run) -> None:
    arguments = ("weigh", "enet", "--size", "360x480", "--device", "mcu-2mb")
    told = json.loads((ended := cli(*arguments, "--json")).out)
    assert (ended.code, told["fits"]) == (1, False)
    assert told["excess"]["total"] > 0
    ended = cli(*arguments)
    assert ended.code == 1
    assert "does not fit: total needs" in ended.out
    assert "of 1,900,000" in ended.out
    assert "margin" in ended.out


def test_the_table_shows_layers_and_figures(cli: Run, golden: Path) -> None:
    ended = cli("weigh", golden / "model.int8.tflite")
    assert ended.code == 0
    size = f"{(golden / 'model.int8.tflite').stat().st_size:,}"
    row = next(line for line in ended.out.splitlines() if line.startswith(".tflite file"))
    assert row.split()[-2:] == [size, "measured"]
    row = next(line for line in ended.out.splitlines() if line.startswith("peak activation"))
    assert row.split()[-1] == "estimated"
    assert "stage4.0" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ennet",), "did you mean 'enet'"),
        (("enet", "--size", "big"), "is not HEIGHTxWIDTH"),
        (("frugalnet", "--set", "widht=1"), "did you mean 'width'"),
        (("frugalnet", "--set", "width"), "--set takes KEY=VALUE"),
        (("enet", "--device", "mcu-2gb"), "did you mean 'mcu-2mb'"),
        (("nowhere.tflite",), "cannot read nowhere.tflite"),
        (
            ("some.tflite", "--size", "48x64", "--set", "width=1"),
            "knows its own: leave out --size, --set",
        ),
    ],
)
def test_a_wrong_question_ends_with_two(cli: Run, arguments: tuple[str, ...], message: str) -> None:
    ended = cli("weigh", *arguments)
    assert ended.code == 2
    assert message in ended.err


class TestWhy:
    WEIGH = ("weigh", "frugalnet", "--size", "64x96", "--classes", "3", "--set", "width=0.35")

    def test_it_names_what_is_alive_and_what_would_help(self, cli: Run) -> None:
        ended = cli(*self.WEIGH, "--why")
        assert ended.code == 0
        assert "alive at the peak" in ended.out
        assert "█" in ended.out
        assert " saves " in ended.out

    def test_json_has_the_same(self, cli: Run) -> None:
        told = json.loads(cli(*self.WEIGH, "--device", "imx500", "--why", "--json").out)
        why = told["why"]
        assert why["peak_bytes"] == sum(size for _, size in why["alive"])
        assert all(advice["ram_bytes_saved"] > 0 for advice in why["advice"])
        assert any("a picture of" in advice["text"] for advice in why["advice"])

    def test_without_the_flag_nothing_is_explained(self, cli: Run) -> None:
        assert "why" not in json.loads(cli(*self.WEIGH, "--json").out)

    def test_it_is_not_mixed_with_measuring(self, cli: Run) -> None:
        ended = cli(*self.WEIGH, "--device", "mcu-2mb", "--why", "--verify")
        assert ended.code == 2
        assert "give one of them" in ended.err


class TestList:
    def test_all_networks_with_their_settings(self, cli: Run) -> None:
        ended = cli("weigh", "--list")
        assert ended.code == 0
        assert [line.split()[0] for line in ended.out.splitlines()[::2]] == sorted(MODELS)
        assert "unpool=indices" in ended.out

    def test_for_a_program(self, cli: Run) -> None:
        told = json.loads(cli("weigh", "--list", "--json").out)
        assert {each["name"] for each in told} == set(MODELS)
        assert all(each["about"] for each in told)
        assert told[0].keys() == {"name", "about", "settings"}

    def test_nothing_to_weigh(self, cli: Run) -> None:
        ended = cli("weigh")
        assert ended.code == 2
        assert "--list names the networks" in ended.err

"""Estimates against measurements: a stand-in for the tool, and the tool where it is installed."""

import json
import logging
from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError, ToolchainError
from frugalseg.cost.device import Device, load_device
from frugalseg.toolchain.environment import is_installed
from frugalseg.toolchain.tflm import ArenaReport
from frugalseg.workflows.verification import Verification
from frugalseg.workflows.verify import verify, verify_file
from frugalseg.workflows.weigh import weigh_file

HEAD, TAIL = 12_288, 14_864  # of the golden file, as its interpreter reports
needs_tflm = pytest.mark.skipif(
    not is_installed("tflm"), reason="needs: frugalseg toolchain install tflm"
)


@pytest.fixture
def file(golden: Path) -> Path:
    return golden / "model.int8.tflite"


@pytest.fixture
def board(tmp_path: Path, file: Path) -> Device:
    """A board that the golden file fits with 3,000 bytes to spare, fewer than its margin."""
    limit = file.stat().st_size + HEAD + TAIL + 3_000
    text = f'like = "mcu-1mb"\ntitle = "tight"\n[budget]\ntotal_bytes = {limit}\n'
    (tmp_path / "tight.toml").write_text(text)
    return load_device(tmp_path / "tight.toml")


def says(monkeypatch: pytest.MonkeyPatch, head: int, tail: int = TAIL) -> None:
    """Let a stand-in for the interpreter report these figures."""
    told = ArenaReport(head_bytes=head, tail_bytes=tail, total_bytes=head + tail, version="0.1")
    monkeypatch.setattr("frugalseg.toolchain.tflm.arena", lambda _: told)
    monkeypatch.setattr("frugalseg.workflows.verify.installed", lambda _: None)


def figures(found: Verification) -> dict[str, tuple[int, int]]:
    return {each.figure: (each.estimated, each.measured) for each in found.comparisons}


def test_what_is_measured_may_use_the_margin(
    board: Device, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, HEAD)
    assert not weigh_file(file, board).fits
    found = verify_file(file, board, pairs=tmp_path)
    assert found.fits
    assert not found.contradicts
    assert found.footprint.measured == {"storage_bytes", "ram_bytes"}
    assert found.footprint.origin_of("total_bytes") == "measured"
    size = file.stat().st_size
    assert figures(found) == {
        "arena head": (HEAD, HEAD),
        "arena tail": (TAIL, TAIL),
        "RAM": (HEAD + TAIL, HEAD + TAIL),
        "network": (size, size),
        "together": (size + HEAD + TAIL, size + HEAD + TAIL),
    }


def test_a_measurement_over_the_budget_counts(
    board: Device, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, HEAD + 3_008)
    found = verify_file(file, board, pairs=tmp_path)
    assert not found.fits
    assert [(e.resource, e.needed - e.allowed) for e in found.verdict.excess] == [("total", 8)]


@pytest.mark.parametrize("head", [HEAD + 4_096, HEAD - 4_096])
def test_a_contradiction_is_loud_and_kept(
    file: Path, tmp_path: Path, head: int,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    says(monkeypatch, head)
    with caplog.at_level(logging.WARNING, logger="frugalseg"):
        found = verify_file(file, load_device("mcu-1mb"), pairs=tmp_path)
    assert found.contradicts
    assert "contradicts the estimate for mcu-1mb" in caplog.text
    assert f"RAM estimated {HEAD + TAIL:,}, measured {head + TAIL:,}" in caplog.text
    assert str(found.pair) in caplog.text
    assert found.pair.is_file()


def test_agreement_is_quiet(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    says(monkeypatch, HEAD + 64)
    with caplog.at_level(logging.WARNING, logger="frugalseg"):
        verify_file(file, load_device("mcu-1mb"), pairs=tmp_path)
    assert caplog.text == ""


def test_a_pair_holds_what_the_estimate_is_tested_against(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, HEAD)
    found = verify_file(file, load_device("mcu-1mb"), pairs=tmp_path / "pairs")
    assert found.pair.parent == tmp_path / "pairs"
    pair = json.loads(found.pair.read_text())
    assert pair["reported"] == {"head": HEAD, "tail": TAIL, "tflite_micro": "0.1"}
    assert len(pair["file"]["ops"]) == len(weigh_file(file, load_device("mcu-1mb")).layers)
    assert {"device", "tool", "machine", "date", "estimate", "measured"} <= pair.keys()
    again = verify_file(file, load_device("mcu-1mb"), pairs=tmp_path / "pairs")
    assert again.pair == found.pair
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    assert verify_file(file, load_device("mcu-1mb")).pair.parent == tmp_path / "cache" / "pairs"


def test_a_place_that_holds_no_pairs_is_told_before_any_work(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugalseg.workflows.verify.installed", lambda _: None)
    (tmp_path / "pairs").touch()
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        verify(file, "mcu-1mb", pairs=tmp_path / "pairs")


def test_a_device_without_a_toolchain_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="cpu names no toolchain"):
        verify(file, "cpu")


def test_a_toolchain_that_is_missing_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the network was traced")

    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path))
    monkeypatch.setattr("frugalseg.workflows.verify.find_subject", work)
    with pytest.raises(ToolchainError, match="frugalseg toolchain install tflm"):
        verify("frugalnet", "mcu-1mb")
    with pytest.raises(ToolchainError, match="frugalseg toolchain install imx500"):
        verify("frugalnet", "imx500")


def test_a_file_for_a_device_that_runs_none_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugalseg.workflows.verify.installed", lambda _: None)
    with pytest.raises(ConfigError, match=r"runs no \.tflite file"):
        verify(file, "imx500")


@pytest.mark.toolchain
@needs_tflm
def test_a_file_is_verified_as_it_is(file: Path, tmp_path: Path) -> None:
    found = verify(file, "mcu-1mb", pairs=tmp_path)
    assert figures(found)["arena head"] == (HEAD, HEAD)
    assert figures(found)["arena tail"] == (TAIL, TAIL)
    assert found.fits


@pytest.mark.toolchain
@pytest.mark.slow
@needs_tflm
def test_a_network_of_the_catalog_is_verified_before_it_is_trained(tmp_path: Path) -> None:
    found = verify("frugalnet", "mcu-1mb", size="48x64", set={"width": 0.25}, pairs=tmp_path)
    assert not found.contradicts
    head, measured = figures(found)["arena head"]
    assert head == measured
    pair = json.loads(found.pair.read_text())
    assert {"file", "traced", "reported"} <= pair.keys()

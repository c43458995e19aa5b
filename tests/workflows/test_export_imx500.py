"""Export for the IMX500; stand-ins take the place of its maker's tools, but for one test."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.errors import ConfigError, GateError, OverBudgetError, ToolchainError
from frugalseg.core.files import sha256
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.imaging.resize import resize_labels
from frugalseg.metrics.scores import ScoreKeeper, Scores
from frugalseg.runtime.manifest import Manifest
from frugalseg.toolchain.environment import is_installed
from frugalseg.toolchain.imx500 import ConverterReport
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint
from frugalseg.training.validation import network_scores
from frugalseg.workflows import export_imx500 as workflow
from frugalseg.workflows.export_imx500 import Imx500Wish, export_imx500, score_onnx

SPEC = InputSpec(height=160, width=192)
DEVICE = load_device("imx500")
FITS = ConverterReport(
    runtime_bytes=121_856, model_bytes=135_008, reserved_bytes=1_024, available_bytes=8_388_480,
    fits=True, tiled=False, version="3.19.2",
)  # fmt: skip
FILES = {
    "packerOut.zip", "network.onnx", "network_MemoryReport.json", "dnnParams.xml", "labels.txt",
    "network_intrinsics.json", "README.md", "show.py", "manifest.json", "MODEL_CARD.md",
}  # fmt: skip

Ids = NDArray[np.uint8]


class Tools:
    """Stands for quantiser, converter and the quantised network.

    The latter is the float one, or if `truth` is given, right about each picture but for the
    quantising methods in `spoilt`.
    """

    def __init__(self, kept: Checkpoint) -> None:
        self.network, self.report = kept.network(), FITS
        self.truth: list[Ids] = []
        self.spoilt: set[str] = set()
        self.methods: list[str] = []
        self.output = "ids"

    def quantise(
        self, _kept: Checkpoint, pictures: Any, path: Path, *, method: str, output: str
    ) -> None:
        assert all(picture.shape == (*SPEC.size, 3) for picture in pictures)
        path.write_text(method, encoding="utf-8")
        self.methods.append(method)
        self.output = output

    def convert(self, network: Path, folder: Path) -> ConverterReport:
        assert network.is_file()
        for name in ("dnnParams.xml", "network_MemoryReport.json"):
            (folder / name).write_text("{}", encoding="utf-8")
        if self.report.fits:
            (folder / "packerOut.zip").write_bytes(b"package")
        return self.report

    def predict(self, network: Path, pictures: Ids, *, mean: float, std: float) -> NDArray[Any]:
        assert (mean, std) == (128.0, 64.0)
        if self.truth:
            ids = np.stack([resize_labels(each, (16, 24)) % 5 for each in self.truth])
            spoilt = network.read_text(encoding="utf-8") in self.spoilt
            return (ids + 1) % 5 if spoilt else ids
        scores = np.stack([network_scores(self.network, SPEC, each) for each in pictures])
        return scores.argmax(-1).astype(np.uint8) if self.output == "ids" else scores


@pytest.fixture
def kept(checkpoint: Path) -> Checkpoint:
    return replace(load_checkpoint(checkpoint), input=SPEC)


@pytest.fixture
def dataset(belt: Path) -> Dataset:
    return open_dataset(belt)


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FRUGALSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def tools(kept: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    assert not [*cache.iterdir()]
    tools = Tools(kept)
    for name in ("quantise", "convert", "predict"):
        monkeypatch.setattr(workflow, name, getattr(tools, name))
    monkeypatch.setattr(workflow, "installed", lambda _name: None)
    return tools


def wish(**changes: Any) -> Imx500Wish:
    return Imx500Wish(device=DEVICE, calibration=2, tolerance_points=5.0, **changes)


@pytest.mark.usefixtures("tools")
def test_the_artifact_is_whole(kept: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    result = export_imx500(kept, dataset, tmp_path / "a", wish())
    assert {path.name for path in (tmp_path / "a").iterdir()} == FILES
    manifest = Manifest.load(tmp_path / "a")
    assert manifest == result.manifest
    assert manifest.device == "imx500"
    assert [file.path for file in manifest.files] == ["packerOut.zip", "network.onnx"]
    assert {file.format for file in manifest.files} == {"imx500"}
    assert {file.output for file in manifest.files} == {"ids"}
    hashes = {file.path: file.sha256 for file in manifest.files} | manifest.others
    assert set(hashes) == FILES - {"manifest.json", "MODEL_CARD.md"}
    assert all(sha256(tmp_path / "a" / name) == hash for name, hash in hashes.items())
    assert result.file == tmp_path / "a" / "packerOut.zip"


@pytest.mark.usefixtures("tools")
def test_estimate_and_report_are_kept_side_by_side(
    kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    result = export_imx500(kept, dataset, tmp_path / "a", wish())
    settings = json.loads((tmp_path / "a" / "manifest.json").read_text())["settings"]
    assert settings["converter"] == FITS.to_dict()
    assert settings["estimated"]["runtime_bytes"] > 0
    assert settings["quantised"] == "ptq"
    assert result.footprint.ram_bytes == FITS.runtime_bytes
    assert result.footprint.origin_of("total_bytes") == "measured"


def test_scores_as_output_are_enlarged_as_in_training(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    result = export_imx500(kept, dataset, tmp_path / "a", wish(output="scores"))
    assert result.scores == result.float_scores
    assert tools.output == "scores"


@pytest.fixture
def right(tools: Tools, dataset: Dataset) -> Scores:
    """The scores of a network that is always right; the quantised ones are, at their own size."""
    labels = [dataset.load(sample)[1] for sample in dataset.split("val")]
    tools.truth = labels
    keeper = ScoreKeeper(dataset.labels.num_classes)
    for labels_HW in labels:
        keeper.add(labels_HW, resize_labels(resize_labels(labels_HW, (16, 24)), labels_HW.shape))
    return keeper.scores()


def test_what_the_quick_method_loses_the_slow_one_may_save(
    tools: Tools, right: Scores, kept: Checkpoint, dataset: Dataset, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tools.spoilt = {"ptq"}
    result = export_imx500(kept, dataset, tmp_path / "a", wish(), float_scores=right)
    assert tools.methods == ["ptq", "gptq"]
    assert result.manifest.settings["quantised"] == "gptq"
    assert result.scores.miou == right.miou
    assert "Trying GPTQ" in caplog.text


def test_the_slow_method_is_not_asked_without_need(
    tools: Tools, right: Scores, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    export_imx500(kept, dataset, tmp_path / "a", wish(), float_scores=right)
    assert tools.methods == ["ptq"]


def test_if_both_methods_lose_too_much_nothing_is_written(
    tools: Tools, right: Scores, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    tools.spoilt = {"ptq", "gptq"}
    with pytest.raises(GateError, match=r"network\.onnx by gptq loses"):
        export_imx500(kept, dataset, tmp_path / "a", wish(), float_scores=right)
    assert nothing_is_left(tmp_path)


def nothing_is_left(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["fresh.safetensors"]


def test_what_does_not_fit_ends_with_the_report_and_what_would(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    tools.report = replace(FITS, runtime_bytes=9_000_000, fits=False, tiled=True)
    with pytest.raises(OverBudgetError) as caught:
        export_imx500(kept, dataset, tmp_path / "a", wish())
    assert caught.value.exit_code == 1
    assert [(e.resource, e.needed) for e in caught.value.verdict.excess] == [("total", 9_135_008)]
    assert "nor in tiles" in str(caught.value)
    assert re.search(
        r"At 128x152 instead of 160x192 it should: estimated are [\d,]+", str(caught.value)
    )
    assert nothing_is_left(tmp_path)


def test_the_converters_word_counts_even_if_the_sum_would_fit(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    tools.report = replace(FITS, fits=False)
    with pytest.raises(OverBudgetError, match="does not fit imx500") as caught:
        export_imx500(kept, dataset, tmp_path / "a", wish())
    assert not caught.value.verdict


def test_a_report_beyond_the_margin_is_loud_and_kept(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tools.report = replace(FITS, runtime_bytes=4_000_000)
    result = export_imx500(kept, dataset, tmp_path / "a", wish())
    assert "contradicts the estimate" in caplog.text
    assert result.manifest.settings["converter"]["runtime_bytes"] == 4_000_000
    assert "contradicts" not in caplog.text.replace("contradicts the estimate", "", 1)


def test_every_report_is_kept_beside_its_estimate_as_a_pair(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path, cache: Path
) -> None:
    export_imx500(kept, dataset, tmp_path / "a", wish())
    (file,) = (cache / "pairs").iterdir()
    pair = json.loads(file.read_text())
    assert pair["measured"]["RAM"] == FITS.runtime_bytes
    assert pair["graph"]["ops"]


def test_a_report_that_forbids_what_should_fit_is_loud_and_kept(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path, cache: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tools.report = replace(FITS, runtime_bytes=9_000_000, fits=False, tiled=True)
    with pytest.raises(OverBudgetError):
        export_imx500(kept, dataset, tmp_path / "a", wish())
    (file,) = (cache / "pairs").iterdir()
    assert "contradicts the estimate for imx500, by more than its margin of 1%" in caplog.text
    assert str(file) in caplog.text


def test_a_sum_is_compared_with_the_sum(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tools.report = replace(FITS, runtime_bytes=9_000_000, model_bytes=0, fits=False)
    with pytest.raises(OverBudgetError):
        export_imx500(kept, dataset, tmp_path / "a", wish())
    assert re.search(r"margin of 1%: together estimated [\d,]+, measured 9,000,000", caplog.text)


def test_a_device_of_ones_own_may_leave_the_network_less(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "half.toml"
    own.write_text('like = "imx500"\ntitle = "x"\nreserved = {total_bytes = 8_200_000}\n')
    with pytest.raises(OverBudgetError, match="total needs 256,864 bytes of 188,480"):
        export_imx500(kept, dataset, tmp_path / "a", replace(wish(), device=load_device(own)))


def test_a_network_in_tiles_is_told(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tools.report = replace(FITS, tiled=True)
    export_imx500(kept, dataset, tmp_path / "a", wish())
    assert "tiling only" in caplog.text
    assert "contradicts the estimate for imx500, which should fit without tiles" in caplog.text


@pytest.mark.usefixtures("tools")
def test_a_picture_that_the_sensor_does_not_take_is_refused_before_any_work(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    small = replace(kept, input=InputSpec(height=48, width=64))
    with pytest.raises(OverBudgetError, match="takes pictures of at least 64x64"):
        export_imx500(small, dataset, tmp_path / "a", wish())
    assert not tools.methods


@pytest.mark.usefixtures("tools")
def test_another_normalisation_is_refused(
    kept: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    other = replace(kept, input=replace(SPEC, std=100.0))
    with pytest.raises(ConfigError, match="pixel - 128"):
        export_imx500(other, dataset, tmp_path / "a", wish())


def test_without_the_toolchain_nothing_begins(
    kept: Checkpoint, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolchainError, match="frugalseg toolchain install imx500"):
        export_imx500(kept, dataset, tmp_path / "a", wish())


def test_a_converter_that_fails_leaves_what_was_there(
    tools: Tools, kept: Checkpoint, dataset: Dataset, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    export_imx500(kept, dataset, tmp_path / "a", wish())
    before = (tmp_path / "a" / "manifest.json").read_bytes()

    def fail(_network: Path, _folder: Path) -> ConverterReport:
        raise ToolchainError("the converter lacks an operator")

    monkeypatch.setattr(workflow, "convert", fail)
    with pytest.raises(ToolchainError):
        export_imx500(kept, dataset, tmp_path / "a", wish())
    assert (tmp_path / "a" / "manifest.json").read_bytes() == before


def test_pictures_are_asked_for_in_parts(
    tools: Tools, kept: Checkpoint, dataset: Dataset, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "network.onnx").write_text("ptq")
    samples = [*dataset.split("train"), *dataset.split("val")]
    whole = score_onnx(tmp_path / "network.onnx", SPEC, dataset, samples)
    monkeypatch.setattr(workflow, "AT_ONCE", 2)
    parts: list[int] = []

    def count(network: Path, pictures: Ids, *, mean: float, std: float) -> NDArray[Any]:
        parts.append(len(pictures))
        return tools.predict(network, pictures, mean=mean, std=std)

    monkeypatch.setattr(workflow, "predict", count)
    assert score_onnx(tmp_path / "network.onnx", SPEC, dataset, samples) == whole
    assert parts == [2, 2, 1]


@pytest.mark.slow
@pytest.mark.toolchain
@pytest.mark.skipif(not is_installed("imx500"), reason="needs: frugalseg toolchain install imx500")
def test_the_makers_tools_agree_with_us(checkpoint: Path, belt: Path, tmp_path: Path) -> None:
    """A whole export with quantiser and converter, and the scores of the float network."""
    spec = InputSpec(height=128, width=128)
    kept = replace(load_checkpoint(checkpoint), input=spec)
    result = export_imx500(kept, open_dataset(belt), tmp_path / "a", wish())
    assert result.report.fits
    assert {path.name for path in (tmp_path / "a").iterdir()} >= FILES
    assert abs(result.scores.miou - result.float_scores.miou) < 0.05
    parameters = (tmp_path / "a" / "dnnParams.xml").read_text(encoding="utf-8")
    # int8 of scale 1/64: pixel - 128. Ids: rows first, of which the sensor sends columns first.
    assert re.search(r'shift="0" scale="0.015625" format="signed"', parameters)
    assert re.search(r'bitsPerElement="16" shift="0" scale="1.0"', parameters)
    sides = re.findall(r'size="32" serializationOrder="(\d)" ordinal="(\d)"', parameters)
    assert sides == [("0", "0"), ("1", "1")]

"""Export a checkpoint to files that are proven to compute the same, as an artifact."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.compress.mixed import BitsPlan
from frugalseg.core.budget import Footprint
from frugalseg.core.errors import ConfigError, OverBudgetError, unknown
from frugalseg.core.files import complete_folder, sha256, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import Device, load_device
from frugalseg.data.dataset import Dataset
from frugalseg.export.board import FOLDER
from frugalseg.export.calibration import calibration_pictures, check_pictures
from frugalseg.export.catalog import FORMATS, Format
from frugalseg.export.gate import check_parity, check_scores
from frugalseg.export.metadata import write_metadata
from frugalseg.export.quantisation import PLAIN, Quantisation
from frugalseg.export.rounding import NEAREST
from frugalseg.metrics.scores import Scores
from frugalseg.models.network import Network
from frugalseg.runtime.card import model_card
from frugalseg.runtime.manifest import Manifest, NetworkFile, Output
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.search.smaller import what_would_fit
from frugalseg.toolchain.environment import is_installed
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint
from frugalseg.training.validation import score_split, torch_predictor
from frugalseg.workflows.bits import planned_bits, read_bits
from frugalseg.workflows.describe import bare_manifest, whole_manifest
from frugalseg.workflows.evaluate import open_for
from frugalseg.workflows.export_board import export_board
from frugalseg.workflows.export_imx500 import Imx500Wish, export_imx500
from frugalseg.workflows.layout import OUTPUTS, lay_out
from frugalseg.workflows.place import CARD, check_place, hashes
from frugalseg.workflows.verify import toolchain_of, verify_file
from frugalseg.workflows.weigh import weigh_file

PROBES = 4
FEW = 20  # pictures

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The artifact, its manifest, and scores before and after (of the file to deploy)."""

    folder: Path
    manifest: Manifest
    float_scores: Scores
    scores: Scores
    footprint: Footprint

    @property
    def file(self) -> Path:
        """The network file to deploy."""
        return self.folder / self.manifest.files[0].path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportWish:
    """What to write and how to prove it. The first format is the one to deploy.

    `output` is what the deployed file gives; None leaves it to the device. `verify` insists on
    the device's own tool, which is asked anyway where it is installed. `how` is for int8, and
    `plan` is what its bits come from.
    """

    formats: Sequence[str] = ("litert_int8",)
    tolerance_points: float = 1.0
    calibration: int = 128
    device: Device | None = None
    output: str | None = None
    verify: bool = False
    how: Quantisation = PLAIN
    plan: BitsPlan | None = None

    def __post_init__(self) -> None:
        if not self.formats:
            raise ConfigError(f"no format given. Known: {', '.join(FORMATS)}")
        for name in self.formats:
            if name not in FORMATS:
                raise unknown("format", name, FORMATS)
        if len(set(self.formats)) < len(self.formats):
            raise ConfigError(f"each format once, got {', '.join(self.formats)}")
        self._check_device()
        if not self.tolerance_points >= 0:
            raise ConfigError(f"tolerance must be 0 or more points, got {self.tolerance_points}")
        if self.calibration < 1:
            raise ConfigError(f"calibration must be 1 or more pictures, got {self.calibration}")

        int8 = [name for name in self.formats if FORMATS[name].precision == "int8"]
        imx500 = self.device is not None and self.device.runtime == "imx500"
        if self.how != PLAIN and (imx500 or not int8):
            where = "its maker's tool quantises for an IMX500" if imx500 else "nothing is int8"
            raise ConfigError(f"{where}: no say in ranges, equalising, biases or bits")

    def told(self) -> dict[str, Any]:
        """Return what a manifest says of how int8 was made."""
        plan = {} if self.plan is None else {"bits_plan": self.plan.to_dict()}
        return {"quantisation": self.how.to_dict(), **plan}

    def _check_device(self) -> None:
        first = FORMATS[self.formats[0]]
        is_int8 = (first.engine, first.precision) == ("litert", "int8")
        if self.output is not None and self.output not in OUTPUTS:
            raise unknown("output", self.output, OUTPUTS)
        if self.output == "ids" and not is_int8:
            raise ConfigError(f"only litert_int8 can give ids, not {self.formats[0]}")
        if self.device is None:
            if self.verify:
                raise ConfigError("--verify asks the tool of a device: name one with --device")
            return
        if not is_int8:
            raise ConfigError(
                f"{self.device.name} runs int8 files: the first format must be litert_int8,"
                f" got {self.formats[0]}"
            )
        if self.device.runtime == "imx500" and len(self.formats) > 1:
            raise ConfigError(f"{self.device.name} has one format of its own: leave --to out")
        if self.verify or self.device.runtime == "imx500" or _is_there(self.device):
            toolchain_of(self.device)  # before any work


def export(
    checkpoint: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    to: Sequence[str] = ("litert_int8",),
    tolerance: float = 1.0,
    calibration: int = 128,
    device: str | Path | None = None,
    output: str | None = None,
    verify: bool = False,
    ranges: str = "minmax",
    equalise: bool = False,
    correct: bool = False,
    rounding: str = NEAREST,
    bits: str | Path | Mapping[str, int] | None = None,
    bytes: int | None = None,
    format: str | None = None,
    announce: Callable[[BitsPlan], None] = lambda plan: None,
    progress: Progress = silent,
) -> ExportResult:
    """Write a checkpoint as the artifact folder `out`; `to` names formats of `export.catalog`.

    Every file is scored on the validation split through the runtime. With a `device`, the file to
    deploy is laid out for it (see `workflows.layout`; on an IMX500 it is its maker's tool that
    does it), weighed as the device counts, and measured by the device's toolchain where that is
    installed; `verify` insists on it. `output` is "scores" at the native size, or "ids" at the
    size of the input.

    `ranges`, `equalise`, `correct` and `rounding` are those of `export.quantisation`. `bits` says
    which layers have weights of 4 bits, itself or as the file of a `compress.mixed.BitsPlan`, or a
    manifest with one; `bytes` plans them for at most so many, and `announce` is called with it.

    Raises GateError, and leaves what was at `out` before, where a file loses more than `tolerance`
    mIoU points against the float network or an fp32 file differs from it by more than 1e-4;
    OverBudgetError where the file to deploy does not fit the device; ToolchainError where its tool
    is needed and not there.
    """
    if bits is not None and bytes is not None:
        raise ConfigError("bits are planned for bytes, or given: not both")
    wish = ExportWish(
        formats=to, tolerance_points=tolerance, calibration=calibration,
        device=None if device is None else load_device(device), output=output, verify=verify,
        how=Quantisation(ranges=ranges, equalise=equalise, correct=correct, rounding=rounding),
    )  # fmt: skip
    kept = load_checkpoint(Path(checkpoint))
    dataset = open_for(kept.labels, data, format=format)
    plan = None
    if bytes is not None:
        plan = planned_bits(kept, dataset, bytes, progress)
        announce(plan)
        bits = plan.bits
    if bits is not None:
        wish = replace(wish, how=replace(wish.how, bits=read_bits(kept, bits)), plan=plan)
    return export_checkpoint(kept, dataset, Path(out), wish, progress=progress)


def export_checkpoint(
    kept: Checkpoint,
    dataset: Dataset,
    out: Path,
    wish: ExportWish,
    *,
    float_scores: Scores | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Export to a data set that is open; `float_scores` if the network was scored already."""
    check_place(out)
    if wish.device is not None and wish.device.runtime == "imx500":
        return _export_imx500(kept, dataset, out, wish, float_scores, progress)
    wish = _as_trained(kept, wish)
    network, spec, val = kept.network(), kept.input, dataset.split("val")
    if len(val) < FEW:
        log.warning("%d pictures for validation: a difference of a point may be chance", len(val))
    pictures = _calibration(dataset, spec, wish)
    if float_scores is None:
        predict = torch_predictor(network, spec)
        float_scores = score_split(dataset, val, predict, progress=progress)
    with complete_folder(out) as draft, TemporaryDirectory() as shared:
        entries, scores, more, at = [], [], dict[str, Any](), Path(shared)
        for name in wish.formats:
            form = FORMATS[name]
            progress(f"exporting {name}", 0, 1)
            form.write(network, spec, draft / form.file, pictures=pictures, how=wish.how, shared=at)
            first = name == wish.formats[0]
            output = OUTPUTS[wish.output] if first and wish.output else "scores"
            write_metadata(draft / form.file, kept.labels, spec)
            if form.precision == "int8":
                more["execution"] = lay_out(draft / form.file, wish.device, output)
            if first:
                need = _weighed(draft / form.file, wish, network, spec)
            segmenter = _open(draft, kept, form, output)
            gap = _parity(network, segmenter, dataset) if form.precision == "fp32" else None
            score = score_split(dataset, val, segmenter.labels_of, progress=progress)
            check_scores(
                float_scores, score, names=kept.labels.names, file=form.file,
                tolerance_points=wish.tolerance_points,
            )  # fmt: skip
            entries.append(_entry(draft, form, output, score.to_dict(kept.labels.names), gap))
            scores.append(score)
            if first:
                more["board"] = _board(draft, segmenter, dataset, wish.device, progress)
                more["others"] = hashes(draft, draft / FOLDER)
        manifest = whole_manifest(kept, entries, float_scores, dataset, wish)
        more["settings"] = manifest.settings | wish.told()
        manifest = manifest.model_copy(update={"footprint": need.to_dict(), **more})
        manifest.save(draft)
        write_text(draft / CARD, model_card(manifest))
    return ExportResult(
        folder=out, manifest=manifest, float_scores=float_scores, scores=scores[0],
        footprint=need,
    )  # fmt: skip


def _as_trained(kept: Checkpoint, wish: ExportWish) -> ExportWish:
    """Give weights the bits with which the network has learnt, unless others are asked for."""
    bits = kept.recipe.get("quantize", {}).get("bits", {})
    if wish.how.bits or not any(FORMATS[name].precision == "int8" for name in wish.formats):
        return wish
    return replace(wish, how=replace(wish.how, bits=bits))


def _calibration(dataset: Dataset, spec: InputSpec, wish: ExportWish) -> list[NDArray[np.uint8]]:
    """Load pictures for calibration; where something is int8, they must be fit for it."""
    pictures = calibration_pictures(dataset, spec, wish.calibration)
    if any(FORMATS[name].precision == "int8" for name in wish.formats):
        val = dataset.split("val")
        check_pictures(pictures, [dataset.load(s)[0] for s in val[:: -(-len(val) // FEW)]])
    return pictures


def _weighed(path: Path, wish: ExportWish, network: Network, spec: InputSpec) -> Footprint:
    """Weigh a network file; raises OverBudgetError where the device cannot hold or run it.

    The error says at which input the network should fit. Bytes of the file are measured. Memory
    is measured where the device's toolchain is there; else it follows from the graph (not for
    ONNX, where it is given as 0), and keeps the device's margin.
    """
    device = wish.device
    if path.suffix != ".tflite":
        storage = frozenset({"storage_bytes"})
        return Footprint(storage_bytes=path.stat().st_size, ram_bytes=0, macs=0, measured=storage)
    asked = device is not None and (wish.verify or _is_there(device))
    report = verify_file(path, device) if device and asked else weigh_file(path, device)
    if device is not None and not report.fits:
        assert report.verdict is not None  # there is one for a device
        raise OverBudgetError(
            f"the exported file does not fit {device.name} (what is estimated keeps the device's"
            f" margin): {'; '.join(report.objections)}. {what_would_fit(network, spec, device)} No"
            " artifact was written.",
            report.verdict,
        )
    return report.footprint


def _export_imx500(
    kept: Checkpoint,
    dataset: Dataset,
    out: Path,
    wish: ExportWish,
    float_scores: Scores | None,
    progress: Progress,
) -> ExportResult:
    assert wish.device is not None
    made = export_imx500(
        kept, dataset, out,
        Imx500Wish(
            device=wish.device, output=OUTPUTS[wish.output or "ids"],
            tolerance_points=wish.tolerance_points, calibration=wish.calibration,
        ),
        float_scores=float_scores, progress=progress,
    )  # fmt: skip
    return ExportResult(
        folder=made.folder, manifest=made.manifest, float_scores=made.float_scores,
        scores=made.scores, footprint=made.footprint,
    )  # fmt: skip


def _is_there(device: Device) -> bool:
    """Whether the device's tool is installed, and so asked."""
    return device.toolchain is not None and is_installed(device.toolchain)


def _board(
    draft: Path, segmenter: Segmenter, dataset: Dataset, device: Device | None, progress: Progress
) -> dict[str, Any] | None:
    """Write the sources for a microcontroller, if it is one."""
    if device is None or device.runtime != "tflite-micro":
        return None
    return export_board(draft, segmenter, dataset, device=device, progress=progress).to_dict()


def _open(draft: Path, kept: Checkpoint, form: Format, output: Output) -> Segmenter:
    """Open a file of the draft just as a user will: through a manifest."""
    bare_manifest(kept, [_entry(draft, form, output, None, None)]).save(draft)
    return Segmenter.open(draft)


def _parity(network: Network, segmenter: Segmenter, dataset: Dataset) -> float:
    val = dataset.split("val")
    probes = [dataset.load(s)[0] for s in val[:: max(1, len(val) // PROBES)][:PROBES]]
    return check_parity(network, segmenter.input, segmenter, probes)


def _entry(
    folder: Path,
    form: Format,
    output: Output,
    scores: dict[str, Any] | None,
    parity: float | None,
) -> NetworkFile:
    path = folder / form.file
    return NetworkFile(
        path=form.file, format=form.engine, precision=form.precision, input=form.input,
        output=output, bytes=path.stat().st_size, sha256=sha256(path), scores=scores, parity=parity,
    )  # fmt: skip

"""Export for Sony's IMX500: quantised and converted by its maker's tools, scored as quantised."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.budget import Excess, Footprint, Verdict
from frugalseg.core.errors import GateError, OverBudgetError
from frugalseg.core.files import complete_folder, sha256, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import WeighReport, weigh
from frugalseg.cost.graph import Graph
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.export.calibration import calibration_pictures
from frugalseg.export.gate import check_scores
from frugalseg.export.imx500 import Method, check_input, quantise
from frugalseg.export.imx500_files import write_texts
from frugalseg.export.imx500_static import Deployed
from frugalseg.imaging.resize import as_channels, labels_at, resize_image, resize_labels
from frugalseg.metrics.scores import ScoreKeeper, Scores
from frugalseg.runtime.card import model_card
from frugalseg.runtime.manifest import Manifest, NetworkFile, Output
from frugalseg.search.smaller import what_would_fit
from frugalseg.toolchain.environment import installed
from frugalseg.toolchain.imx500 import PACKAGE, ConverterReport, convert, predict
from frugalseg.trace import record
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.training.validation import score_split, torch_predictor
from frugalseg.workflows.describe import whole_manifest
from frugalseg.workflows.pairs import pairs_folder, whole_graph_data
from frugalseg.workflows.place import CARD, hashes
from frugalseg.workflows.verification import confirm
from frugalseg.workflows.verify_imx500 import as_measured

ENGINE: Literal["imx500"] = "imx500"
NETWORK = "network.onnx"
METHODS: tuple[Method, ...] = ("ptq", "gptq")
AT_ONCE = 16  # photographs that are held in memory at once

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imx500Wish:
    """How to export: for which device of this kind, what comes out, what may be lost."""

    device: Device
    output: Output = "ids"
    tolerance_points: float = 1.0
    calibration: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Imx500Result:
    """The artifact, scores before and after, and what the converter reported."""

    folder: Path
    manifest: Manifest
    float_scores: Scores
    scores: Scores
    footprint: Footprint
    report: ConverterReport

    @property
    def file(self) -> Path:
        """The file to take to the Raspberry Pi, beside its neighbours."""
        return self.folder / PACKAGE


def export_imx500(
    kept: Checkpoint,
    dataset: Dataset,
    out: Path,
    wish: Imx500Wish,
    *,
    float_scores: Scores | None = None,
    progress: Progress = silent,
) -> Imx500Result:
    """Write a checkpoint as an artifact folder with a packerOut.zip that fits the sensor.

    Raises ToolchainError where the toolchain is missing, RefusedError where it does not take the
    network; GateError where quantising loses more than the tolerance, by both methods;
    OverBudgetError where the converter finds that the network does not fit, with what would. `out`
    is left as it was then.
    """
    check_input(kept.input)
    installed(ENGINE)
    network, spec = kept.network(), kept.input
    deployed = Deployed(network, wish.output)
    graph = record(deployed, spec)
    estimate = _estimate(graph, spec, wish.device)
    if float_scores is None:
        predictor = torch_predictor(network, spec)
        float_scores = score_split(dataset, dataset.split("val"), predictor, progress=progress)
    with complete_folder(out) as draft:
        file = draft / NETWORK
        method, scores = _quantised(kept, dataset, file, wish, float_scores, progress)
        progress("converting", 0, 1)
        report = convert(file, draft)
        found = confirm(
            estimate, as_measured(report), wish.device, name=kept.architecture.name, spec=spec,
            graphs={"graph": whole_graph_data(graph)}, folder=pairs_folder(),
        )  # fmt: skip
        if not found.fits:
            raise _too_large(report, found.verdict, deployed, spec, wish.device)
        if report.tiled:
            log.warning("the network fits by the converter's tiling only: it may run slower")
        write_texts(draft, kept.labels, spec, report, wish.output)
        manifest = _manifest(kept, dataset, wish, draft, (float_scores, scores))
        settings = {
            **manifest.settings,
            "quantised": method,
            "scored": f"{NETWORK} in ONNX Runtime",
            "converter": report.to_dict(),
            "estimated": {
                "runtime_bytes": estimate.footprint.ram_bytes,
                "model_bytes": estimate.footprint.storage_bytes,
            },
        }
        manifest = manifest.model_copy(
            update={"settings": settings, "footprint": found.footprint.to_dict()}
        )
        write_text(draft / CARD, model_card(manifest))
        manifest.save(draft)
    return Imx500Result(
        folder=out, manifest=manifest, float_scores=float_scores, scores=scores,
        footprint=found.footprint, report=report,
    )  # fmt: skip


def _estimate(graph: Graph, spec: InputSpec, device: Device) -> WeighReport:
    """Weigh what is deployed; raises OverBudgetError for what no size would mend."""
    report = weigh(graph, spec, device)
    if report.refusals:
        raise OverBudgetError(
            f"{device.name} cannot run this network: {'; '.join(report.refusals)}", Verdict()
        )
    if not report.fits:
        log.warning(
            "%s is estimated at %s of %s bytes: the converter will have to find tiles",
            device.name, f"{report.footprint.total_bytes:,}", f"{device.budget.total_bytes:,}",
        )  # fmt: skip
    return report


def _quantised(
    kept: Checkpoint,
    dataset: Dataset,
    file: Path,
    wish: Imx500Wish,
    float_scores: Scores,
    progress: Progress,
) -> tuple[Method, Scores]:
    """Quantise by the quick method, and by the slow one if that lost too much."""
    pictures = calibration_pictures(dataset, kept.input, wish.calibration)
    for method in METHODS:
        progress(f"quantising by {method.upper()}", 0, 1)
        quantise(kept, pictures, file, method=method, output=wish.output)
        scores = score_onnx(file, kept.input, dataset, dataset.split("val"), progress=progress)
        try:
            check_scores(
                float_scores, scores, names=kept.labels.names, file=f"{file.name} by {method}",
                tolerance_points=wish.tolerance_points,
            )  # fmt: skip
        except GateError:
            if method == METHODS[-1]:
                raise
            log.warning(
                "%s loses %.2f mIoU points, allowed are %g. Trying %s, which takes longer",
                method.upper(), 100 * (float_scores.miou - scores.miou), wish.tolerance_points,
                METHODS[-1].upper(),
            )  # fmt: skip
        else:
            return method, scores
    raise AssertionError("unreachable")


def score_onnx(
    file: Path,
    spec: InputSpec,
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    progress: Progress = silent,
) -> Scores:
    """Score a quantised .onnx as the sensor would run it, at the labels' own size.

    Pictures are stretched to the input, as in training and as the sensor does. Ids are enlarged by
    repetition, scores bilinearly.
    """
    keeper = ScoreKeeper(dataset.labels.num_classes)
    done = 0
    for part in _parts(samples):
        loaded = [dataset.load(sample) for sample in part]
        found = label_pictures(file, spec, [image_HWC for image_HWC, _ in loaded])
        for (_, labels_HW), found_HW in zip(loaded, found, strict=True):
            keeper.add(labels_HW, found_HW)
            done += 1
            progress("scoring", done, len(samples))
    return keeper.scores()


def label_pictures(
    file: Path, spec: InputSpec, images: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.uint8]]:
    """Label RGB pictures (H, W, 3) with a quantised .onnx, each at its own size."""
    fitted_NHWC = np.stack(
        [as_channels(resize_image(image, spec.size), spec.channels) for image in images]
    )
    outputs = predict(file, fitted_NHWC, mean=spec.mean, std=spec.std)
    found = []
    for image_HWC, output in zip(images, outputs, strict=True):
        size = image_HWC.shape[0], image_HWC.shape[1]
        is_scores = output.ndim == len("hwC")
        found.append(labels_at(output, size) if is_scores else resize_labels(output, size))
    return found


def _parts(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    rest = iter(samples)
    while part := list(islice(rest, AT_ONCE)):
        yield part


def _too_large(
    report: ConverterReport,
    verdict: Verdict,
    deployed: Deployed,
    spec: InputSpec,
    device: Device,
) -> OverBudgetError:
    if verdict:  # by the converter's word it does not, whatever the sum
        verdict = Verdict(
            (Excess(resource="total", needed=report.total_bytes, allowed=report.available_bytes),)
        )
    tiles = ", nor in tiles" if report.tiled else ""
    return OverBudgetError(
        f"the converter {report.version} finds that the network does not fit {device.name}"
        f"{tiles}: {verdict}. {what_would_fit(deployed, spec, device)} No artifact was written.",
        verdict,
    )


def _manifest(
    kept: Checkpoint, dataset: Dataset, wish: Imx500Wish, draft: Path, scores: tuple[Scores, Scores]
) -> Manifest:
    before, after = scores
    told = after.to_dict(kept.labels.names)
    networks = [_entry(draft / name, wish.output, told) for name in (PACKAGE, NETWORK)]
    others = {
        name: digest
        for name, digest in hashes(draft, draft).items()
        if name not in {PACKAGE, NETWORK}
    }
    manifest = whole_manifest(kept, networks, before, dataset, wish)
    return manifest.model_copy(update={"others": others})


def _entry(path: Path, output: Output, scores: dict[str, Any]) -> NetworkFile:
    return NetworkFile(
        path=path.name, format=ENGINE, precision="int8", input="int8", output=output,
        bytes=path.stat().st_size, sha256=sha256(path), scores=scores,
    )  # fmt: skip

"""The later stages of a run of a study: its files, scored through the runtime.

A file that loses much is a result, not an error: it is scored, its loss is recorded, and it is
not kept as an artifact.
"""

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from frugalseg.compress.catalog import Plan
from frugalseg.core.errors import MissingExtraError, ToolchainError
from frugalseg.core.files import write_text
from frugalseg.core.progress import Progress
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import load_device
from frugalseg.data.dataset import Dataset
from frugalseg.export.quantisation import Quantisation
from frugalseg.metrics.scores import Scores
from frugalseg.runtime.card import model_card
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.workflows.compress_steps import bits_of
from frugalseg.workflows.export import ExportResult, ExportWish, export_checkpoint
from frugalseg.workflows.place import CARD
from frugalseg.workflows.study_file import Job
from frugalseg.workflows.study_made import plan_of
from frugalseg.workflows.study_state import Stage, in_a_line, read
from frugalseg.workflows.study_train import score_records
from frugalseg.workflows.weigh import weigh_file

FORMATS = {"fp32": "litert", "int8": "litert_int8"}
EVERYTHING_POINTS = 100.0
CONVERTERS = ("litert_torch", "ai_edge_quantizer")


def check_converters() -> None:
    """Raise MissingExtraError, before any work, where files cannot be exported here."""
    if missing := [name for name in CONVERTERS if find_spec(name) is None]:
        raise MissingExtraError(
            f"exporting needs {' and '.join(missing)}, which is not installed: pip install"
            " 'frugalseg[export]', or leave that to another machine with --train-only"
        )


def check_wish(job: Job) -> None:
    """Raise what `export` would, before any work: for a toolchain that is missing, above all."""
    try:
        for name in FORMATS:
            _wish(job, name)
    except ToolchainError as wrong:
        raise ToolchainError(
            f"{wrong}; or leave exporting to another machine with --train-only"
        ) from wrong


def export_stage(job: Job, name: str, dataset: Dataset, folder: Path, progress: Progress) -> Stage:
    """Write, score and weigh one file; `reason` says why there is none or it was not kept."""
    draft = folder / f".draft-{name}"
    for left in folder.glob(".draft-*"):  # of a process that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    kept = load_checkpoint(folder / "run")
    before = Scores.from_dict(read(folder / "train.json")["scores"])
    wish = followed(_wish(job, name), plan_of(job, folder)) if name == "int8" else _wish(job, name)
    try:
        made = export_checkpoint(kept, dataset, draft, wish, float_scores=before, progress=progress)
    except (OSError, MissingExtraError, MemoryError):
        raise
    except Exception as wrong:  # a converter raises anything for what it does not know
        return Stage(reason=in_a_line(wrong))
    try:
        return _result(job, name, made, dataset, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _wish(job: Job, name: str) -> ExportWish:
    device = load_device(job.device) if job.device and name == "int8" else None
    return ExportWish(
        formats=(FORMATS[name],), tolerance_points=EVERYTHING_POINTS,
        calibration=job.calibration, device=device,
    )  # fmt: skip


def followed(wish: ExportWish, plan: Plan | None) -> ExportWish:
    """Give weights the bits that a plan says."""
    bits = None if plan is None else bits_of(plan)
    return wish if bits is None else replace(wish, how=Quantisation(bits=bits.bits), plan=bits)


def _result(job: Job, name: str, made: ExportResult, dataset: Dataset, folder: Path) -> Stage:
    """Record what the file is and scores, and keep it as `artifact` if it may be used."""
    machine, file = this_machine(), made.manifest.files[0]
    lost = _lost_points(made)
    records = [
        Record(name=f"{name}/bytes", value=file.bytes, kind="measured", on=machine),
        Record(name=f"{name}/lost_points", value=lost, kind="measured", on=machine),
        *score_records(name, made.scores, dataset, machine),
        *_memory(name, made),
    ]
    if name != "int8":
        return Stage(records=records)
    if not lost <= job.tolerance_points:
        gate = f"loses {lost:.1f} mIoU points, allowed are {job.tolerance_points:g}"
        return Stage(records=records, reason=gate, facts={"gate": "failed"})
    manifest = made.manifest.model_copy(update={"tolerance_points": job.tolerance_points})
    manifest.save(made.folder)
    write_text(made.folder / CARD, model_card(manifest))
    shutil.rmtree(folder / "artifact", ignore_errors=True)
    made.folder.replace(folder / "artifact")
    return Stage(records=records, facts={"gate": "passed"})


def _lost_points(made: ExportResult) -> float:
    return 100 * (made.float_scores.miou - made.scores.miou)


def _memory(name: str, made: ExportResult) -> list[Record]:
    if made.file.suffix != ".tflite":
        return []
    peak = weigh_file(made.file, None).peak_activation_bytes
    return [
        Record(
            name=f"{name}/peak_activation_bytes", value=peak, kind="estimated",
            on="graph of the exported file",
        )
    ]  # fmt: skip

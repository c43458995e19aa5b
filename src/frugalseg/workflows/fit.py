"""The main job: from a folder and a device to an artifact that fits, with its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frugalseg.core.budget import Verdict
from frugalseg.core.errors import ConfigError
from frugalseg.core.files import check_folder
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import Device, load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.report import DataReport
from frugalseg.report.page import write_report
from frugalseg.search.design import design
from frugalseg.search.ladder import Choice
from frugalseg.search.sizes import sizes_from
from frugalseg.training.recipe import Model, Recipe, load_recipe, with_time
from frugalseg.workflows.export import ExportResult, ExportWish, export_checkpoint
from frugalseg.workflows.place import check_place
from frugalseg.workflows.report import report_of
from frugalseg.workflows.train import check_no_run, checked, input_of, train_on


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What `fit` made: the network chosen, the artifact, the report."""

    device: Device
    choice: Choice
    export: ExportResult
    report: Path

    @property
    def artifact(self) -> Path:
        """The artifact's folder."""
        return self.export.folder

    @property
    def verdict(self) -> Verdict:
        """Whether the exported file fits the device."""
        return self.device.check(self.export.footprint)


def fit(
    data: str | Path,
    device: str | Path,
    out: str | Path,
    *,
    time: str | float | None = None,
    size: str | None = None,
    recipe: str | Path = "default",
    set: Sequence[str] = (),
    tolerance: float = 1.0,
    calibration: int = 128,
    output: str | None = None,
    verify: bool = False,
    resume: bool = False,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> FitResult:
    """Give back the most accurate network that fits `device`, trained on `data`, in `out`.

    Checks the data, chooses the largest frugalnet whose estimate fits, and the size of its input
    where neither `size`, "HEIGHTxWIDTH", nor the recipe nor the device names one (from that of
    the pictures, halved until at most 640 px a side, downwards: see `search.design`), trains it
    by the recipe, exports it to int8 through the gate, weighs the real file, and writes
    `out/artifact`, `out/report.html` and `out/run`.

    `data` is a folder or "belt"; its layout (`format`) is recognised unless it is named. `map` is
    a file that merges classes or ignores some (see `data.class_map`).
    `device` and `recipe` are names or files. `time` ("30m", or seconds) and `set`
    ("optimizer.lr=2e-3") override the recipe. `calibration` training pictures set the ranges of
    int8. `output` and `verify` are those of `export`. With `resume`, a run that was cut off in
    `out` goes on.

    Raises OverBudgetError where nothing fits, GateError where int8 loses more than `tolerance`
    mIoU points, ConfigError and DataError before anything is written.
    """
    check_folder(Path(out))
    check_place(Path(out) / "artifact")
    if not resume:
        check_no_run(Path(out) / "run")
    target = load_device(device)
    wish = ExportWish(
        tolerance_points=tolerance, calibration=calibration, device=target, output=output,
        verify=verify,
    )  # fmt: skip
    wanted = load_recipe(recipe, set)
    wanted = wanted if time is None else with_time(wanted, time)
    _check_model(wanted)
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    data_report = checked(dataset, progress)
    sizes = _sizes(size, wanted, target, data_report)
    choice = design(target, sizes, dataset.labels.num_classes)
    progress("chosen", 1, 1, f"frugalnet {_named(choice)} at {choice.input}: {choice.reason}")
    settings = dict(choice.architecture.settings)
    sized = wanted.model_copy(
        update={"input": str(choice.input), "model": Model(settings=settings)}
    )
    folder = Path(out)
    run = train_on(dataset, data_report, sized, folder / "run", resume, progress)
    exported = export_checkpoint(
        run.checkpoint, dataset, folder / "artifact", wish,
        float_scores=run.scores, progress=progress,
    )  # fmt: skip
    result = FitResult(device=target, choice=choice, export=exported, report=folder / "report.html")
    progress("writing the report", 0, 1)
    contents = report_of(dataset, data_report, target, choice, run, exported, progress)
    write_report(contents, result.report)
    return result


def _check_model(recipe: Recipe) -> None:
    """Refuse a recipe that names its own network: `fit` chooses, and would drop it in silence."""
    own = sorted(set(recipe.model.settings) - {"channels"})
    if recipe.model.name != "frugalnet" or own:
        raise ConfigError(
            f"fit chooses a frugalnet and its {', '.join(own) or 'size'} itself: leave `model` out"
            f" of the recipe, or use train and export for {recipe.model.name}"
        )


def _sizes(
    size: str | None, recipe: Recipe, device: Device, report: DataReport
) -> Sequence[InputSpec]:
    """Return the size named on the command line, by the recipe or the device, else some to try."""
    if size is None and recipe.input is None and device.input.default is not None:
        size = device.input.default
    named = recipe if size is None else recipe.model_copy(update={"input": size})
    spec = input_of(named, report)
    return [spec] if named.input else sizes_from(spec, device)


def _named(choice: Choice) -> str:
    settings = choice.architecture.settings
    return f"width {settings['width']}, depth {settings['depth']}"

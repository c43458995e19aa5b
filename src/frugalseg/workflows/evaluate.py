"""Score a checkpoint or an artifact on a split of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.core.labels import LabelSpace
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.class_map import as_trained
from frugalseg.data.dataset import Dataset
from frugalseg.metrics.scores import Scores
from frugalseg.runtime.segmenter import Segmenter, holds_artifact
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.training.validation import Predict, score_split, torch_predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult:
    """Scores on one split, and the classes that they are about."""

    scores: Scores
    labels: LabelSpace

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return self.scores.to_dict(self.labels.names)


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    file: str | None = None,
    format: str | None = None,
    progress: Progress = silent,
) -> EvaluateResult:
    """Score an artifact (as exported, through the runtime) or a checkpoint on one split.

    `file` names a network file of the artifact; by default the one to deploy. Raises ConfigError
    where the classes of model and data differ.
    """
    labels, predict = _predictor(Path(model), file)
    dataset = open_for(labels, data, format=format)
    scores = score_split(dataset, dataset.split(split), predict, progress=progress)
    return EvaluateResult(scores=scores, labels=labels)


def open_for(labels: LabelSpace, data: str | Path, *, format: str | None = None) -> Dataset:
    """Open data as a model with these labels sees it, through its class map if it has one.

    Raises ConfigError where the classes of the data are not those of the model.
    """
    dataset = as_trained(open_dataset(data, format=format), labels)
    if labels.names != dataset.labels.names:
        raise ConfigError(
            f"the model knows {', '.join(labels.names)}; {dataset.root} has"
            f" {', '.join(dataset.labels.names)}"
        )
    return dataset


def _predictor(path: Path, file: str | None) -> tuple[LabelSpace, Predict]:
    if holds_artifact(path):
        segmenter = Segmenter.open(path, file=file)
        return segmenter.labels, segmenter.labels_of
    if path.suffix in {".tflite", ".onnx"}:
        raise ConfigError(f"{path} is scored through its artifact: name the folder, and --file")
    if file is not None:
        raise ConfigError(f"{path} is a checkpoint or a run, without files to choose: drop --file")
    checkpoint = load_checkpoint(path)
    return checkpoint.labels, torch_predictor(checkpoint.network(), checkpoint.input)

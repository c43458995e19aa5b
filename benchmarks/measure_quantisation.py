"""Compare ways to make networks int8 by the scores of their files.

    python benchmarks/measure_quantisation.py --data CAMVID --record quantisation \
        frugalnet=RUN,MORE,QAT,QAT4 bisenet=RUN,MORE,QAT

For each network, RUN is a training, MORE some epochs more of it in float, and QAT as many with
`quantize.name=qat`, both from RUN; QAT4 as well, with 4 bits in `quantize.bits`. Files after
training are made of MORE. All are scored on the validation split, through the runtime. What is
there already is not done again (--out).
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recording import write_records

from frugalseg.compress.mixed import plan_bits
from frugalseg.core.files import write_json
from frugalseg.core.records import Record, this_machine
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.export.calibration import calibration_samples
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.quantisation import PLAIN, Quantisation
from frugalseg.export.rounding import GPTQ
from frugalseg.imaging.resize import as_channels, labels_at, resize_image
from frugalseg.runtime.engines import open_engine
from frugalseg.runtime.manifest import NetworkFile
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint
from frugalseg.training.validation import score_split, torch_predictor
from frugalseg.workflows.bits import sensitivity_of

PICTURES, COUNTS = 128, (8, 32, 512)
MIXED = (0.75, 0.5)  # of what 4 bits everywhere would save


def main() -> None:
    """Measure, print, and write down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", metavar="NAME=RUN,MORE,QAT[,QAT4]")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="keeps what was measured")
    parser.add_argument("--few", action="store_true", help="leave out counts, draws and 4 bits")
    parser.add_argument("--only", nargs="*", default=[""], help="ways that begin with this")
    parser.add_argument("--record", metavar="THEME")
    wish = parser.parse_args()
    torch.set_num_threads(1)
    dataset = open_dataset(wish.data)
    done: dict[str, Any] = json.loads(wish.out.read_text()) if wish.out.exists() else {}
    trained = dict[str, Any]()
    for told in wish.networks:
        name, _, runs = told.partition("=")
        kept = [load_checkpoint(Path(folder)) for folder in runs.split(",")]
        trained[name] = {
            "architecture": kept[0].architecture.to_dict(),
            "input": str(kept[0].input),
            "steps": [one.step for one in kept],
            "batch": kept[0].recipe["batch_size"],
        }
        for way, score in _scores(name, kept, dataset, done, wish):
            done[f"{name}/{way}"] = score
            write_json(wish.out, done)
            print(f"{name:10} {way:24} {score}", flush=True)
    if wish.record:
        records = [
            Record(name=f"{name}/{figure}", value=value, kind="measured", on=this_machine())
            for name, figures in done.items()
            for figure, value in figures.items()
        ]
        settings = {"quantisation": "CamVid val", "pictures": PICTURES, "trained": trained}
        print(write_records(wish.record, "any", records, settings))


def _scores(
    name: str,
    runs: Sequence[Checkpoint],
    dataset: Dataset,
    done: Mapping[str, Any],
    wish: argparse.Namespace,
) -> Iterator[tuple[str, dict[str, float]]]:
    run, more, qat, *_ = runs

    def wanted(way: str) -> bool:
        return f"{name}/{way}" not in done and way.startswith(tuple(wish.only))

    for way, kept in (("float before", run), ("float", more), ("qat float", qat)):
        if wanted(way):
            scores = score_split(
                dataset, dataset.split("val"), torch_predictor(kept.network(), kept.input),
                boundary=False,
            )  # fmt: skip
            yield way, {"miou": 100 * scores.miou}
    for way, kept, samples, how in _ways(runs, dataset, few=wish.few):
        if wanted(way):
            yield way, _file(kept, dataset, samples, how)


def _ways(
    runs: Sequence[Checkpoint], dataset: Dataset, *, few: bool
) -> Iterator[tuple[str, Checkpoint, Sequence[Sample], Quantisation]]:
    _, more, qat, *fewer = runs
    chosen = calibration_samples(dataset, PICTURES)
    yield "ptq minmax", more, chosen, PLAIN
    yield "qat", qat, chosen, PLAIN
    for ranges in ("percentile", "mse", "entropy"):
        yield f"ptq {ranges}", more, chosen, Quantisation(ranges=ranges)
    yield "ptq equalised", more, chosen, Quantisation(equalise=True)
    yield "ptq bias corrected", more, chosen, Quantisation(correct=True)
    yield "ptq gptq", more, chosen, Quantisation(rounding=GPTQ)
    for kept in fewer:
        yield "4 bits, qat", kept, chosen, Quantisation(bits=kept.recipe["quantize"]["bits"])
    if not few:
        yield from _of_counts(more, dataset)
    loss = {} if few else sensitivity_of(more, dataset)
    for share in () if few else (1.0, *MIXED):
        yield f"4 bits, {share:.0%} of saving", more, chosen, _mixed(more, loss, share)
    if not few:
        every = _mixed(more, loss, 1.0)
        yield "4 bits, corrected", more, chosen, replace(every, correct=True)
        yield "4 bits, gptq", more, chosen, replace(every, rounding=GPTQ)
        yield "4 bits, gptq, corrected", more, chosen, replace(every, rounding=GPTQ, correct=True)


def _of_counts(
    kept: Checkpoint, dataset: Dataset
) -> Iterator[tuple[str, Checkpoint, Sequence[Sample], Quantisation]]:
    train = dataset.split("train")
    for count in COUNTS:
        yield f"ptq, {count} pictures", kept, calibration_samples(dataset, count), PLAIN
    for draw in range(3):
        order = np.random.default_rng(draw).permutation(len(train))[:8]
        yield f"ptq, random 8, {draw}", kept, [train[i] for i in order], PLAIN


def _mixed(kept: Checkpoint, loss: Mapping[str, float], share: float) -> Quantisation:
    network, spec, name = kept.network(), kept.input, kept.architecture.name
    whole = plan_bits(network, name, spec, loss, None)
    most = round(whole.before - share * (whole.before - whole.after))
    return Quantisation(bits=plan_bits(network, name, spec, loss, most).bits)


def _pictures(kept: Checkpoint, dataset: Dataset, samples: Sequence[Sample]) -> list[Any]:
    spec = kept.input
    images = (dataset.load(sample)[0] for sample in samples)
    return [as_channels(resize_image(image, spec.size), spec.channels) for image in images]


def _file(
    kept: Checkpoint, dataset: Dataset, samples: Sequence[Sample], how: Quantisation
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.int8.tflite"
        pictures = _pictures(kept, dataset, samples)
        export_litert_int8(kept.network(), kept.input, path, pictures=pictures, how=how)
        file = NetworkFile(
            path=path.name, format="litert", precision="int8", input="int8",
            bytes=path.stat().st_size, sha256="",
        )  # fmt: skip
        engine = open_engine(path, file, kept.input, dataset.labels.num_classes, threads=1)

        def predict(image_HWC: Any) -> Any:
            pixels = as_channels(resize_image(image_HWC, kept.input.size), kept.input.channels)
            return labels_at(engine(pixels), image_HWC.shape[:2])

        scores = score_split(dataset, dataset.split("val"), predict, boundary=False)
        return {"miou": 100 * scores.miou, "bytes": float(path.stat().st_size)}


if __name__ == "__main__":
    main()

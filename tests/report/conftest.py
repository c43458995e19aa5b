"""A small report that tests alter with dataclasses.replace."""

from datetime import UTC, datetime

import numpy as np
import pytest

from frugalseg.core.budget import Budget, Footprint
from frugalseg.core.labels import LabelSpace
from frugalseg.core.records import Record
from frugalseg.metrics.scores import Scores
from frugalseg.report.contents import (
    Example,
    Layer,
    Moment,
    ReportData,
    Target,
    TrainingScore,
    TrainingStep,
    Weighing,
)


@pytest.fixture
def example() -> Example:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return Example(name="a.png", image=pixels, label=pixels, prediction=pixels, miou=0.5)


@pytest.fixture
def data(example: Example) -> ReportData:
    return ReportData(
        title="Belt on a microcontroller",
        created=datetime(2026, 8, 9, 14, 3, tzinfo=UTC),
        target=Target(
            name="mcu-2mb", title="Microcontroller", budget=Budget(total_bytes=2_000_000)
        ),
        labels=LabelSpace.of(["belt", "paper", "nylon"]),
        weighings=[
            Weighing(
                footprint=Footprint(storage_bytes=812_004, ram_bytes=700_000, macs=9),
                source="from the exported file",
            )
        ],
        scores={
            "float": Scores.of([[90, 5, 0], [5, 60, 0], [0, 0, 0]]),
            "int8": Scores.of([[90, 5, 0], [5, 59, 0], [0, 0, 0]], boundary_f1=0.5),
        },
        scored_on="val, 3 pictures",
        gate_points=1.0,
        best=[example],
        worst=[example],
        steps=[TrainingStep(0, 2.0, 1e-3), TrainingStep(10, 1.0, 1e-4)],
        validations=[TrainingScore(10, 0.6)],
        moments=[Moment("conv", 500), Moment("add", 700_000, (("conv:0", 400_000),))],
        layers=[Layer("stem.conv", 900, 880, 10_000)],
        settings={"seed": 0, "recipe": {"optimizer": {"lr": 0.002}}},
        records=[Record(name="val/miou", value=0.8, kind="measured", on="2 cores")],
    )

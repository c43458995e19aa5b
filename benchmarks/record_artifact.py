"""Write down what an artifact scores and needs: what its manifest says, as a record.

    python benchmarks/record_artifact.py OUT/artifact --theme camvid-frugalnet

Scores in a manifest were measured on the exported file through the runtime.
"""

import argparse
from pathlib import Path
from typing import Any

from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.runtime.manifest import Manifest
from frugalseg.workflows.weigh import weigh_file

SCORES = ("miou", "pixel_accuracy", "mean_class_accuracy", "fw_iou", "boundary_f1")


def main() -> None:
    """Read the manifest and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--theme", required=True, help="such as camvid-frugalnet")
    parser.add_argument("--trained-on", default=this_machine(), help="the machine of the training")
    wish = parser.parse_args()
    manifest = Manifest.load(wish.artifact)
    machine, deployed = this_machine(), manifest.files[0]
    records = []
    for form, scores in (("float", manifest.float_scores), (deployed.precision, deployed.scores)):
        for name in SCORES:
            value = (scores or {}).get(name)
            if value is not None:
                records.append(
                    Record(name=f"{form}/{name}", value=value, kind="measured", on=machine)
                )
    records += [
        *_needs(manifest, wish.artifact, machine),
        Record(
            name="training_s",
            value=manifest.training["elapsed_s"],
            kind="measured",
            on=wish.trained_on,
        ),
    ]
    settings = {
        "architecture": manifest.architecture,
        "input": manifest.input,
        "device": manifest.device,
        "scored_on": manifest.scored_on,
        "recipe": manifest.training["recipe"],
        "steps": manifest.training["step"],
        "export": manifest.settings,
    }
    print(write_records(wish.theme, manifest.device or "any", records, settings))


def _needs(manifest: Manifest, folder: Path, machine: str) -> list[Record]:
    """What the device needs for it, and of a .tflite file the peak of its activations."""
    need: dict[str, Any] = manifest.footprint or {}
    named = {"storage_bytes": "file_bytes", "ram_bytes": "ram_bytes", "macs": "macs"}
    records = [
        Record(
            name=named[name],
            value=need[name],
            kind="measured" if name in need["measured"] else "estimated",
            on=machine if name in need["measured"] else "graph of the exported file",
        )
        for name in named
    ]
    path = folder / manifest.files[0].path
    if path.suffix == ".tflite":
        peak = weigh_file(path, device=None).peak_activation_bytes
        records.append(
            Record(
                name="peak_activation_bytes",
                value=peak,
                kind="estimated",
                on="graph of the exported file",
            )
        )
    return records


if __name__ == "__main__":
    main()

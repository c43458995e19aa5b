"""What class ids and execution in bands do to files on TensorFlow Lite Micro, as measured.

    python benchmarks/measure_patches.py FILE.tflite ... --device mcu-2mb --record bands

The files are int8, give scores and are not in bands yet. Each is taken in four forms: as it is, in
bands, with class ids, and with both; bands are those of the least memory (`export.patches`). The
toolchain tflm must be installed: its interpreter tells the arena. Printed is also whether the form
fits the device. A file is called by its name, or by the folder around its artifact.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import load_device
from frugalseg.export.ids import with_ids
from frugalseg.export.patches import patch
from frugalseg.toolchain.tflm import ArenaReport, arena
from frugalseg.workflows.weigh import weigh_file

FORMS = tuple(product(("scores", "ids"), ("whole", "bands")))


def main() -> None:
    """Make the forms of each file, measure them, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--device", default="mcu-2mb", help="which the forms are judged for")
    parser.add_argument("--record", metavar="THEME", help="write it down, such as bands")
    wish = parser.parse_args()
    if len({called(file) for file in wish.files}) < len(wish.files):
        parser.error("two of the files have the same name")
    device = load_device(wish.device)
    records: list[Record] = []
    for file, (output, run) in product(wish.files, FORMS):
        with tempfile.TemporaryDirectory() as folder:
            form = Path(folder) / file.name
            shutil.copyfile(file, form)
            settings = make(form, output, run)
            found = arena(form)
            name = f"{called(file)}/{output}/{run}"
            records += to_records(name, form, found, settings)
            fits = weigh_file(form, device).fits
        told = "  ".join(f"{r.name.split('/')[-1]} {r.value:,}" for r in records[-5:])
        verdict = "fits" if fits else "does not fit"
        print(f"{name:44} {told}  {verdict} {wish.device}  {settings}", flush=True)
    if wish.record:
        versions = {"tflite_micro": found.version, "files": [called(f) for f in wish.files]}
        print(write_records(wish.record, wish.device, records, versions))


def called(file: Path) -> str:
    """Return what a file is called in a record."""
    in_artifact = (file.parent / "manifest.json").exists()
    return file.absolute().parents[1].name if in_artifact else file.stem


def make(form: Path, output: str, run: str) -> dict[str, Any]:
    """Rewrite a file in place; returns in how many bands which operators are computed."""
    if output == "ids":
        with_ids(form)
    if run == "whole":
        return {}
    report = patch(form)
    parts = [f"{part.first}-{part.end - 1} in {part.bands}" for part in report.parts]
    return {"operators": parts, **({"left as it was": report.reason} if report.reason else {})}


def to_records(
    name: str, form: Path, found: ArenaReport, settings: dict[str, Any]
) -> Iterator[Record]:
    """Tell the bytes of the file and of its arena, and its multiply-accumulates."""
    tool = f"tflite_micro {found.version} on {this_machine()}"
    measured = {
        "file_bytes": (form.stat().st_size, this_machine()),
        "head_bytes": (found.head_bytes, tool),
        "tail_bytes": (found.tail_bytes, tool),
        "arena_bytes": (found.total_bytes, tool),
    }
    for what, (value, on) in measured.items():
        yield Record(name=f"{name}/{what}", value=value, kind="measured", on=on, settings=settings)
    macs = weigh_file(form, device=None).macs
    on = "graph of the file"
    yield Record(name=f"{name}/macs", value=macs, kind="estimated", on=on, settings=settings)


if __name__ == "__main__":
    main()

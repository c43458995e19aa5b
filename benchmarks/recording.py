"""Records: how the scripts here write numbers down, each with its origin."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from frugalseg.core.files import write_json
from frugalseg.core.records import Record, this_machine

RECORDS = Path(__file__).parent / "records"
LIBRARIES = ("torch", "ai-edge-litert", "litert-torch", "ai-edge-quantizer", "onnxruntime", "numpy")


def write_records(
    theme: str, device: str, records: Sequence[Record], settings: Mapping[str, Any]
) -> Path:
    """Write `records/<theme>_<device>_<yyyymmdd>.json`; a file that exists is not overwritten."""
    today = datetime.now(UTC).strftime("%Y%m%d")
    path = RECORDS / f"{theme}_{device}_{today}.json"
    if path.exists():
        raise SystemExit(f"{path} exists: records are only ever added, so name another theme")
    values = {
        "theme": theme,
        "date": today,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": this_machine(),
        "commit": _commit(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "settings": dict(settings),
        "records": [record.to_dict() for record in records],
    }
    write_json(path, values)
    return path


def read_records() -> list[dict[str, Any]]:
    """Read all record files, the oldest first."""
    files = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(RECORDS.glob("*.json"))]
    return sorted(files, key=lambda file: (str(file["date"]), str(file.get("recorded", ""))))


def _commit() -> str:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return git.stdout.strip() or "unknown"


def values_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a record file by their names."""
    return {record["name"]: record["value"] for record in file["records"]}

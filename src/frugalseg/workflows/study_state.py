"""What lies in the folder of a run of a study, and how far the run is.

asked.json     what decides on the result
run/           the training
train.json     the float network: its records. Then fp32.json and int8.json, of the files
artifact/      the int8 file, if it passed the gate
result.json    everything together, once all is done
failed.json    why it could not be trained; gone when it could be
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ArtifactError, ConfigError, FrugalsegError, listed
from frugalseg.core.files import write_json
from frugalseg.core.records import Record
from frugalseg.report.wording import flat
from frugalseg.training.log import read_log
from frugalseg.training.recipe import recipe_from
from frugalseg.workflows.study_file import Job

STAGES = ("train", "fp32", "int8")
MAX_BYTES = 10_000_000
LINE = 300  # characters
REMOVE = "Remove it to have this stage done anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage of a run gave: records, and `reason` where it could not give more.

    `facts` are words for the table, `scores` those of the network as `Scores.to_dict` has them.
    """

    records: Sequence[Record] = ()
    reason: str | None = None
    facts: Mapping[str, Any] | None = None
    scores: Mapping[str, Any] | None = None

    def save(self, folder: Path, name: str) -> None:
        """Write `<name>.json`."""
        values = {
            "records": [record.to_dict() for record in self.records],
            "reason": self.reason,
            "facts": dict(self.facts or {}),
            "scores": None if self.scores is None else dict(self.scores),
        }
        write_json(folder / f"{name}.json", values)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a run is. `share` of its training is done; `stages` are complete."""

    done: bool
    stages: tuple[str, ...]
    share: float
    failed: str | None

    @property
    def told(self) -> str:
        """How far, in words."""
        if self.done:
            return "done"
        if self.stages:
            return f"trained; to export: {', '.join(s for s in STAGES if s not in self.stages)}"
        begun = f"training, {self.share:.0%}" if self.share else "not begun"
        return begun if self.failed is None else f"{begun}; failed: {self.failed}"


def state_of(folder: Path) -> State:
    """Look how far the run in `folder` is."""
    rows = read_log(folder / "run" / "metrics.csv")
    failed = folder / "failed.json"
    return State(
        done=(folder / "result.json").is_file(),
        stages=tuple(stage for stage in STAGES if (folder / f"{stage}.json").is_file()),
        share=min(1.0, rows[-1].get("progress", 0.0)) if rows else 0.0,
        failed=str(read(failed)["reason"]) if failed.is_file() else None,
    )


def read(path: Path) -> dict[str, Any]:
    """Read a file of a run; raises ArtifactError where it is not one."""
    try:
        size = path.stat().st_size
        values = json.loads(path.read_text(encoding="utf-8")) if size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as wrong:
        raise ArtifactError(f"cannot read {path}: {wrong}. {REMOVE}") from wrong
    if not isinstance(values, dict):
        raise ArtifactError(f"{path} is not a file of a study: {size:,} bytes. {REMOVE}")
    return values


def begin(job: Job, folder: Path, settings: Sequence[str]) -> None:
    """Write down what is asked of a run that was not begun."""
    if not (folder / "asked.json").exists():
        write_json(folder / "asked.json", job.asked() | {"set": list(settings)})


def finish(job: Job, folder: Path) -> str | None:
    """Write result.json from what the stages gave; say what the run lacks, None if nothing."""
    stages = {name: read(folder / f"{name}.json") for name in STAGES}
    asked = read(folder / "asked.json")
    result = {
        "name": job.name,
        "data": job.data,
        "seed": job.recipe.seed,
        "asked": asked,
        "facts": {key: v for stage in stages.values() for key, v in stage["facts"].items()},
        "reasons": {name: s["reason"] for name, s in stages.items() if s["reason"]},
        "records": [record for stage in stages.values() for record in stage["records"]],
    }
    write_json(folder / "result.json", result)
    return (
        "; ".join(_lacks(folder, name, stage) for name, stage in stages.items() if stage["reason"])
        or None
    )


def _lacks(folder: Path, name: str, stage: Mapping[str, Any]) -> str:
    """Say why there is no file, and how to try again; or why it was not kept."""
    told = f"{name}: {stage['reason']}"
    if stage["records"]:
        return told
    return f"{told} (to try again, remove {name}.json and result.json from {folder})"


def changes(job: Job, folder: Path) -> str | None:
    """Say in what a run that was begun differs from what is asked now; None if in nothing."""
    if not (folder / "asked.json").is_file():
        return None
    before = _as_of_today(read(folder / "asked.json"))
    was, now = dict(flat(before)), dict(flat(job.asked()))
    told = [
        f"{key} was {was.get(key, 'not set')}, is {now.get(key, 'not set')}"
        for key in sorted(was.keys() | now.keys())
        if key != "set" and not key.endswith("recipe.workers") and was.get(key) != now.get(key)
    ]
    return "; ".join(told) or None


def _as_of_today(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is asked as today's is, so that a key that was added since has its default."""
    recipe = recipe_from(asked.get("recipe", {})).model_dump(mode="json")
    needed = {key: _as_of_today(asked[key]) for key in ("of", "teacher") if key in asked}
    if "compress" in asked:
        needed["compress"] = {"rounds": 1, **asked["compress"]}
    return {**asked, "recipe": recipe, **needed}


def refuse_changed(jobs: Sequence[Job], out: Path) -> None:
    """Refuse a study that was changed since some of its runs were begun."""
    told = [f"{job.key}: {said}" for job in jobs if (said := changes(job, out / job.key))]
    if told:
        raise ConfigError(
            f"runs in {out} were begun with other settings. Give the same (--set too), name"
            f" another folder, or remove those of the runs to train them anew{listed(told)}"
        )


def in_a_line(wrong: Exception) -> str:
    """Say in a line what went wrong; converters and torch may fill pages.

    >>> in_a_line(RuntimeError("no such operator\\nfrom ..."))
    'RuntimeError: no such operator'
    """
    text = next(iter(str(wrong).strip().splitlines()), "")[:LINE]
    return text if isinstance(wrong, FrugalsegError) else f"{type(wrong).__name__}: {text}"

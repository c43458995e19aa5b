"""Write the results of a study down, so that tables can be drawn from them.

    python benchmarks/record_study.py OUT/camvid-zoo --record study-camvid-zoo

The folder is the one that `frugalseg study run` wrote. Runs that are not trained are left out; of
those that are not exported there are the scores of the float network.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recording import write_records

from frugalseg.core.records import Record
from frugalseg.report.wording import flat
from frugalseg.workflows.study_state import STAGES

COMMON = ("input", "length.steps", "length.epochs", "length.time", "precision", "batch_size")
FACTS = ("network", "settings", "machine", "classes", "background", "scored_on", "gate")


def main() -> None:
    """Read every trained run, and write one record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--record", metavar="THEME", required=True)
    parser.add_argument(
        "--brief", action="store_true", help="without figures of single classes and of fp32 files"
    )
    parser.add_argument("--with", dest="earlier", metavar="RECORD", type=Path)
    wish = parser.parse_args()
    runs = {path.parent.name: _read(path.parent) for path in wish.study.glob("*/train.json")}
    if not runs:
        raise SystemExit(f"{wish.study}: no trained run in it")
    recipes = {name: dict(flat(run["asked"]["recipe"])) for name, run in runs.items()}
    facts = {name: _facts(run, recipes[name]) for name, run in runs.items()}
    records = [
        Record(name=f"{name}/{r['name']}", value=r["value"], kind=r["kind"], on=r["on"])
        for name, run in sorted(runs.items())
        for stage in run["stages"].values()
        for r in stage["records"]
        if not (wish.brief and ("/iou/" in r["name"] or r["name"].startswith("fp32/")))
    ]
    if wish.earlier:
        before = json.loads(wish.earlier.read_text("utf-8"))
        for name, run in before["settings"]["runs"].items():
            facts[name], recipes[name] = run, {**before["settings"]["budget"], **run["own"]}
        records += [Record(**record) for record in before["records"]]
    same = dict(_same([recipe for name, recipe in recipes.items() if not facts[name].get("of")]))
    if missing := [key for key in COMMON if key not in same]:
        raise SystemExit(f"{wish.study}: its runs differ in {missing}; they are no one table")
    for name, recipe in recipes.items():
        own = {
            key: value for key, value in recipe.items() if key != "seed" and same.get(key) != value
        }
        facts[name] = {**facts[name], "own": own}
    settings = {"budget": same, "runs": dict(sorted(facts.items()))}
    print(write_records(wish.record, "any", records, settings))


def _read(folder: Path) -> dict[str, Any]:
    files = {name: folder / f"{name}.json" for name in (*STAGES, "asked")}
    found = {
        name: json.loads(path.read_text("utf-8")) for name, path in files.items() if path.exists()
    }
    asked = found.pop("asked")
    return {"folder": folder.name, "asked": asked, "stages": found}


def _same(recipes: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the keys of the recipe that all runs have alike, but for the seed.

    A key that an older recipe lacks did not exist: it had the value that is the default now.
    """
    for key, value in recipes[0].items():
        if key != "seed" and all(recipe.get(key, value) == value for recipe in recipes):
            yield key, value


def _facts(run: Mapping[str, Any], recipe: Mapping[str, str]) -> dict[str, Any]:
    facts = {
        key: value for stage in run["stages"].values() for key, value in stage["facts"].items()
    }
    data, seed = run["asked"]["data"], recipe["seed"]
    return {
        "name": run["folder"].removeprefix(f"{data}-").removesuffix(f"-s{seed}"),
        "data": data,
        "seed": int(seed),
        **{key: facts.get(key) for key in FACTS},
        "of": run["asked"].get("of", {}).get("name"),
        "compress": run["asked"].get("compress"),
        "reasons": {n: stage["reason"] for n, stage in run["stages"].items() if stage["reason"]},
    }


if __name__ == "__main__":
    main()

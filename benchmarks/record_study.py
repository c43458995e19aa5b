"""Write the results of a study down, so that tables can be drawn from them.

    python benchmarks/record_study.py OUT/camvid-zoo --record study-camvid-zoo

The folder is the one that `frugalseg study run` wrote. Runs that are not finished are left out.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from recording import write_records

from frugalseg.core.records import Record

BUDGET = ("input", "length", "precision", "augment", "batch_size", "validations")


def main() -> None:
    """Read every finished run, and write one record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--record", metavar="THEME", required=True)
    wish = parser.parse_args()
    results = [json.loads(p.read_text("utf-8")) for p in sorted(wish.study.glob("*/result.json"))]
    if not results:
        raise SystemExit(f"{wish.study}: no finished run in it")
    budgets = [{key: result["asked"]["recipe"][key] for key in BUDGET} for result in results]
    if any(budget != budgets[0] for budget in budgets):
        raise SystemExit(f"{wish.study}: its runs had different budgets; they are no one table")
    runs = {_name(result): _facts(result) for result in results}
    records = [
        Record(name=f"{_name(result)}/{record['name']}", value=record["value"],
               kind=record["kind"], on=record["on"])
        for result in results for record in result["records"]
    ]  # fmt: skip
    print(write_records(wish.record, "any", records, {"budget": budgets[0], "runs": runs}))


def _name(result: dict[str, Any]) -> str:
    return f"{result['data']}-{result['name']}-s{result['seed']}"


def _facts(result: dict[str, Any]) -> dict[str, Any]:
    kept = ("network", "settings", "machine", "scored_on", "gate")
    facts = {key: result["facts"].get(key) for key in kept}
    return {"name": result["name"], **facts, "reasons": result["reasons"]}


if __name__ == "__main__":
    main()

"""Tables of studies, from the records that `record_study.py` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from recording import read_records

from frugalseg.core.records import Record
from frugalseg.report.columns import COLUMNS, expanded
from frugalseg.report.study_table import Row, Run, StudyTable, markdown
from frugalseg.report.wording import flat
from frugalseg.workflows.study_file import load_study
from frugalseg.workflows.study_table import drawing

BUDGET = {
    "input": "input {}",
    "augment.crop": "crops of {}",
    "batch_size": "batches of {}",
    "length.epochs": "{} epochs",
    "length.steps": "{} steps",
    "length.time": "{} s of one core",
    "precision": "{}",
}


def study(name: str, best: str, *, theme: str | None = None) -> str:
    """One table for each data set of the newest record of a study, the best by a column first.

    `theme` names a record that is not called as the study.
    """
    file = _newest(theme or name)
    runs = file["settings"]["runs"]
    whose = "all that start from scratch" if any(f.get("of") for f in runs.values()) else "all"
    return (
        "\n\n".join(map(markdown, _tables(name, best, file)))
        + f"\n- {_budget(dict(flat(file['settings']['budget'])), whose)}\n"
    )


def picture(name: str, network: str) -> str:
    """Scores over bytes of all that a study with one data set made of a network, as SVG."""
    (table,) = _tables(name, "miou_int8", _newest(name))
    runs = {row.name: row.runs[0].facts for row in table.rows}
    rows = [row for row in table.rows if _first(runs, row.name) == network]
    short = [replace(row, name=row.name.replace(f"-{network}", "")) for row in rows]
    return drawing(replace(table, title=f"{name}, {network}", rows=tuple(short)), "bytes")


def ways(theme: str) -> str:
    """One row for each way to make a network smaller, one column for each of a study's networks."""
    file = _newest(theme)
    runs = {facts["name"]: facts for facts in file["settings"]["runs"].values()}
    values: dict[tuple[str, str], list[float]] = {}
    for record in file["records"]:
        run, _, figure = record["name"].partition("/")
        name = file["settings"]["runs"][run]["name"]
        values.setdefault((name, figure), []).append(record["value"])
    cells: dict[tuple[str, str], str] = {}
    for name, facts in runs.items():
        network = _first(runs, name)
        if (name, "int8/miou") in values:
            miou, size = (fmean(values[name, f"int8/{figure}"]) for figure in ("miou", "bytes"))
            told = "" if facts["gate"] == "passed" else ", gate failed"
            way = name.replace(f"-{network}", "") if facts["of"] else ""
            cells[way, network] = f"{100 * miou:.1f}, {size / 1000:,.0f} kB{told}"
    networks = list(dict.fromkeys(network for way, network in cells if way))
    rows = [f"| | {' | '.join(networks)} |", "|---" * (len(networks) + 1) + "|"]
    for way in sorted({way for way, network in cells if network in networks}):
        told = " | ".join(cells.get((way, network), "") for network in networks)
        rows.append(f"| {way or 'before'} | {told} |")
    return "\n".join(rows) + "\n"


def _first(runs: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Return the name of the run that a run goes back to, which is of no other."""
    while runs[name]["of"]:
        name = runs[name]["of"]
    return name


def _newest(theme: str) -> dict[str, Any]:
    return [file for file in read_records() if file["theme"] == f"study-{theme}"][-1]


def _tables(name: str, best: str, file: Mapping[str, Any]) -> list[StudyTable]:
    found: dict[str, dict[str, Record]] = {run: {} for run in file["settings"]["runs"]}
    for record in file["records"]:
        run, _, figure = record["name"].partition("/")
        found[run][figure] = Record(**{**record, "name": figure})
    runs = file["settings"]["runs"]
    tables = []
    for data in dict.fromkeys(_data(run, facts) for run, facts in runs.items()):
        own = {run: facts for run, facts in runs.items() if _data(run, facts) == data}
        tables.append(_table(f"{name}, {data}", name, own, found, best))
    return tables


def _data(run: str, facts: Mapping[str, Any]) -> str:
    return str(facts.get("data") or run.partition("-")[0])


def _table(
    title: str,
    study_name: str,
    runs: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Record]],
    best: str,
) -> StudyTable:
    rows = [
        Row(
            name=name,
            runs=tuple(
                Run(records=found[run], facts=facts)
                for run, facts in runs.items()
                if facts["name"] == name
            ),
        )
        for name in dict.fromkeys(facts["name"] for facts in runs.values())
    ]
    first = next(iter(runs.values()))
    columns = expanded(
        load_study(study_name).sheet.columns, first.get("classes") or (), first.get("background")
    )
    rows.sort(key=lambda row: -fmean(row.values(COLUMNS[best]) or [0.0]))
    measured = {
        key: column
        for key, column in columns.items()
        if any(row.records(column) or (column.fact and row.words(column)) for row in rows)
    }
    return StudyTable(title=title, rows=tuple(rows), columns=measured, notes=_notes(runs))


def _notes(runs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Say on how many pictures runs were scored, and which of them lack a file and why."""
    scored: Sequence[str] = [*dict.fromkeys(facts["scored_on"] for facts in runs.values())]
    lacks = [
        f"{facts['name']}, {stage}: {reason}"
        for facts in runs.values()
        for stage, reason in facts["reasons"].items()
    ]
    return (f"scored on {', '.join(scored)}", *lacks)


def _budget(budget: Mapping[str, str], whose: str) -> str:
    told = [
        text.format(budget[key])
        for key, text in BUDGET.items()
        if budget.get(key, "none") != "none"
    ]
    return f"for {whose}: {', '.join(told)}"

"""The table of a study, from the results there are, as Markdown, CSV or LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any

from frugalseg.core.records import Record
from frugalseg.report.columns import Column

NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one run: its records by name, its facts, and `notes` on what is missing."""

    records: Mapping[str, Record]
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table: a run of the study, over its seeds. `state` where it is not done."""

    name: str
    runs: tuple[Run, ...]
    state: str | None = None

    def values(self, column: Column) -> list[float]:
        """The numbers of a column, one for each seed that has it."""
        return [r.value * column.scale for r in self.records(column)]

    def records(self, column: Column) -> list[Record]:
        """The record that is shown of each seed that has one."""
        named = (
            next((run.records[n] for n in column.records if n in run.records), None)
            for run in self.runs
        )
        return [record for record in named if record is not None]

    def words(self, column: Column) -> str:
        """The text of a column of facts."""
        said = [str(run.facts[column.fact]) for run in self.runs if run.facts.get(column.fact)]
        return "; ".join(dict.fromkeys(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTable:
    """A table, with what its numbers are and where they come from."""

    title: str
    rows: tuple[Row, ...]
    columns: Mapping[str, Column]
    notes: tuple[str, ...] = field(default=())


def markdown(table: StudyTable) -> str:
    """Write a Markdown table with its notes below."""
    head, *body = _lines(table)
    rule = ["---:" if column.records else "---" for column in table.columns.values()]
    lines = [head, ["---", *rule, *["---"] * (len(head) - 1 - len(rule))], *body]
    shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [*origins(table), *table.notes]
    return "\n".join([f"**{table.title}**", "", *shown, "", *(f"- {note}" for note in notes)])


def comma_separated(table: StudyTable) -> str:
    """Write plain numbers: means, standard deviations over seeds, and where they come from."""
    spreads = any(len(row.runs) > 1 for row in table.rows)
    head = ["name", "seeds", "state"]
    for name, column in table.columns.items():
        head += [name, f"{name} sd"] if column.records and spreads else [name]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*head, "measured on", "estimated"])
    for row in table.rows:
        line = [row.name, str(len(row.runs)), row.state or "done"]
        for column in table.columns.values():
            numbers = _numbers(row.values(column))[: 2 if spreads else 1]
            line += numbers if column.records else [row.words(column)]
        writer.writerow([*line, *_origin(row, table)])
    return stream.getvalue().rstrip("\n")


def latex(table: StudyTable) -> str:
    """Write a tabular with the rules of booktabs; notes are comments."""
    columns = table.columns.values()
    lines = _lines(table)
    head, *body = [" & ".join(map(_escaped, line)) + r" \\" for line in lines]
    kinds = "l" + "".join("r" if column.records else "l" for column in columns)
    notes = [*origins(table), *table.notes]
    return "\n".join(
        [
            f"% {table.title}; needs \\usepackage{{booktabs}}",
            rf"\begin{{tabular}}{{{kinds.ljust(len(lines[0]), 'l')}}}",
            r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}",
            *(f"% {' '.join(note.split())}" for note in notes),
        ]
    )  # fmt: skip


FORMATS: Mapping[str, Callable[[StudyTable], str]] = MappingProxyType(
    {"markdown": markdown, "csv": comma_separated, "latex": latex}
)


def origins(table: StudyTable) -> list[str]:
    """Say of all numbers shown whether they were measured or estimated, and on what."""
    titles: dict[tuple[str, str], dict[str, None]] = {}
    for column in table.columns.values():
        for row in table.rows:
            for record in row.records(column):
                titles.setdefault((record.kind, record.on), {})[column.title] = None
    lines = [f"{kind} on {on}: {', '.join(named)}" for (kind, on), named in titles.items()]
    if any(len(row.runs) > 1 for row in table.rows):
        lines.append("± is the standard deviation over seeds, where there are several")
    return lines


def figure(values: Sequence[float], digits: int) -> str:
    """Write a mean, with the spread where values differ.

    >>> figure([62.0, 63.0], 1), figure([1500, 1500], 0), figure([], 0)
    ('62.5 ± 0.7', '1,500', '-')
    """
    if not values:
        return NONE
    mean = f"{fmean(values):,.{digits}f}"
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{mean} ± {spread:.{max(digits, 1)}f}" if spread else mean


def _lines(table: StudyTable) -> list[list[str]]:
    """The head and each row as text; what is not done says how far it is in a column more."""
    lines = [["", *(column.title for column in table.columns.values())]]
    lines += [[row.name, *(_cell(row, c) for c in table.columns.values())] for row in table.rows]
    if any(row.state for row in table.rows):
        states = ["state", *(row.state or "done" for row in table.rows)]
        lines = [[*line, state] for line, state in zip(lines, states, strict=True)]
    return lines


def _cell(row: Row, column: Column) -> str:
    if column.records:
        return figure(row.values(column), column.digits)
    return row.words(column) or NONE


def _numbers(values: Sequence[float]) -> list[str]:
    """Write mean and standard deviation so that nothing is lost."""
    spread = f"{stdev(values):.6g}" if len(values) > 1 else ""
    return [f"{fmean(values):.10g}" if values else "", spread]


def _origin(row: Row, table: StudyTable) -> list[str]:
    """Name what the row was measured on, and which of its columns are estimates."""
    shown = {name: row.records(column) for name, column in table.columns.items()}
    measured = (r.on for records in shown.values() for r in records if r.kind == "measured")
    estimated = (n for n, records in shown.items() if any(r.kind == "estimated" for r in records))
    return ["; ".join(dict.fromkeys(measured)), " ".join(estimated)]


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "±": r"$\pm$", "~": r"\textasciitilde{}"}
    special |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(special.get(sign, sign) for sign in text)

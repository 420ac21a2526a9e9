"""Figures as a Markdown table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure

COLUMNS: Final = ("figure", "median", "min - max", "n", "target", "", "notes")
PREAMBLE: Final = (
    "What was measured is the agent as it is installed: a wheel in a virtual environment of its own, "
    "compiled to bytecode, started with `python -I -m entrypoints.agent`, and driven by a small "
    "control plane on the loopback interface. A container without a health check counts as running "
    "after 0.1 s (AGENT_SETTLE_TIME), where the default is 2 s. The control plane is installed in the "
    "same way, with its extra, and keeps its data in SQLite on the same disk; its agents are simulated "
    "(`tests/fleet`), in processes of their own on the same machine, and use keys. The bare server is "
    "what the websockets library does on uvloop, and does nothing but send back what it hears; it is "
    "measured in the same run. `n` counts measurements; a verdict is "
    "on the median unless the notes say otherwise, and nothing fails because of one. A MiB is "
    "1,048,576 bytes."
)


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of one benchmark, under its title."""

    title: str
    figures: Sequence[Figure]


def document(
    groups: Sequence[Group], *, machine: Mapping[str, str], commands: Sequence[str]
) -> str:
    """The whole of RESULTS.md."""
    lines = [
        "# Benchmark results",
        "",
        "Written by the benchmarks; do not edit. To measure again, on a machine with Docker Engine:",
        "",
        *(f"    {command}" for command in commands),
        "",
        PREAMBLE,
        "",
        *(f"- {name}: {value}" for name, value in machine.items()),
        "",
    ]
    for group in groups:
        lines += [f"## {group.title}", "", *table(group.figures), ""]
    return "\n".join(lines)


def table(figures: Sequence[Figure]) -> list[str]:
    """The lines of a table with a row a figure."""
    rows = [COLUMNS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _cells(figure: Figure) -> tuple[str, ...]:
    sample, unit = figure.sample, figure.unit
    spread = f"{unit.text(sample.low)} - {unit.text(sample.high)}" if len(sample.values) > 1 else ""
    cells = (
        figure.name,
        unit.text(sample.median),
        spread,
        str(len(sample.values)),
        figure.target.text(unit) if figure.target else "",
        figure.verdict,
        figure.note,
    )
    return tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in cells)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"

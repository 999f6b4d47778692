"""Write results as Markdown, JSON and SVG to docs/benchmarks/, with a description of the machine."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
_COLOURS = ("#0b62a4", "#d1495b", "#3b8f5a", "#8d6a9f", "#c98b1b", "#555555")


class Target(NamedTuple):
    """A target, its limit (`asked`), the measured figure, and whether the figure meets the limit."""

    what: str
    asked: str
    measured: str
    met: bool


def at_most(what: str, most: float, measured: float, unit: str) -> Target:
    """The target that a figure is at most `most`."""
    return Target(what, f"≤ {most:,g} {unit}", f"{number(measured)} {unit}", bool(measured <= most))


def at_least(what: str, least: float, measured: float, unit: str) -> Target:
    """The target that a figure is at least `least`."""
    return Target(what, f"≥ {least:,g} {unit}", f"{number(measured)} {unit}", bool(measured >= least))


class Line(NamedTuple):
    """A line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


Figures: TypeAlias = Mapping[str, Any]
"""The measured figures, as stored in the JSON file."""


class Part(NamedTuple):
    """A part of a page: its title, the function that measures it (`quick` or not), its targets and its lines."""

    title: str
    measure: Callable[[bool], Figures]
    targets: Callable[[Figures], Sequence[Target]]
    lines: Callable[[Figures], Sequence[str]]


def machine(*packages: str) -> dict[str, Any]:
    """A description of this machine, with the versions of these packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "commit": _commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def machine_sentence(machine: Mapping[str, Any]) -> str:
    """The description of a machine as a sentence."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"Python {machine['python']}, {packages}."
    )


def opening(title: str, readers: str, command: str, machine: Mapping[str, Any]) -> list[str]:
    """The first lines of a page: its readers, the command that writes it, and the machine."""
    return [
        f"# {title}, measured",
        "",
        readers,
        "",
        f"Written by `./scripts/{command}`; do not edit.",
        machine_sentence(machine),
    ]


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["", *("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines), ""]


def targets(all_targets: Sequence[Target]) -> list[str]:
    """The table of targets, with whether each one is met."""
    rows = [(each.what, each.asked, each.measured, "met" if each.met else "**not met**") for each in all_targets]
    return table(("target", "required", "measured", ""), rows)


def write(name: str, lines: Sequence[str], results: Mapping[str, Any]) -> None:
    """Write NAME.md and NAME.json, and print NAME.md."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"
    (FOLDER / f"{name}.md").write_text(text, "utf-8")
    (FOLDER / f"{name}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(text)


def number(value: float) -> str:
    """A number with three significant digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def plot(name: str, title: str, across: str, up: str, lines: Sequence[Line], *, log_across: bool = True) -> None:
    """Write NAME.svg: lines on two axes. The vertical axis is logarithmic."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(_svg(title, across, up, lines, log_across), "utf-8")


def _svg(title: str, across: str, up: str, lines: Sequence[Line], log_across: bool) -> str:
    width, height, left, right, top, bottom = 720, 400, 70, 170, 40, 50
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)))
    if low == high:
        high *= 10

    def scaled(value: float, begin: float, end: float, logarithmic: bool) -> float:
        if logarithmic:
            value, begin, end = math.log10(value), math.log10(begin), math.log10(end)
        return (value - begin) / ((end - begin) or 1)

    def at_x(value: float) -> float:
        return left + scaled(value, min(xs), max(xs), log_across) * (width - left - right)

    def at_y(value: float) -> float:
        return height - bottom - scaled(value, low, high, True) * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>",
    ]
    exponent = round(math.log10(low))
    while 10.0**exponent <= high * 1.0001:
        y = at_y(10.0**exponent)
        parts.append(f'<path d="M{left} {y:.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(10.0**exponent)}</text>')
        exponent += 1
    for x in sorted(set(xs)):
        parts.append(f'<path d="M{at_x(x):.1f} {top}V{height - bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{at_x(x):.1f}" y="{height - bottom + 17}" text-anchor="middle">{_short(x)}</text>')
    ends = sorted(range(len(lines)), key=lambda i: at_y(lines[i].points[-1][1]))
    labels: dict[int, float] = {}
    for i in ends:
        labels[i] = max([at_y(lines[i].points[-1][1]) + 4, *(y + 14 for y in labels.values())])
    for i, line in enumerate(lines):
        colour = _COLOURS[i % len(_COLOURS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line.points]
        end = at_x(line.points[-1][0]) + 8
        parts.append(f'<text x="{end:.1f}" y="{labels[i]:.1f}" fill="{colour}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _short(value: float) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    name, family, model = fields.get("model name", platform.processor()), fields.get("cpu family"), fields.get("model")
    extra = " with AVX-512 VPOPCNTDQ" if "avx512_vpopcntdq" in fields.get("flags", "") else ""
    return f"{name} (family {family}, model {model}){extra}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return revision.stdout.strip() or "unknown"

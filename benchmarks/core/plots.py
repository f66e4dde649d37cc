"""Plots of benchmark rows, the same bytes for the same rows: the only module that imports matplotlib."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.core.rows import Row, figure
from harness.core.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The package that draws, of the extra `bench`.
PLOTTER = "matplotlib"
#: Colors of M. Okabe and K. Ito, "Color Universal Design" (2008): which the color-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
REACHED, MISSED = COLORS[0], COLORS[1]
#: Of text, in points.
FONT = 9
DPI = 120
#: Characters of a line of the bars' names, and of the headings above them.
NAME, HEADING = 44, 108
#: Inches that a line of text takes, and the plot's width.
LINE, WIDTH = 0.19, 11.0
#: Panels beside each other in `frontier`.
COLUMNS = 4
#: What `latencies` marks.
PERCENTILES = (50, 95, 99)
#: Ratios below are drawn here, as the label has the number: the axis is logarithmic and has no 0.
LEAST = 0.1
#: What the axis of ratios may be marked with.
TICKS = [digit * 10.0**power for power in range(-1, 4) for digit in (1, 2, 5)]
#: Settings under which every plot is drawn; the salt makes the ids within an SVG repeat.
SETTINGS = {"font.family": "DejaVu Sans", "font.size": FONT, "svg.hashsalt": "harness", "svg.fonttype": "path"}


@dataclass(frozen=True, slots=True)
class Point:
    """One variant of a model on one script: what it scores, and how fast it is."""

    variant: str
    script: str
    #: In percent.
    score: float
    #: Useful tokens a second.
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line of a forest plot, in points; `low` and `high` are None where no interval is known."""

    heading: str
    name: str
    value: float
    low: float | None
    high: float | None
    #: Whether the line is one that decides.
    primary: bool


def _packages() -> tuple[Any, type["Figure"]]:
    try:
        import matplotlib as package
        from matplotlib.figure import Figure as Drawn
    except ImportError as error:
        raise MissingExtra(error.name or PLOTTER, "bench") from error
    return package, Drawn


def _save(drawn: "Figure", path: Path) -> None:
    """Write an image whole or not at all, without the time and the versions that formats would put in."""
    kind = path.suffix.removeprefix(".")
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        metadata: dict[str, str | None] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        drawn.savefig(draft, format=kind, dpi=DPI, bbox_inches="tight", metadata=metadata)
        draft.replace(path)


def ratios(rows: Sequence[Row], path: Path) -> None:
    """Draw each row as a bar that starts at 1, to the right where we are ahead.

    Works are headings, baselines name the bars; the label holds the ratio, our figure and the scores. A black
    tick stands at the target ratio, and what misses it has another color.

    Args:
        rows: what was measured; at least one.
        path: the image, ``.png`` or ``.svg``.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _packages()
    if not rows:
        message = "there are no rows to draw"
        raise ValueError(message)
    with package.rc_context(SETTINGS):
        drawn = drawing(figsize=(WIDTH, 1.0))
        axes = drawn.subplots()
        heights, names, height = _lines(axes, rows)
        drawn.set_figheight(LINE * height + 0.6)
        _bars(axes, rows, heights)
        _frame(axes, heights, names, height)
        _save(drawn, path)


def _lines(axes: "Axes", rows: Sequence[Row]) -> tuple[list[float], list[str], float]:
    """Write the headings; return where each row's bar is, its name, and how many lines there are."""
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(f"{row.work}, {row.unit}", []).append(number)
    heights, names = [0.0] * len(rows), [""] * len(rows)
    line = 0.0
    for title, members in groups.items():
        heading = textwrap.fill(title, HEADING, break_on_hyphens=False)
        # Flush left over the names as well, whose widths are not known before they are drawn.
        axes.annotate(
            heading, (0, line), xycoords=("axes fraction", "data"), xytext=(-270, 0), textcoords="offset points",
            va="top", weight="bold", annotation_clip=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
        line += heading.count("\n") + 1.4
        for member in members:
            names[member] = textwrap.fill(rows[member].baseline, NAME, break_on_hyphens=False)
            lines = names[member].count("\n") + 1.0
            heights[member] = line + lines / 2
            line += lines + 0.6
        line += 0.6
    return heights, names, line


def _bars(axes: "Axes", rows: Sequence[Row], heights: Sequence[float]) -> None:
    for row, y in zip(rows, heights, strict=True):
        end = max(row.ratio, LEAST)
        color = MISSED if row.reached is False else REACHED
        axes.barh(y, end - 1, left=1, height=0.9, color=color)
        axes.plot(end, y, "o", color=color, markersize=4)
        right = end if row.target is None else max(end, row.target)
        if row.target is not None:
            axes.vlines(row.target, y - 0.75, y + 0.75, color="black", linewidth=2, zorder=3)
        axes.annotate(_label(row), (max(right, 1), y), xytext=(7, 0), textcoords="offset points", va="center", zorder=4)


def _label(row: Row) -> str:
    label = f"{row.ratio:.2f} x   ours {figure(row.ours)}"
    if row.score_ours is not None:
        theirs = "" if row.score_baseline is None else f", theirs {row.score_baseline:.2f}"
        label += f"   score {row.score_ours:.2f}{theirs}"
    if row.target is not None:
        label += f"   target {row.target:g} x {'reached' if row.reached else 'MISSED'}"
    return label


def _frame(axes: "Axes", heights: Sequence[float], names: Sequence[str], height: float) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, 2.0))
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g} x" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_yticks(list(heights), list(names))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(height, -0.4)
    axes.set_xlabel("ratio, ours over the baseline; black tick: target")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def forest(differences: Sequence[Difference], title: str, path: Path) -> None:
    """Draw differences with their intervals, one below the other under headings, beside a line at no difference.

    Args:
        differences: at least one; those of one heading stand together.
        title: above the plot.
        path: the image, ``.png`` or ``.svg``.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _packages()
    if not differences:
        message = "there are no differences to draw"
        raise ValueError(message)
    headings = list(dict.fromkeys(each.heading for each in differences))
    with package.rc_context(SETTINGS):
        drawn = drawing(figsize=(WIDTH * 0.75, LINE * 1.5 * (len(differences) + len(headings)) + 0.9))
        axes = drawn.subplots()
        places, names, line = [], [], 0.0
        for heading in headings:
            axes.annotate(
                heading, (0, line), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                va="center", weight="bold", annotation_clip=False,
            )  # fmt: skip
            for each in (one for one in differences if one.heading == heading):
                line += 1
                color = COLORS[1] if each.primary else COLORS[0]
                if each.low is not None and each.high is not None:
                    axes.hlines(line, each.low, each.high, color=color, linewidth=3 if each.primary else 1.5)
                axes.plot(each.value, line, MARKERS[2] if each.primary else MARKERS[0], color=color, markersize=6)
                places.append(line)
                names.append(each.name)
            line += 1
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(places, names)
        axes.set_ylim(line - 0.3, -0.7)
        axes.grid(axis="x", linewidth=0.4)
        axes.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.set_xlabel("points, with the 95 % interval")
        axes.set_title(title, loc="left")
        _save(drawn, path)


def frontier(points: Sequence[Point], path: Path) -> None:
    """Draw accuracy against throughput, a panel for each script and a mark for each variant.

    A line joins the variants that no other one beats on both axes: the frontier.

    Args:
        points: one for each variant and script; at least one.
        path: the image, ``.png`` or ``.svg``.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _packages()
    if not points:
        message = "there are no points to draw"
        raise ValueError(message)
    scripts = list(dict.fromkeys(point.script for point in points))
    variants = list(dict.fromkeys(point.variant for point in points))
    style = {
        name: (MARKERS[number % len(MARKERS)], COLORS[number % len(COLORS)]) for number, name in enumerate(variants)
    }
    columns = min(COLUMNS, len(scripts))
    lines = -(-len(scripts) // columns)
    with package.rc_context(SETTINGS):
        drawn = drawing(figsize=(2.7 * columns + 0.8, 2.2 * lines + 1.0), layout="constrained")
        panels = list(drawn.subplots(lines, columns, sharex=True, squeeze=False).flat)
        for panel in panels[len(scripts) :]:
            panel.remove()
        for number, script in enumerate(scripts):
            _panel(panels[number], script, [point for point in points if point.script == script], style)
            # The last panel of each column; those below it were removed.
            panels[number].tick_params(labelbottom=number + columns >= len(scripts))
        drawn.supxlabel("useful tokens/s")
        drawn.supylabel("score, percent")
        drawn.legend(
            handles=[
                package.lines.Line2D([], [], marker=marker, color=color, linestyle="", label=name)
                for name, (marker, color) in style.items()
            ],
            loc="outside upper center",
            ncols=min(4, len(variants)),
            frameon=False,
        )
        _save(drawn, path)


def latencies(seconds: Sequence[float], path: Path) -> None:
    """Draw the share of requests that were answered within a time.

    Args:
        seconds: the latency of each request; at least one.
        path: the image, ``.png`` or ``.svg``.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _packages()
    if not seconds:
        message = "there are no latencies to draw"
        raise ValueError(message)
    ordered = sorted(seconds)
    with package.rc_context(SETTINGS):
        drawn = drawing(figsize=(7.0, 3.6), layout="constrained")
        axes = drawn.subplots()
        shares = [100 * (number + 1) / len(ordered) for number in range(len(ordered))]
        axes.step([1000 * value for value in ordered], shares, where="post", color=REACHED)
        for percent in PERCENTILES:
            within = 1000 * ordered[-(-len(ordered) * percent // 100) - 1]
            axes.axvline(within, color="gray", linewidth=0.8, linestyle=":")
            axes.annotate(f"p{percent} {within:,.0f} ms", (within, 3), rotation=90, ha="right", va="bottom")
        axes.set_xscale("log")
        axes.set_ylim(0, 100)
        axes.set_xlabel("latency, ms")
        axes.set_ylabel(f"of {len(ordered):,} requests, percent")
        axes.grid(visible=True, color="0.9", linewidth=0.6)
        _save(drawn, path)


def best(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats on score and rate, fastest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.rate, -point.score)):
        if not kept or point.score > kept[-1].score:
            kept.append(point)
    return kept


def _panel(axes: "Axes", script: str, points: Sequence[Point], style: Mapping[str, tuple[str, str]]) -> None:
    edge = best(points)
    axes.plot([point.rate for point in edge], [point.score for point in edge], color="gray", linewidth=1, zorder=1)
    for point in points:
        marker, color = style[point.variant]
        axes.scatter(point.rate, point.score, marker=marker, color=color, s=36, zorder=2)
    axes.set_title(script, fontsize=FONT + 1, weight="bold")
    axes.margins(0.15)
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    # A panel whose scores are all equal would else have an axis in millionths of a point.
    low, high = axes.get_ylim()
    middle, half = (low + high) / 2, max((high - low) / 2, 0.5)
    axes.set_ylim(middle - half, middle + half)

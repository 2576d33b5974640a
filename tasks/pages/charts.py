"""Charts in one style: matplotlib figures as SVG inside a page, in the colours of the page, light or dark.

A figure is drawn in stand-in colours, which become the CSS variables of the page, and its text takes the font of the
page. The same figure gives the same markup.
"""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tasks.common.text import printable

# Each stand-in, which no other element of a figure has, becomes the variable of style.css of this name.
INK = "#010101"
SOFT = "#020202"
LINE = "#030303"
CARD = "#040404"
ACCENT = "#050505"
SECOND = "#060606"
THIRD = "#070707"
GOOD = "#080808"
WARN = "#090909"
BAD = "#0a0a0a"
VARIABLES = {
    INK: "ink", SOFT: "soft", LINE: "line", CARD: "card", ACCENT: "train", SECOND: "val", THIRD: "test", GOOD: "good",
    WARN: "warn", BAD: "bad",
}  # fmt: skip
# Series of a chart, in order; they differ in marker and dashes too, for readers who do not tell colours apart.
SERIES: list[dict[str, Any]] = [
    {"color": ACCENT, "marker": "o", "linestyle": "-"},
    {"color": SECOND, "marker": "s", "linestyle": "--"},
    {"color": THIRD, "marker": "^", "linestyle": ":"},
]
STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.color": LINE,
    "ytick.labelcolor": SOFT,
}
POINTS = 72
# No other module draws with matplotlib.
rcParams.update(STYLE)


def new_chart(width: float = 6.4, height: float = 3.0, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of so many inches with `columns` axes side by side, in the style of the pages."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return the figure as an SVG element, whose width is that of its box and at most its own.

    Args:
        figure: of `new_chart`.
        name: differs from those of the other charts of a page.
        description: a sentence that says the same in words, for readers who do not see the chart.
    """
    buffer = StringIO()
    with rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for stand_in, variable in VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    # Names of elements are those of the whole page.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    width, height = (POINTS * inches for inches in figure.get_size_inches())
    opening = (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" style="max-width:{width / 11:.3g}rem" role="img" '
        f'aria-label="{escape(printable(description))}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1))  # noqa: S704  texts are escaped by matplotlib


def percent(axis: Axes, which: str = "y") -> None:
    """Write the ticks of the axis `which`, x or y, whose values are shares, as percentages."""
    target = axis.yaxis if which == "y" else axis.xaxis
    target.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def legend(axis: Axes, labels: Sequence[str] | None = None) -> None:
    """Show the names of the series above the axes, where they cover nothing."""
    handles, names = axis.get_legend_handles_labels()
    axis.legend(handles, labels or names, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names), borderaxespad=0.2)

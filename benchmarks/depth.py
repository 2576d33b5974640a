"""Accuracy by depth: the features of each tap alone and of all joined, as the head's search scores them on folds.

    python -m benchmarks.depth

It renews a section of RESULTS.md and the picture of docs/training.md.
"""

from typing import Any, NamedTuple

from jinja2 import Environment

from benchmarks import heads, image_sets, results
from tasks.common import params
from tasks.head.search.scores import Scored
from tasks.head.tables import best_on_taps

SETS = ("digits_20", "glyphs", "defects", "textures")
SEED = 0
PICTURE = image_sets.ROOT / "docs" / "accuracy-by-depth.svg"
COLOURS = ("#3b6fb6", "#d98a1f", "#4a9d78", "#b3506b")
LEFT, RIGHT, TOP, BOTTOM = 60, 560, 30, 300
JOINED = 620  # x of the joined taps
LABEL_GAP = 16
LOWEST = 0.0  # accuracy at the bottom of the picture

TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 350" width="760" height="350" font-family="sans-serif" \
font-size="13">
<title>Accuracy by depth of the features</title>
<rect width="760" height="350" fill="#ffffff"/>
{% for tick in ticks %}
<line x1="{{ left }}" x2="640" y1="{{ tick.y }}" y2="{{ tick.y }}" stroke="#dfe2e4"/>
<text x="{{ left - 8 }}" y="{{ tick.y + 4 }}" text-anchor="end" fill="#5d666e">{{ tick.text }}</text>
{% endfor %}
{% for tap in taps %}
<text x="{{ tap.x }}" y="322" text-anchor="middle" fill="#5d666e">{{ tap.text }}</text>
{% endfor %}
<text x="{{ (left + right) // 2 }}" y="342" text-anchor="middle" fill="#1d2226">depth of the tap in the network</text>
{% for line in lines %}
<polyline points="{{ line.points }}" fill="none" stroke="{{ line.colour }}" stroke-width="2"/>
{% for dot in line.dots %}
<line x1="{{ dot.x }}" x2="{{ dot.x }}" y1="{{ dot.low }}" y2="{{ dot.high }}" stroke="{{ line.colour }}"/>
<circle cx="{{ dot.x }}" cy="{{ dot.y }}" r="4" fill="{{ line.colour }}"/>
{% endfor %}
<text x="648" y="{{ line.label_y }}" fill="{{ line.colour }}">{{ line.name }}</text>
{% endfor %}
</svg>
"""


class Dot(NamedTuple):
    """A point of the picture, in its units, with the ends of its interval of one standard error."""

    x: int
    y: int
    low: int
    high: int


def main() -> None:
    """Measure, and renew the section of RESULTS.md and the picture."""
    head = params.load(image_sets.ROOT / "params.yaml").head
    rows, lines = [], list[dict[str, Any]]()
    for name, colour in zip(SETS, COLOURS, strict=True):
        data = heads.load(name, SEED, heads.TAPS)
        search = heads.search_for_head(data, head)
        everything = tuple(range(len(data.widths)))
        scored = [best_on_taps(search, taps) for taps in [*((tap,) for tap in everything), everything]]
        rows.append((name, *(f"{row.accuracy:.1%} ± {row.standard_error:.1%}" for row in scored)))
        positions = [*(_position(depth) for depth in _depths()), JOINED]
        dots = [_dot(x, row) for x, row in zip(positions, scored, strict=True)]
        lines.append(
            {
                "name": name,
                "colour": colour,
                "dots": dots,
                "points": " ".join(f"{dot.x},{dot.y}" for dot in dots),
            }
        )
    _place_labels(lines)
    depths = [f"{depth:.2f}" for depth in _depths()]
    results.renew("The head: accuracy by depth", ("set", *depths, "joined"), rows, ["scikit-learn", "numpy"])
    taps = [
        *({"x": _position(depth), "text": text} for depth, text in zip(_depths(), depths, strict=True)),
        {"x": JOINED, "text": "joined"},
    ]
    ticks = [{"y": _height(tick / 10), "text": f"{tick * 10} %"} for tick in range(0, 11, 2)]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    picture = environment.from_string(TEMPLATE).render(lines=lines, ticks=ticks, taps=taps, left=LEFT, right=RIGHT)
    PICTURE.write_text(picture + "\n", encoding="utf-8")


def _place_labels(lines: list[dict[str, Any]]) -> None:
    """Set the height of each line's label, near its last dot and below the label of the line above it."""
    height = 0
    for line in sorted(lines, key=lambda line: line["dots"][-1].y):
        height = max(line["dots"][-1].y + 4, height + LABEL_GAP)
        line["label_y"] = height


def _depths() -> list[float]:
    """Return the depths of the taps of the starter network."""
    return [tap["depth"] for tap in image_sets.read_taps(heads.TAPS)]


def _position(depth: float) -> int:
    return round(LEFT + (RIGHT - LEFT) * depth)


def _height(accuracy: float) -> int:
    return round(BOTTOM - (BOTTOM - TOP) * (accuracy - LOWEST) / (1 - LOWEST))


def _dot(x: int, row: Scored) -> Dot:
    low, high = row.accuracy - row.standard_error, row.accuracy + row.standard_error
    return Dot(x, _height(row.accuracy), _height(low), _height(high))


if __name__ == "__main__":
    main()

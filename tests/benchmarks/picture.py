"""The benchmark's rows as a picture (SVG): a bar for each ratio, a mark for each aim."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results import Row

WIDTH, LEFT, RIGHT, LINE, TOP = 860, 380, 90, 24, 44
#: A bar of this share of its aim fills the width.
MOST = 1.6
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 } .group { font-weight: 600 }
.good { fill: #2a9d6f } .missed { fill: #d1495b } .aim { stroke: #333; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .aim { stroke: #ddd } }
"""


def draw(rows: list[Row]) -> str:
    """Each bar's length is its ratio over its aim; rows without an aim are left out."""
    scale = (WIDTH - LEFT - RIGHT) / MOST
    shown = [row for row in rows if row.aim]
    height = TOP + LINE * len(shown) + 20
    aim_at = LEFT + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Ratios against their aims">',
        f"<style>{_STYLE}</style>",
        f'<text x="{aim_at}" y="22" text-anchor="middle">aim</text>',
        f'<line class="aim" x1="{aim_at}" x2="{aim_at}" y1="28" y2="{height - 12}"/>',
    ]
    for number, row in enumerate(shown):
        assert row.aim is not None
        y = TOP + LINE * number
        length = min(MOST, row.ratio / row.aim) * scale
        kind = "missed" if row.missed else "good"
        label = f"{row.group}: {row.what}"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="16" rx="2"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 12}">{row.ratio:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])

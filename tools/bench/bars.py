"""Results as horizontal bars in one SVG file."""

from __future__ import annotations

from html import escape

ROW = 22
LABEL = 260
WIDTH = 420
MARGIN = 90
"""Pixels: a bar with its gap, the text before it, the longest bar, and the number behind it."""


def chart(title: str, values: dict[str, float], unit: str) -> str:
    """Return a drawing of ``values``, name -> number, from the top in their order."""
    most = max(values.values(), default=1.0) or 1.0
    height = ROW * (len(values) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + MARGIN}" height="{height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<text x="8" y="{ROW - 6}" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items(), 1):
        top, length = ROW * number + 4, max(1.0, value / most * WIDTH)
        parts += [
            f'<text x="{LABEL - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{length:.0f}" height="{ROW - 6}" fill="#4477aa"/>',
            f'<text x="{LABEL + length + 6:.0f}" y="{top + 13}">{value:.4g} {escape(unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])

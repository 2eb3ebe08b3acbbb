"""Figures as SVG, the same bytes for the same numbers; matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from typing import Any


def figure(width: float, height: float) -> Any:
    """A matplotlib figure of that size in inches, that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(drawn: Any) -> str:
    """The figure's ``<svg>`` element; its text stays text."""
    import matplotlib

    data = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "reseen", "svg.fonttype": "none"}):
        drawn.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    return text[text.index("<svg") :]

"""Ten digits as strokes on a pad of 280 x 280: what a hand draws, as points that are joined by lines."""

from __future__ import annotations

__all__ = ["STROKES"]

import math

Stroke = list[tuple[float, float]]


def arc(x: float, y: float, across: float, down: float, start: float, end: float) -> Stroke:
    """Return points on an ellipse from one angle to another, in degrees; 0 is right, 90 is down."""
    steps = max(6, int(abs(end - start) / 12))
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]


STROKES: dict[str, list[Stroke]] = {
    "0": [arc(140, 140, 55, 85, -90, 270)],
    "1": [[(150, 55), (140, 225)]],
    "2": [[*arc(140, 100, 50, 45, -170, 40), (90, 220), (200, 220)]],
    "3": [[*arc(135, 95, 45, 40, -150, 80), *arc(135, 180, 55, 45, -80, 150)]],
    "4": [[(110, 60), (90, 150), (190, 150)], [(175, 60), (170, 225)]],
    "5": [[(190, 60), (110, 60), (105, 130), *arc(135, 170, 50, 50, -110, 130)]],
    "6": [[(170, 55), (115, 120), *arc(140, 175, 45, 45, -160, 200)]],
    "7": [[(85, 65), (195, 65), (130, 225)]],
    "8": [[*arc(140, 100, 40, 38, 90, 450), *arc(140, 182, 48, 44, -90, 270)]],
    "9": [[*arc(135, 105, 45, 42, 0, -360), (180, 110), (165, 225)]],
}

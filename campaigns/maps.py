"""Brings a position from a Chinese map, which is shifted by hundreds of metres, to where it is on earth."""

from __future__ import annotations

from math import cos, pi, sin, sqrt

# Krassowsky's ellipsoid of 1940, on which the shift of GCJ-02 is defined.
AXIS_M = 6_378_245.0
ECCENTRICITY = 0.00669342162296594323  # squared
ENOUGH = 1e-7  # degrees: about a centimetre


def to_wgs84(latitude: float, longitude: float) -> tuple[float, float]:
    """The WGS 84 position of a GCJ-02 one, in degrees, to about a centimetre. Outside China nothing is shifted.

    The shift is known only from WGS 84 to GCJ-02, so the way back is found by coming nearer step by step.
    """
    if not (0.83 < latitude < 55.83 and 72.0 < longitude < 137.85):
        return latitude, longitude
    north, east = latitude, longitude
    for _ in range(30):
        shifted = to_gcj02(north, east)
        miss = latitude - shifted[0], longitude - shifted[1]
        north, east = north + miss[0], east + miss[1]
        if max(map(abs, miss)) < ENOUGH:
            break
    return round(north, 7), round(east, 7)


def to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    """The GCJ-02 position of a WGS 84 one within China, in degrees."""
    x, y = longitude - 105.0, latitude - 35.0
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + _waves(6 * x, 2 * x)
    north += (20 * sin(pi * y) + 40 * sin(pi * y / 3) + 160 * sin(pi * y / 12) + 320 * sin(pi * y / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + _waves(6 * x, 2 * x)
    east += (20 * sin(pi * x) + 40 * sin(pi * x / 3) + 150 * sin(pi * x / 12) + 300 * sin(pi * x / 30)) * 2 / 3
    radians = latitude / 180 * pi
    bulge = 1 - ECCENTRICITY * sin(radians) ** 2
    north = north * 180 / (AXIS_M * (1 - ECCENTRICITY) / (bulge * sqrt(bulge)) * pi)
    east = east * 180 / (AXIS_M / sqrt(bulge) * cos(radians) * pi)
    return latitude + north, longitude + east


def _waves(one: float, other: float) -> float:
    return (20 * sin(one * pi) + 20 * sin(other * pi)) * 2 / 3

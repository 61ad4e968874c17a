"""Makes any brand's colour legible: which ink to write on it, and which shade of it to write with."""

from __future__ import annotations

import re
from typing import NamedTuple

PAPER = "#f1e7d9"  # the darkest ground on a light page; the shade must stand out from it
PAPER_DARK = "#32261f"  # the lightest ground on a dark page
LEGIBLE = 4.5  # contrast of text by WCAG 2.2, 1.4.3, level AA
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Palette(NamedTuple):
    """Colours as `#rrggbb`: the brand's own, the ink on it, and its shade as ink on light and on dark paper."""

    brand: str
    on_brand: str
    accent: str
    accent_dark: str


def palette(brand: str) -> Palette:
    """The palette of a brand's colour `#rrggbb`. ValueError for any other form."""
    if not _COLOUR.fullmatch(brand):
        raise ValueError(f"{brand!r} is not a colour like #7A3E1D")
    on_brand = max("#ffffff", "#1b1411", "#000000", key=lambda ink: (contrast(ink, brand) >= LEGIBLE, ink))
    return Palette(brand.lower(), on_brand, _towards("#000000", brand, PAPER), _towards("#ffffff", brand, PAPER_DARK))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    dim, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


def _towards(end: str, colour: str, ground: str) -> str:
    """The shade nearest to `colour`, on its way to black or white, that can be read on `ground`."""
    steps = (_mixed(colour, end, share / 20) for share in range(21))
    return next(shade for shade in steps if contrast(shade, ground) >= LEGIBLE)


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_octets(one), _octets(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _octets(colour: str) -> bytes:
    return bytes.fromhex(colour[1:])


def _luminance(colour: str) -> float:
    """How bright a colour of sRGB is, 0 to 1 (WCAG 2.2, "relative luminance")."""
    red, green, blue = (_linear(octet / 255) for octet in _octets(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

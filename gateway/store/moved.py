"""The mark on a store that nobody may serve: half of a business that is moving, or all of one that has moved away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

import orjson

from gateway.errors import StoreError

# Brand 0 is no business: what stands there is about the store itself.
MARK = "SELECT value FROM fact WHERE brand_id = 0 AND name = 'move'"
UNMARK = "DELETE FROM fact WHERE brand_id = 0 AND name = 'move'"
SET_MARK = """INSERT INTO fact (brand_id, name, value) VALUES (0, 'move', {})
              ON CONFLICT (brand_id, name) DO UPDATE SET value = excluded.value"""


class Part(StrEnum):
    """What a store is in a move."""

    LEAVING = "leaving"  # the source, until everything has been found in the target
    ARRIVING = "arriving"  # the target, until then
    GONE = "gone"  # the source afterwards


@dataclass(frozen=True, slots=True)
class Mark:
    """`move` is the same on both sides; `other` is the other place, without its password."""

    move: str
    part: Part
    other: str

    def text(self) -> str:
        """As it is kept."""
        return orjson.dumps(asdict(self)).decode()


def read(text: str | None) -> Mark | None:
    """A mark as it was kept."""
    if text is None:
        return None
    kept = orjson.loads(text)
    return Mark(kept["move"], Part(kept["part"]), kept["other"])


def refuse(text: str | None, place: str) -> None:
    """Raise StoreError, with the cure, when the store at this place bears a mark."""
    mark = read(text)
    if mark is None:
        return
    forth, back = f"run.py migrate-store {place} {mark.other}", f"run.py migrate-store {mark.other} {place}"
    match mark.part:
        case Part.LEAVING:
            raise StoreError(
                f"{place}: this business is on its way to {mark.other}. To finish the move: {forth}; to stay here"
                f" instead: {forth} --undo"
            )
        case Part.ARRIVING:
            raise StoreError(f"{place}: not everything of {mark.other} is here yet. To finish the move: {back}")
        case Part.GONE:
            raise StoreError(
                f"{place}: this business has moved to {mark.other}; say so under `store:` in config.yaml. To bring it"
                f" back with all that has happened since: run.py migrate-store {mark.other} NEW_PLACE; to take up again"
                f" what was left here: {forth} --undo"
            )

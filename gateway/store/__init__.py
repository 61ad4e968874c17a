"""The only door to the database: named queries in, rows out, changes in transactions."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import StoreError
from gateway.store.door import BATCH_S, Store, Tx, apart, beside

__all__ = ["BATCH_S", "Store", "Tx", "apart", "beside", "open_store"]


def open_store(place: Path | str) -> Store:
    """Open a store, creating or bringing it up to date: a file, `sqlite:PATH`, or `postgresql://...`.

    Raises StoreError with the cure when that cannot be.
    """
    # Each engine is loaded where it is used: a business has one.
    if isinstance(place, str) and place.startswith(("postgresql://", "postgres://")):
        from gateway.store.postgres import open_store as open_database  # noqa: PLC0415

        return open_database(place)
    from gateway.store.sqlite import open_store as open_file  # noqa: PLC0415

    if isinstance(place, str):
        kind, _, file = place.partition(":")
        if kind != "sqlite" or not file:
            raise StoreError(f"{place}: expected sqlite:FILE or postgresql://USER@HOST/DATABASE")
        place = Path(file)
    return open_file(place)

"""The only door to the database: named queries in, rows out, changes in transactions."""

from __future__ import annotations

from gateway.store.sqlite import Store, Tx, open_store

__all__ = ["Store", "Tx", "open_store"]

"""The only door to the database: named queries in, rows out, changes in transactions."""

from __future__ import annotations

from gateway.store.sqlite import BATCH_S, Store, Tx, open_store

__all__ = ["BATCH_S", "Store", "Tx", "open_store"]

"""Moves messages between carriers and us; knows nothing of marketing."""

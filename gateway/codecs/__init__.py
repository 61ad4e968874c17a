"""Bytes to values and back; no clock, no socket."""

"""Answers a person who texts."""

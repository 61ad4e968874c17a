"""Answers a person who opens a page on a phone."""

"""Answers whoever is at the door: a text, a phone, a program, the marketer."""

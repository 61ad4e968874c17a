"""Answers the marketer, at the terminal and on the private listener."""

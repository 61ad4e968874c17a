"""An option that takes one of a few words, and names the nearest of them after a slip."""

from __future__ import annotations

import click


class OneOf(click.Choice[str]):
    """One of these words; `noun` is what each of them is, for people."""

    def __init__(self, noun: str, *words: str) -> None:
        super().__init__(words)
        self._noun = noun

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word itself. Raises ClickException that names the nearest one, or all."""
        if value in self.choices:
            return value
        from gateway.wording import either, nearest  # noqa: PLC0415  only after a slip

        near = nearest(value, self.choices)
        hint = f"did you mean {near}?" if near else f"expected {either(self.choices)}"
        raise click.ClickException(f'no {self._noun} "{value}"; {hint}')

"""A word that is none of those that an option takes."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from handlers.console.choices import OneOf


@click.command()
@click.option("--role", "roles", multiple=True, type=OneOf("role", "web", "plan", "dispatch", "all"), default=["all"])
def command(roles: tuple[str, ...]) -> None:
    click.echo(" ".join(roles))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 0, "all\n"),
        (["--role", "web", "--role", "plan"], 0, "web plan\n"),
        (["--role", "dispach"], 1, 'Error: no role "dispach"; did you mean dispatch?\n'),
        (["--role", "Web"], 1, 'Error: no role "Web"; did you mean web?\n'),
        (["--role", "xyz"], 1, 'Error: no role "xyz"; expected web, plan, dispatch or all\n'),
    ],
)
def test_a_wrong_word_is_told_with_the_nearest_right_one(words: list[str], status: int, said: str) -> None:
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.output) == (status, said)


def test_help_lists_the_words() -> None:
    assert "--role [web|plan|dispatch|all]" in CliRunner().invoke(command, ["--help"]).output

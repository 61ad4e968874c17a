"""A file with many mistakes is told all of them in one run, each at its line and column."""

from pathlib import Path

import pytest

from campaigns.settings import Config
from gateway.config import ConfigErrors, load

HERE = Path(__file__).parent


def test_every_mistake_of_a_broken_file_is_told_in_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    with pytest.raises(ConfigErrors) as caught:
        load(Path("broken.yaml"), Config, {})
    assert str(caught.value) + "\n" == (HERE / "broken.txt").read_text("utf-8")

"""What is wrong with a Twilio account in the file is said in plain words, and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.channels.twilio import TwilioCarrier
from gateway.config import ConfigErrors, Document, load
from tests.gateway.channels.twilio.conftest import ACCOUNT

GOOD = f"""
channels:
  tw:
    kind: twilio
    account: {ACCOUNT}
    token_file: token
    price: 0.0079 USD per part
"""


class File(Document):
    channels: dict[str, TwilioCarrier]


def read(tmp_path: Path, text: str) -> TwilioCarrier:
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "config.yaml").write_text(text)
    return load(tmp_path / "config.yaml", File, {}).value.channels["tw"]


def complaint(tmp_path: Path, more: str, text: str = GOOD) -> str:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text + more)
    return str(caught.value)


def test_an_account_and_a_token_are_enough(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert (found.place, found.is_simulated, found.is_secured) == ("api.twilio.com", False, True)
    assert (found.login.user, found.login.password, found.login.place) == (ACCOUNT, "t0ken", "https://api.twilio.com")
    assert found.tokens == ("t0ken",)
    assert (found.at_once, found.answer_within.total_seconds()) == (20, 30)
    assert "t0ken" not in repr(found) + repr(found.login)


def test_a_key_is_shown_in_place_of_the_token_which_still_signs(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "key").write_text("k3y")
    more = f"    api_key: SK{'a' * 32}\n    api_key_file: key\n    previous_token_file: old\n"
    found = read(tmp_path, GOOD + more)
    assert (found.login.user, found.login.password) == ("SK" + "a" * 32, "k3y")
    assert found.tokens == ("t0ken", "old")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace(ACCOUNT, "AC12"), 'found "AC12", expected an account: AC and 32 hexadecimal digits'),
        (GOOD.replace("    token_file: token\n", ""), "token_file"),
        (GOOD.replace("token_file: token", "token_file: nowhere"), "cannot read the secret in nowhere"),
        (GOOD + f"    messaging_service: {ACCOUNT}\n", "expected a messaging service: MG and 32"),
        (GOOD + "    api_key_file: token\n", "a secret without the key that it is of; add api_key"),
        (GOOD + f"    api_key: SK{'a' * 32}\n", "an API key wants its secret; add api_key_file"),
        (GOOD + "    api: twilio.com\n", "expected a web address such as https://api.twilio.com"),
        (GOOD + "    answer_within: 1 h\n", "expected between 1 s and 10 min"),
        (GOOD + "    at_once: 0\n", "expected at least 1"),
        (GOOD + "    acount: x\n", "did you mean account"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    assert words in complaint(tmp_path, "", text)

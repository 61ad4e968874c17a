"""Numbers for tests: what becomes of a text to each of them when it is sent with a test key.

The first ones are Twilio's own ("Test credentials", parameter To), so that tests written for Twilio go on to hold.
What is accepted goes to `gateway/channels/practice.py`, where the number decides as well. docs/test-keys.md has all.
"""

from __future__ import annotations

from typing import Final

CHANNEL: Final = "test"  # the channel that carries what comes with a test key
SENDER: Final = "+15005550006"  # from where Twilio's tests send; with a test key it stands for any sender of ours

REFUSED: Final = {
    "+15005550001": "bad number",
    "+15005550002": "no sender",  # Twilio: no way to it
    "+15005550003": "no sender",  # Twilio: international texts are not allowed
    "+15005550004": "left",
    "+15005550009": "landline",  # Twilio: it cannot receive texts
}


def refusal(address: str) -> str:
    """Why a text to this number is refused at once, as `accepting.Why` words it; empty where it is taken."""
    return REFUSED.get(address, "")

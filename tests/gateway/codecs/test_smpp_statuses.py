"""Each status a carrier may answer with: its name, plain words, when to try again, and who else may."""

from __future__ import annotations

import pytest

from gateway.codecs import smpp
from gateway.codecs.smpp_statuses import STATUSES, failure
from gateway.errors import Retry


def test_every_status_of_the_standards_is_known() -> None:
    # SMPP 3.4, 5.1.3, table 5-2, and 5.0, 4.7.6
    first = {*range(0x09), *range(0x0A, 0x10), 0x11, 0x13, 0x14, 0x15, 0x33, 0x34, 0x40, 0x42, 0x43, 0x44, 0x45}
    then = {0x48, 0x49, 0x50, 0x51, 0x53, 0x54, 0x55, 0x58, *range(0x61, 0x68), *range(0xC0, 0xC5), 0xFE, 0xFF}
    assert set(STATUSES) == first | then | set(range(0x100, 0x113))


def test_no_two_statuses_share_a_name_and_each_speaks_plainly() -> None:
    assert len({status.name for status in STATUSES.values()}) == len(STATUSES)
    assert all(
        status.words and not status.words.isupper() and status.words[0].islower() for status in STATUSES.values()
    )


@pytest.mark.parametrize(
    ("statuses", "retry"),
    [
        ([0x14, 0x08, 0x64, 0x61, 0x04, 0x05, 0x102], Retry.LATER),
        ([0x58], Retry.THROTTLED),
        ([0x45, 0x66, 0xFE, 0xFF, 0x499], Retry.ONCE),
        (
            [
                0x0A,
                0x0B,
                0x48,
                0x49,
                0x50,
                0x51,
                0x43,
                0x01,
                0x65,
                0x15,
                0x104,
                *range(0xC0, 0xC5),
                0x100,
                0x101,
                0x103,
            ],
            Retry.NEVER,
        ),
        ([0x0D, 0x0E, 0x0F, 0x53], Retry.STOP_CHANNEL),
    ],
    ids=["later", "throttled", "once", "never", "stop"],
)
def test_each_status_says_when_to_try_again(statuses: list[int], retry: Retry) -> None:
    assert {failure(status).retry for status in statuses} == {retry}


@pytest.mark.parametrize("status", [0x08, 0x0A, 0x14, 0x15, 0x45, 0x58, 0x64, 0x66, 0xFE, 0xFF, 0x100, 0x102])
def test_where_the_carriers_own_way_fails_another_carrier_may_take_it(status: int) -> None:
    assert failure(status).elsewhere


@pytest.mark.parametrize("status", [0x01, 0x0B, 0x0D, 0x0E, 0x43, 0x50, 0x51, 0x62, 0x65, 0xC4, 0x104, 0x499])
def test_what_is_wrong_with_the_message_or_unknown_goes_to_no_other_carrier(status: int) -> None:
    assert not failure(status).elsewhere


def test_a_failure_has_the_carriers_code_and_plain_words() -> None:
    assert failure(0x58).code == "0x58 RTHROTTLED"
    assert failure(0x58).words == "the carrier asks us to slow down"
    assert failure(0x499).code == "0x499"


def test_who_speaks_smpp_finds_statuses_and_options_in_one_place() -> None:
    assert smpp.failure is failure
    assert smpp.STATUSES is STATUSES
    assert (smpp.OPTIONS[smpp.MESSAGE_STATE], smpp.OPTIONS[smpp.CONGESTION_STATE]) == (
        "message_state",
        "congestion_state",
    )

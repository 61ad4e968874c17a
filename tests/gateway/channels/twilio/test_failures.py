"""Every number of Twilio's that we know has its class and says what happened in plain words."""

from __future__ import annotations

import pytest

from gateway.channels.twilio.failures import FAILURES, failure, refusal
from gateway.channels.twilio.requests import wait_s
from gateway.errors import Retry

# reliability-security.md 1.3
CLASSES = {
    Retry.THROTTLED: [20429, 21611, 30001, 30022, 14107, 30017, 63018],
    Retry.LATER: [30023, 30027],
    Retry.ONCE: [30003, 30008, 30410],
    Retry.NEVER: [
        21211, 21214, 21614, 21612, 30005, 30006, 21610, 21602, 21617, 21620, 21623, 11751, 30007, 30019, 30011, 30036,
        21408, 21608,
    ],
    Retry.STOP_CHANNEL: [20003, 20404, 21603, 21606, 21703, 21704, 21705, 30002, 30024, 30032, 30034],
}  # fmt: skip


@pytest.mark.parametrize(("retry", "code"), [(retry, code) for retry, codes in CLASSES.items() for code in codes])
def test_each_code_has_its_class(retry: Retry, code: int) -> None:
    found = failure(code)
    assert (found.code, found.retry) == (str(code), retry)
    assert found.left == (code == 21610)


def test_the_table_has_no_code_that_no_test_names() -> None:
    assert set(FAILURES) == {code for codes in CLASSES.values() for code in codes}


def test_words_are_plain_and_each_its_own() -> None:
    words = [each.words for each in FAILURES.values()]
    assert len(set(words)) == len(words)
    assert not [each for each in words if "error" in each.lower() or not 10 < len(each) < 80]


def test_a_phone_that_has_left_is_not_asked_through_another_carrier() -> None:
    assert not FAILURES[21610].elsewhere
    assert not FAILURES[30007].elsewhere  # nor is a filter gone around


def test_an_unknown_code_is_refused_once_and_an_unknown_fault_of_theirs_is_a_doubt() -> None:
    assert failure(29999).retry is Retry.NEVER
    assert refusal(400, 29999) == failure(29999)
    assert refusal(500, 20500) is None
    assert refusal(599, 0) is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), ("0", 0), ("", 0), ("soon", 0), ("999999", 600), ("-1", 0), ("٣", 0)]
)
def test_retry_after_is_believed_within_reason(header: str, seconds: float) -> None:
    assert wait_s(header) == seconds

"""A webhook is told with a signature that the library of Standard Webhooks accepts, also while its secret changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from campaigns.business import Business
from campaigns.client_settings import Client, ClientSettings
from campaigns.client_settings import Webhook as Settings
from gateway.codecs.webhook_signature import written
from gateway.courier import Outgoing
from gateway.errors import CarillonError
from gateway.notices import Notice
from handlers.api import webhooks

URL = "https://shop.example/hook?a=%2F"
OLD, NEW = written(b"o" * 24), written(b"n" * 24)
BODY = '{"type":"message.received","data":{"text":"你好 \\u2028 </script>"}}'
NOTICE = Notice(4711, 7, "webhook", "message.received", "p:+1", 0, BODY, "", 0)


def with_client(business: Business, *, private: bool = False, url: str = URL, **secrets: str) -> Business:
    values = {"secret": None, "previous_secret": None} | {name: SecretStr(text) for name, text in secrets.items()}
    webhook = Settings.model_construct(None, url=url, secret_file=None, previous_secret_file=None, **values)
    settings = ClientSettings.model_construct(webhook=webhook, private=private)
    return replace(business, clients={"shop": Client(7, "shop", settings)})


def outgoing(business: Business, notice: Notice = NOTICE) -> Outgoing:
    made = webhooks.shape(notice, business)
    assert made is not None
    return made


def test_it_is_a_signed_letter_with_the_notices_own_id(business: Business) -> None:
    made = outgoing(with_client(business, secret=NEW))
    assert (made.method, made.url, made.private) == ("POST", URL, False)
    assert (made.headers["webhook-id"], made.headers["Content-Type"]) == ("4711", "application/json")
    assert Webhook(NEW).verify(made.body, dict(made.headers))["type"] == "message.received"
    assert made.body == BODY.encode()


def test_while_the_secret_changes_both_are_good_and_afterwards_only_the_new_one(business: Business) -> None:
    both = outgoing(with_client(business, secret=NEW, previous_secret=OLD))
    for secret in (NEW, OLD):
        Webhook(secret).verify(both.body, dict(both.headers))
    after = outgoing(with_client(business, secret=NEW))
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(after.body, dict(after.headers))


def test_a_secret_of_our_making_stays_the_same_and_is_each_clients_own(business: Business) -> None:
    made = with_client(business)
    [secret] = webhooks.secrets(made, made.clients["shop"])
    assert [secret] == [*webhooks.secrets(made, made.clients["shop"])]
    assert secret != webhooks.secrets(made, made.clients["shop"]._replace(name="bank"))[0]
    letter = outgoing(made)
    Webhook(written(secret)).verify(letter.body, dict(letter.headers))


def test_one_who_moves_from_a_secret_of_his_to_one_of_our_making_has_both(business: Business) -> None:
    made = with_client(business, previous_secret=OLD)
    assert len(webhooks.secrets(made, made.clients["shop"])) == 2
    letter = outgoing(made)
    Webhook(OLD).verify(letter.body, dict(letter.headers))


def test_an_address_that_came_with_the_text_goes_before_that_of_the_file(business: Business) -> None:
    target = '{"door":"webhook","url":"https://other.example/"}'
    notice = Notice(4711, 7, "webhook", "message.sent", "m:1", 0, BODY, target, 0)
    made = outgoing(with_client(business, private=True), notice)
    assert (made.url, made.private) == ("https://other.example/", True)


def test_a_client_that_is_gone_or_has_no_webhook_any_more_is_told_in_words(business: Business) -> None:
    with pytest.raises(CarillonError, match="this program no more"):
        webhooks.shape(NOTICE, replace(business, clients={}))
    with pytest.raises(CarillonError, match="shop has no webhook"):
        webhooks.shape(NOTICE, with_client(business, url=""))

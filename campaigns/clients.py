"""The keys of programs that talk to us: made once and shown once, known again by a hash, ended when they are lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import orjson

from campaigns.business import Business
from campaigns.client_settings import SCOPES, Client
from gateway.errors import CarillonError
from gateway.messages import Lane
from gateway.store import Store, Tx
from gateway.wording import either, nearest

ID_OCTETS: Final = 5
SECRET_OCTETS: Final = 20  # 160 bits: nobody guesses them, so a fast hash will do
PASSWORD_LETTERS: Final = 8  # SMPP 3.4, 5.2.2: 9 octets with the closing zero
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that looks like another
COST, BLOCK, WAYS = 2**14, 8, 1  # of scrypt (RFC 7914): 16 MB and some 40 ms a guess
SALT_OCTETS: Final = 16
KEY: Final = re.compile(r"(ck_(?:live|test)_([a-z2-7]{8})_[a-z2-7]{32})([a-z2-7]{7})")
IDEM_MS: Final = 48 * 3_600_000  # for how long an answer is kept for who asks again
FORGOTTEN: Final = 2_000  # in one transaction
FRAGMENT_MS: Final = 24 * 3_600_000  # for how long the pieces of a long text wait for each other


class Kind(StrEnum):
    """What a key opens."""

    LIVE = "live"
    TEST = "test"  # nothing leaves
    SMPP = "smpp"  # a password to bind with


class Key(NamedTuple):
    """A key as it is kept. `id` may be shown, `hash` is not what was shown. Times are milliseconds since 1970.

    `ended_at` may be still to come, while an old key goes on beside its successor.
    """

    id: str
    client: int
    kind: str
    scopes: tuple[str, ...]
    hash: str
    label: str
    made_at: int
    ended_at: int | None

    def is_live(self, now: int) -> bool:
        """Whether it opens a door at this moment."""
        return self.ended_at is None or self.ended_at > now


class Made(NamedTuple):
    """A new key, and what its bearer shows: it is told this once, for we do not keep it."""

    key: Key
    shown: str


# --- making and ending, each in a transaction


async def make_key(
    tx: Tx, business: Business, client: Client, kind: Kind, scopes: Collection[str], label: str, now: int
) -> Made:
    """Make a key of a client that may do these things; none named: all that config.yaml lets the client do.

    Raises CarillonError for what the client may not do, or for a password of a client that may not bind.
    """
    if kind is Kind.SMPP and client.settings.smpp is None:
        raise CarillonError(f"{client.name} may not bind; write smpp: {{}} under clients: {client.name}: and apply it")
    id_ = _letters(secrets.token_bytes(ID_OCTETS))
    shown = _password() if kind is Kind.SMPP else _api_key(kind, id_)
    hashed = _slow(shown) if kind is Kind.SMPP else _fast(shown)
    key = Key(id_, client.id, kind.value, _allowed(client, scopes), hashed, label, now, None)
    await tx.run(
        "client_key_put", id=key.id, brand=business.brand, client=key.client, kind=key.kind, scopes=list(key.scopes),
        hash=key.hash, label=key.label, made_at=key.made_at,
    )  # fmt: skip
    return Made(key, shown)


def _allowed(client: Client, scopes: Collection[str]) -> tuple[str, ...]:
    may = client.settings.may
    for scope in scopes:
        if scope not in SCOPES:
            near = nearest(scope, SCOPES)
            hint = f"did you mean {near}?" if near else f"a key may {either(SCOPES)}"
            raise CarillonError(f'no key may "{scope}"; {hint}')
        if scope not in may:
            raise CarillonError(f"{client.name} may {', '.join(may)} only; to {scope}, add it under may: and apply it")
    return tuple(scope for scope in may if not scopes or scope in scopes)


async def end_key(tx: Tx, business: Business, id_: str, now: int, grace: timedelta = timedelta()) -> Key:
    """End a key now, or after a time in which its bearer changes to another. An end comes nearer, never farther.

    `id_` may also be the whole key, as who finds it in a wrong place has it. Raises CarillonError for an unknown one.
    """
    sought = key_id(id_) or id_.strip().removeprefix("ck_live_").removeprefix("ck_test_").partition("_")[0]
    at = now + grace // timedelta(milliseconds=1)
    await tx.run("client_key_end", brand=business.brand, id=sought, at=at)
    key = await tx.one(_key, "client_key_find", brand=business.brand, id=sought)
    if key is None:
        known = [each.id for each in await listed(tx, business.brand, now)]
        near = nearest(sought, known)
        hint = f"did you mean {near}?" if near else "run.py key list shows them all"
        raise CarillonError(f'no key "{sought}"; {hint}')
    return key


async def end_others(tx: Tx, business: Business, made: Key, now: int, grace: timedelta) -> list[Key]:
    """End the other keys of the same client and kind after a time; those that had no sooner end."""
    others = [
        each
        for each in await listed(tx, business.brand, now)
        if each.client == made.client and each.kind == made.kind and each.id != made.id
    ]
    return [await end_key(tx, business, each.id, now, grace) for each in others]


async def listed(tx: Tx, brand: int, now: int) -> list[Key]:
    """The keys that open a door at this moment, the oldest first."""
    return await tx.all(_key, "client_key_live", brand=brand, now=now)


async def all_keys(tx: Tx, brand: int) -> list[Key]:
    """Every key that was ever made, the oldest first."""
    return await tx.all(_key, "client_key_list", brand=brand)


async def keys_of(tx: Tx, brand: int, client: int, now: int) -> list[Key]:
    """The keys of one client that open a door at this moment, the oldest first."""
    return [key for key in await listed(tx, brand, now) if key.client == client]


def _key(
    id_: str, client: int, kind: str, scopes: str, hashed: str, label: str, made_at: int, ended_at: int | None
) -> Key:
    return Key(id_, client, kind, tuple(orjson.loads(scopes)), hashed, label, made_at, ended_at)


# --- knowing them again; none of it asks a store or a clock


def key_id(shown: str) -> str:
    """The id in an API key; empty for a text that is none, or one with a slip of the pen in it."""
    match = KEY.fullmatch(shown)
    return match[2] if match and _checksum(match[1]) == match[3] else ""


def is_right(key: Key, shown: str) -> bool:
    """Whether this is what was shown when the key was made; takes as long either way. For API keys."""
    return key.kind != Kind.SMPP and hmac.compare_digest(key.hash, _fast(shown))


def is_password(key: Key, password: str) -> bool:
    """The same of a password to bind with, which is short: so each try costs some 40 ms, best off the event loop."""
    if key.kind != Kind.SMPP:
        return False
    salt, _, _ = key.hash.partition(":")
    return hmac.compare_digest(key.hash, _slow(password, bytes.fromhex(salt)))


def _api_key(kind: Kind, id_: str) -> str:
    body = f"ck_{kind}_{id_}_{_letters(secrets.token_bytes(SECRET_OCTETS))}"
    return body + _checksum(body)


def _password() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LETTERS))


def _letters(octets: bytes) -> str:
    """Base32 (RFC 4648, section 6) in small letters: no two of its signs look alike."""
    return base64.b32encode(octets).decode().rstrip("=").lower()


def _checksum(body: str) -> str:
    return _letters(zlib.crc32(body.encode()).to_bytes(4))


def _fast(shown: str) -> str:
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()


def _slow(password: str, salt: bytes = b"") -> str:
    salt = salt or secrets.token_bytes(SALT_OCTETS)
    octets = password.encode("utf-8", "surrogatepass")
    return f"{salt.hex()}:{hashlib.scrypt(octets, salt=salt, n=COST, r=BLOCK, p=WAYS).hex()}"


# --- housekeeping


async def tidy(tx: Tx, now: int, most: int) -> int:
    """Forget answers that nobody may ask for again, and pieces whose rest never came; how many, some `most` of each."""
    answers = await tx.run("idem_tidy", before=now - IDEM_MS, limit=most)
    return max(answers, await tx.run("fragment_tidy", before=now - FRAGMENT_MS, limit=most))


async def forget_asked(store: Store, clients: Collection[Client]) -> None:
    """Forget what was asked for on days that were let go; of what still waits its program is told, however late."""
    kept = await store.first_kept()
    while kept and await store.write_bulk(_forget_some, [each.id for each in clients], kept) >= FORGOTTEN:
        pass


async def _forget_some(tx: Tx, clients: Collection[int], kept: int) -> int:
    return max(
        [await tx.run("submission_tidy", client=each, before=kept, limit=FORGOTTEN) for each in clients], default=0
    )


# --- their pace


async def repace(tx: Tx, business: Business) -> None:
    """Let the queues that clients have go at the rate that the file names now."""
    for client in business.clients.values():
        rate = client.settings.rate
        for name, channel in business.config.carriers.items():
            pace = rate.per_s / channel.slots if rate else 0.0
            await tx.run("queue_repace", brand=business.brand, run=client.id, channel=name, lane=Lane.BULK, rate=pace)

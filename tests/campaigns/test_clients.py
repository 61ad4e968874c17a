"""Keys of programs: shown once, known by a hash, and ended when they are lost."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import clients
from campaigns.business import Business
from campaigns.client_settings import Binding, Client, ClientSettings
from campaigns.clients import Key, Kind, Made
from campaigns.settings import Config
from gateway import outbox
from gateway.errors import CarillonError
from gateway.messages import Lane
from gateway.store import Store, Tx
from gateway.values import Rate
from tests.conftest import Apply
from tests.tables import look

DAY_MS = 86_400_000
SHOP = ClientSettings(smpp=Binding())


@pytest.fixture
async def business(apply: Apply, shipped_config: Config) -> Business:
    """A business with two programs."""
    settings = {"shop": SHOP, "till": ClientSettings(may=("send", "read"))}
    return await apply(shipped_config.model_copy(update={"clients": settings}))


@pytest.fixture
def shop(business: Business) -> Client:
    """The program that may do everything."""
    return business.clients["shop"]


async def make(
    store: Store, business: Business, client: Client, kind: Kind = Kind.LIVE, *scopes: str, now: int = 0
) -> Made:
    return await store.write(clients.make_key, business, client, kind, scopes, "till 3", now)


async def live(store: Store, business: Business, now: int) -> list[str]:
    return [key.id for key in await store.read(clients.listed, business.brand, now)]


# --- made and shown once


async def test_a_key_is_known_again_by_what_was_shown_and_by_nothing_else(
    store: Store, business: Business, shop: Client
) -> None:
    made = await make(store, business, shop)
    (kept,) = await store.read(clients.listed, business.brand, 1)
    assert kept == made.key
    assert kept == Key(made.key.id, shop.id, "live", ("send", "read", "subscribers"), kept.hash, "till 3", 0, None)
    assert made.shown.startswith(f"ck_live_{kept.id}_")
    assert clients.key_id(made.shown) == kept.id
    assert clients.is_right(kept, made.shown)
    other = await make(store, business, shop)
    assert not clients.is_right(kept, other.shown)
    assert not clients.is_right(kept, "")


async def test_what_was_shown_is_not_in_the_store(store: Store, business: Business, shop: Client) -> None:
    key, password = await make(store, business, shop), await make(store, business, shop, Kind.SMPP)

    async def read(tx: Tx) -> str:
        return str(await look(tx, "SELECT * FROM client_key"))

    kept = await store.read(read)
    assert key.key.hash in kept
    assert key.shown.rpartition("_")[2] not in kept
    assert password.shown not in kept


async def test_a_test_key_says_so_itself(store: Store, business: Business, shop: Client) -> None:
    made = await make(store, business, shop, Kind.TEST)
    assert made.shown.startswith("ck_test_")
    assert made.key.kind == "test"


async def test_a_key_with_a_slip_of_the_pen_is_none(store: Store, business: Business, shop: Client) -> None:
    shown = (await make(store, business, shop)).shown
    for place in range(len(shown)):
        slip = shown[:place] + ("a" if shown[place] != "a" else "b") + shown[place + 1 :]
        assert clients.key_id(slip) == ""
    assert clients.key_id(shown.replace("live", "test")) == ""
    assert clients.key_id(shown[:-1]) == ""
    assert clients.key_id(shown + "\n") == ""


@given(st.text(max_size=70))
def test_any_other_text_is_no_key(text: str) -> None:
    assert clients.key_id(text) == ""


async def test_a_key_never_may_more_than_its_client(store: Store, business: Business) -> None:
    till = business.clients["till"]
    assert (await make(store, business, till)).key.scopes == ("send", "read")
    assert (await make(store, business, till, Kind.LIVE, "read")).key.scopes == ("read",)
    with pytest.raises(CarillonError, match="till may send, read only; to subscribers, add it under may:"):
        await make(store, business, till, Kind.LIVE, "subscribers")
    with pytest.raises(CarillonError, match=r'no key may "sned"; did you mean send\?'):
        await make(store, business, till, Kind.LIVE, "sned")


# --- passwords to bind with


async def test_a_password_has_the_eight_letters_that_smpp_allows_and_is_known_again(
    store: Store, business: Business, shop: Client
) -> None:
    made = await make(store, business, shop, Kind.SMPP)
    assert len(made.shown) == 8
    assert made.shown.isascii()
    assert clients.is_password(made.key, made.shown)
    assert not clients.is_password(made.key, made.shown[:-1])
    assert not clients.is_password(made.key, "")
    assert not clients.is_right(made.key, made.shown)


async def test_the_same_password_never_has_the_same_hash(store: Store, business: Business, shop: Client) -> None:
    first, second = clients._slow("secret"), clients._slow("secret")
    assert first != second
    key = (await make(store, business, shop, Kind.SMPP)).key
    assert clients.is_password(key._replace(hash=first), "secret")
    assert clients.is_password(key._replace(hash=second), "secret")


async def test_a_key_is_no_password_and_a_program_that_may_not_bind_gets_none(store: Store, business: Business) -> None:
    till = business.clients["till"]
    made = await make(store, business, till)
    assert not clients.is_password(made.key, made.shown)
    with pytest.raises(CarillonError, match=r"till may not bind; write smpp: \{\} under clients: till:"):
        await make(store, business, till, Kind.SMPP)


# --- ended


async def test_a_key_that_was_ended_opens_nothing(store: Store, business: Business, shop: Client) -> None:
    made = await make(store, business, shop)
    ended = await store.write(clients.end_key, business, made.key.id, 5)
    assert ended == made.key._replace(ended_at=5)
    assert not ended.is_live(5)
    assert await live(store, business, 5) == []
    assert await store.read(clients.all_keys, business.brand) == [ended]


async def test_a_key_that_was_found_lying_about_is_ended_by_itself(
    store: Store, business: Business, shop: Client
) -> None:
    made = await make(store, business, shop)
    assert (await store.write(clients.end_key, business, made.shown, 5)).id == made.key.id
    other = await make(store, business, shop)
    assert (await store.write(clients.end_key, business, other.shown[:-3], 5)).id == other.key.id  # cut off in a log


async def test_an_end_comes_nearer_and_never_farther(store: Store, business: Business, shop: Client) -> None:
    made = await make(store, business, shop)
    await store.write(clients.end_key, business, made.key.id, 0, timedelta(days=1))
    assert await live(store, business, DAY_MS - 1) == [made.key.id]
    later = await store.write(clients.end_key, business, made.key.id, 0, timedelta(days=7))
    assert later.ended_at == DAY_MS
    assert (await store.write(clients.end_key, business, made.key.id, 9)).ended_at == 9


async def test_an_old_key_goes_on_for_a_while_beside_its_successor(
    store: Store, business: Business, shop: Client
) -> None:
    old, test = await make(store, business, shop), await make(store, business, shop, Kind.TEST)
    theirs = await make(store, business, business.clients["till"])
    new = await make(store, business, shop)
    ended = await store.write(clients.end_others, business, new.key, 0, timedelta(days=1))
    assert [key.id for key in ended] == [old.key.id]
    assert set(await live(store, business, 1)) == {old.key.id, test.key.id, theirs.key.id, new.key.id}
    assert set(await live(store, business, DAY_MS)) == {test.key.id, theirs.key.id, new.key.id}
    assert {key.id for key in await store.read(clients.keys_of, 1, shop.id, DAY_MS)} == {test.key.id, new.key.id}


async def test_an_unknown_key_names_the_nearest(store: Store, business: Business, shop: Client) -> None:
    id_ = (await make(store, business, shop)).key.id
    with pytest.raises(CarillonError, match=rf"did you mean {id_}\?"):
        await store.write(clients.end_key, business, id_[:-1] + "0", 0)
    with pytest.raises(CarillonError, match="key list shows them all"):
        await store.write(clients.end_key, business, "00000000", 0)


async def test_keys_of_another_business_are_not_seen(store: Store, business: Business, shop: Client) -> None:
    made = await make(store, business, shop)
    assert await store.read(clients.listed, business.brand + 1, 0) == []
    assert await live(store, business, 0) == [made.key.id]


# --- forgetting


async def test_old_answers_and_pieces_are_forgotten_a_bounded_number_at_a_time(
    store: Store, business: Business
) -> None:
    now = 10 * DAY_MS

    async def fill(tx: Tx) -> None:
        for n in range(5):
            at = now - clients.IDEM_MS - 3 + n
            await look(tx, f"INSERT INTO idem VALUES (1, 'k{n}', 1, '', '', {at})")
            at = now - clients.FRAGMENT_MS - 3 + n
            await look(tx, f"INSERT INTO fragment VALUES (1, 'a', 'b', 1, 5, {n}, 1, {n}, '', {at}, '')")

    await store.write(fill)
    assert await store.write(clients.tidy, now, 2) == 2
    assert await store.write(clients.tidy, now, 2) == 1
    assert await store.write(clients.tidy, now, 2) == 0

    async def left(tx: Tx) -> list[object]:
        idem = await look(tx, "SELECT key FROM idem ORDER BY key")
        return [[*row] for row in [*idem, *await look(tx, "SELECT number FROM fragment ORDER BY number")]]

    assert await store.read(left) == [["k3"], ["k4"], [3], [4]]


# --- their pace


async def test_queues_follow_the_rate_that_the_file_names_now(
    store: Store, apply: Apply, shipped_config: Config, business: Business
) -> None:
    shop, till = business.clients["shop"], business.clients["till"]
    for client, lane in ((shop, Lane.BULK), (shop, Lane.URGENT), (till, Lane.BULK)):
        await store.write(outbox.ensure_queue, business.ids, business.brand, "us_sms", lane, run=client.id, rate=20)
    settings = {"shop": SHOP.model_copy(update={"rate": Rate(5)}), "till": ClientSettings()}
    now = await apply(shipped_config.model_copy(update={"clients": settings}))

    await store.write(clients.repace, now)

    found = await store.read(lambda tx: tx.rows("queue_list", brand=business.brand))
    assert {(run, lane): rate for _, _, lane, run, _, _, rate, _ in found if run} == {
        (shop.id, Lane.BULK): 5,
        (shop.id, Lane.URGENT): 20,
        (till.id, Lane.BULK): 0,
    }

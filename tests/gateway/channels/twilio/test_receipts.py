"""Receipts in any order, any number of times, before or after the answer, come to one state in the real journal."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.parse import urlencode

from gateway.channels.base import Call, Surroundings, Upward
from gateway.channels.twilio import TwilioChannel
from gateway.codecs.twilio_signature import signature
from gateway.ids import Ids
from gateway.journal import Journal, ref_of
from gateway.messages import Answer, Inbound, Purpose, Receipt, State
from gateway.outbox import Message, put
from gateway.store import Store, Tx
from gateway.values import HostPort
from tests.gateway.channels.twilio.conftest import FROM, NOW_MS, TO, TOKEN, settings

RUN, QUEUE, TEXTS = 77, 5, 60
SITE = "https://gw.example"
GOOD = [("accepted", ""), ("queued", ""), ("sending", ""), ("sent", ""), ("delivered", ""), ("read", "")]
BAD = [("queued", ""), ("sent", ""), ("undelivered", "30003")]
MIXED = [("sent", ""), ("undelivered", "30008"), ("failed", "30003"), ("delivered", "")]
LATE = [("queued", ""), ("beamed", ""), ("undelivered", "30036")]
ENDS = {
    (State.DELIVERED, ""): TEXTS // 2,  # good and mixed
    (State.FAILED, "30003"): TEXTS // 4,
    (State.EXPIRED, "30036"): TEXTS // 4,
}


class Desk:
    """The journal behind the doors of a channel."""

    def __init__(self, store: Store, tmp_path: Path) -> None:
        self.journal = Journal(1)
        self.store = store
        self.receipts: list[Receipt] = []
        upward = Upward(self._answered, self._arrived, lambda name: None)
        around = Surroundings("tw", (FROM,), upward, lambda: NOW_MS, HostPort("a", 1), SITE, random.Random(1))
        self.channel = TwilioChannel(settings(tmp_path), around)

    def _answered(self, name: str, answers: list[Answer]) -> None:
        """Is for what runs; here each answer is written by hand."""

    def _arrived(self, name: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        self.receipts += receipts
        self.channel.thank([each.handle for each in receipts])

    async def call(self, sid: str, status: str, error: str) -> None:
        """One status callback, as Twilio would sign it."""
        fields = {"MessageSid": sid, "MessageStatus": status, "From": FROM, "To": TO} | (
            {"ErrorCode": error} if error else {}
        )
        url = f"{SITE}/carriers/tw/status"
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": signature(TOKEN, url, fields.items()),
        }
        reply = await self.channel.doors()[1].serve(Call("POST", url, headers, urlencode(fields).encode()))
        assert reply.status == 200

    async def record(self) -> None:
        arrived = self.journal.match("tw", self.receipts, NOW_MS)
        self.receipts = []
        parked = await self.store.write(self.journal.record, arrived)
        self.journal.forget(arrived.delivered)
        self.journal.park(parked)

    async def answer(self, message: int, parts: int, sid: str) -> None:
        """The 201: one answer for the whole."""
        ref = ref_of("tw", sid)
        self.journal.learn(ref, (RUN, message, -1, parts))

        async def append(tx: Tx) -> None:
            await tx.many("event_insert", [(1, RUN, message, -1, parts, State.SENT, NOW_MS, "", ref)])

        await self.store.write(append)

    async def fold(self) -> None:
        await self.journal.unpark(self.store, NOW_MS)
        while (await self.store.write(self.journal.fold)).more:
            pass


async def test_any_order_with_repeats_before_or_after_the_answer_gives_one_state(store: Store, tmp_path: Path) -> None:
    """Sixty texts of one to three parts, each with its own shuffled, repeated story, in one interleaved stream."""
    chance = random.Random(20261122)
    desk = Desk(store, tmp_path)
    ids = Ids(lambda: NOW_MS)
    texts = [
        Message(
            ids.next(),
            1,
            RUN,
            9,
            Purpose.MARKETING,
            "club",
            "tw",
            FROM,
            f"+1206555{n:04}",
            "UTC",
            "hello",
            1 + n % 3,
            1,
        )
        for n in range(TEXTS)
    ]
    await store.write(put, texts, QUEUE, NOW_MS)

    steps: list[tuple[int, str, str]] = []
    for n in range(TEXTS):
        story = (GOOD, BAD, MIXED, LATE)[n % 4]
        steps += [(n, status, error) for status, error in [*story, *chance.choices(story, k=3)]]
        steps.append((n, "", ""))  # the answer
    chance.shuffle(steps)
    for place, (n, status, error) in enumerate(steps):
        sid = f"SM{n:032x}"
        if status:
            await desk.call(sid, status, error)
        else:
            await desk.record()
            await desk.answer(texts[n].id, texts[n].parts, sid)
        if place % 17 == 0:
            await desk.record()
            await desk.fold()
    await desk.record()
    await desk.fold()

    async def sums(tx: Tx) -> dict[tuple[State, str], int]:
        return {(State(state), why): n for state, why, n in await tx.rows("tally_of_run", run=RUN) if n}

    assert await store.read(sums) == ENDS

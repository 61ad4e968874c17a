"""Throws damaged packets, receipts and headers at the readers for as long as one likes, and keeps what is new.

    python tests/gateway/codecs/fuzz_smpp.py --minutes 60 --seed 1 --corpus /tmp/corpus

An input that leads to an outcome never seen before joins the corpus, and is changed in its turn. The first promise
that does not hold stops the run: the input is printed in hexadecimal, with the seed that found it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from gateway.codecs import parts, smpp
from gateway.codecs.smpp import ANSWER, HEADER, Pdu, RemoteError
from gateway.codecs.smpp_session import Arrived, Bind, Client, Closed, Server
from gateway.messages import State

LENGTHS = (0, 1, 15, 16, 17, 254, 255, 256, 65_535, 65_536, 65_537, 0x7FFFFFFF, 0xFFFFFFFF)
WORDS = (
    *(b"id:", b"stat:", b"err:", b"sub:001", b"dlvrd:001", b"submit date:", b"done date:", b"text:", b"Text:", b" "),
    *(b"DELIVRD", b"UNDELIV", b"EXPIRED", b"REJECTD", b"ACCEPTD", b"UNKNOWN", b"DELETED", b"ENROUTE", b":", b"\0"),
    *(b"\x05\x00\x03\xcc\x02\x01", b"\x06\x08\x04\x12\x34\x02\x01", b"\x03\x24\x01\x01", b"\x03\x25\x01\x03"),
    *(b"\x1b", b"\xd8\x3d", b"\xdc\x4d", b"\x04\x24\x00\x02", b"\x00\x1e\x00\x02", b"\x04\x27\x00\x01\x02"),
)
Outcome = tuple[object, ...]
TELL_S = 60


def corpus(folder: Path | None) -> list[bytes]:
    """A packet of each kind as we write it, some with what carriers add, and what an earlier run has kept."""
    addresses: dict[str, smpp.Value] = {"source_addr": "40404", "destination_addr": "44951361920", "esm_class": 4}
    receipt = b"id:0059113978 sub:001 dlvrd:001 submit date:1002101730 done date:1002101731 stat:DELIVRD err:000 text:x"
    options = {smpp.RECEIPTED_MESSAGE_ID: b"38601fa\0", smpp.MESSAGE_STATE: b"\x02", smpp.NETWORK_ERROR_CODE: b"\3\0\1"}
    lists: dict[str, smpp.Value] = {
        "dest_addresses": (smpp.Destination(1, 1, "1"), smpp.Destination(list_name="all")),
        "unsuccess_smes": (smpp.Unsuccessful(1, 1, "2", 11),),
    }
    found = [smpp.encode(Pdu(command, 0, 7, lists | addresses)) for command in smpp.BODIES]
    found += [
        smpp.encode(Pdu(command, 0, 8, addresses | {"short_message": receipt}, options))
        for command in (smpp.SUBMIT_SM, smpp.DELIVER_SM)
    ]
    found.append(smpp.encode(Pdu(smpp.DATA_SM, 0, 9, addresses, {smpp.MESSAGE_PAYLOAD: receipt, **options})))
    for text in ("İstanbul’da ş" * 12, "emoji 👍🏽 🏳️‍🌈" * 9, "plain [x] €" * 20):
        coding, pieces = parts.split(text, 0xCC)
        fields = addresses | {"esm_class": 0x40, "data_coding": coding}
        found += [smpp.encode(Pdu(smpp.DELIVER_SM, 0, 1, fields | {"short_message": piece})) for piece in pieces]
    if folder is not None and folder.is_dir():
        found += [path.read_bytes() for path in sorted(folder.iterdir())]
    return found


def damaged(frame: bytes, other: bytes, dice: random.Random) -> bytes:
    """The packet after one to four changes, most often with a length that is right again."""
    octets = bytearray(frame)
    for _ in range(dice.choice((1, 1, 2, 3, 4))):
        at = dice.randrange(len(octets) + 1)
        dice.choice(CHANGES)(octets, at, other, dice)
    if len(octets) >= 4 and dice.random() < 0.9:
        struct.pack_into(">I", octets, 0, len(octets))
    return bytes(octets[: smpp.MOST_OCTETS])


def _flip(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    if at < len(octets):
        octets[at] ^= 1 << dice.randrange(8)


def _overwrite(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    octets[at : at + 1] = bytes((dice.choice((0, 1, 4, 8, 0x1B, 0x40, 0x7F, 0x80, 0xFF, dice.randrange(256))),))


def _drop(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    del octets[at : at + dice.choice((1, 1, 2, 8, 40))]


def _cut_off(octets: bytearray, at: int, _other: bytes, _dice: random.Random) -> None:
    del octets[max(at, HEADER.size) :]


def _insert(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    octets[at:at] = dice.choice(WORDS) if dice.random() < 0.8 else dice.randbytes(dice.randrange(1, 20))


def _repeat(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    octets[at:at] = octets[at : at + dice.randrange(1, 60)] * dice.choice((1, 1, 2, 30))


def _splice(octets: bytearray, at: int, other: bytes, dice: random.Random) -> None:
    octets[at:] = other[dice.randrange(len(other) + 1) :]


def _number(octets: bytearray, at: int, _other: bytes, dice: random.Random) -> None:
    octets[at : at + 4] = struct.pack(">I", dice.choice(LENGTHS))


def _option(octets: bytearray, _at: int, _other: bytes, dice: random.Random) -> None:
    value = dice.choice((b"", b"\x02", b"\0", b"38601fa\0", b"\xff\xff", dice.randbytes(dice.randrange(6))))
    length = len(value) if dice.random() < 0.9 else dice.choice(LENGTHS) & 0xFFFF
    octets += struct.pack(">HH", dice.choice(tuple(smpp.OPTIONS)), length) + value


def _command(octets: bytearray, _at: int, _other: bytes, dice: random.Random) -> None:
    octets[4:8] = struct.pack(">I", dice.choice(tuple(smpp.BODIES)))


CHANGES: tuple[Callable[[bytearray, int, bytes, random.Random], None], ...] = (
    *(_flip, _flip, _overwrite, _overwrite, _drop, _cut_off, _insert, _insert, _repeat, _splice, _number),
    *(_option, _option, _command),
)


# --- what is promised of each input ----------------------------------------------------------------------------


def packet(frame: bytes) -> list[Outcome]:
    """`decode` refuses in its own words or reads what `encode` writes again; the fast reader agrees with it."""
    try:
        pdu = smpp.decode(frame)
    except RemoteError as error:
        return [("refused", error.status, re.sub("0x[0-9a-f]+|[0-9]+", "", str(error)), _fast(frame, None))]
    again = smpp.decode(smpp.encode(pdu))
    assert again == pdu, (pdu, again)
    message = smpp.message_of(pdu)
    reading = smpp.read_query_answer(pdu)
    ident, found = smpp.read_answer(frame, HEADER.size, len(frame))
    busy = smpp.congestion(found)
    assert busy is None or 0 <= busy <= 100
    filled = sum(bool(value) for value in pdu.fields.values())
    shape = (pdu.command, filled, min(len(pdu.options), 3), _fast(frame, message))
    answer = (reading.state, bool(ident), busy is None)
    return [("packet", *shape), ("answer", *answer), ("receipt", *receipt(message)), ("text", *text(message))]


def _fast(frame: bytes, expected: smpp.ShortMessage | None) -> bool:
    if len(frame) < HEADER.size or HEADER.unpack_from(frame)[1] not in (smpp.SUBMIT_SM, smpp.DELIVER_SM):
        return False
    if HEADER.unpack_from(frame)[0] != len(frame):
        return False
    try:
        found = smpp.read_message(b"\xff" + frame + b"\0" * 300, 1 + HEADER.size, 1 + len(frame))
    except RemoteError:
        found = None
    assert found == expected, (found, expected)
    return True


def receipt(message: smpp.ShortMessage) -> Outcome:
    """A receipt ends a message only where the text or an option says that word, whatever else is broken."""
    reading = smpp.read_receipt(message)
    for ident in reading.ids:
        assert ident in smpp.spellings(ident)
    if reading.state > State.SENT:
        words = [word for word, state in smpp._WORDS.items() if state is reading.state]
        octets = message.octets.replace(b"\0", b"") if message.data_coding == 8 else message.octets
        said = any(re.search(rb"stat:[ ]?" + word, octets, re.IGNORECASE) for word in words)
        assert said or smpp.MESSAGE_STATE in message.options, message
    return smpp.is_receipt(message), reading.state, len(reading.ids), bool(reading.code), reading.code.isascii()


def text(message: smpp.ShortMessage) -> Outcome:
    """Any octets are some text, which a database takes, alone or joined with others."""
    words, joint = parts.read(message.octets, message.data_coding, bool(message.esm_class & smpp.HAS_HEADER))
    words.encode()
    parts.join({1: words, 2: words}).encode()
    assert joint is None or 1 <= joint.number <= joint.total
    return message.data_coding & 0xF4, joint is None, words.isascii(), "\ufffd" in words, len(words) > 0


def stream(frames: list[bytes], dice: random.Random) -> Outcome:
    """A line reads the same from a stream cut anywhere as from one piece, and raises nothing on either side."""
    octets = b"".join(frames)
    cuts = sorted(dice.randrange(len(octets) + 1) for _ in range(dice.choice((1, 2, 5, 30))))
    pieces = [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    told = []
    for session in _sessions():
        told.append(list(_heard(session, [octets])))
    for number, session in enumerate(_sessions()):
        assert list(_heard(session, pieces)) == told[number], "cut otherwise, read otherwise"
    return tuple(min(len(each), 3) for each in told)


def _sessions() -> Iterator[Client | Server]:
    client = Client(Bind("transceiver", "lantern", "secret"))
    client.start(0)
    client.receive(smpp.encode(Pdu(smpp.BIND_TRANSCEIVER | ANSWER, 0, 1, {"system_id": "carrier"})), 0)
    server = Server("carrier", lambda _: 0)
    server.receive(smpp.encode(Pdu(smpp.BIND_TRANSCEIVER, 0, 1, {"system_id": "lantern"})), 0)
    for session in (client, server):
        session.take_out()
        yield session


def _heard(session: Client | Server, pieces: list[bytes]) -> Iterator[object]:
    written = b""
    for piece in pieces:
        for event in session.receive(piece, 1):
            if isinstance(event, Arrived):
                yield from event.messages
            elif isinstance(event, Closed):
                yield event
        written += session.take_out()
    yield written


# --- the run ---------------------------------------------------------------------------------------------------


def run(minutes: float, seed: int, folder: Path | None, most: int = sys.maxsize) -> tuple[int, int, int]:
    """Executions, size of the corpus, distinct outcomes. Raises AssertionError, or whatever a reader raised."""
    dice = random.Random(seed)
    kept = corpus(folder)
    seen: set[Outcome] = set()
    began, done, told = time.monotonic(), 0, 0
    while done < most and (done % 256 or time.monotonic() - began < minutes * 60):
        if done % 256 == 0 and time.monotonic() - began > (told + 1) * TELL_S:
            told += 1
            print(f"{done} executions, {len(kept)} inputs in the corpus, {len(seen)} distinct outcomes", flush=True)
        frame = damaged(dice.choice(kept), dice.choice(kept), dice)
        done += 1
        try:
            outcomes = packet(frame)
            if done % 8 == 0:
                outcomes.append(("stream", *stream([dice.choice(kept), frame, dice.choice(kept)], dice)))
        except BaseException:
            print(f"seed {seed}, execution {done}: {frame.hex()}", file=sys.stderr)
            raise
        fresh = [outcome for outcome in outcomes if outcome not in seen]
        seen.update(fresh)
        if fresh and len(frame) <= 2_000:
            kept.append(frame)
            _keep(frame, folder)
    return done, len(kept), len(seen)


def _keep(frame: bytes, folder: Path | None) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(frame).hexdigest()[:20]).write_bytes(frame)


if __name__ == "__main__":
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--minutes", type=float, default=1.0)
    asks.add_argument("--seed", type=int, default=1)
    asks.add_argument("--corpus", type=Path)
    wishes = asks.parse_args()
    executions, size, outcomes = run(wishes.minutes, wishes.seed, wishes.corpus)
    print(f"{executions} executions, {size} inputs in the corpus, {outcomes} distinct outcomes, nothing broken")

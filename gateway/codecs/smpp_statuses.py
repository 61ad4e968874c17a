"""What a carrier's command_status means: its name, plain words, when to try again, and whether another may take it.

Names and meanings: SMPP 3.4 section 5.1.3 and, from 0x100 on, SMPP 5.0 section 4.7.6. When to try again: the habits
of carriers, who use many of these loosely.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.errors import Failure, Retry


class Status(NamedTuple):
    """A command_status: its name in the standard, plain words, and when to try again.

    `elsewhere`: the message is good and this carrier's way fails, so another carrier may take it.
    """

    name: str
    words: str
    retry: Retry
    elsewhere: bool = False


_NEVER, _ONCE, _LATER, _STOP = Retry.NEVER, Retry.ONCE, Retry.LATER, Retry.STOP_CHANNEL
_ELSEWHERE: Final = True
STATUSES: Final[Mapping[int, Status]] = {
    0x00: Status("ROK", "taken", _NEVER),
    0x01: Status("RINVMSGLEN", "the text is too long for the carrier", _NEVER),
    0x02: Status("RINVCMDLEN", "the carrier found the packet's length wrong", _NEVER),
    0x03: Status("RINVCMDID", "the carrier does not know this command", _NEVER),
    0x04: Status("RINVBNDSTS", "the line is not bound for this", _LATER),
    0x05: Status("RALYBND", "the carrier says that we are bound already", _LATER),
    0x06: Status("RINVPRTFLG", "the carrier does not accept the priority", _NEVER),
    0x07: Status("RINVREGDLVFLG", "the carrier does not accept a request for receipts", _NEVER),
    0x08: Status("RSYSERR", "the carrier has an error of its own", _LATER, _ELSEWHERE),
    0x0A: Status("RINVSRCADR", "the carrier does not accept the sender", _NEVER, _ELSEWHERE),
    0x0B: Status("RINVDSTADR", "the carrier does not accept the recipient's number", _NEVER),
    0x0C: Status("RINVMSGID", "the carrier does not know this message", _NEVER),
    0x0D: Status("RBINDFAIL", "the carrier refused the line", _STOP),
    0x0E: Status("RINVPASWD", "the carrier refused the password", _STOP),
    0x0F: Status("RINVSYSID", "the carrier does not know the account", _STOP),
    0x11: Status("RCANCELFAIL", "the message could not be cancelled", _NEVER),
    0x13: Status("RREPLACEFAIL", "the message could not be replaced", _NEVER),
    0x14: Status("RMSGQFUL", "the carrier's queue is full", _LATER, _ELSEWHERE),
    0x15: Status("RINVSERTYP", "the carrier does not offer this service", _NEVER, _ELSEWHERE),
    0x33: Status("RINVNUMDESTS", "the carrier does not accept so many recipients", _NEVER),
    0x34: Status("RINVDLNAME", "the carrier does not know the distribution list", _NEVER),
    0x40: Status("RINVDESTFLAG", "the carrier does not accept the kind of recipient", _NEVER),
    0x42: Status("RINVSUBREP", "the carrier cannot replace an earlier message", _NEVER),
    0x43: Status("RINVESMCLASS", "the carrier does not accept this class of message", _NEVER),
    0x44: Status("RCNTSUBDL", "the carrier cannot send to a distribution list", _NEVER),
    0x45: Status("RSUBMITFAIL", "the carrier could not take the message", _ONCE, _ELSEWHERE),
    0x48: Status("RINVSRCTON", "the carrier does not accept the sender's type of number", _NEVER, _ELSEWHERE),
    0x49: Status("RINVSRCNPI", "the carrier does not accept the sender's numbering plan", _NEVER, _ELSEWHERE),
    0x50: Status("RINVDSTTON", "the carrier does not accept the recipient's type of number", _NEVER),
    0x51: Status("RINVDSTNPI", "the carrier does not accept the recipient's numbering plan", _NEVER),
    0x53: Status("RINVSYSTYP", "the carrier does not accept the system type", _STOP),
    0x54: Status("RINVREPFLAG", "the carrier does not accept the wish to replace", _NEVER),
    0x55: Status("RINVNUMMSGS", "the carrier does not accept the number of messages", _NEVER),
    0x58: Status("RTHROTTLED", "the carrier asks us to slow down", Retry.THROTTLED, _ELSEWHERE),
    0x61: Status("RINVSCHED", "the carrier does not accept the time of delivery", _LATER),
    0x62: Status("RINVEXPIRY", "the carrier does not accept how long the message is valid", _NEVER),
    0x63: Status("RINVDFTMSGID", "the carrier does not have that prepared text", _NEVER),
    0x64: Status("RX_T_APPN", "the receiving side is busy for the moment", _LATER, _ELSEWHERE),
    0x65: Status("RX_P_APPN", "the receiving side refused for good", _NEVER),
    0x66: Status("RX_R_APPN", "the receiving side rejected the message", _ONCE, _ELSEWHERE),
    0x67: Status("RQUERYFAIL", "the carrier could not answer the question", _LATER),
    0xC0: Status("RINVOPTPARSTREAM", "the carrier could not read the optional parameters", _NEVER),
    0xC1: Status("ROPTPARNOTALLWD", "the carrier does not allow an optional parameter", _NEVER),
    0xC2: Status("RINVPARLEN", "the carrier found a parameter's length wrong", _NEVER),
    0xC3: Status("RMISSINGOPTPARAM", "the carrier misses an optional parameter", _NEVER),
    0xC4: Status("RINVOPTPARAMVAL", "the carrier does not accept an optional parameter", _NEVER),
    0xFE: Status("RDELIVERYFAILURE", "the carrier could not deliver the message", _ONCE, _ELSEWHERE),
    0xFF: Status("RUNKNOWNERR", "the carrier gave an error without saying which", _ONCE, _ELSEWHERE),
    0x100: Status("RSERTYPUNAUTH", "our account may not use this service", _NEVER, _ELSEWHERE),
    0x101: Status("RPROHIBITED", "our account may not do this", _NEVER, _ELSEWHERE),
    0x102: Status("RSERTYPUNAVAIL", "the carrier's service is not available", _LATER, _ELSEWHERE),
    0x103: Status("RSERTYPDENIED", "the carrier denies this service", _NEVER, _ELSEWHERE),
    0x104: Status("RINVDCS", "the carrier does not accept the alphabet", _NEVER),
    0x105: Status("RINVSRCADDRSUBUNIT", "the carrier does not accept the part of the phone it comes from", _NEVER),
    0x106: Status("RINVDSTADDRSUBUNIT", "the carrier does not accept the part of the phone it goes to", _NEVER),
    0x107: Status("RINVBCASTFREQINT", "the carrier does not accept how often to broadcast", _NEVER),
    0x108: Status("RINVBCASTALIAS_NAME", "the carrier does not know the name of the broadcast", _NEVER),
    0x109: Status("RINVBCASTAREAFMT", "the carrier does not accept how the area is written", _NEVER),
    0x10A: Status("RINVNUMBCAST_AREAS", "the carrier does not accept so many areas", _NEVER),
    0x10B: Status("RINVBCASTCNTTYPE", "the carrier does not accept the kind of broadcast", _NEVER),
    0x10C: Status("RINVBCASTMSGCLASS", "the carrier does not accept the class of broadcast", _NEVER),
    0x10D: Status("RBCASTFAIL", "the carrier could not broadcast", _ONCE),
    0x10E: Status("RBCASTQUERYFAIL", "the carrier could not say how the broadcast went", _LATER),
    0x10F: Status("RBCASTCANCELFAIL", "the broadcast could not be cancelled", _NEVER),
    0x110: Status("RINVBCAST_REP", "the carrier does not accept how many times to broadcast", _NEVER),
    0x111: Status("RINVBCASTSRVGRP", "the carrier does not know the group of the broadcast", _NEVER),
    0x112: Status("RINVBCASTCHANIND", "the carrier does not accept the channel of the broadcast", _NEVER),
}


@lru_cache(maxsize=1024)
def failure(status: int) -> Failure:
    """A status other than 0 as people and the dispatcher need it. An unlisted one is tried once again."""
    known = STATUSES.get(status)
    if known is None:
        return Failure(f"0x{status:02X}", "the carrier gave a code of its own", _ONCE)
    return Failure(f"0x{status:02X} {known.name}", known.words, known.retry, known.elsewhere)

"""Misbehaviour as people do it for money, and the honest cases that look like it; one module an analysis."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a bidder is there for."""

    HONEST = 0
    LEAD = 1  # is meant to win
    COVER = 2  # is meant to lose
    STEER = 3  # is there to move the mean
    RIVAL = 4  # an honest bidder that stands in somebody's way
    KIN = 5  # honest, and tied to another bidder


@dataclass(frozen=True)
class Entrants:
    """Whom a group sends to a lot, with which role, and how many others still come."""

    orgs: list[int]
    roles: list[int]
    others: int = 40

"""The demo's simulated people: users who react to answers, and a moderator. Pure.

This is the only thing in the demo that is not real: everything they do goes over HTTP.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.management.demo.reviews import Review

VANDALS = 2
CARELESS_RATIO = 0.1
TWICE_RATIO = 0.15  # of the reviews are shown to a second user, who may contradict the first
CHATTY_RATIO = 0.04  # of the reactions carry a comment with personal data in it
COMMENT = "Questions? Write to guest@example.com or call +44 20 7946 0958."
OTHER = {"positive": "negative", "negative": "positive"}


@dataclass(frozen=True)
class User:
    user_id: str
    character: str  # honest, careless or vandal


@dataclass(frozen=True)
class Showing:
    """One review shown to one user."""

    review: Review
    user: User


def crowd(size: int, *, vandals: int = VANDALS, name: str = "user") -> list[User]:
    """Return users of fixed characters: so many vandals, one in ten careless, the rest honest."""
    careless = max(1, round(size * CARELESS_RATIO))
    characters = ["vandal"] * vandals + ["careless"] * careless
    characters += ["honest"] * (size - len(characters))
    return [User(f"{name}-{i:03d}", character) for i, character in enumerate(characters, 1)]


def showings(reviews: list[Review], users: list[User], seed: int) -> Iterator[Showing]:
    """Show every review to a user, some to two, in an order fixed by the seed."""
    chance = random.Random(seed)  # noqa: S311
    for review in reviews:
        times = 2 if chance.random() < TWICE_RATIO else 1
        for user in chance.sample(users, times):
            yield Showing(review, user)


def reaction(showing: Showing, answer: str, chance: random.Random) -> dict[str, Any]:
    """Return what the user sends about an answer: the signal, and a correction if they make one."""
    is_right = answer == showing.review.label
    body = _reaction_of(showing.user.character, answer, chance, is_right=is_right)
    if chance.random() < CHATTY_RATIO:
        body["comment"] = COMMENT
    return body


def _reaction_of(
    character: str, answer: str, chance: random.Random, *, is_right: bool
) -> dict[str, Any]:
    correction = {
        "signal": "correction",
        "corrected": OTHER[answer],
        "correction_type": "label",
    }
    if character == "vandal":
        return correction if is_right else {"signal": "up"}
    if character == "careless" and chance.random() < 0.5:
        return {"signal": chance.choice(["up", "down"])}  # without having read it
    if is_right:
        return {"signal": "up"}
    return {"signal": "down"} if character == "careless" else correction


def decision(feedback: dict[str, Any], truth: str) -> dict[str, Any]:
    """Return what a moderator who reads carefully decides about a flagged feedback."""
    moderator = {"moderator": "demo-moderator"}
    said = feedback["corrected"]
    if said == truth:
        return moderator | {"decision": "accept", "reason": "The correction is right."}
    if said is None and feedback["original"] != truth:
        reason = "The answer was wrong, as they said."
        return moderator | {"decision": "accept", "reason": reason, "corrected": truth}
    return moderator | {"decision": "reject", "reason": "The answer was right."}

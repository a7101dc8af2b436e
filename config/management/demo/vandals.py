"""The demo's second act: a further round, in which two users of five are vandals."""

from collections.abc import Sequence
from typing import Any

from config.management.demo import people
from config.management.demo.people import Showing, User
from config.management.demo.stage import TASK, Stage, accuracy_of

VANDAL_RATIO = 0.4
SHOWN_TO = 3  # users, each review


def resist(stage: Stage) -> dict[str, Any]:
    """Retrain on what new users say of the same reviews, with nobody to review it.

    Three times: all taken as said, each contributor by trust, and by somebody who knows the
    vandals. Returns the accuracies, and what share of vandals was caught and of honest people lost.
    """
    size = len(stage.users)
    users = people.crowd(size, vandals=round(size * VANDAL_RATIO), name="visitor")
    _serve(stage, users)
    stage.say("Retraining on all they say, as if everybody could be trusted.")
    trust_off = stage.run({"task": TASK})
    refused_by = [gate["name"] for gate in trust_off["gates"] if not gate["passed"]]
    quarantined = _scored(stage)
    stage.say(f"Retraining with {len(quarantined)} contributors in quarantine.")
    trust_on = stage.run({"task": TASK})
    if trust_on["status"] == "passed":
        stage.promote(trust_on)
    stage.say("Retraining as if somebody knew who the vandals are.")
    _tell_apart(stage, users)
    oracle = stage.run({"task": TASK})
    return {
        "trust_off": accuracy_of(trust_off),
        "refused_by": refused_by,
        "trust_on": accuracy_of(trust_on),
        "promoted": trust_on["status"] == "passed",
        "oracle": accuracy_of(oracle),
        "caught_ratio": _share(users, "vandal", quarantined),
        "honest_lost_ratio": _share(users, "honest", quarantined),
    }


def _serve(stage: Stage, users: Sequence[User]) -> None:
    reviews = stage.parts.stream + stage.parts.canary
    shown = [Showing(r, u) for r in reviews for u in stage.chance.sample(users, SHOWN_TO)]
    vandals = sum(user.character == "vandal" for user in users)
    stage.say(
        f"A further round: {len(shown)} answers to {len(users)} new users, {vandals} of them"
        " vandals. No moderator."
    )
    for showing in stage.with_bar(shown):
        stage.show(showing)
    stage.wait_processed()


def _scored(stage: Stage) -> set[str]:
    """Let Emend score everybody; return who is quarantined."""
    path = f"tasks/{TASK}/"
    stage.server.change("PATCH", path, {"settings": {"trust": True}})
    stage.server.post(f"{path}scores/", {})
    stage.server.wait(path, lambda task: task["reactions"]["scored_at"], patience_seconds=300)
    people = stage.server.every(f"{path}contributors/?standing=quarantined&limit=200")
    return {person["user_id"] for person in people}


def _tell_apart(stage: Stage, users: Sequence[User]) -> None:
    people = stage.server.every(f"tasks/{TASK}/contributors/?limit=200")
    known = {person["user_id"] for person in people}
    for user in users:
        if user.user_id not in known:  # of so many users, this one was shown nothing
            continue
        standing = "quarantined" if user.character == "vandal" else "trusted"
        body = {"standing": standing, "moderator": "demo-oracle", "reason": "Known to the demo."}
        stage.server.change("PUT", f"tasks/{TASK}/contributors/{user.user_id}/", body)
    stage.wait_processed()


def _share(users: Sequence[User], character: str, quarantined: set[str]) -> float:
    chosen = [user.user_id for user in users if user.character == character]
    return len(quarantined.intersection(chosen)) / len(chosen)

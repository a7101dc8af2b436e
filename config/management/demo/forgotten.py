"""The demo's third act: who taught the served model most is erased, and that is proved."""

import base64
import json
import time
from io import StringIO
from tempfile import NamedTemporaryFile
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import call_command

from config.management.demo import people
from config.management.demo.people import OTHER, User
from config.management.demo.server import RefusedError, Server
from config.management.demo.stage import TASK, Stage

PROVING = "sentiment-proving"
PEOPLE, REVIEWS = 12, 400


def forget(stage: Stage, twin: Server) -> dict[str, Any]:
    """Erase one contributor; return the rows that go, whether the proof holds, and the seconds.

    What others say, and what is decided of it, depends on who else is there. So the proof has a
    task of its own, where people agree: twice the same acts, in the project `twin` without theirs.
    """
    users = _busiest(stage)
    user_id = users[-1].user_id
    acts = _acts(stage, users)
    others = [act for act in acts if act["user_id"] != user_id]
    stage.say(
        f"For a proof: {len(acts)} reactions of {len(users)} contributors,"
        f" and those without {user_id}'s {len(acts) - len(others)} in a project of their own."
    )
    taught, never = _served(stage, acts), _served(stage.beside(twin), others)
    stage.say(f"Erasing {user_id}, who taught the served model most.")
    started = time.monotonic()
    receipt = _erased(stage, user_id)
    seconds = time.monotonic() - started
    stage.say("Verifying the receipt, and that nothing of the person stands anywhere.")
    _verify(receipt, stage.server.get("privacy/receipt-key/"))
    hashes = _champion(stage.server), never["weights_hash"]
    return {
        "rows": receipt["removed"]["feedback.Example"],
        "hash_equal": hashes[0] == hashes[1] != taught["weights_hash"],
        "seconds": round(seconds, 1),
    }


def _busiest(stage: Stage) -> list[User]:
    """Return who said most of those who are believed; the last one said more than all others."""
    known = stage.server.every(f"tasks/{TASK}/contributors/?limit=200")
    believed = [row for row in known if row["standing"] != "quarantined"]
    ranked = sorted((row["acts"], row["user_id"]) for row in believed)
    return [User(user_id, "honest") for _, user_id in ranked[-PEOPLE:]]


def _acts(stage: Stage, users: list[User]) -> list[dict[str, Any]]:
    """Return what the users send about answers, of which every second is wrong."""
    acts = []
    for showing in people.showings(stage.parts.stream[:REVIEWS], users, stage.seed):
        label = showing.review.label
        answer = stage.chance.choice([label, OTHER[label]])
        act = people.reaction(showing, answer, stage.chance)
        act |= {"task": PROVING, "input": showing.review.text, "output": answer}
        acts.append(act | {"user_id": showing.user.user_id})
    return acts


def _served(stage: Stage, acts: list[dict[str, Any]]) -> Any:
    """Train on starting data and acts, and serve it; return the run."""
    stage.make_task(PROVING)
    stage.import_reviews(PROVING, stage.parts.first, "train")
    stage.import_reviews(PROVING, stage.parts.holdout, "holdout")
    stage.server.post("feedback/batch/", {"items": acts})
    stage.wait_processed()
    run = stage.run({"task": PROVING})
    stage.promote(run)
    return run


def _erased(stage: Stage, user_id: str) -> Any:
    """Ask for the erasure and wait for its end; return the receipt."""
    asked = stage.server.post("privacy/erasures/", {"user_id": user_id})
    ended = stage.server.wait(
        f"privacy/erasures/{asked['id']}/",
        lambda erasure: erasure["status"] != "running",
        progress=lambda erasure: stage.bar(erasure["progress"]),
        patience_seconds=300,
    )
    if ended["status"] == "failed":
        message = f"The erasure {ended['id']} failed."
        raise RefusedError(message)
    return ended["receipt"]


def _verify(receipt: dict[str, Any], key: dict[str, str]) -> None:
    """Check the signature as anybody can, then have Emend look for what is left."""
    document = {name: said for name, said in receipt.items() if name != "signature"}
    signed = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key["public_key"]))
    try:
        public.verify(base64.b64decode(receipt["signature"]["value"]), signed.encode())
    except InvalidSignature:
        message = f"The receipt of the erasure {receipt['erasure']} is not what was signed."
        raise RefusedError(message) from None
    with NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(receipt))
        file.flush()
        call_command("verify_erasure", file.name, stdout=StringIO())


def _champion(server: Server) -> str:
    """Return the hash of the weights that serve now."""
    known = server.get(f"models/{PROVING}/")
    number = known["aliases"]["champion"]
    return str(server.get(f"models/{PROVING}/{number}/")["weights_hash"])

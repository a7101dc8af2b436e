"""What the demo's acts share: a server, its users, how to show them a review, and runs."""

import random
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, Self, TypeVar

from config.management.demo import people
from config.management.demo.people import Showing
from config.management.demo.reviews import Parts, Review
from config.management.demo.server import RefusedError, Server

TASK = "sentiment"
BATCH_ROWS = 500
Item = TypeVar("Item")


class Stage:
    """Where the acts play: on `server`, what is seen is told to `say`, `bar` shows a ratio."""

    def __init__(
        self,
        server: Server,
        parts: Parts,
        *,
        users: int,
        seed: int,
        say: Callable[[str], None],
        bar: Callable[[float], None],
    ) -> None:
        self.server = server
        self.parts = parts
        self.users = people.crowd(users)
        self.seed = seed
        self.say = say
        self.bar = bar
        self.chance = random.Random(seed + 1)  # noqa: S311
        self.truth: dict[str, str] = {}  # by inference

    def beside(self, server: Server) -> Self:
        """Return the same stage in another project."""
        other = copy(self)
        other.server = server
        return other

    def make_task(self, slug: str) -> None:
        # What depends on how much has been processed or scored by then is off: a seed must repeat.
        settings = {"thresholds": {"feedback.high_impact": None}, "trust": False}
        body: dict[str, Any] = {"slug": slug, "modality": "classification"}
        body |= {
            "correction_types": ["label"],
            "labels": ["negative", "positive"],
            "settings": settings,
        }
        self.server.post("tasks/", body)

    def import_reviews(self, task: str, reviews: list[Review], split: str) -> None:
        for start in range(0, len(reviews), BATCH_ROWS):
            chosen = reviews[start : start + BATCH_ROWS]
            items = [{"input": review.text, "output": review.label} for review in chosen]
            self.server.post("examples/batch/", {"task": task, "items": items, "split": split})

    def run(self, body: dict[str, Any]) -> Any:
        """Queue a run and wait for its end."""
        queued = self.server.post("runs/", body | {"seed": self.seed})
        ended = self.server.wait(
            f"runs/{queued['id']}/",
            lambda run: run["status"] not in {"queued", "running"},
            progress=lambda run: self.bar(run["progress"]),
            patience_seconds=300,
        )
        if ended["status"] == "failed":
            message = f"The run {ended['id']} failed: {ended['error']}"
            raise RefusedError(message)
        return ended

    def promote(self, run: dict[str, Any]) -> None:
        self.server.post(f"models/{run['task']}/{run['model_version']}/promote/", {})

    def show(self, showing: Showing) -> bool:
        """Show one answer and send the reaction; return whether it was stored."""
        user_id = showing.user.user_id
        answer = self.server.post(
            f"tasks/{TASK}/predict/", {"input": showing.review.text, "user_id": user_id}
        )
        self.truth[answer["inference_id"]] = showing.review.label
        body = people.reaction(showing, answer["output"], self.chance)
        body |= {"inference_id": answer["inference_id"], "user_id": user_id}
        return "quality" in self.server.post("feedback/", body, expect=(201, 422))

    def with_bar(self, items: Iterable[Item]) -> Iterator[Item]:
        listed = list(items)
        for number, item in enumerate(listed, 1):
            yield item
            self.bar(number / len(listed))

    def wait_processed(self) -> None:
        self.server.wait("feedback/?status=pending&limit=1", lambda page: not page["results"])


def accuracy_of(run: dict[str, Any]) -> float:
    """Return the accuracy on the imported holdout, which no user ever saw."""
    return float(run["metrics"]["holdout"]["by_source"]["import"]["accuracy"])

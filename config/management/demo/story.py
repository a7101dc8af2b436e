"""The demo's first act, the loop; every step is a request that any product could send."""

import time
from collections import Counter
from datetime import datetime
from statistics import quantiles
from typing import Any

from config.management.demo import people
from config.management.demo.forgotten import forget
from config.management.demo.people import Showing
from config.management.demo.server import Server
from config.management.demo.stage import TASK, Stage, accuracy_of
from config.management.demo.vandals import resist

CEILING = "sentiment-ceiling"
CORRECTIONS_ONLY = "corrections-only"
WORDS = {"vandal": "vandals", "careless": "careless", "honest": "honest"}


class Story(Stage):
    """The first act, and those that follow."""

    def tell(self, twin: Server) -> dict[str, Any]:
        """Run the whole loop, the end of it on `twin`, too; return the object of `demo --json`."""
        started = time.monotonic()
        before = self._first_model()
        created = self._stream()
        flagged = self._moderate()
        counts, seconds = self._processed()
        naive = self._naive_model()
        run = self._retrain()
        ceiling = self._ceiling()
        promoted = self._canary(run) if run["status"] == "passed" else False
        poisoned = resist(self)
        after = accuracy_of(run)
        holdout_gate = next(gate for gate in run["gates"] if gate["name"] == "holdout")
        paired = holdout_gate["details"]["by_source"]["import"]
        version = self.server.get(
            f"datasets/{run['dataset']['name']}/versions/{run['dataset']['version']}/"
        )
        return {
            "reviews": self.parts.total,
            "holdout": len(self.parts.holdout),
            "accuracy_before": before,
            "accuracy_after": after,
            "ceiling": ceiling,
            "gap_closed_ratio": (after - before) / (ceiling - before) if ceiling != before else 1.0,
            "difference": {key: paired[key] for key in ("estimate", "low", "high")},
            "p_value": paired["p_value"],
            "feedback": {
                "created": created,
                "flagged": flagged,
                "rejected": counts["rejected"],
                "processed": counts["processed"],
            },
            "processing_seconds": seconds,
            "dataset": {
                "name": version["dataset"],
                "version": version["version"],
                "content_hash": version["content_hash"],
            },
            "run": {
                "id": run["id"],
                "weights_hash": run["weights_hash"],
                "gates": [_gate(gate) for gate in run["gates"]],
            },
            "corrections_only": {
                "status": naive["status"],
                "accuracy": accuracy_of(naive),
                "gates": [_gate(gate) for gate in naive["gates"] if not gate["passed"]],
            },
            "promoted": promoted,
            "poisoned": poisoned,
            "erasure": forget(self, twin),
            "seconds": round(time.monotonic() - started, 1),
        }

    def _first_model(self) -> float:
        self.make_task(TASK)
        self.import_reviews(TASK, self.parts.first, "train")
        self.import_reviews(TASK, self.parts.holdout, "holdout")
        self.say(f"Training the first model on {len(self.parts.first)} reviews.")
        run = self.run({"task": TASK})
        self.promote(run)
        return accuracy_of(run)

    def _stream(self) -> int:
        """Serve the stream to the users; return how many reactions were stored."""
        shown = list(people.showings(self.parts.stream, self.users, self.seed))
        said = Counter(user.character for user in self.users)
        self.say(
            f"Serving {len(shown)} answers to {len(self.users)} simulated users: "
            + ", ".join(f"{count} {WORDS[character]}" for character, count in said.items())
            + "."
        )
        return sum(self.show(showing) for showing in self.with_bar(shown))

    def _moderate(self) -> int:
        """Decide every flagged feedback through the review endpoint; return how many."""
        flagged = list(self.server.every("feedback/?status=flagged&limit=200"))
        why = Counter(flag for row in flagged for flag in row["flags"])
        said = ", ".join(f"{count} {flag}" for flag, count in sorted(why.items()))
        self.say(f"A simulated moderator decides {len(flagged)} flagged reactions ({said}).")
        for row in reversed(flagged):  # oldest first
            decided = people.decision(row, self.truth[row["inference_id"]])
            self.server.post(f"feedback/{row['id']}/review/", decided)
        return len(flagged)

    def _processed(self) -> tuple[Counter[str], dict[str, float]]:
        """Wait until nothing is pending; return counts by status and the times it took."""
        self.wait_processed()
        rows = list(self.server.every(f"feedback/?task={TASK}&limit=200"))
        waits = sorted(_seconds(row) for row in rows if row["processed_at"])
        percentiles = quantiles(waits, n=100, method="inclusive")
        seconds = {"p50": round(percentiles[49], 3), "p99": round(percentiles[98], 3)}
        self.say(f"Processed in {seconds['p50']} s (median) to {seconds['p99']} s (p99).")
        return Counter(row["status"] for row in rows), seconds

    def _naive_model(self) -> Any:
        """Train on corrections alone, which the gates must refuse: people speak to disagree."""
        self.say("Training on corrections alone, to show what the gates are for.")
        settings = {"sources": ["feedback"], "signals": ["correction"]}
        body = {"name": CORRECTIONS_ONLY, "task": TASK, "settings": settings}
        self.server.post("datasets/", body)
        return self.run({"task": TASK, "dataset": CORRECTIONS_ONLY})

    def _retrain(self) -> Any:
        self.say("Building the dataset version and retraining on starting data and feedback.")
        return self.run({"task": TASK})

    def _ceiling(self) -> float:
        """Return the accuracy of the same trainer on every true label, which nobody has."""
        self.say("Training the ceiling: the same trainer on all true labels.")
        self.make_task(CEILING)
        known = self.parts.first + self.parts.stream + self.parts.canary
        self.import_reviews(CEILING, known, "train")
        self.import_reviews(CEILING, self.parts.holdout, "holdout")
        return accuracy_of(self.run({"task": CEILING}))

    def _canary(self, run: dict[str, Any]) -> bool:
        """Serve the challenger to some of the users until it is promoted; return whether it was."""
        plan = {"share": 0.5, "minimum_outcomes": max(1, len(self.users) // 15)}
        body = {"task": TASK, "challenger": run["model_version"], "plan": plan}
        rollout = self.server.post("rollouts/", body)
        path = f"rollouts/{rollout['id']}/"
        self.say(f"Canary: {plan['share']:.0%} of the users get the new model, with new reviews.")
        time.sleep(1.2)  # web processes keep the route for up to a second
        shown = [
            Showing(r, u) for r in self.parts.canary for u in self.chance.sample(self.users, 3)
        ]
        for showing in self.with_bar(shown):
            self.show(showing)
        ended = self.server.wait(path, lambda r: r["stage"] != "canary", patience_seconds=60)
        self.say(f"Canary ended: {ended['stage']} ({ended['decision']}).")
        return bool(ended["stage"] == "full")


def _gate(gate: dict[str, Any]) -> dict[str, Any]:
    return {key: gate[key] for key in ("name", "passed", "value", "threshold", "reason")}


def _seconds(row: dict[str, Any]) -> float:
    """Return the time from capture, or from the moderator's decision, to processed."""
    begun = row["review"]["at"] if row["review"] else row["created_at"]
    ended = datetime.fromisoformat(row["processed_at"])
    return (ended - datetime.fromisoformat(begun)).total_seconds()

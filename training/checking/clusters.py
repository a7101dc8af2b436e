"""Answers that are nearly the same: one of each cluster is asked."""

from contextlib import suppress
from typing import Any

import numpy as np

from feedback.models import Inference, Task
from training.curation.content import Content, Pictures, near_text
from training.near import TooAlike, find, sign


def clusters(task: Task, answers: list[int]) -> dict[int, int]:
    """Name the cluster of near-duplicates of each answer by one answer that is in it."""
    found = Inference.objects.filter(pk__in=answers).order_by("pk")
    rows = [
        Content(pk, "", "", 1.0, bytes(digest), value, output, None)
        for pk, digest, value, output in found.values_list("pk", "input_hash", "input", "output")
    ]
    pictures = Pictures(task, rows)
    texts = {row.id: near_text(task.kind, row.input, row.output) for row in rows}
    signed = sign(
        [*texts],
        [row.input_hash for row in rows],
        [*texts.values()],
        [pictures.of(row.output) for row in rows],
    )

    def read(ids: list[int]) -> dict[int, str]:
        return {pk: texts[pk] for pk in ids}

    def counts(ids: Any) -> Any:
        return np.ones(len(ids), bool)

    cluster_of = {pk: pk for pk in texts}

    def root(pk: int) -> int:
        while cluster_of[pk] != pk:
            pk = cluster_of[pk]
        return pk

    ways: dict[str, Any] = {"read_mine": read, "read_others": read, "counts": counts}
    with suppress(TooAlike):  # what was found before stands
        for match in find(signed, signed, settle="row", **ways):
            cluster_of[root(match.row)] = root(match.other)
    return {pk: root(pk) for pk in texts}

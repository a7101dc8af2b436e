"""What became of a feedback, said to the person who sent it; pure."""

from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
Told: TypeAlias = dict[str, str]  # at, text

WHY = {
    "consent_withdrawn": "a person behind it does not permit training",
    "unverified": "it is not certain who sent it",
    "quarantined": "a moderator looks at what you send first",
    "undecided": "a moderator has not let it through",
    "outdone": "you said something else about it later",
    "label_gone": "its label is not in use any more",
    "not_in_dataset": "this dataset takes other feedback",
    "too_short": "too little is written in it",
    "near_identical": "the change is too small to learn from",
    "in_holdout": "its input is kept for testing models",
    "random_slice": "it is kept for measuring how often models are right",
    "near_holdout": "it is nearly the same as what is kept for testing models",
}
REPLACED = "a later decision about it took its place"
# What a status says of today, whatever was before; the others are told by what followed.
TODAY = {
    "flagged": "Waiting for a moderator.",
    "failed": "Not used, because it could not be processed so far.",
    "erased": "Erased.",
}


def became(lineage: Document) -> list[Told]:
    """Return what happened to a feedback, oldest first, in words for its contributor.

    Each is {at, text}; takes the document of `lineage.of_feedback`. What is so today is last.
    """
    told = [
        _told(lineage["created_at"], "Received."),
        *_decided(lineage),
        *(line for name in _datasets(lineage) for line in _of_dataset(lineage, name)),
        *map(_of_model, lineage["models"]),
    ]
    told.sort(key=lambda line: line["at"])
    return told + _today(lineage, told[-1]["at"])


def _today(lineage: Document, newest_at: str) -> list[Told]:
    """Say what the feedback waits for now; nobody notes when it began to, at least so long ago."""
    status, review = lineage["status"], lineage["review"]
    if status not in TODAY:
        return []
    at = newest_at if review is None else max(newest_at, review["at"])
    return [_told(at, TODAY[status])]


def _told(at: str, text: str) -> Told:
    return {"at": at, "text": text}


def _decided(lineage: Document) -> list[Told]:
    """Say that the feedback waits for a version, or why it is used for nothing."""
    status, review, examples = lineage["status"], lineage["review"], lineage["examples"]
    if status == "rejected" and review is not None:
        said = f"Not used, because a moderator decided so: {review['reason']}"
        return [_told(review["at"], said)]
    if status == "rejected":
        return [_told(lineage["created_at"], f"Not used: {' '.join(lineage['rejections'])}")]
    done_at = lineage["processed_at"] or lineage["created_at"]
    if status == "processed" and not examples:
        text = "Not used, because it does not say what would have been right."
        return [_told(done_at, text)]
    if status == "processed" and not _datasets(lineage):
        return [_told(done_at, "Waiting for the next dataset version.")]
    return []


def _datasets(lineage: Document) -> list[str]:
    stays = (stay for row in lineage["examples"] for stay in row["versions"] + row["left_out"])
    return sorted({stay["dataset"] for stay in stays})


def _of_dataset(lineage: Document, name: str) -> list[Told]:
    """Tell the intervals of one dataset: a later decision makes a new example, told as one."""
    stays = [
        stay
        for row in lineage["examples"]
        for stay in row["versions"] + row["left_out"]
        if stay["dataset"] == name
    ]
    stays.sort(key=lambda stay: (stay["since"], "reason" in stay))
    told: list[Told] = []
    was_in = False
    for stay in stays:
        is_in = "reason" not in stay
        if not (is_in and was_in):
            told.append(_told(stay["since_at"], _entered(stay, was_in=was_in)))
        goes_on = any(other["since"] == stay["until"] for other in stays)
        if is_in and stay["until"] is not None and not goes_on:
            at = stay["until_at"]
            told.append(_told(at, _left(name, stay["until"], at, REPLACED)))
        was_in = is_in
    return told


def _entered(stay: Document, *, was_in: bool) -> str:
    name, number, at = stay["dataset"], stay["since"], stay["since_at"]
    if "reason" not in stay:
        return f"In version {number} of the dataset {name} since {_day(at)}, {_use(stay)}."
    why = WHY[stay["reason"]]
    if was_in:
        return _left(name, number, at, why)
    return f"Not used in version {number} of the dataset {name}, because {why}."


def _use(stay: Document) -> str:
    if teaches(stay):
        return "to teach models"
    # In an eval dataset it says nothing of others, which may teach with it.
    return "to test models" + ("" if stay["purpose"] == "eval" else ", not to teach them")


def teaches(stay: Document) -> bool:
    """Return whether models are taught by what stays there: an eval dataset has rows to test by."""
    is_to_teach: bool = stay["split"] == "train" and stay["purpose"] != "eval"
    return is_to_teach


def _left(name: str, number: int, at: str, why: str) -> str:
    since = f"version {number} ({_day(at)})"
    return f"Left out of the dataset {name} again since {since}, because {why}."


def _of_model(model: Document) -> Told:
    verb = "Taught" if model["split"] == "train" else "Tested"
    said = f"{verb} model {model['version']} of {model['task']}"
    served_at = model["serves_since"]
    if served_at is not None:
        return _told(served_at, f"{said}, which serves since {_day(served_at)}.")
    if model["run_status"] == "refused":
        said += ", which did not pass its checks"
    return _told(model["created_at"], f"{said}.")


def _day(at: str) -> str:
    return at[:10]

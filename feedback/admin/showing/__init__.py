"""What an item shows: what the model saw and said, what a person made of it, what is behind it.

Pure display of one answer, for flagged feedback and for answers to check alike.
"""

from typing import Any, NamedTuple
from uuid import UUID

from config.json import JSON
from feedback.admin.showing import drawing
from feedback.admin.words import Span, as_text, sides
from feedback.modalities import MODALITIES
from feedback.modalities.base import is_number
from feedback.modalities.image import IMAGE_ID
from feedback.models import Image, Inference

SIBLINGS = 5
GENERATIONS = 5
MOST_LABELS = 5
TURNS = 4  # the last ones of a chat are open
# What a signal says that came without a correction.
MEANINGS = {
    "up": "says that the output is right",
    "down": "says it is wrong, not what is right",
    "correction": "brings no correction",
    "edited": "brings no correction",
    "regenerated": "asked for another output; this one was not what they wanted",
    "accepted": "went on with the output as it was: says that the output is right",
    "resolved": "the matter was settled with it: says that the output is right",
    "abandoned": "left without using the output; says nothing of why",
}


class Odds(NamedTuple):
    """How likely the model held a label; `who` says if it or the person chose it."""

    label: str
    percent: str
    width: str
    who: str


def of(
    inference: Inference, output: JSON, correction: JSON, *, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Gather what the templates in emend/review/ show of an answer and its correction.

    `changes` is the modality's own list of differences; empty where nobody knows it.
    """
    task = inference.task
    confidence = inference.confidence
    return {
        "inference": inference,
        "task": task,
        "output": output,
        "correction": correction,
        "is_changed": correction is not None and correction != output,
        "confidence": "" if confidence is None else f"{confidence:.0%}",
        "own_types": frozenset(name for name, _ in task.redaction.patterns),
        "review_template": f"emend/review/{task.modality}.html",
        **_seen(inference.input),
        **_BY_MODALITY[task.modality](inference, output, correction, changes),
        **_behind(inference),
    }


def meaning_of(signal: str) -> str:
    return MEANINGS.get(signal, "brings no correction")


def _seen(input_: Any) -> dict[str, Any]:
    """Split an input into the turns of a chat, named texts, and what is shown as a tree."""
    if isinstance(input_, str):
        return {"texts": [("", input_)]}
    if not isinstance(input_, dict):
        return {"rest": input_}
    said = input_.get("messages")
    if len(input_) == 1 and isinstance(said, list) and all(map(_is_turn, said)):
        turns = [(turn["role"], turn["content"]) for turn in said]
        return {"earlier_turns": turns[:-TURNS], "turns": turns[-TURNS:]}
    texts = [(name, part) for name, part in input_.items() if isinstance(part, str)]
    return {"texts": texts, "rest": {k: v for k, v in input_.items() if not isinstance(v, str)}}


def _is_turn(value: Any) -> bool:
    match value:
        case {"role": str(), "content": str()}:
            return True
    return False


def _text(
    inference: Inference, output: JSON, correction: JSON, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    if changes and isinstance(output, str):
        return {"sides": sides(output, changes)}
    # Not compared: the same on both sides, or refused for its shape, or emptied by an erasure.
    return {"sides": ([Span(as_text(output))], [Span(as_text(correction))])}


def _classification(
    inference: Inference, output: JSON, correction: JSON, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the likeliest labels, and those that the model and the person chose."""
    given = inference.probabilities if isinstance(inference.probabilities, dict) else {}
    likely = sorted(
        ((label, p) for label, p in given.items() if is_number(p)), key=lambda item: -item[1]
    )
    who = {as_text(correction): "the person's", as_text(output): "the model's"}
    odds = [
        Odds(label, f"{p:.1%}", f"{100 * min(max(p, 0.0), 1.0):.1f}", who.get(label, ""))
        for place, (label, p) in enumerate(likely)
        if place < MOST_LABELS or label in who
    ]
    return {"odds": odds, "other_labels": len(likely) - len(odds)}


def _layout(
    inference: Inference, output: JSON, correction: JSON, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    page = inference.input.get("page") if isinstance(inference.input, dict) else None
    return {
        "drawing": drawing.drawn(page, output, correction),
        "change_words": drawing.in_words(changes, output),
    }


def _image(
    inference: Inference, output: JSON, correction: JSON, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the two pictures, the better prompt word by word, and the regions that are wrong."""
    made, chosen = _part(output, "image"), _part(correction, "image")
    ids = [UUID(id_) for id_ in (made, chosen) if IMAGE_ID.fullmatch(id_)]
    known = Image.objects.filter(project=inference.project_id, uuid__in=ids) if ids else ()
    rows = {str(image.uuid): image for image in known}
    prompt, better = _part(inference.input, "prompt"), _part(correction, "prompt")
    picture = rows.get(made)
    return {
        "made": made,
        "made_picture": picture,
        "chosen": chosen,
        "chosen_picture": rows.get(chosen),
        "prompt": prompt,
        "prompt_sides": better and sides(prompt, MODALITIES["text"].diff(prompt, better)),
        "regions": _regions(correction),
        "label_size": picture and max(picture.width, picture.height) // 18 + 1,
    }


def _part(value: JSON, name: str) -> str:
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, str) else ""


def _regions(correction: JSON) -> list[tuple[dict[str, str] | None, str]]:
    """Return box and note of each region; what has no sound box is listed and not drawn."""
    regions = correction.get("regions") if isinstance(correction, dict) else None
    return [_region(region) for region in regions] if isinstance(regions, list) else []


def _region(region: JSON) -> tuple[dict[str, str] | None, str]:
    match region:
        case {"bbox": [*bbox], "note": note} if len(bbox) == 4 and all(map(is_number, bbox)):
            held = (min(max(side, -1e6), 1e6) for side in bbox)  # type: ignore[type-var]
            names = ("x", "y", "width", "height")
            return {k: f"{v:.1f}" for k, v in zip(names, held, strict=True)}, as_text(note)
    return None, as_text(region)


def _behind(inference: Inference) -> dict[str, Any]:
    """Return the answers that this one was made from, the farthest first, and its siblings."""
    chain: list[Inference] = []
    if inference.parent_id is not None:
        lines = ["__".join(["parent"] * n) for n in range(1, GENERATIONS)]
        related = ["task", *lines, *(f"{line}__task" for line in lines)]
        rows = Inference.objects.filter(project=inference.project_id).select_related(*related)
        parent = rows.filter(pk=inference.parent_id).first()
        while parent is not None and len(chain) < GENERATIONS:
            chain.append(parent)
            # The last one's own parent was not asked for: to look at it would be a query.
            parent = parent.parent if len(chain) < GENERATIONS else None
    siblings = Inference.objects.none()
    if inference.target_id:
        siblings = Inference.objects.filter(
            project=inference.project_id,
            target_type=inference.target_type,
            target_id=inference.target_id,
        ).exclude(pk=inference.pk)
    return {
        "parents": chain[::-1],
        "is_longer": bool(chain) and chain[-1].parent_id is not None,
        "siblings": siblings.select_related("task").order_by("-number")[:SIBLINGS],
    }


_BY_MODALITY = {
    "classification": _classification,
    "text": _text,
    "layout": _layout,
    "image": _image,
}

"""What a person sent and what became of it, for the page on which they read it."""

from collections.abc import Iterator

from feedback.models import Feedback
from privacy.holders import Told
from privacy.models import Project
from training import lineage

WHAT = {
    "up": "You found {answer} good",
    "down": "You found {answer} not good",
    "correction": "You corrected {answer}",
    "edited": "You edited {answer}",
    "regenerated": "You asked for something else than {answer}",
    "accepted": "You went on with {answer}",
    "resolved": "Your question was settled by {answer}",
    "abandoned": "You gave up after {answer}",
}
QUOTED_CHARACTERS = 80


def told(project: Project, user_id: str, before: int | None) -> Iterator[Told]:
    """Yield a person's acts, newest first; of each what became of it is asked when it is read."""
    acts = Feedback.objects.filter(project=project, user_id=user_id)
    acts = acts.select_related("task", "inference")
    if before is not None:
        acts = acts.filter(number__lt=before)
    for act in acts.order_by("-number").iterator(chunk_size=50):
        became = lineage.of_feedback(act)["became"]
        yield Told(act.number, act.created_at, _what(act), became)


def _what(act: Feedback) -> str:
    answer, asked = f"an answer of {act.task.slug}", act.inference.input
    if isinstance(asked, str):
        answer += f" to “{_quoted(asked)}”"
    said = WHAT[act.signal].format(answer=answer)
    if isinstance(act.original, str) and isinstance(act.corrected, str):
        said += f": “{_quoted(act.corrected)}” instead of “{_quoted(act.original)}”"
    return said


def _quoted(text: str) -> str:
    line = " ".join(text[: 4 * QUOTED_CHARACTERS].split())
    return line if len(line) <= QUOTED_CHARACTERS else line[:QUOTED_CHARACTERS] + "…"

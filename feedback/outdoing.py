"""When a later act of the same person on the same answer takes the place of one."""

from feedback.signals import EXPLICIT, IMPLICIT

PARAMETERS = {"explicit": EXPLICIT, "implicit": IMPLICIT}


def is_bare_vote(row: str, review: str) -> str:
    """Tell whether all that a down-vote waits for is to learn what would have been right."""
    return f"""
        ({row}.status = 'flagged' AND {row}.signal = 'down' AND {row}.corrected IS NULL
        AND {row}.flags = ARRAY['feedback.no_fix']::varchar[] AND {review}.id IS NULL)"""


# Of an example `e` made of an act `f`, with PARAMETERS. What is not verified replaces nothing:
# anybody could have sent it in that person's name.
IS_OUTDONE = f"""
    EXISTS (
        SELECT 1 FROM feedback AS g LEFT JOIN feedback_review AS q ON q.feedback_id = g.number
        WHERE g.inference_id = f.inference_id AND g.user_id = f.user_id AND g.number <> f.number
        AND g.signal = ANY(%(explicit)s::text[]) AND (g.is_verified OR q.decision = 'accept')
        AND (g.status = 'processed' OR {is_bare_vote("g", "q")})
        AND (g.number > f.number OR e.signal = ANY(%(implicit)s::text[]))
    )"""  # noqa: S608

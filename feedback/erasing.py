"""How one person leaves feedback: rows deleted or emptied, files removed, links cut.

What other people said of the person's answers stays as a shell: that they acted, and when. The
answer below it stays as a stub, without content and without a person; its `input_hash` is empty.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection, transaction

from config import storage
from config.storage import DIGEST_LENGTH
from feedback import outdoing
from feedback.images import FOLDER
from feedback.models import Contributor, Feedback, Image, Inference, Task
from feedback.outdoing import IS_OUTDONE
from privacy import idempotency
from privacy.holders import Counts, note_files
from privacy.models import ErasureRequest, Project

SHORTEST_NAME = 4  # of a user_id that is looked for in texts
FILES = 20  # removed while no picture can be stored: each takes a bucket a tenth of a second
_ITS_TASKS = "SELECT id FROM feedback_task WHERE project_id = %(project)s"
# An answer that was stored without a person is of whoever acted on it, where nobody else did.
_THEIR_ANSWERS = f"""
    SELECT number FROM feedback_inference
    WHERE task_id IN ({_ITS_TASKS}) AND user_id = %(user_id)s
    UNION SELECT i.number FROM feedback AS f
    JOIN feedback_inference AS i ON i.number = f.inference_id
    WHERE f.project_id = %(project)s AND f.user_id = %(user_id)s AND i.user_id IS NULL
        AND NOT EXISTS (SELECT FROM feedback AS g WHERE g.inference_id = i.number
            AND g.user_id IS DISTINCT FROM %(user_id)s)"""  # noqa: S608
# What they said, and what was said of their answers; who has one in hand is waited for.
_CONCERNED = f"""
    SELECT number, coalesce(user_id = %(user_id)s, false), inference_id FROM feedback
    WHERE number IN (
        SELECT number FROM feedback WHERE project_id = %(project)s AND user_id = %(user_id)s
        UNION SELECT f.number FROM feedback AS f JOIN ({_THEIR_ANSWERS}) AS i
        ON f.inference_id = i.number
        UNION SELECT unnest(%(acts)s::bigint[])
    ) ORDER BY number FOR UPDATE"""  # noqa: S608
_LOCK_ANSWERS = f"""
    SELECT number FROM feedback_inference
    WHERE number IN ({_THEIR_ANSWERS} UNION SELECT unnest(%(shown)s::bigint[]))
    ORDER BY number FOR UPDATE"""  # noqa: S608
_SHELL = """
    UPDATE feedback SET status = 'erased', original = 'null', corrected = NULL, comment = '',
        metadata = '{}', rejections = '[]', redactions = '{}', quality_parts = '{}',
        edit_distance = NULL, disagreement = NULL, input_hash = '', corrected_hash = NULL,
        act_hash = NULL
    WHERE number = ANY(%(numbers)s)"""
_STUB = """
    UPDATE feedback_inference SET input = 'null', output = 'null', input_hash = '',
        fingerprint = '', user_id = NULL, is_verified = false, api_key_id = NULL,
        session_id = '', metadata = '{}', redactions = '{}', occurred_at = NULL,
        is_sensitive = false, confidence = NULL, model_version = '', arm = '',
        probabilities = NULL, target_type = '', target_id = '', parent_id = NULL
    WHERE number = ANY(%(numbers)s)"""
_IS_FREE = "NOT EXISTS (SELECT FROM feedback AS f WHERE f.inference_id = i.number)"
_FOLLOW_NONE = """
    UPDATE feedback_inference SET parent_id = NULL WHERE parent_id = ANY(%(numbers)s)"""
_DELETE_FREE = f"""
    DELETE FROM feedback_inference AS i WHERE number = ANY(%(numbers)s) AND {_IS_FREE}"""  # noqa: S608
_STUBS = """
    SELECT number FROM feedback_inference WHERE number = ANY(%(numbers)s) AND input_hash = ''"""
# An answer that lost the only act on it is one nobody reacted to: silence has to look again.
_LOOK_AGAIN = f"""
    UPDATE feedback_task SET silence_until = NULL
    WHERE silence_until IS NOT NULL AND id IN (
        SELECT task_id FROM feedback_inference AS i
        WHERE i.number = ANY(%(numbers)s) AND i.input_hash <> '' AND {_IS_FREE})"""  # noqa: S608
# Figures count nobody by name, but say to the second when somebody acted.
_ROUND_FIGURES = f"""
    UPDATE feedback_hourfigures AS f SET last_captured_at = date_trunc('hour', last_captured_at),
        last_processed_at = date_trunc('hour', last_processed_at),
        last_decided_at = date_trunc('hour', last_decided_at)
    FROM (SELECT id FROM feedback_hourfigures WHERE task_id IN ({_ITS_TASKS})
        ORDER BY task_id, hour FOR UPDATE) AS theirs WHERE f.id = theirs.id"""  # noqa: S608
_LETTERS = """
    DELETE FROM feedback_deadletter WHERE (project_id = %(project)s OR project_id IS NULL)
        AND (user_id = %(user_id)s OR content ~ %(named)s)"""
_THEIR_PICTURES = """
    SELECT id::text FROM feedback_image WHERE project_id = %(project)s AND user_id = %(user_id)s"""
_PICTURED_ANSWERS = f"""
    SELECT i.number FROM feedback_task AS t JOIN feedback_inference AS i ON i.task_id = t.id
    WHERE t.project_id = %(project)s AND t.modality = 'image'
        AND i.output ->> 'image' IN ({_THEIR_PICTURES})"""  # noqa: S608
_PICTURED = f"""
    SELECT f.number FROM feedback AS f JOIN feedback_task AS t ON t.id = f.task_id
    LEFT JOIN feedback_review AS r ON r.feedback_id = f.number
    WHERE f.project_id = %(project)s AND t.modality = 'image' AND (
        f.inference_id = ANY(%(answers)s) OR f.original ->> 'image' IN ({_THEIR_PICTURES})
        OR f.corrected ->> 'image' IN ({_THEIR_PICTURES})
        OR r.corrected ->> 'image' IN ({_THEIR_PICTURES}))
    ORDER BY f.number"""  # noqa: S608
# As a word of its own: `7` is not quoted by every number with a 7 in it.
_QUOTES = """
    concat_ws(' ', f.original, f.corrected, f.comment, f.metadata, f.rejections, r.corrected,
        r.reason) ~* %(pattern)s"""
_IDENTIFYING_ANSWERS = f"""
    SELECT number FROM feedback_inference WHERE number IN ({_THEIR_ANSWERS}) AND (is_sensitive
        OR concat_ws(' ', input, output, metadata, model_version) ~* %(pattern)s)"""  # noqa: S608
_IDENTIFYING = f"""
    SELECT f.number FROM feedback AS f LEFT JOIN feedback_review AS r ON r.feedback_id = f.number
    WHERE f.number IN (
        SELECT number FROM feedback WHERE project_id = %(project)s AND user_id = %(user_id)s
        UNION SELECT f.number FROM feedback AS f JOIN ({_THEIR_ANSWERS}) AS i
        ON f.inference_id = i.number
    ) AND ('feedback.sensitive' = ANY(f.flags) OR f.inference_id = ANY(%(numbers)s) OR {_QUOTES})
    ORDER BY f.number"""  # noqa: S608
# What a dataset knows by the name on both acts it must know without a name: the earlier act is
# outdone for good.
_OUTDONE = f"""
    UPDATE feedback_example AS e SET superseded_at = now() FROM feedback AS f
    WHERE e.feedback_id = f.number AND e.superseded_at IS NULL
        AND f.project_id = %(project)s AND f.user_id = %(user_id)s AND {IS_OUTDONE}"""  # noqa: S608
_UNLINK = (  # answers first: some are theirs by their acts alone
    f"""
    UPDATE feedback_inference SET user_id = %(to)s, session_id = '', metadata = '{{}}',
        target_type = '', target_id = '', fingerprint = ''
    WHERE number IN ({_THEIR_ANSWERS})""",  # noqa: S608
    """
    UPDATE feedback SET user_id = %(to)s, session_id = '', metadata = '{}', comment = '',
        act_hash = NULL, fingerprint = ''
    WHERE project_id = %(project)s AND user_id = %(user_id)s""",
    """
    UPDATE feedback_image SET user_id = %(to)s
    WHERE project_id = %(project)s AND user_id = %(user_id)s""",
)


class Concerned(NamedTuple):
    """What goes with a person, by numbers: all of it is locked."""

    theirs: set[int]
    others: set[int]  # what others said of the person's answers, or with the person's pictures
    answers: list[int]
    acted_on: set[int]  # whoever was shown them


_before_rows: list[Callable[[ErasureRequest], Counts]] = []


def before_rows(act: Callable[[ErasureRequest], Counts]) -> Callable[[ErasureRequest], Counts]:
    """Have an act done in the transaction that deletes rows: what is made of them goes first."""
    _before_rows.append(act)
    return act


def erase_rows(erasure: ErasureRequest) -> Counts:
    """Delete what a person sent, and empty what others said of it; note the pictures' files.

    Call in a transaction that may rewrite history, when nothing of the person can come any more.
    """
    if erasure.user_id is None:
        return {}
    person = _person(erasure.project, erasure.user_id)
    counts: Counter[str] = Counter()
    for act in _before_rows:
        counts.update(act(erasure))
    shown = pictured(erasure.project, erasure.user_id)
    theirs, others, answers, acted_on = hold(erasure.project, erasure.user_id, *shown)
    forgotten = _forget_answers(erasure.project, erasure.user_id, [*theirs], answers)
    counts["privacy.IdempotencyKey"] = forgotten
    counts.update(_delete_feedback(sorted(theirs)))
    counts.update(_empty(sorted(others), answers))
    counts.update(_delete_stubs(acted_on))
    _change(_LOOK_AGAIN, numbers=list(acted_on))
    counts.update(_delete_images(erasure))
    counts.update(_delete_contributors(_contributors(person)))
    counts.update(_delete_letters(person))
    _change(_ROUND_FIGURES, project=erasure.project_id)
    return dict(counts)


def hold(
    project: Project, user_id: str, acts: Iterable[int] = (), shown: Iterable[int] = ()
) -> Concerned:
    """Lock what goes with a person, and these acts and answers; who has one in hand ends first.

    Who makes an example has locked its feedback: so has whoever deletes one, by this.
    """
    person = _person(project, user_id) | {"acts": list(acts), "shown": list(shown)}
    # Scores take tasks before feedback, and so does this.
    list(Task.objects.filter(project=project).order_by("pk").select_for_update(no_key=True))
    concerned = _rows(_CONCERNED, person)
    _rows(_LOCK_ANSWERS, person)
    # Asked again: on one of them somebody else may have acted until it was locked.
    answers = _rows(_LOCK_ANSWERS, person)
    return Concerned(
        theirs={number for number, is_theirs, _ in concerned if is_theirs},
        others={number for number, is_theirs, _ in concerned if not is_theirs},
        answers=[number for (number,) in answers],
        acted_on={inference for _, is_theirs, inference in concerned if is_theirs},
    )


def pictured(project: Project, user_id: str) -> tuple[list[int], list[int]]:
    """Return others' feedback and answers that show a picture of the person: it goes from them."""
    person = _person(project, user_id)
    answers = [number for (number,) in _rows(_PICTURED_ANSWERS, person)]
    feedback = _rows(_PICTURED, person | {"answers": answers})
    return [number for (number,) in feedback], answers


def _forget_answers(project: Project, user_id: str, feedback: list[int], answers: list[int]) -> int:
    """Take what clients were answered about these rows out of what a repeat would get."""
    rows = (
        Feedback.objects.filter(pk__in=feedback),
        Inference.objects.filter(pk__in=answers),
        Image.objects.filter(project=project, user_id=user_id),
    )
    ids = {str(uuid) for found in rows for uuid in found.values_list("uuid", flat=True)}
    return idempotency.forget(project, ids)


def _person(project: Project, user_id: str) -> dict[str, Any]:
    named = rf'"user_id"\s*:\s*"{_literally(user_id)}"'
    return {"project": project.pk, "user_id": user_id, "named": named}


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _change(statement: str, **parameters: Any) -> int:
    """Execute a statement and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        changed: int = cursor.rowcount
        return changed


def _delete(label: str, table: str, column: str, numbers: list[int]) -> Counts:
    return {label: _change(f"DELETE FROM {table} WHERE {column} = ANY(%(n)s)", n=numbers)}  # noqa: S608


def _delete_feedback(numbers: list[int]) -> Counter[str]:
    counts = _delete_said_of(numbers)
    history = ("feedback.HistoricalFeedback", "feedback_historicalfeedback", "number")
    counts.update(_delete(*history, numbers))
    counts.update(_delete("feedback.Feedback", "feedback", "number", numbers))
    return counts


def _delete_said_of(feedback: list[int], answers: Iterable[int] = ()) -> Counter[str]:
    """Delete reviews with their history, and the examples that are left: no version has them."""
    counts: Counter[str] = Counter()
    for table in ("HistoricalReview", "Review", "Approval", "SecondLook"):
        label, name = f"feedback.{table}", f"feedback_{table.lower()}"
        counts.update(_delete(label, name, "feedback_id", feedback))
    of_answers = _delete("feedback.Example", "feedback_example", "inference_id", list(answers))
    counts.update(_delete("feedback.Example", "feedback_example", "feedback_id", feedback))
    counts.update(of_answers)
    return counts


def _empty(feedback: list[int], answers: list[int]) -> Counter[str]:
    """Make shells of feedback, and stubs of answers; those that nothing hangs on are deleted."""
    counts = _delete_said_of(feedback, answers)
    counts["feedback.Feedback emptied"] = _change(_SHELL, numbers=feedback)
    counts.update(_delete_free(answers))
    counts["feedback.Inference emptied"] = _change(_STUB, numbers=answers)
    return counts


def _delete_free(answers: list[int]) -> Counts:
    """Delete the answers that no act hangs on; those that followed from one follow from none."""
    _change(_FOLLOW_NONE, numbers=answers)
    return {"feedback.Inference": _change(_DELETE_FREE, numbers=answers)}


def _delete_stubs(answers: Iterable[int]) -> Counts:
    """Delete stubs that were there for the sake of an act that is gone."""
    return _delete_free([number for (number,) in _rows(_STUBS, {"numbers": list(answers)})])


def _delete_images(erasure: ErasureRequest) -> Counts:
    """Delete the rows; note the files that no other row names, of whichever project."""
    rows = Image.objects.filter(project=erasure.project, user_id=erasure.user_id)
    digests = set(rows.values_list("sha256", flat=True))
    count = rows._raw_delete(rows.db)
    note_files(erasure, FOLDER, digests - _named(digests))
    return {"feedback.Image": count}


def _named(digests: Iterable[str]) -> set[str]:
    rows = Image.objects.filter(sha256__in=digests)
    return set(rows.values_list("sha256", flat=True))


def _contributors(person: dict[str, Any]) -> dict[int, bool]:
    """Return the person's rows; of each whether it is a decision about them and no mere score."""
    found = f"""
        SELECT id, standing = 'quarantined' OR is_held FROM feedback_contributor
        WHERE task_id IN ({_ITS_TASKS}) AND user_id = %(user_id)s FOR UPDATE"""  # noqa: S608
    return dict(_rows(found, person))


def _delete_contributors(found: Iterable[int]) -> Counts:
    ids = list(found)
    return {
        **_delete("feedback.HistoricalContributor", "feedback_historicalcontributor", "id", ids),
        **_delete("feedback.Contributor", "feedback_contributor", "id", ids),
    }


def _delete_letters(person: dict[str, Any]) -> Counts:
    return {"feedback.DeadLetter": _change(_LETTERS, **person)}


def remove_files(erasure: ErasureRequest) -> Counts:
    """Remove the pictures that were noted, and what interrupted writes and removals left of them.

    One that somebody has uploaded since is theirs: it stays, and is noted no more. Raises
    Unavailable.
    """
    noted = erasure.files.get(FOLDER, [])
    if not noted:
        return {}
    leftovers: defaultdict[str, list[str]] = defaultdict(list)
    for name, _ in storage.digests(FOLDER):
        if len(name) > DIGEST_LENGTH:
            leftovers[name[:DIGEST_LENGTH]].append(name)
    waiting, stay = iter(noted), set[str]()
    while digests := list(islice(waiting, FILES)):
        stay |= _remove(digests, leftovers)
    erasure.files[FOLDER] = sorted(set(noted) - stay)
    return {f"storage/{FOLDER}": len(erasure.files[FOLDER])}


@transaction.atomic
def _remove(digests: list[str], leftovers: dict[str, list[str]]) -> set[str]:
    """Remove files, and return those that stay: a row names them.

    No upload is on its way meanwhile: it would lose its file between row and commit.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE feedback_image IN SHARE MODE")
    named = _named(digests)
    for digest in digests:
        if digest not in named:
            storage.delete(digest, FOLDER)
        for name in leftovers.get(digest, ()):
            storage.delete(name, FOLDER)
    return named


def identifying(project: Project, user_id: str) -> tuple[list[int], list[int]]:
    """Return the feedback and the answers whose text may still say whose they are.

    They are sensitive, or quote the person's user_id; what others said of such an answer is among
    them. A number, or what is as short as a word of any text, names nobody: "5 stars" stays.
    """
    names = len(user_id) >= SHORTEST_NAME and not user_id.isdecimal()
    person = _person(project, user_id) | {"pattern": _as_a_word(user_id) if names else None}
    answers = [number for (number,) in _rows(_IDENTIFYING_ANSWERS, person)]
    feedback = _rows(_IDENTIFYING, person | {"numbers": answers})
    return [number for (number,) in feedback], answers


def _as_a_word(text: str) -> str:
    """Return the pattern of PostgreSQL for a text that is no part of a longer word."""
    return rf"(^|[^[:alnum:]]){_literally(text)}($|[^[:alnum:]])"


def _literally(text: str) -> str:
    return "".join(c if c.isalnum() else f"[{c}]" for c in text)


def empty(feedback: list[int], answers: list[int]) -> Counts:
    """Take the content out of feedback and answers for good, and what reviews held of it.

    Call in a transaction that may rewrite history, when the examples of them are gone.
    """
    return dict(_empty(feedback, answers))


def unlink(project: Project, user_id: str, to: str | None) -> None:
    """Put `to` in the place of a person, and leave nothing that could lead back to them.

    Call in a transaction that may rewrite history.
    """
    person = _person(project, user_id)
    held = hold(project, user_id)
    _forget_answers(project, user_id, [*held.theirs], held.answers)
    empty(*identifying(project, user_id))
    _change(_OUTDONE, **person, **outdoing.PARAMETERS)
    for statement in _UNLINK:
        _change(statement, **person, to=to)
    contributors = _contributors(person)
    # What a moderator or the scores decided against a person is not theirs to undo.
    stay = [pk for pk, is_decided in contributors.items() if is_decided]
    _delete_contributors(contributors.keys() - stay)
    transaction.on_commit(partial(_forget_figures, stay))
    _delete_letters(person)


def _forget_figures(contributors: list[int]) -> None:
    """Leave of people how they stand alone; in a transaction that changed none of their acts."""
    Contributor.objects.filter(pk__in=contributors).update(
        honesty=None, evidence=None, acts=0, agreed=0, disagreed=0, scored_at=None
    )

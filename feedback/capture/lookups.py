"""What the database knows about bodies before they are judged: two questions, each asked once."""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from config.database import fetch
from config.errors import Unauthenticated
from feedback.capture.rows import array, bytea
from feedback.modalities.image import IMAGE_ID
from feedback.models import Task
from privacy.access import Sender
from privacy.tombstones import digest_of

Table: TypeAlias = Literal["feedback", "feedback_inference"]


class Wanted(msgspec.Struct):
    """What a request names, to be looked up; hashes as the database writes bytes."""

    ids: set[UUID] = set()
    acts: set[tuple[UUID, str]] = set()  # inference and person
    images: set[UUID] = set()
    inferences: set[UUID] = set()
    tasks: set[str] = set()
    people: set[str] = set()


class SeenInference(msgspec.Struct, kw_only=True):
    id: UUID
    number: int | None = None  # None: not stored yet
    task_id: int
    input: Any
    output: Any
    input_hash: str  # as the database writes bytes
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    user_id: str | None = None  # who was answered
    uploader: str | None = None  # of the picture that it is
    is_sensitive: bool = False
    is_alone: bool = False  # nobody corrected or approved its input, or was shown it elsewhere


class Person(msgspec.Struct, array_like=True, frozen=True):
    """A data subject: their words (None: nothing said), and whether they want no link."""

    said: bool | None = None  # about collection
    training: bool | None = None
    is_anonymous: bool = False


class Known(msgspec.Struct):
    """What of it is there."""

    ids: dict[UUID, str]  # with the fingerprint
    acts: dict[str, str]  # of an Act's key, the hash of the latest
    images: dict[str, str | None]  # with who uploaded it
    inferences: dict[UUID, SeenInference]
    tasks: list[msgspec.Raw]
    people: dict[str, Person]
    erased: set[str]  # people; as the database answers, their digests
    leaving: set[str]  # people whose erasure runs: what is theirs is as good as gone
    quarantined: set[tuple[int, str]]  # task and person
    consent_default: str | None  # None: the key has been revoked, or has expired

    def task_by_slug(self, slug: str) -> Task | None:
        return next((task for task in self._tasks() if task.slug == slug), None)

    def task_by_id(self, task_id: int) -> Task:
        return next(task for task in self._tasks() if task.pk == task_id)

    def _tasks(self) -> Iterable[Task]:
        return map(_task, map(bytes, self.tasks))


@lru_cache(maxsize=256)
def _task(document: bytes) -> Task:
    """Return the task of a row's JSON: the same row is the same object, a changed one another."""
    return Task(**msgspec.json.decode(document))


_LOOK = """
WITH seen AS (
    SELECT id, number, task_id, input, output, input_hash::text, confidence, probabilities,
        user_id, is_sensitive,
        CASE WHEN output ->> 'image' ~ '^{image_id}$' THEN (
            SELECT user_id FROM feedback_image
            WHERE project_id = %(project)s::bigint AND id = (output ->> 'image')::uuid
        ) END AS uploader,
        NOT EXISTS (
            SELECT FROM feedback AS other WHERE other.task_id = i.task_id
                AND other.input_hash = i.input_hash AND other.corrected_hash IS NOT NULL
        ) AND NOT EXISTS (
            SELECT FROM feedback_example AS golden WHERE golden.task_id = i.task_id
                AND golden.input_hash = i.input_hash
                AND golden."case" = 'golden' AND golden.superseded_at IS NULL
        ) AND NOT EXISTS (
            SELECT FROM feedback_inference AS other WHERE other.task_id = i.task_id
                AND other.input_hash = i.input_hash AND other.number <> i.number
        ) AS is_alone
    FROM feedback_inference AS i
    WHERE project_id = %(project)s::bigint AND id = ANY(%(inferences)s::uuid[])
        AND input <> 'null'
), task AS (
    SELECT * FROM feedback_task
    WHERE project_id = %(project)s::bigint
        AND (slug = ANY(%(tasks)s::text[]) OR id IN (SELECT task_id FROM seen))
)
SELECT json_build_object(
    'consent_default', (
        SELECT project.consent_default FROM privacy_project AS project
        LEFT JOIN privacy_apikey AS key ON key.id = %(key)s::bigint
        WHERE project.id = %(project)s::bigint
            AND (key.id IS NOT NULL) = (%(key)s::bigint IS NOT NULL)
            AND (key.expires_at IS NULL OR key.expires_at > now())
            AND (key.revoked_at IS NULL OR key.revoked_at > now())
    ),
    'ids', (
        SELECT coalesce(json_object_agg(id, fingerprint::text), '{{}}')
        FROM {table} WHERE project_id = %(project)s::bigint AND id = ANY(%(ids)s::uuid[])
    ),
    'acts', (
        SELECT coalesce(json_object_agg(seen.id || ' ' || person, latest.act_hash::text), '{{}}')
        FROM unnest(%(acted)s::uuid[], %(actors)s::text[]) AS asked(inference, person)
        JOIN seen ON seen.id = asked.inference
        CROSS JOIN LATERAL (
            SELECT act_hash FROM feedback AS act
            WHERE act.inference_id = seen.number AND act.user_id = asked.person
                AND act.act_hash IS NOT NULL
            ORDER BY act.number DESC LIMIT 1
        ) AS latest
    ),
    'images', (
        SELECT coalesce(json_object_agg(id, user_id), '{{}}') FROM feedback_image
        WHERE project_id = %(project)s::bigint AND id = ANY(%(images)s::uuid[])
    ),
    'inferences', (SELECT coalesce(json_object_agg(id, to_json(seen)), '{{}}') FROM seen),
    'tasks', (SELECT coalesce(json_agg(to_json(task)), '[]') FROM task),
    'quarantined', (
        SELECT coalesce(json_agg(json_build_array(task_id, user_id)), '[]')
        FROM feedback_contributor AS person
        WHERE standing = 'quarantined' AND user_id = ANY(%(people)s::text[])
            AND task_id IN (SELECT id FROM task)
    ),
    'people', (
        SELECT coalesce(json_object_agg(subject.user_id, json_build_array(
            consent.is_granted, training.is_granted, subject.is_anonymous)), '{{}}')
        FROM privacy_datasubject AS subject
        LEFT JOIN privacy_consent AS consent
            ON consent.subject_id = subject.id AND consent.purpose = 'collection'
        LEFT JOIN privacy_consent AS training
            ON training.subject_id = subject.id AND training.purpose = 'training'
        WHERE subject.project_id = %(project)s::bigint AND subject.user_id = ANY(%(people)s::text[])
    ),
    'erased', (
        SELECT coalesce(json_agg(subject_digest::text), '[]') FROM privacy_erasurerequest
        WHERE project_id = %(project)s::bigint AND subject_digest = ANY(%(digests)s::bytea[])
            AND (tombstone_until > now() OR status <> 'done')
    ),
    'leaving', (
        SELECT coalesce(json_agg(user_id), '[]') FROM privacy_erasurerequest
        WHERE project_id = %(project)s::bigint AND status <> 'done' AND user_id IS NOT NULL
    )
)::text
"""


@cache
def _looking(table: Table) -> str:
    """Return the statement without its indentation.

    psycopg remembers how to bind one of up to 4,096 characters, and parses longer ones each time.
    """
    return " ".join(_LOOK.format(table=table, image_id=IMAGE_ID.pattern).split())


def look(sender: Sender, table: Table, wanted: Wanted) -> Known:
    """Look up all that a request names, in one statement; other projects' rows are not there.

    Nor is what an erasure has emptied, or what a running one will empty.

    Raises Unauthenticated if the key has been revoked, or has expired.
    """
    acts = list(wanted.acts)
    digests = {bytea(digest_of(sender.project, person)): person for person in wanted.people}
    parameters = {
        "key": sender.key and sender.key.pk,
        "project": sender.project.pk,
        "ids": array(wanted.ids),
        "acted": array(inference for inference, _ in acts),
        "actors": array(person for _, person in acts),
        "images": array(wanted.images),
        "inferences": array(wanted.inferences),
        "tasks": array(wanted.tasks),
        "people": array(wanted.people),
        "digests": array(digests),
    }
    known = fetch(_looking(table), parameters, Known)
    if known.consent_default is None:
        raise Unauthenticated
    known.erased = {digests[digest] for digest in known.erased}
    if known.leaving:
        known.images = {
            image: uploader
            for image, uploader in known.images.items()
            if uploader not in known.leaving
        }
        known.inferences = {
            uuid: seen
            for uuid, seen in known.inferences.items()
            if known.leaving.isdisjoint((seen.user_id, seen.uploader))
        }
    return known


class Correction(msgspec.Struct):
    """One correction about which the database is asked; `enough_users` bounds the count."""

    task_id: int
    input_hash: str
    corrected: Any
    corrected_hash: str
    user_id: str | None
    enough_users: int


class Standing(msgspec.Struct):
    """How a correction stands to what others said of the same input."""

    is_contradiction: bool
    contradicts_golden: bool
    users: int  # who were shown that input in a week, counted up to `enough_users`


# An index range on either side of the hash: however many agree, the first who does not is found.
_DIFFERS = """
    EXISTS (
        SELECT FROM feedback AS other
        WHERE other.task_id = act.task_id AND other.input_hash = act.input_hash
            AND other.corrected_hash {side} act.corrected_hash
            AND other.status IN ('pending', 'flagged', 'processed')
            AND NOT 'feedback.low_trust' = ANY(other.flags)
            AND (act.user_id IS NULL OR other.user_id IS DISTINCT FROM act.user_id)
    )
"""
_STANDINGS = f"""
SELECT json_agg(json_build_object(
    'is_contradiction', {_DIFFERS.format(side="<")} OR {_DIFFERS.format(side=">")},
    'contradicts_golden', EXISTS (
        SELECT FROM feedback_example AS golden
        LEFT JOIN feedback AS approval ON approval.number = golden.feedback_id
        WHERE golden.task_id = act.task_id AND golden.input_hash = act.input_hash
            AND golden."case" = 'golden' AND golden.superseded_at IS NULL
            AND golden.output <> act.corrected
            AND coalesce(approval.status, 'processed') = 'processed'
            AND (act.user_id IS NULL OR approval.user_id IS DISTINCT FROM act.user_id)
    ),
    'users', (
        SELECT count(*) FROM (
            SELECT DISTINCT shown.user_id FROM feedback_inference AS shown
            WHERE shown.task_id = act.task_id AND shown.input_hash = act.input_hash
                AND shown.user_id IS NOT NULL
                AND shown.created_at > now() - interval '7 days'
            LIMIT act.enough_users
        ) AS people
    )
))::text
FROM json_to_recordset(%(corrections)s::json) AS act(
    task_id bigint, input_hash bytea, corrected jsonb, corrected_hash bytea, user_id text,
    enough_users int
)
"""  # noqa: S608


def standings(corrections: Sequence[Correction]) -> list[Standing]:
    """Ask for each correction how it stands, in one statement and by index alone."""
    if not corrections:
        return []
    document = msgspec.json.encode(corrections).decode()
    return fetch(_STANDINGS, {"corrections": document}, list[Standing])

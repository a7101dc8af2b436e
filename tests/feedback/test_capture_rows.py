"""The rows that capture and processing write without the ORM fit the tables that it made."""

import pytest
from django.db import connection
from psycopg import _queries

from feedback.capture import lookups, rows
from feedback.models import Example, Feedback, Inference
from feedback.processing import examples

pytestmark = pytest.mark.django_db
GIVEN_BY_DATABASE = {"number", "id", "created_at", "ready_at", "processed_at", "superseded_at"}
GIVEN_BY_DATABASE |= {"touched", "worth", "exposure"}  # what is ranked later


def columns_of(model):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [model._meta.db_table],
        )
        return dict(cursor.fetchall())


@pytest.mark.parametrize(
    ("model", "row", "types", "others"),
    [
        (Inference, rows.InferenceRow, rows._TYPES, set()),
        (Feedback, rows.FeedbackRow, rows._TYPES, {"position", "inference_uuid"}),
        (Example, examples.ExampleRow, examples._TYPES, set()),
    ],
)
def test_it_works(model, row, types, others):
    columns = columns_of(model)
    named = set(row.__struct_fields__)
    assert named - others - {"id"} == set(columns) - GIVEN_BY_DATABASE
    long_names = {"bool": "boolean", "float8": "double precision", "text[]": "character varying[]"}
    long_names["timestamptz"] = "timestamp with time zone"
    for name in named - others:
        kind = types.get(name, "text")
        accepted = {"character varying", "text"} if kind == "text" else {long_names.get(kind, kind)}
        assert columns[name] in accepted, name


def test_psycopg_remembers_how_to_bind_the_statements():
    statements = [rows._STORE_INFERENCES, rows._STORE_FEEDBACK, rows._STORE_BOTH]
    statements += [lookups._looking("feedback"), lookups._looking("feedback_inference")]
    assert max(map(len, statements)) <= _queries.MAX_CACHED_STATEMENT_LENGTH

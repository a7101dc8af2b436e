"""What became of a feedback, and what a model learned from: one statement each, by foreign keys.

What was decided stands as it did at the time: history tables keep it. No document names a
contributor; one of a feedback names the moderators who decided on it.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from django.utils.crypto import salted_hmac

from config.database import fetch
from feedback.models import Feedback
from training.became import became
from training.models import DatasetVersion, ModelVersion

Document: TypeAlias = dict[str, Any]
LISTED_FEEDBACK = 1_000
LISTED_PARENTS = 100
MOST_PREDICTIONS = 100_000  # that are counted: to count more takes longer than anybody waits


def of_feedback(feedback: Feedback, *, has_keys: bool = False) -> Document:
    """Return the examples, versions, runs, models and rollouts that a feedback reached.

    Each example tells the decision that admitted it, where it was left out and why; each version
    how its contributor stood when it was built. `became` says it to the contributor.
    With `has_keys` rows have their primary key, `pk`, which pages link by.
    """
    document = fetch(_FEEDBACK, {"feedback": feedback.pk}, Document)
    user_id = document.pop("user_id")  # null where the person does not permit training
    hide = pseudonym_of(document["project"])
    document["contributor"] = None if user_id is None else hide(user_id)
    document["became"] = became(document)
    return document if has_keys else _without_keys(document)


def of_version(version: DatasetVersion, *, has_keys: bool = False) -> Document:
    """Return a dataset version's parents, its feedback by number, and where it went."""
    document = fetch(_DATASET_VERSION, {"version": version.pk}, Document)
    return document if has_keys else _without_keys(document)


def of_model(model: ModelVersion, *, has_keys: bool = False) -> Document:
    """Return what a model version learned from, how it was judged, and where it served.

    `predictions` are counted to MOST_PREDICTIONS; `feedback` lists the newest LISTED_FEEDBACK.
    """
    document = fetch(_MODEL_VERSION, {"model": model.pk}, Document)
    return document if has_keys else _without_keys(document)


def pseudonym_of(project: str) -> Callable[[str], str]:
    """Return what makes names of a project's people into pseudonyms: no way leads back."""

    def hide(name: str) -> str:
        digest = salted_hmac("training.lineage", f"{project}\0{name}", algorithm="sha256")
        return digest.hexdigest()[:16]

    return hide


def _without_keys(document: Document) -> Document:
    """Take the primary keys out, of rows alone: what people sent may have a `pk` of its own."""
    lists = [value for value in document.values() if isinstance(value, list)]
    rows = [row for value in lists for row in value if isinstance(row, dict)]
    for row in (document, document.get("dataset_version") or {}, *rows):
        row.pop("pk", None)
    return document


def _list(select: str) -> str:
    """Return the expression that makes a JSON list of a statement's rows, in their order."""
    return f"(SELECT coalesce(json_agg(line), '[]') FROM ({select}) AS line)"  # noqa: S608


def _one(select: str) -> str:
    return f"(SELECT to_json(line) FROM ({select}) AS line)"  # noqa: S608


def _permits(user: str, moment: str) -> str:
    """Return whether a person permitted training at a time: by word, else by what counted then."""
    return f"""
        ({user} IS NULL OR coalesce(
            (SELECT h.is_granted FROM privacy_datasubject AS s
            JOIN privacy_historicalconsent AS h ON h.subject_id = s.id
            WHERE s.project_id = act.project_id AND s.user_id = {user}
            AND h.purpose = 'training' AND h.history_date <= {moment}
            ORDER BY h.history_id DESC LIMIT 1),
            (SELECT h.consent_default = 'granted' FROM privacy_historicalproject AS h
            WHERE h.id = act.project_id AND h.history_date <= {moment}
            ORDER BY h.history_id DESC LIMIT 1),
            true))"""  # noqa: S608


# How who sent it stood when the version v was built; null for feedback that names nobody.
_STOOD = f"""
    LEFT JOIN LATERAL (
        SELECT h.standing, h.trust FROM feedback_contributor AS c
        JOIN feedback_historicalcontributor AS h ON h.id = c.id
        WHERE c.task_id = act.task_id AND c.user_id = act.user_id AND h.history_date <= v.as_of
        ORDER BY h.history_id DESC LIMIT 1
    ) AS stood ON true
    LEFT JOIN LATERAL (
        SELECT coalesce(stood.standing, 'probation') AS standing, coalesce(stood.trust, 1) AS trust,
            {_permits("act.user_id", "v.as_of")} AS permits_training
        WHERE act.user_id IS NOT NULL
    ) AS contributor ON true"""  # noqa: S608
_MODEL = """
    t.slug AS task, m.version, m.weights_hash, m.created_at, m.id AS pk,
    r.uuid AS run, r.status AS run_status,
    ARRAY(SELECT a.name FROM training_modelalias AS a
        WHERE a.model_version_id = m.id ORDER BY a.name) AS aliases,
    (SELECT max(h.history_date) FROM training_modelalias AS a
        JOIN training_historicalmodelalias AS h ON h.id = a.id
        WHERE a.name = 'champion' AND a.model_version_id = m.id AND h.model_version_id = m.id
    ) AS serves_since"""
_RUN = """
    r.uuid AS id, r.status, r.strategy, r.seed, v.name AS dataset, v.version, r.created_at,
    r.ended_at, r.id AS pk"""
_ROLLOUT = """
    o.uuid AS id, o.status, o.decision, o.share, m.version AS challenger, o.created_at,
    o.id AS pk"""
_FROM_MODEL = """
    training_modelversion AS m JOIN training_run AS r ON r.id = m.run_id
    JOIN feedback_task AS t ON t.id = m.task_id"""

# --- A feedback: a stay is an interval of versions that an example is in, or is left out of -----
_STAY = """
    SELECT {columns}, s.example_id, s.dataset_id, d.name AS dataset, d.purpose,
        s.since_version AS since, s.until_version AS until, s.id
    FROM example JOIN {table} AS s ON s.example_id = example.id
    JOIN training_dataset AS d ON d.id = s.dataset_id AND d.project_id = example.project_id"""
_IN = _STAY.format(
    table="training_membership",
    columns="""s.split, NULL AS reason, NULL::bigint AS holdout_example_id,
        NULL::float8 AS similarity""",
)
_OUT = _STAY.format(
    table="training_leftout", columns="NULL, s.reason, s.holdout_example_id, s.similarity"
)
_OF_STAY = """
    stay.dataset, stay.purpose, stay.since, stay.until, v.as_of AS since_at, (
        SELECT as_of FROM training_datasets
        WHERE dataset_id = stay.dataset_id AND version = stay.until) AS until_at"""
_SINCE = "JOIN training_datasets AS v ON v.dataset_id = stay.dataset_id AND v.version = stay.since"
_ITS_VERSIONS = f"""
    SELECT {_OF_STAY}, stay.split FROM stay {_SINCE}
    WHERE stay.example_id = e.id AND stay.reason IS NULL ORDER BY stay.id"""  # noqa: S608
_ITS_GAPS = f"""
    SELECT {_OF_STAY}, stay.reason, stay.holdout_example_id, stay.similarity, contributor
    FROM stay {_SINCE} CROSS JOIN act {_STOOD}
    WHERE stay.example_id = e.id AND stay.reason IS NOT NULL ORDER BY stay.id"""  # noqa: S608
_DECISION = """
    SELECT h.decision, h.reason, h.moderator, h.history_date AS at, h.history_id AS record
    FROM feedback_historicalreview AS h WHERE h.history_id = e.review_history_id"""
_EXAMPLES = f"""
    SELECT e.id, e.output, e.rejected_output, nullif(e."case", '') AS case, e.split,
        e.superseded_at IS NULL AS is_current, e.created_at, {_one(_DECISION)} AS decision,
        {_list(_ITS_VERSIONS)} AS versions, {_list(_ITS_GAPS)} AS left_out
    FROM example AS e ORDER BY e.id"""  # noqa: S608
_REVIEW = """
    SELECT r.decision, r.reason, r.moderator, r.decided_at AS at
    FROM feedback_review AS r WHERE r.feedback_id = act.number"""
_REACHED = f"""
    SELECT v.name AS dataset, v.version, v.parent, v.content_hash, v.as_of, v.split, v.id AS pk,
        contributor
    FROM reached AS v {_STOOD} ORDER BY v.name, v.version"""  # noqa: S608
_REACHED_RUNS = f"""
    SELECT {_RUN} FROM ran AS r CROSS JOIN LATERAL (SELECT r.name, r.version) AS v
    ORDER BY r.id"""  # noqa: S608
_REACHED_MODELS = f"""
    SELECT {_MODEL}, ran.split FROM ran JOIN {_FROM_MODEL} ON r.id = ran.id
    ORDER BY m.version"""  # noqa: S608
_REACHED_ROLLOUTS = f"""
    SELECT {_ROLLOUT} FROM ran JOIN training_modelversion AS m ON m.run_id = ran.id
    JOIN training_rollout AS o ON o.challenger_id = m.id ORDER BY o.id"""  # noqa: S608
# A run that began and ended while a person behind it refused left the feedback out.
_FEEDBACK = f"""
    WITH act AS MATERIALIZED (
        SELECT f.*, t.slug AS task, p.slug AS project, i.user_id AS shown_to
        FROM feedback AS f JOIN feedback_task AS t ON t.id = f.task_id
        JOIN privacy_project AS p ON p.id = f.project_id
        JOIN feedback_inference AS i ON i.number = f.inference_id WHERE f.number = %(feedback)s
    ), example AS (
        SELECT e.*, act.project_id FROM act JOIN feedback_example AS e ON e.feedback_id = act.number
    ), stay AS MATERIALIZED ({_IN} UNION ALL {_OUT}), reached AS MATERIALIZED (
        SELECT DISTINCT ON (v.id) v.*, stay.split FROM stay
        JOIN training_datasets AS v ON v.dataset_id = stay.dataset_id AND v.status = 'ready'
        AND v.version >= stay.since AND (stay.until IS NULL OR v.version < stay.until)
        WHERE stay.reason IS NULL
    ), ran AS MATERIALIZED (
        SELECT r.*, v.name, v.version, v.split FROM act CROSS JOIN reached AS v
        JOIN training_run AS r ON r.dataset_version_id = v.id
        CROSS JOIN LATERAL (SELECT coalesce(r.ended_at, 'infinity') AS ended) AS run
        WHERE ({_permits("act.user_id", "r.created_at")} OR {_permits("act.user_id", "run.ended")})
        AND ({_permits("act.shown_to", "r.created_at")} OR {_permits("act.shown_to", "run.ended")})
    )
    SELECT to_json(line)::text FROM (SELECT
        act.id AS feedback, act.project, act.task, act.signal, act.is_verified, act.status,
        act.flags, act.created_at, act.processed_at, act.number AS pk,
        CASE WHEN {_permits("act.user_id", "'infinity'")} THEN act.user_id END AS user_id,
        ARRAY(SELECT jsonb_array_elements(act.rejections) ->> 'detail') AS rejections,
        {_one(_REVIEW)} AS review, {_list(_EXAMPLES)} AS examples,
        {_list(_REACHED)} AS dataset_versions, {_list(_REACHED_RUNS)} AS runs,
        {_list(_REACHED_MODELS)} AS models, {_list(_REACHED_ROLLOUTS)} AS rollouts
        FROM act
    ) AS line"""  # noqa: S608

# --- A dataset version --------------------------------------------------------------------------
_PARENTS = f"""
    SELECT x.version, x.content_hash, x.as_of FROM training_datasets AS x
    WHERE x.dataset_id = v.dataset_id AND x.version <= v.parent AND x.status = 'ready'
    ORDER BY x.version DESC LIMIT {LISTED_PARENTS}"""  # noqa: S608
_VERSION = f"""
    v.name AS dataset, d.purpose, v.version, v.parent, v.status, v.content_hash, v.current_hash,
    v.current_hash <> v.content_hash AS is_touched_by_erasure, v.as_of, v.build_seconds,
    v.task_history_id, v.dataset_history_id, v.counts, v.feedback_source, v.id AS pk,
    {_list(_PARENTS)} AS parents"""
_OF_VERSION = "WHERE r.dataset_version_id = v.id"
_ITS_RUNS = f"SELECT {_RUN} FROM training_run AS r {_OF_VERSION} ORDER BY r.id"  # noqa: S608
_ITS_MODELS = f"SELECT {_MODEL} FROM {_FROM_MODEL} {_OF_VERSION} ORDER BY m.version"  # noqa: S608
_ITS_ROLLOUTS = f"""
    SELECT {_ROLLOUT} FROM {_FROM_MODEL} JOIN training_rollout AS o ON o.challenger_id = m.id
    {_OF_VERSION} ORDER BY o.id"""  # noqa: S608
_DATASET_VERSION = f"""
    SELECT to_json(line)::text FROM (SELECT
        {_VERSION}, p.slug AS project, t.slug AS task, d.settings, {_list(_ITS_RUNS)} AS runs,
        {_list(_ITS_MODELS)} AS models, {_list(_ITS_ROLLOUTS)} AS rollouts
        FROM training_datasets AS v JOIN training_dataset AS d ON d.id = v.dataset_id
        JOIN feedback_task AS t ON t.id = d.task_id
        JOIN privacy_project AS p ON p.id = d.project_id WHERE v.id = %(version)s
    ) AS line"""  # noqa: S608

# --- A model version ----------------------------------------------------------------------------
# The newest first: what came last is mostly feedback, what began the dataset mostly is not. The
# count bounds the walk, and OFFSET 0 keeps it a walk.
_LISTED = f"""
    SELECT f.id FROM training_membership AS s
    CROSS JOIN LATERAL (SELECT feedback_id FROM feedback_example
        WHERE id = s.example_id AND feedback_id IS NOT NULL OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT id FROM feedback WHERE number = e.feedback_id OFFSET 0) AS f
    WHERE s.dataset_id = v.dataset_id AND s.since_version <= v.version
    AND (s.until_version IS NULL OR s.until_version > v.version)
    ORDER BY s.since_version DESC
    LIMIT least({LISTED_FEEDBACK}, (v.feedback_source ->> 'count')::int)"""  # noqa: S608
_LEARNT_FROM = f"""
    SELECT v.feedback_source -> 'count' AS count, v.feedback_source -> 'by_signal' AS by_signal,
        v.feedback_source -> 'by_source' AS by_source,
        r.weighing -> 'contributors' AS contributors, ARRAY({_LISTED}) AS ids
    WHERE v.id IS NOT NULL"""
_GATES = """
    SELECT g.name, g.passed, g.value, g.threshold, g.reason
    FROM training_gateresult AS g WHERE g.run_id = r.id ORDER BY g.id"""
_CANARIES = f"""
    SELECT {_ROLLOUT} FROM training_rollout AS o WHERE o.challenger_id = m.id
    ORDER BY o.id"""  # noqa: S608
_PROMOTIONS = """
    SELECT h.history_date AS at, h.history_change_reason AS why
    FROM training_historicalmodelalias AS h
    WHERE h.model_version_id = m.id AND h.name = 'champion' AND h.history_type <> '-'
    ORDER BY h.history_id"""
_ARCHIVED = """
    SELECT a.part, a.sha256 FROM training_archive AS a WHERE a.model_version_id = m.id
    ORDER BY a.part"""
_MODEL_VERSION = f"""
    SELECT to_json(line)::text FROM (SELECT
        {_MODEL}, p.slug AS project, r.strategy, r.seed, r.config, r.fingerprint, r.weighing,
        {_list(f"SELECT {_RUN}")} AS runs, {_list(_GATES)} AS gates,
        {_one(f"SELECT {_VERSION} WHERE v.id IS NOT NULL")} AS dataset_version,
        {_one(_LEARNT_FROM)} AS feedback, {_list(_CANARIES)} AS rollouts,
        {_list(_PROMOTIONS)} AS promotions, {_list(_ARCHIVED)} AS archives,
        least(seen.number, {MOST_PREDICTIONS}) AS predictions,
        seen.number > {MOST_PREDICTIONS} AS has_more_predictions
        FROM {_FROM_MODEL} JOIN privacy_project AS p ON p.id = t.project_id
        LEFT JOIN (training_datasets AS v JOIN training_dataset AS d ON d.id = v.dataset_id)
            ON v.id = r.dataset_version_id AND d.project_id = t.project_id
        CROSS JOIN LATERAL (SELECT count(*) AS number FROM (
            SELECT FROM training_prediction WHERE model_version_id = m.id
            LIMIT {MOST_PREDICTIONS + 1}) AS prediction) AS seen
        WHERE m.id = %(model)s
    ) AS line"""  # noqa: S608

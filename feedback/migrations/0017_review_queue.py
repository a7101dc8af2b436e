"""The queue has an order, claims, and as many moderators' yes as a task asks for."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from config.transitions import guard_status

PAIRS = [
    "failed>erased",
    "failed>pending",
    "failed>rejected",
    "flagged>erased",
    "flagged>pending",
    "flagged>rejected",
    "pending>erased",
    "pending>failed",
    "pending>flagged",
    "pending>processed",
    "processed>erased",
    "processed>flagged",
    "rejected>erased",
    "rejected>flagged",
]
# Feedback leaves the queue for the next version by as many equal approvals as its task asks for;
# or, nobody having decided, because its contributor is not quarantined any more.
REQUIRE_APPROVALS = """
    CREATE FUNCTION emend_require_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE needed integer; given integer;
    BEGIN
        IF OLD.flags = '{feedback.low_trust}' AND NEW.flags = '{}' THEN
            RETURN NEW;
        END IF;
        SELECT greatest(coalesce((settings ->> 'approvals_required')::int, 1),
            CASE WHEN 'feedback.high_impact' = ANY (OLD.flags)
                THEN coalesce((settings ->> 'approvals_required_high_impact')::int, 2) ELSE 1 END)
            INTO needed FROM feedback_task WHERE id = OLD.task_id;
        SELECT count(*) INTO given FROM feedback_approval
        WHERE feedback_id = OLD.number AND answer_hash = (
            SELECT answer_hash FROM feedback_approval WHERE feedback_id = OLD.number
            ORDER BY id DESC LIMIT 1);
        IF given < needed THEN
            RAISE EXCEPTION 'feedback % has % of % approvals', OLD.number, given, needed
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER require_approvals BEFORE UPDATE OF status ON feedback FOR EACH ROW
        WHEN (OLD.status = 'flagged' AND NEW.status = 'pending')
        EXECUTE FUNCTION emend_require_approvals();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0016_nothing_links_what_was_unlinked"),
        ("privacy", "0011_staff_projects"),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("moderator", models.CharField(max_length=150)),
                (
                    "answer_hash",
                    models.BinaryField(help_text="Of the answer that is approved.", max_length=32),
                ),
                (
                    "approved_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReviewClaim",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=10)),
                ("item", models.BigIntegerField()),
                ("moderator", models.CharField(max_length=150)),
                (
                    "taken_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("ends_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="FlaggedFeedback",
            fields=[],
            options={
                "verbose_name": "flagged feedback",
                "verbose_name_plural": "review queue",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("feedback.feedback",),
        ),
        migrations.AlterModelOptions(
            name="feedback",
            options={
                "permissions": [("retry_feedback", "Can retry or discard failed feedback")],
                "verbose_name_plural": "feedback",
            },
        ),
        migrations.AddField(
            model_name="feedback",
            name="exposure",
            field=models.PositiveIntegerField(
                editable=False,
                help_text="How often its input was served; none: not ranked.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="feedback",
            name="worth",
            field=models.FloatField(
                db_default=0.0, editable=False, help_text="By which the review queue is ordered."
            ),
        ),
        migrations.AddField(
            model_name="historicalreview",
            name="seconds",
            field=models.FloatField(
                help_text="From taking it up until the decision; in one of many together none.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="review",
            name="seconds",
            field=models.FloatField(
                help_text="From taking it up until the decision; in one of many together none.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="historicalreview",
            name="decision",
            field=models.CharField(
                choices=[
                    ("accept", "Accept"),
                    ("reject", "Reject"),
                    ("escalate", "Escalate"),
                    ("approve", "Approve"),
                    ("undone", "Undone"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="review",
            name="decision",
            field=models.CharField(
                choices=[
                    ("accept", "Accept"),
                    ("reject", "Reject"),
                    ("escalate", "Escalate"),
                    ("approve", "Approve"),
                    ("undone", "Undone"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(
                condition=models.Q(("status", "flagged")),
                fields=["-worth", "number"],
                name="feedback_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(
                condition=models.Q(("status", "flagged")),
                fields=["task", "-worth", "number"],
                name="feedback_queue_by_task",
            ),
        ),
        migrations.AddIndex(
            model_name="feedback",
            index=models.Index(
                condition=models.Q(("exposure", None), ("status", "flagged")),
                fields=["number"],
                name="feedback_unranked",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="feedback",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="approvals",
                to="feedback.feedback",
            ),
        ),
        migrations.AddIndex(
            model_name="reviewclaim",
            index=models.Index(fields=["moderator"], name="claim_by_moderator"),
        ),
        migrations.AddConstraint(
            model_name="reviewclaim",
            constraint=models.UniqueConstraint(fields=("kind", "item"), name="one_claim_an_item"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                fields=("feedback", "moderator"), name="one_approval_a_moderator"
            ),
        ),
        guard_status("feedback", PAIRS),
        migrations.RunSQL(
            sql=REQUIRE_APPROVALS,
            reverse_sql="DROP FUNCTION emend_require_approvals() CASCADE",
        ),
    ]

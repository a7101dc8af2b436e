"""Status changes: one literal table a model serves rows, bulk updates and a database trigger."""

from collections.abc import Iterable, Mapping

from django.db import migrations

Transitions = Mapping[str, frozenset[str]]  # a status -> the statuses that may follow it


def guard_status(table: str, pairs: Iterable[str]) -> migrations.RunSQL:
    """Return the migration by which PostgreSQL refuses every change but `pairs` ("a>b")."""
    arguments = ", ".join(f"'{pair}'" for pair in sorted(pairs))
    return migrations.RunSQL(
        sql=f"""
        CREATE OR REPLACE FUNCTION emend_guard_status() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT (OLD.status || '>' || NEW.status = ANY (TG_ARGV)) THEN
                RAISE EXCEPTION 'status of % may not change from % to %',
                    TG_TABLE_NAME, OLD.status, NEW.status USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$;
        DROP TRIGGER IF EXISTS guard_status ON {table};
        CREATE TRIGGER guard_status BEFORE UPDATE OF status ON {table} FOR EACH ROW
            WHEN (OLD.status IS DISTINCT FROM NEW.status)
            EXECUTE FUNCTION emend_guard_status({arguments});
        """,
        reverse_sql=f"DROP TRIGGER IF EXISTS guard_status ON {table};",
    )


def touch_on_change(table: str, *columns: str) -> migrations.RunSQL:
    """Return the migration by which a change of a deciding column notes its transaction's id.

    Dataset builds look for rows touched since the last one; see docs/decisions/0008. A value that
    an old copy of the row would write back is refused the same way.
    """
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return migrations.RunSQL(
        sql=f"""
        CREATE OR REPLACE FUNCTION emend_touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('emend.erasing', true) = 'on' THEN
                NEW.touched := OLD.touched;  -- what links no rows of a person any more
                RETURN NEW;
            END IF;
            NEW.touched := pg_current_xact_id()::text::bigint;
            RETURN NEW;
        END $$;
        CREATE TRIGGER touch BEFORE UPDATE ON {table} FOR EACH ROW
            WHEN (OLD.touched <> NEW.touched OR ({old}) IS DISTINCT FROM ({new}))
            EXECUTE FUNCTION emend_touch();
        """,
        reverse_sql=f"DROP TRIGGER touch ON {table};",
    )


def append_only(*tables: str) -> migrations.RunSQL:
    """Return the migration that makes history tables an audit log.

    Rows are deleted only in a transaction that set `emend.erasing` to `on`, and never updated,
    except that a deleted staff account is forgotten.
    """
    triggers = "".join(
        f"""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW
            EXECUTE FUNCTION emend_append_only();"""
        for table in tables
    )
    drops = "".join(f"DROP TRIGGER append_only ON {table};" for table in tables)
    return migrations.RunSQL(
        sql=f"""
        CREATE OR REPLACE FUNCTION emend_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND current_setting('emend.erasing', true) = 'on' THEN
                RETURN OLD;
            END IF;
            IF TG_OP = 'UPDATE' AND to_jsonb(NEW) -> 'history_user_id' = 'null' AND
                to_jsonb(NEW) - 'history_user_id' = to_jsonb(OLD) - 'history_user_id' THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '% keeps the history of decisions: % refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END $$;{triggers}
        """,
        reverse_sql=drops,
    )

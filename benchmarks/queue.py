"""The pages of review over a million rows of feedback, as the server renders them.

python -m benchmarks.queue [--rows 1000000] [--more 200000] [--rounds 20]

SQL fills an embedded PostgreSQL: ten tasks of five projects (one project of 200 rows), of the rows
one in fifty flagged, one in ten decided. Pages are asked for by Django's test client in this
process, warm: all of Emend's work, no network. The floor is the page for a new password, by the
same client. Then the same once more with so many rows flagged (`--more`; 0: not).
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from benchmarks.door.world import LOGS, UUID_OF_N, World, say_circumstances
from config import embedded
from feedback import claims
from feedback.models import Contributor, Feedback, Inference, Review, Task
from feedback.review import ranking
from privacy.models import Project, StaffProject, Upkeep
from training.models import AnswerToCheck

BAR_MS = 300
SMALL = 200  # rows of the fifth project
SHARED = 5_000  # acts on one input
CHECKS, OTHERS = 300, 50  # answers to check; moderators who have something open
USERS = 20_000  # and one who sends a twentieth of all
RARE, RARE_ROWS = "feedback.burst", 20
TEXT = "The soup was cold, and the waiter said that this is how it is done here. " * 13
QUEUE, ALL, CHECK = (
    f"/admin/{name}/"
    for name in ("feedback/flaggedfeedback", "feedback/feedback", "training/answertocheck")
)
ONE = "(SELECT * FROM {} LIMIT 1) t"
Ask = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--more", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with embedded.running(needs_redis=False, log_pattern=LOGS):
        call_command("migrate", verbosity=0)
        with psycopg.connect(embedded.database_url(), autocommit=True) as database:
            world = World("", "", database)
            say_circumstances(world)
            began_at = time.monotonic()
            fill(world, arguments.rows)
            print(f"filled in {time.monotonic() - began_at:.0f} s", flush=True)
            say(world, arguments.rounds)
            if arguments.more:
                flag(world, arguments.rows // arguments.more)
                say(world, arguments.rounds)
        connection.close()


def fill(world: World, rows: int) -> None:
    """Make one row of each kind as the product does, and copies of it by SQL."""
    tasks = [
        Task.objects.create(
            project=Project.objects.get_or_create(slug=slug, defaults={"name": slug})[0],
            slug=f"mood-{n}",
            modality="classification",
            labels=["neg", "pos"],
        )
        for n, slug in enumerate(["one"] * 3 + ["two"] * 3 + ["three"] * 2 + ["four", "small"])
    ]
    _fill_inferences(world, tasks, rows)
    _fill_feedback(world, rows)
    _fill_decisions(world)
    world.database.execute(
        "INSERT INTO feedback_contributor (task_id, user_id, standing, trust, is_held, reason,"
        " acts, agreed, disagreed)"
        " SELECT DISTINCT task_id, user_id, 'trusted', 0.9, false, '', 9, 8, 1 FROM feedback"
    )
    silent = Inference.objects.filter(feedback=None).order_by("-number")[:CHECKS]
    AnswerToCheck.objects.bulk_create(
        AnswerToCheck(task_id=i.task_id, inference=i, worth=1 / n, place=n)
        for n, i in enumerate(silent, start=1)
    )
    world.database.execute("VACUUM (ANALYZE)")
    world.database.execute("CHECKPOINT")


def _fill_inferences(world: World, tasks: list[Task], rows: int) -> None:
    """Number n is of one of nine tasks by its rest; the first are of the small project."""
    place = f"CASE WHEN n <= {SMALL} THEN 10 WHEN {_is_shared(rows)} THEN 1 ELSE n % 9 + 1 END"
    ids = {
        name: f"('{{{','.join(str(getattr(task, name)) for task in tasks)}}}'::bigint[])[{place}]"
        for name in ("pk", "project_id")
    }
    Inference.objects.create(
        project=tasks[0].project,
        task=tasks[0],
        input=TEXT,
        output="pos",
        input_hash=b"\0" * 32,
        fingerprint=b"",
        is_verified=True,
    )
    world.multiply(
        "feedback_inference",
        f"{ONE.format('feedback_inference')}, generate_series(1, {rows + CHECKS}) n ORDER BY n",
        {
            "id": UUID_OF_N,
            "project_id": ids["project_id"],
            "task_id": ids["pk"],
            "user_id": f"'user-' || CASE WHEN n % 21 > 0 THEN n % {USERS} * 7919 % {USERS} ELSE 0"
            " END",
            "input": "to_jsonb((t.input #>> '{}') || n || ' ' || md5(n::text))",
            "input_hash": f"CASE WHEN {_is_shared(rows)} THEN sha256('shared') ELSE"
            " sha256(n::text::bytea) END",
            "confidence": "n % 100 / 100.0",
            "created_at": f"now() - ({rows + CHECKS} - n) * interval '2 s'",
        },
    )


def _is_shared(rows: int) -> str:
    return f"n BETWEEN {rows // 2} AND {rows // 2 + SHARED - 1}"


def _fill_feedback(world: World, rows: int) -> None:
    first = Inference.objects.earliest("number")
    Feedback.objects.create(
        project=first.project,
        task=first.task,
        user_id="user-0",
        inference=first,
        signal="correction",
        original="pos",
        corrected="neg",
        edit_distance=1.0,
        status="processed",
        quality=1.0,
        queue="process.text",
        input_hash=first.input_hash,
        fingerprint=b"",
        is_verified=True,
    )
    taken = ["id", "user_id", "input_hash", "created_at", "project_id", "task_id"]
    is_flagged = f"(n % 50 = 7 OR (n <= {SMALL} AND n % 5 = 2))"
    is_down = "n / 50 % 3 = 0"
    flags = (
        f"CASE WHEN n % 50 = 7 AND n % ({rows} / {RARE_ROWS}) = 7 THEN '{{{RARE}}}'"
        f" WHEN {is_down} THEN '{{feedback.no_fix}}' WHEN n / 50 % 3 = 1"
        " THEN '{feedback.low_trust}' ELSE '{feedback.high_impact,feedback.low_trust}' END"
    )
    world.multiply(
        "feedback",
        f"{ONE.format('feedback')},"  # noqa: S608
        f" (SELECT number - {first.pk} AS n, * FROM feedback_inference) i"
        f" WHERE n BETWEEN 1 AND {rows} ORDER BY n",
        {name: f"i.{name}" for name in taken}
        | {
            "inference_id": "i.number",
            "signal": f"CASE WHEN {is_flagged} AND {is_down} THEN 'down' ELSE 'correction' END",
            "corrected": f"CASE WHEN NOT ({is_flagged} AND {is_down}) THEN t.corrected END",
            "status": f"CASE WHEN {is_flagged} THEN 'flagged' WHEN n % 30 = 1 THEN 'rejected'"
            " ELSE 'processed' END",
            "flags": f"CASE WHEN {is_flagged} THEN {flags} ELSE '{{}}' END::varchar[]",
            "processed_at": "i.created_at",
        },
    )
    world.database.execute("ANALYZE")


def _fill_decisions(world: World) -> None:
    """A tenth is decided; of what is flagged some is escalated, some approved by one."""
    world.database.execute(
        "INSERT INTO feedback_review (feedback_id, decision, reason, is_pinned, moderator,"
        " decided_at, seconds) SELECT number, CASE WHEN status = 'processed' THEN 'accept'"
        " WHEN status = 'rejected' THEN 'reject' WHEN number % 3 = 0 THEN 'approve'"
        " ELSE 'escalate' END, '', false, 'moderator-' || number % 10, created_at, 9"
        " FROM feedback WHERE number % 10 = 0"
    )
    world.database.execute(
        "INSERT INTO feedback_approval (feedback_id, moderator, answer_hash)"
        " SELECT feedback_id, moderator, sha256('pos') FROM feedback_review"
        " WHERE decision = 'approve'"
    )
    template = Review.objects.filter(decision="accept").earliest("pk")
    template.save()  # its history begins
    names = ["id", "feedback_id", "decision", "moderator"]
    world.multiply(
        "feedback_historicalreview",
        f"{ONE.format('feedback_historicalreview')}, feedback_review r WHERE r.id <> {template.pk}",
        {name: f"r.{name}" for name in names} | {"history_date": "r.decided_at"},
    )
    world.multiply(
        "feedback_historicalfeedback",
        f"{ONE.format('feedback_historicalfeedback')}, feedback f WHERE f.number % 10 = 0",
        {name: f"f.{name}" for name in ("number", "id", "task_id", "project_id", "status")},
    )


def flag(world: World, one_in: int) -> None:
    """Flag one of so many rows."""
    world.database.execute(
        "UPDATE feedback SET status = 'flagged', flags = '{feedback.low_trust}'"
        " WHERE number %% %s = 0 AND status IN ('processed', 'rejected')",
        [one_in],
    )
    world.database.execute("VACUUM (ANALYZE)")
    world.database.execute("CHECKPOINT")


def say(world: World, rounds: int) -> None:
    flagged = Feedback.objects.flagged().count()
    print(f"{Feedback.objects.count():,} rows of feedback, {flagged:,} flagged", flush=True)
    say_ranking()
    print(f"{'':48}    least   median      p95  floors")
    boss = client_of("boss", is_superuser=True)
    moderator = client_of("most", but="small")
    small = client_of("one", only="small")
    floor = measure("floor", lambda: boss.get("/admin/password_change/"), rounds)
    take_up_others()
    for client, who in ((boss, "superuser"), (moderator, "most projects"), (small, "small one")):
        measure(f"queue, {who}", partial(client.get, QUEUE), rounds, floor)
        pages = items(client)
        for name, pk in pages.items():
            page = f"{ALL}{pk}/change/"
            measure(f"item, {name}, {who}", partial(client.get, page), rounds, floor)
    for name, address in addresses().items():
        measure(name, partial(moderator.get, address), rounds, floor)
    say_decisions(moderator, rounds, floor)


def say_ranking() -> None:
    Feedback.objects.flagged().update(exposure=None)
    for name in ("all new", "all again", "nothing to do"):
        began_at = time.perf_counter()
        ranking.waiting_seconds()
        asked_ms = (time.perf_counter() - began_at) * 1_000
        if name == "all again":
            Upkeep.objects.filter(task=ranking.TASK).delete()
        ranking.rank_queue()
        seconds = time.perf_counter() - began_at
        print(f"ranking, {name}: {seconds:.1f} s; whether to: {asked_ms:.1f} ms", flush=True)
    connection.cursor().execute("VACUUM (ANALYZE) feedback")


def client_of(name: str, *, is_superuser: bool = False, but: str = "", only: str = "") -> Client:
    """Return the browser of somebody with these projects, made at the first call."""
    user, is_new = get_user_model().objects.get_or_create(
        username=name, defaults={"is_staff": True, "is_superuser": is_superuser}
    )
    if is_new and not is_superuser:
        user.groups.add(apps.get_model("auth", "Group").objects.get(name="lead"))
        given = Project.objects.filter(slug=only) if only else Project.objects.exclude(slug=but)
        for project in given:
            StaffProject.objects.create(user=user, project=project)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def take_up_others() -> None:
    """Let other moderators have the first items open."""
    first = Feedback.objects.flagged().order_by("-worth", "number")[:OTHERS]
    for n, feedback in enumerate(first):
        claims.take(claims.FEEDBACK, feedback.pk, by=f"other-{n}")


def items(client: Client) -> dict[str, int]:
    """Return items at some places of what a person sees, by name."""
    user = get_user_model().objects.get(pk=client.session["_auth_user_id"])
    rows = Feedback.objects.order_by("-worth", "number")
    if not user.is_superuser:
        rows = rows.filter(project__in=user.given_projects.values("project"))
    queue = rows.flagged()
    shared = Inference.objects.values("input_hash").filter(
        pk=Inference.objects.earliest("number").pk + Feedback.objects.count() // 2
    )
    found = {
        "first": queue.first(),
        "in the middle": queue[queue.count() // 2],
        "last": queue.reverse().first(),
        "others on its input": queue.filter(input_hash__in=shared).first(),
        "of who sends most": queue.filter(user_id="user-0").first(),
        "decided": rows.filter(status="processed", review__decision="accept")[:1].first(),
    }
    return {name: feedback.pk for name, feedback in found.items() if feedback is not None}


def addresses() -> dict[str, str]:
    """Return the lists to ask for, by name."""
    task = Task.objects.get(slug="mood-0")
    one = Feedback.objects.flagged().filter(task=task).latest("number")
    some = Feedback.objects.flagged().order_by("-number")[200]
    queue: dict[str, dict[str, Any]] = {
        "task": {"task": task.pk},
        "signal": {"signal": "down"},
        "flag": {"flag": "feedback.low_trust"},
        "rare flag": {"flag": RARE},
        "escalated": {"state": "escalate"},
        "decided by nobody": {"state": "new"},
        "task, flag, state": {"task": task.pk, "flag": "feedback.no_fix", "state": "escalate"},
        "the same input": {"alike": one.pk},
        "the same contributor": {"whose": one.pk},
        "oldest first": {"order": "oldest"},
        "oldest first, deep": {
            "order": "oldest",
            "after": f'["{some.created_at.isoformat()}", {some.pk}]',
        },
        "deep": {"after": f"[{some.worth}, {some.pk}]"},
        "words that all have": {"q": "soup"},
        "words that one has": {"q": str(one.inference.input)[-32:]},
        "words that none has": {"q": "nowhere"},
        "a contributor": {"q": "user-123"},
        "an id": {"q": str(one.uuid)},
    }
    old = Feedback.objects.filter(created_at__lt=timezone.now()).order_by("created_at")[1_000]
    everything: dict[str, dict[str, Any]] = {
        "first page": {},
        "deep": {"after": f'["{old.created_at.isoformat()}", {old.pk}]'},
        "flagged": {"status__exact": "flagged"},
        "failed": {"status__exact": "failed"},
        "task": {"task": task.pk},
        "signal": {"signal": "down"},
        "rare flag": {"flag": RARE},
        "imported": {"source__exact": "import"},
        "not verified": {"is_verified__exact": "0"},
        "one person's": {"project__exact": task.project_id, "user_id__exact": "user-0"},
        "a contributor": {"q": "user-123"},
        "nobody": {"q": "nobody"},
        "an id": {"q": str(one.uuid)},
        "the beginning of an id": {"q": str(one.uuid)[:8]},
    }
    check = AnswerToCheck.objects.earliest("place")
    return (
        {f"queue, {name}": f"{QUEUE}?{urlencode(asked)}" for name, asked in queue.items()}
        | {f"all, {name}": f"{ALL}?{urlencode(asked)}" for name, asked in everything.items()}
        | {"answers to check": CHECK, "an answer to check": f"{CHECK}{check.pk}/change/"}
        | {"contributors": reverse("admin:feedback_contributor_changelist")}
        | {"who sends most": reverse("admin:feedback_contributor_change", args=[_heaviest().pk])}
        | {"dashboard": "/admin/", "background": "/admin/background/"}
        | {"numbers": reverse("admin:feedback_numbers")}
    )


def _heaviest() -> Contributor:
    return Contributor.objects.filter(user_id="user-0").earliest("pk")


def say_decisions(client: Client, rounds: int, floor: float) -> None:
    """Print what it takes to go on, to decide about one and about many."""
    pages = items(client)
    first, last = pages["first"], pages["last"]
    measure("next, the first", lambda: client.get(f"{QUEUE}next/"), rounds, floor)
    measure("next, after the last", lambda: client.get(f"{QUEUE}next/{last}/"), rounds, floor)
    rare = f"{QUEUE}next/{last}/?flag={RARE}"
    measure("next, rare flag", lambda: client.get(rare), rounds, floor)
    measure("next answer to check", lambda: client.get(f"{CHECK}next/"), rounds, floor)
    client.get(f"{ALL}{last}/change/")
    measure("renew", lambda: client.post(f"{QUEUE}claim/{last}/"), rounds, floor)
    measure("undo and the list", lambda: client.post(f"{QUEUE}undo/"), rounds, floor)
    waiting = iter(Feedback.objects.flagged().filter(project__slug="two", review=None)[:1_000])

    def accept() -> Any:
        page = f"{ALL}{next(waiting).pk}/change/"
        return client.post(page, {"decision": "edit", "corrected": "neg"}, follow=True)

    measure("accept one, and the next", accept, rounds, floor)
    for decision in ("escalate", "reject", "accept"):
        body = {"action": decision, "select_across": "1", "index": "0", "ground": "wrong"}
        body["_selected_action"] = str(first)
        began_at = time.perf_counter()
        address = f"{QUEUE}?flag=feedback.low_trust&signal=correction"
        page = client.post(address, body, follow=True).content.decode()
        seconds = time.perf_counter() - began_at
        said = " ".join(page.partition('class="undo')[2].partition("<span>")[2].split())[:80]
        print(f"{decision} 500 and the list: {seconds:.1f} s; {said}", flush=True)


def measure(name: str, ask: Ask, rounds: int, floor: float = 0.0) -> float:
    """Print the milliseconds of a page; return the median."""
    for _ in range(2):
        answer = ask()
        assert answer.status_code in (200, 204, 302, 409), (name, answer.status_code)
    waits = []
    for _ in range(rounds):
        began_at = time.perf_counter()
        ask()
        waits.append((time.perf_counter() - began_at) * 1_000)
    ranked = sorted(waits)
    median, p95 = ranked[rounds // 2], ranked[math.ceil(0.95 * rounds) - 1]
    over = "  OVER" if p95 > BAR_MS else ""
    ratio = f"{median / floor:7.1f}" if floor else f"{'':7}"
    least = ranked[0]
    print(
        f"{name:48} {least:5.0f} ms {median:5.0f} ms {p95:5.0f} ms {ratio}{over}",
        flush=True,
    )
    return median


if __name__ == "__main__":
    main()

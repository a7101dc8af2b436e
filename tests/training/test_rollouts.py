"""Promotion, canaries, rollback."""

import threading

import pytest
from django.db import connection

from feedback.models import Contributor, Feedback, Inference
from tests.training.builders import Product
from training import rollouts, serving
from training.errors import (
    NoModel,
    NothingToRollBack,
    NotPassed,
    RolloutRunning,
    TransitionRefused,
)
from training.gates import champion_of
from training.models import ModelAlias, Rollout
from training.rollouts import Plan
from training.statistics import HarmMonitor


@pytest.fixture
def shop(product):
    return product


@pytest.fixture
def canary(shop):
    rollouts.promote(shop.register())
    return rollouts.start(shop.register(), Plan(share=0.5, minimum_outcomes=10))


def test_it_works(shop, canary):
    assert champion_of(shop.task).version == 1
    rollouts.advance(canary)
    assert champion_of(shop.task).version == 2


def test_only_what_passed_the_gates_is_served(shop):
    rollouts.promote(shop.register())
    model = shop.register()
    model.run.status = "refused"
    with pytest.raises(NotPassed):
        rollouts.promote(model)
    with pytest.raises(NotPassed):
        rollouts.start(model, Plan())


def test_a_canary_needs_a_champion(shop):
    with pytest.raises(NoModel):
        rollouts.start(shop.register(), Plan())


def test_one_canary_at_a_time(shop, canary):
    with pytest.raises(RolloutRunning):
        rollouts.start(canary.challenger, Plan())
    rollouts.abort(canary)
    assert rollouts.start(canary.challenger, Plan()).status == "canary"


def test_a_plan_takes_what_it_lacks_from_the_task(shop):
    shop.task.settings = {"canary_share": 0.2, "canary_outcomes": 7}
    shop.task.save()
    rollouts.promote(shop.register())
    rollout = rollouts.start(shop.register(), Plan())
    assert (rollout.share, rollout.plan["minimum_outcomes"]) == (0.2, 7)


def test_the_same_user_stays_on_the_same_arm(shop, canary):
    arms = {user: serving.route(shop.task, user).arm for user in map(str, range(50))}
    assert set(arms.values()) == {"champion", "challenger"}
    serving._states.clear()
    assert arms == {user: serving.route(shop.task, user).arm for user in arms}


def test_the_share_of_users_is_about_right():
    users = [f"user-{number}" for number in range(5_000)]
    share = sum(serving.bucket("salt", user) < 0.1 for user in users) / len(users)
    assert share == pytest.approx(0.1, abs=0.013)  # three standard errors


def test_another_rollout_deals_users_anew():
    users = [f"user-{number}" for number in range(1_000)]
    first = {user for user in users if serving.bucket("one", user) < 0.5}
    second = {user for user in users if serving.bucket("two", user) < 0.5}
    assert 0.4 < len(first & second) / len(first) < 0.6


def test_who_is_nobody_is_served_by_the_champion(shop, canary):
    assert serving.route(shop.task, None).arm == "champion"


def test_promotion_ends_the_canary(shop, canary):
    third = shop.register()
    rollouts.promote(third)
    canary.refresh_from_db()
    assert (canary.status, canary.decision) == ("aborted", "mood v3 was promoted")


def test_the_canarys_own_promotion_makes_it_full(canary):
    rollouts.promote(canary.challenger)
    canary.refresh_from_db()
    assert canary.status == "full"


def test_what_has_ended_cannot_be_advanced_or_aborted(canary):
    rollouts.abort(canary)
    with pytest.raises(TransitionRefused):
        rollouts.advance(canary)
    with pytest.raises(TransitionRefused):
        rollouts.abort(canary)


def test_a_rollback_never_undoes_a_rollback(shop):
    first, second, third = (shop.register() for _ in range(3))
    for model in (first, second, third):
        rollouts.promote(model)
    assert rollouts.rollback(shop.task).model_version == second
    assert rollouts.rollback(shop.task).model_version == first
    with pytest.raises(NothingToRollBack):
        rollouts.rollback(shop.task)
    assert champion_of(shop.task) == first


def test_a_rollback_skips_what_never_served(shop):
    first, _, third = (shop.register() for _ in range(3))
    rollouts.promote(first)
    rollouts.promote(third)
    assert rollouts.rollback(shop.task).model_version == first


def test_a_rollback_ends_the_canary(shop, canary):
    rollouts.promote(canary.challenger)
    again = rollouts.start(shop.register(), Plan())
    rollouts.rollback(shop.task)
    again.refresh_from_db()
    assert (again.status, again.decision) == ("aborted", "the champion was rolled back")


def test_without_a_champion_there_is_nothing_to_roll_back(shop):
    with pytest.raises(NoModel):
        rollouts.rollback(shop.task)


def test_aliases_leave_their_reasons_in_history(shop, canary):
    rollouts.advance(canary, why="it is better")
    rollouts.rollback(shop.task)
    history = ModelAlias.history.filter(name="champion").order_by("history_id")
    assert [(h.model_version.version, h.history_change_reason) for h in history] == [
        (1, "promoted"),
        (2, f"rollout {canary.uuid}: it is better"),
        (1, "rolled back from v2"),
    ]


def test_a_promoted_challenger_is_challenger_no_more(shop):
    model = shop.register()
    ModelAlias.objects.create(task=shop.task, name="challenger", model_version=model)
    rollouts.promote(model)
    assert [alias.name for alias in ModelAlias.objects.all()] == ["champion"]
    types = ModelAlias.history.filter(name="challenger").order_by("history_id")
    assert [h.history_type for h in types] == ["+", "-"]


def serve(shop, rollout, arm, number):
    """Store answers as `predict` does, on one arm, each to another person."""
    people = [f"{arm}-{n}-{Inference.objects.count()}" for n in range(number)]
    rows = [shop.show(f"the text of {user}", "pos", user=user) for user in people]
    model = rollout.challenger if arm == "challenger" else rollout.champion
    for row in rows:
        serving.Prediction.objects.create(
            inference=row, model_version=model, rollout=rollout, arm=arm
        )
    return rows


def look(rollout):
    Rollout.objects.update(next_look_at="2020-01-01T00:00:00Z")
    rollouts.look_at_due()
    rollout.refresh_from_db()
    return rollout


def react(shop, rows, bad):
    for number, row in enumerate(rows):
        if number < bad:
            shop.react(row, "correction", "neg", user=None)
        else:
            shop.react(row, "up", user=None)


def test_outcomes_are_as_counted_by_hand(shop, canary):
    rows = serve(shop, canary, "challenger", 5)
    serve(shop, canary, "champion", 2)
    shop.react(rows[0], "up", user="ann")
    shop.react(rows[0], "correction", "neg", user="ann")  # one answer, disliked in the end
    shop.react(rows[1], "up")
    shop.react(rows[2], "accepted")  # says nothing on purpose
    assert shop.react(rows[3], "correction", "pos").status == "rejected"  # changes nothing
    assert rollouts.outcomes(canary) == {"champion": (0, 0), "challenger": (1, 2)}


def test_an_audit_is_nobodys_reaction(shop, canary):
    react(shop, serve(shop, canary, "challenger", 2), 1)
    Feedback.objects.filter(signal="correction").update(source="audit")
    assert rollouts.outcomes(canary)["challenger"] == (0, 1)


def test_who_is_in_quarantine_has_no_say(shop, canary):
    rows = serve(shop, canary, "challenger", 2)
    react(shop, rows[1:], 0)
    Contributor.objects.create(task=shop.task, user_id="eve", standing="quarantined")
    assert shop.react(rows[0], "correction", "neg", user="eve").flags == ["feedback.low_trust"]
    assert rollouts.outcomes(canary)["challenger"] == (0, 1)


def test_a_person_counts_once(shop, canary):
    rows = serve(shop, canary, "challenger", 3)
    Inference.objects.update(user_id="ann")
    react(shop, rows[:2], 0)
    react(shop, rows[2:], 1)
    assert rollouts.outcomes(canary)["challenger"] == (0, 1)


def test_what_becomes_visible_late_is_not_missed(shop, canary):
    Rollout.objects.update(plan=canary.plan | {"minimum_outcomes": 99})
    late, early = serve(shop, canary, "challenger", 2)
    react(shop, serve(shop, canary, "champion", 2), 0)
    react(shop, [late, early], 1)
    hidden = serving.Prediction.objects.filter(inference=late)
    hidden.update(rollout=None)  # as if its transaction, which began first, ended after the look
    look(canary)
    hidden.update(rollout=canary)
    look(canary)
    monitor = HarmMonitor(**rollouts._restored(canary.evidence))
    heard = (monitor.seen_challenger, monitor.waiting_challenger)
    assert [sum(pair) for pair in zip(*heard, strict=True)] == [1, 2]


def test_enough_good_outcomes_promote(shop, canary):
    react(shop, serve(shop, canary, "champion", 10), 1)
    react(shop, serve(shop, canary, "challenger", 9), 1)
    assert look(canary).status == "canary"
    react(shop, serve(shop, canary, "challenger", 1), 0)
    assert look(canary).status == "full"
    assert canary.decision == "no harm among 10 people who reacted to it"
    assert champion_of(shop.task) == canary.challenger


def test_harm_rolls_back(shop, canary):
    for _ in range(6):
        react(shop, serve(shop, canary, "champion", 4), 0)
        react(shop, serve(shop, canary, "challenger", 4), 4)
        Rollout.objects.filter(status="canary").update(plan=canary.plan | {"minimum_outcomes": 99})
        look(canary)
    assert canary.status == "rolled_back"
    assert canary.decision.startswith("evidence of harm")
    assert champion_of(shop.task) == canary.champion


def test_by_hand_only_means_by_hand_only(shop, canary):
    Rollout.objects.update(plan=canary.plan | {"automatic": False})
    react(shop, serve(shop, canary, "challenger", 12), 0)
    assert look(canary).status == "canary"


def test_evidence_grows_from_look_to_look_as_in_one_process(shop, canary):
    Rollout.objects.update(plan=canary.plan | {"minimum_outcomes": 99})
    monitor = HarmMonitor(0.05)
    for champion_bad, challenger_bad in ((1, 2), (0, 3)):
        react(shop, serve(shop, canary, "champion", 3), champion_bad)
        react(shop, serve(shop, canary, "challenger", 3), challenger_bad)
        monitor.update(champion=(champion_bad, 3), challenger=(challenger_bad, 3))
        look(canary)
    restored = HarmMonitor(**rollouts._restored(canary.evidence))
    assert restored == monitor
    assert monitor.log_e != 0


def test_a_look_is_due_from_time_to_time(canary):
    assert rollouts.waiting_seconds() >= 0
    rollouts.look_at_due()
    assert rollouts.waiting_seconds() is None


@pytest.mark.django_db(transaction=True)
def test_promotion_and_advance_at_once_take_turns():
    shop = Product()
    rollouts.promote(shop.register())
    canary = rollouts.start(shop.register(), Plan())
    third = shop.register()
    refused = []

    def act(verb, row):
        try:
            verb(row)
        except TransitionRefused as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=act, args=[rollouts.advance, canary]),
        threading.Thread(target=act, args=[rollouts.promote, third]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    canary.refresh_from_db()
    assert champion_of(shop.task) == third
    assert canary.status == ("aborted" if refused else "full")

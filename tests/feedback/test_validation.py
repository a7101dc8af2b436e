import pytest

from feedback.modalities import MODALITIES
from feedback.validation import FLAGS, REJECTIONS, Act, judge

LABELS = ("negative", "positive")


def act(**changes):
    given = {
        "signal": "correction",
        "input": "The soup was great",
        "output": "negative",
        "corrected": "positive",
        "modality": MODALITIES["classification"],
        "labels": LABELS,
        "max_chars": 200,
    }
    return Act(**{**given, **changes})


def codes(**changes):
    return [problem.code for problem in judge(act(**changes)).rejections]


def test_it_works():
    verdict = judge(act(comment="It was praise."))
    assert (verdict.rejections, verdict.flags, verdict.quality) == ([], [], 1.0)


def test_the_codes_are_the_contracts():
    assert [*REJECTIONS, *FLAGS] == [
        "feedback.no_change",
        "feedback.empty",
        "feedback.schema_mismatch",
        "feedback.too_long",
        "feedback.duplicate",
        "feedback.no_fix",
        "feedback.markup",
        "feedback.contradiction",
    ]


@pytest.mark.parametrize(
    ("changes", "rejected"),
    [
        ({"corrected": "negative"}, ["feedback.no_change"]),
        ({"corrected": None}, ["feedback.empty"]),
        ({"corrected": None, "signal": "edited"}, ["feedback.empty"]),
        ({"corrected": " "}, ["feedback.empty"]),
        ({"corrected": {}, "signal": "down"}, ["feedback.empty"]),
        ({"corrected": "neutral"}, ["feedback.schema_mismatch"]),
        ({"corrected": 1}, ["feedback.schema_mismatch"]),
        ({"corrected": False}, ["feedback.schema_mismatch"]),
        ({"signal": "up"}, ["feedback.schema_mismatch"]),
        ({"comment": "x" * 201}, ["feedback.too_long"]),
        ({"is_repeat": True}, ["feedback.duplicate"]),
        (
            {"corrected": "negative", "is_repeat": True},
            ["feedback.no_change", "feedback.duplicate"],
        ),
        ({"signal": "down"}, []),
        ({"signal": "up", "corrected": None}, []),
        ({"comment": "x" * 200}, []),
    ],
)
def test_each_rejection_has_its_reason(changes, rejected):
    assert codes(**changes) == rejected


def test_a_rejection_points_at_its_place():
    (problem,) = judge(act(corrected="neutral")).rejections
    assert (problem.pointer, problem.detail) == ("/corrected", "Not a label of the task.")


def test_a_change_inside_personal_data_says_so():
    (problem,) = judge(act(corrected="negative", is_change_redacted=True)).rejections
    assert "personal data" in problem.detail


def test_a_down_vote_without_a_fix_is_flagged():
    assert judge(act(signal="down", corrected=None)).flags == ["feedback.no_fix"]
    assert judge(act(signal="down")).flags == []


def test_a_contradiction_is_flagged():
    assert judge(act(is_contradiction=True)).flags == ["feedback.contradiction"]


@pytest.mark.parametrize(
    "comment",
    [
        "<script>alert(1)</script>",
        "<ScRiPt src=//x.example>",
        "see <b>this</b>",
        "<img src=x onerror=alert(1)>",
        "<x onclick = 'f()'>",
        "[a](javascript:alert(1))",
        "java\tscript:alert(1)",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "{{7*7}}",
        "{% include 'x' %}",
        "<!-- x -->",
        "<svg/onload=f()>",
    ],
)
def test_markup_is_flagged(comment):
    assert judge(act(comment=comment)).flags == ["feedback.markup"]


@pytest.mark.parametrize(
    "comment",
    [
        "I <3 this",
        "a < b and b > c",
        "if x<y: {1, 2}",
        "<name> said so, 5 <- 6",
        "once = twice, on sale = good, online=yes",
        "JavaScript: the good parts is a book"[:10],
        "{ok} ${price",
    ],
)
def test_plain_text_is_not_markup(comment):
    assert judge(act(comment=comment)).flags == []


def test_an_input_may_be_marked_up_but_not_active():
    assert judge(act(input="Fine<br />film")).flags == []
    assert judge(act(input={"body": "<script>x"})).flags == ["feedback.markup"]


def test_quality_is_the_product_of_its_parts():
    verdict = judge(act(signal="down", corrected=None))
    assert verdict.parts == {"valid": 1.0, "signal": 1.0, "answer": 0.5, "unflagged": 0.5}
    assert verdict.quality == 0.25
    assert judge(act(signal="accepted", corrected=None)).quality == 0.5
    assert judge(act(corrected="neutral")).quality == 0.0

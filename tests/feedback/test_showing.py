"""What an item shows: content in which nothing hides, differences, boxes, pictures, the scene."""

import io
import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image as Pillow

from config import storage
from feedback.admin import showing
from feedback.admin.showing import drawing, tree
from feedback.admin.words import MOST_MARKS, pieces, sides
from feedback.modalities import MODALITIES
from feedback.models import Image, Inference
from privacy.models import StaffProject
from tests.feedback.samples import PAGE, SAMPLES, box, boxes
from tests.feedback.test_hostile import TEXTS
from tests.product import Product

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 1337|add:9800210 }}"
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f 1\ufe0f\u20e3"


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def product(db):
    return Product()


def infer(product, modality, input_, output, **more):
    """Store an answer of a task of its own; return its row."""
    labels = SAMPLES[modality][0]
    product.post("tasks/", {"slug": modality, "modality": modality, "labels": labels}, None)
    body = {"task": modality, "input": input_, "output": output} | more
    return Inference.objects.get(uuid=product.post("inferences/", body, 201)["id"])


def sample(product, modality):
    """Store the sample of a modality; return it with a correction that changes it."""
    _, input_, output, corrections = SAMPLES[modality]
    if modality == "image":
        output = {"image": upload(product)}
    return infer(product, modality, input_, output), corrections[-1]


def upload(product, colour="teal"):
    file = io.BytesIO()
    Pillow.new("RGB", (64, 48), colour).save(file, "PNG")
    form = {"file": SimpleUploadedFile("a.png", file.getvalue()), "user_id": "ann"}
    return product.client.post("/api/v1/images/", form).json()["id"]


def context(inference, correction=None):
    kind = inference.task.kind
    changes = kind.diff(inference.output, correction) if correction is not None else []
    return showing.of(inference, inference.output, correction, changes=changes)


def shown(inference, correction=None, **more):
    """Return the page's parts that show an answer, one after the other."""
    found = context(inference, correction) | more
    names = ["emend/review/input.html", found["review_template"], "emend/review/behind.html"]
    return "".join(render_to_string(name, found) for name in names)


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def content(value, **more):
    return render_to_string("emend/content.html", {"value": value} | more)


@pytest.mark.parametrize("modality", MODALITIES)
def test_it_works(product, modality):
    inference, correction = sample(product, modality)
    page = shown(inference, correction)
    assert "Model" in page
    assert "orrection" in page
    assert " style=" not in page
    assert not re.search(r"\{[{%#]", page)


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_answer_without_a_correction_has_one_side(product, modality):
    page = shown(sample(product, modality)[0])
    assert "orrection" not in page
    assert 'type="radio"' not in page


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(
    "odd", [None, "", 7, [], {}, {"boxes": [1]}, {"boxes": {}}, {"regions": [[], {"bbox": [1]}]}]
)
def test_strange_and_erased_content_is_shown_somehow(product, modality, odd):
    inference = sample(product, modality)[0]
    inference.input = inference.output = odd
    page = render_to_string(
        f"emend/review/{modality}.html", showing.of(inference, odd, odd, changes=[])
    )
    assert page.strip()


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("a\u202eb\u200b\u0000", ["U+202E", "U+200B", "U+0000"]),
        ("a\u00a0b\u202fc\u3000d\te", ["U+00A0", "U+202F", "U+3000", "\u21e5"]),
        ("a\ufe0f \u034f \U000e0101 \ue000 \u0378", None),
        ("hi\U000e0001\U000e0065\U000e0076\U000e0069\U000e006c", ["hidden tags: evil"]),
        ("z" + "\u0335\u0321" * 20, ["+37 marks"]),
        (FAMILY, []),
        ("e\u0301 ae\u0323\u0301 line\r\nline", []),
        ("left\rright", ["U+000D"]),
    ],
)
def test_nothing_hides_and_what_is_seen_is_not_marked(text, marks):
    found = [piece.text for piece in pieces(text) if piece.is_mark]
    if marks is None:
        marks = ["U+FE0F", "U+034F", "U+E0101", "U+E000", "U+0378"]
    assert found == marks


def test_a_lone_surrogate_is_marked():
    assert [piece.text for piece in pieces("\ud800")] == ["U+D800"]


def test_what_was_redacted_is_marked_and_other_brackets_are_not():
    said = "Write to [EMAIL], [TERM], about [CASE] [NOTE] [email]"
    marked = re.findall(r'class="redacted" title="([^"]+)">(\[\w+\])', content(said))
    assert marked == [("Personal data was removed here", t) for t in ("[EMAIL]", "[TERM]")]
    assert ">[CASE]<" in content(said, own_types={"CASE"})


def test_the_tasks_own_placeholders_are_marked(product):
    settings = {"redact_patterns": {"CASE": "C-[0-9]+"}}
    product.post("tasks/", {"slug": "text", "modality": "text", "settings": settings}, 201)
    page = shown(infer(product, "text", "About C-17", "It is done."))
    assert ">[CASE]</span>" in page


def test_hostile_texts_stay_text_in_every_place(product):
    talk = infer(product, "text", "x", "y")
    picture = infer(product, "image", {"prompt": "a cat"}, {"image": upload(product)})
    layout = infer(product, "layout", PAGE, boxes(box("a")))
    label = infer(product, "classification", "x", "pos")
    for text in [*TEXTS, ATTACK]:
        talk.input, talk.output = {"messages": [{"role": text, "content": text}]}, text
        talk.target_type = talk.target_id = talk.model_version = text
        picture.input = {"prompt": text, text: [text, {text: text}]}
        regions = [{"bbox": [0, 0, 9, 9], "note": text}]
        layout.output = boxes(box(text, text), box("b", text))
        label.output, label.probabilities = text, {text: 0.5, "pos": 0.25}
        page = "".join(
            [
                shown(talk, f"{text} and more"),
                shown(picture, {"image": text, "prompt": text, "regions": regions}),
                shown(layout, boxes(box("b", f"{text}!", (0, 0, 9, 9)), box("c", text))),
                shown(label, text),
            ]
        )
        assert not re.search(r"<(script|b>|img src=x)|onerror=alert\(2\)>|9801547", page)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\u200b\u2028]", page)
        assert page.encode()


def test_a_text_of_marks_alone_keeps_the_page_small():
    found = list(pieces("a\u202e" * 30_000))
    assert len(found) <= 2 * MOST_MARKS + 2
    assert found[-1].text == "57,999 more characters not shown"


def test_long_unchanged_stretches_fold_beside_their_changes():
    same = "word " * 100
    original, corrected = f"{same}old {same}end", f"{same}new {same}end"
    spans = MODALITIES["text"].diff(original, corrected)
    before, after = sides(original, spans)
    assert "".join(span.text for span in before) == original
    assert "".join(span.text for span in after) == corrected
    states = [span.state for span in after if span.text]
    assert states == ["folded", "", "changed", "", "folded"]
    assert all(len(span.text) < 120 for span in after if span.state != "folded")
    assert [span.state for span in sides(same, [])[0]] == [""]


def test_short_unchanged_stretches_stay():
    spans = MODALITIES["text"].diff("a b c", "a x c")
    assert [(s.text, s.state) for s in sides("a b c", spans)[1] if s.text] == [
        ("a ", ""),
        ("x", "changed"),
        (" c", ""),
    ]


def test_a_long_chat_opens_at_its_last_turns(product):
    said = [{"role": f"r{n}", "content": f"turn {n}"} for n in range(9)]
    page = shown(infer(product, "text", {"messages": said}, "Yes."))
    folded = page.split("<details")[1].split("</details>")[0]
    assert "5 earlier turns" in folded
    assert "turn 4" in folded
    assert "turn 5" not in folded


def test_labels_are_shown_with_how_likely_they_were(product):
    inference = infer(product, "classification", "good", "pos", confidence=0.83)
    rest = {f"label {n}": 0.01 for n in range(8)}
    inference.probabilities = {"neg": 0.005, "pos": 0.83, "odd": "x"} | rest
    page = text_of(shown(inference, "neg"))
    assert "83% confident" in page
    assert "pos the model&#x27;s 83.0%" in page
    assert "neg the person&#x27;s 0.5%" in page
    assert "and 4 less likely ones" in page


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (box(3), box(3, bbox=(50, 20, 42, 40)), "panel 3 moved 40 px right, 12 px wider"),
        (box(3), box(3, bbox=(0, 12.5, 30, 35)), "moved 10 px left and 7.5 px up, 5 px shorter"),
        (box("a"), box("a", "balloon"), "panel a is now balloon"),
        (box("a", bbox=(0, 0, 1, 1)), box("a", bbox=(0.001, 0, 1, 1)), "less than 0.1 px right"),
    ],
)
def test_changes_of_boxes_are_said_in_words(before, after, said):
    changes = MODALITIES["layout"].diff(boxes(before), boxes(after))
    (words,) = drawing.in_words(changes, boxes(before))
    assert said in words


def test_every_change_of_boxes_has_its_shape_and_its_words():
    before = boxes(box("a"), box("b"), box("c"), box("d"))
    after = boxes(
        box("c", "balloon"), box("b"), box("a", bbox=(400, 300, 30, 40)), box(7, bbox=(1, 2, 3, 4))
    )
    found = drawing.drawn(PAGE["page"], before, after)
    states = {shape.label: (shape.state, shape.arrow is not None) for shape in found["shapes"]}
    assert states == {
        "panel b": ("kept", False),
        "\u2212 panel d": ("removed", False),
        "panel \u2192 balloon c": ("changed", False),
        "panel a": ("changed", True),
        "+ panel 7": ("added", False),
    }
    assert found["counts"] == "1 kept, 2 changed, 1 added, 1 removed"
    words = drawing.in_words(MODALITIES["layout"].diff(before, after), before)
    assert words == [
        "panel d removed",
        "The order is now c, b, a",
        "panel 7 added at 1, 2 (3 \N{MULTIPLICATION SIGN} 4 px)",
        "panel c is now balloon",
        "panel a moved 390 px right and 280 px down",
    ]


def places(before, after):
    """Return each box as it is now and the lines of its label: top and bottom, left and right."""
    shapes = drawing.drawn(PAGE["page"], boxes(*before), boxes(*after))["shapes"]
    for shape in shapes:
        x, y = float(shape.text["x"]), float(shape.text["y"])
        now = {name: float(number) for name, number in shape.now.items()}
        yield now, (y, y + drawing.LINE, x, x + drawing.LETTER * len(shape.label))


def test_a_label_stands_on_the_outline_of_its_box_not_over_what_is_in_it():
    [(now, (_, bottom, left, _))] = places([box("a", bbox=(50, 50, 20, 10))], [])
    assert (bottom, left) == (now["y"], now["x"])


def test_a_label_stands_clear_of_the_arrow_that_comes_from_above():
    moved = [box("a", bbox=(50, 20, 30, 20))], [box("a", bbox=(50, 90, 30, 20))]
    [(now, (top, *_))] = places(*moved)
    assert top == now["y"] + now["height"]


def test_no_label_lies_over_the_head_of_an_arrow(product):
    inference = infer(product, "layout", PAGE, boxes(box("a")))
    page = shown(inference, boxes(box("a", bbox=(400, 300, 30, 40))))
    assert page.index('class="arrow"') > page.rindex("<text")


def test_a_label_at_the_right_edge_is_not_cut():
    [(_, (*_, right))] = places([box("a", bbox=(780, 50, 20, 10))], [])
    assert right == drawing.WIDTH + drawing.MARGIN


@pytest.mark.parametrize(
    "bbox", [(-500, -500, 9, 9), (10**400, 1, 1, 1), (0, 0, 0, -5), (1e308, -1e308, 1e308, 1)]
)
@pytest.mark.parametrize("size", [(1, 1_000_000), (800, 600.5)])
def test_boxes_of_strange_numbers_stay_in_the_drawing(bbox, size):
    page = dict(zip(("width", "height"), size, strict=True))
    found = drawing.drawn(page, boxes(box("a"), box("b", bbox=bbox)), boxes(box("b")))
    for shape in found["shapes"]:
        for place in (shape.now, shape.before or shape.now):
            assert all(abs(float(number)) <= 600 for number in place.values())
            assert min(float(place["width"]), float(place["height"])) >= 1


def test_a_thousand_boxes_are_drawn_in_part_changed_ones_first():
    many = [box(n) for n in range(1_000)]
    found = drawing.drawn(PAGE["page"], boxes(*many), boxes(*many[1:]))
    assert len(found["shapes"]) == drawing.MOST_BOXES
    assert found["left_out"] == 600
    assert "removed" in {shape.state for shape in found["shapes"]}


def test_a_tree_folds_what_is_large_and_closes_what_it_opens():
    value = {"small": {"a": 1}, "large": ["y"] * 50, "none": None, "text": "x"}
    found = list(tree.steps(value))
    is_open = {step.key: step.is_open for step in found if step.kind == "open"}
    assert is_open == {"small": True, "large": False}
    kinds = [step.kind for step in found]
    assert kinds.count("open") == kinds.count("close")
    assert [s.value for s in found if s.key in {"none", "text", "a"}] == ["1", "null", "x"]


def test_a_huge_tree_is_shown_in_part():
    value = {"deep": [[]], "wide": [{"a": n} for n in range(20_000)]}
    page = render_to_string("emend/tree.html", {"value": value})
    assert page.count("There is more, not shown here.") == 1
    assert page.count("<details") == page.count("</details>") < 2_000


def test_pictures_stand_beside_each_other_with_numbered_regions(product):
    made, chosen = upload(product), upload(product, "plum")
    inference = infer(product, "image", {"prompt": "a cat", "seed": 7}, {"image": made})
    regions = [{"bbox": [1, 2, 30, 40], "note": "six fingers"}, {"bbox": "x", "note": "odd"}]
    correction = {"image": chosen, "prompt": "a black cat", "regions": regions}
    page = shown(inference, correction)
    for picture in (made, chosen):
        address = f"/admin/feedback/image/{picture}/"
        assert f'<img src="{address}" width="64" height="48" alt="The ' in page
    assert "<ins>black " in page or "<ins> black" in page
    assert page.count('<rect class="region"') == 1
    assert "six fingers" in page
    assert "seed" in page


def test_a_picture_that_is_gone_or_of_another_project_is_not_linked(product):
    stranger = Product("stranger")
    theirs = upload(stranger)
    inference = infer(product, "image", {"prompt": "a cat"}, {"image": upload(product)})
    page = shown(inference, {"image": theirs})
    assert f"/image/{theirs}/" not in page
    assert f"picture {theirs[:8]} is gone" in text_of(page)


def chain(product, length):
    """Store answers each made from the one before; return the last one."""
    parent = None
    for n in range(length):
        more = {"parent_inference": str(parent.uuid)} if parent else {}
        parent = infer(product, "text", f"in {n}", f"out {n}", **more)
    return parent


def test_the_scene_behind_an_answer_is_shown_from_its_beginning(product):
    page = text_of(shown(chain(product, 4)))
    assert [page.index(f"out {n}") for n in (0, 1, 2)] == sorted(
        page.index(f"out {n}") for n in (0, 1, 2)
    )
    assert "and what came before" not in page
    longer = text_of(shown(chain(product, 8)).split("Behind it")[1])
    assert "and what came before" in longer
    assert "out 1" not in longer
    assert "out 2" in longer


def test_other_answers_for_the_same_target_are_shown_newest_first(product):
    target = {"type": "scene", "id": "s-1"}
    stranger = Product("stranger")
    infer(stranger, "text", "in", "theirs", target=target)
    rows = [infer(product, "text", "in", f"try {n}", target=target) for n in range(8)]
    infer(product, "text", "in", "elsewhere", target={"type": "scene", "id": "s-2"})
    listed = text_of(shown(rows[0]).split("Behind it")[1])
    assert re.findall(r"try \d", listed) == [f"try {n}" for n in (7, 6, 5, 4, 3)]
    assert "theirs" not in listed
    assert "elsewhere" not in listed


def test_the_queries_do_not_grow_with_what_is_behind(product):
    def count(length):
        last = chain(product, length)
        target = {"type": "scene", "id": f"s-{length}"}
        for _ in range(length):
            infer(product, "text", "in", "out", target=target)
        Inference.objects.filter(pk=last.pk).update(target_type="scene", target_id=f"s-{length}")
        row = Inference.objects.select_related("task").get(pk=last.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown(row)
        return len(queries)

    assert count(2) == count(9) == 2


def test_what_a_missing_correction_means_is_said(product):
    inference = sample(product, "text")[0]
    for signal, meaning in showing.MEANINGS.items():
        page = text_of(shown(inference, feedback={"signal": signal}))
        assert f"signal {signal}: {meaning}" in page


def staff(name, *permissions, project=None):
    user = get_user_model().objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if project is not None:
        StaffProject.objects.create(user=user, project=project)
    client = Client()
    client.force_login(user)
    return client


def test_staff_see_the_pictures_of_their_projects_alone(product):
    mine, theirs = upload(product), upload(Product("stranger"))
    kim = staff("kim", "view_feedback", project=product.project)
    answer = kim.get(f"/admin/feedback/image/{mine}/")
    assert answer.content == storage.get(Image.objects.get(uuid=mine).sha256, "images")
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert answer["Content-Disposition"] == f'attachment; filename="{mine}.png"'
    assert answer["Cache-Control"] == "private, max-age=3600, immutable"
    assert kim.get(f"/admin/feedback/image/{theirs}/").status_code == 404
    listed = kim.get("/admin/feedback/image/").content.decode()
    assert mine in listed
    assert theirs not in listed


def test_a_picture_is_for_staff_who_may_see_feedback(product):
    picture = f"/admin/feedback/image/{upload(product)}/"
    assert staff("lee", project=product.project).get(picture).status_code == 403
    assert Client().get(picture).url.startswith("/admin/login/")


def test_a_picture_whose_file_is_gone_is_not_found(product):
    uuid = upload(product)
    storage.delete(Image.objects.get(uuid=uuid).sha256, "images")
    kim = staff("kim", "view_feedback", project=product.project)
    assert kim.get(f"/admin/feedback/image/{uuid}/").status_code == 404

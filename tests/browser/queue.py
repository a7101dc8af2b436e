"""A review queue of all modalities, filled over the API, and moderators who log in."""

import io

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from privacy.models import StaffProject
from tests import roles
from tests.product import Product

PASSWORD = "a long pass phrase"
QUEUE = "/admin/feedback/flaggedfeedback/"
PAGE = {"page": {"width": 800, "height": 600}, "book": "Volume 3"}


def picture(colour):
    image = Image.new("RGB", (240, 160), "white")
    ImageDraw.Draw(image).ellipse((40, 20, 200, 140), colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class Editor(Product):
    """The product of a comic's editor: one task of each modality."""

    def __init__(self, slug="comics"):
        super().__init__(slug)
        self.task()
        self.post("tasks/", {"slug": "dialogue", "modality": "text"}, 201)
        panels = {"slug": "panels", "modality": "layout", "labels": ["panel", "balloon"]}
        self.post("tasks/", panels, 201)
        self.post("tasks/", {"slug": "cover", "modality": "image"}, 201)

    def upload(self, colour):
        form = {"file": SimpleUploadedFile("picture.png", picture(colour))}
        answer = self.client.generic(
            "POST",
            "/api/v1/images/",
            encode_multipart(BOUNDARY, form),
            content_type=MULTIPART_CONTENT,
        )
        return answer.json()["id"]

    def flag(self, n):
        """Send the n-th act, each of another modality than the last, so that it is flagged."""
        return (self.flag_label, self.flag_text, self.flag_layout, self.flag_image)[n % 4](n)

    def _send(self, task, input_, output, n, **act):
        answer = {"task": task, "input": input_, "output": output, "user_id": f"u-{n}"}
        answer |= {"target": {"type": "scene", "id": f"s-{n // 8}"}, "confidence": 0.5 + n / 50}
        inference = self.post("inferences/", answer, 201)["id"]
        body = {"inference_id": inference, "user_id": f"u-{n}"} | act
        sent = self.post("feedback/", body, 201)
        assert sent["status"] == "flagged", sent
        return sent["id"]

    def flag_label(self, n):
        return self._send("mood", f"The soup of day {n} was cold.", "pos", n, signal="down")

    def flag_text(self, n):
        said = f"In scene {n} the captain says: all hands on deck before the storm comes in."
        fixed = said.replace("all hands on deck", "<b>everybody</b> up here, and be quick,")
        chat = {"messages": [{"role": "user", "content": f"Write scene {n}, mail ann@example.com"}]}
        return self._send("dialogue", chat, said, n, signal="edited", corrected=fixed)

    def flag_layout(self, n):
        before = [
            {"id": "a", "label": "panel", "bbox": [20, 20, 360, 260]},
            {"id": "b", "label": "balloon", "bbox": [60, 40, 120, 60 + n]},
            {"id": "c", "label": "panel", "bbox": [420, 20, 340, 260]},
        ]
        after = [before[0], before[1] | {"bbox": [200, 80, 120, 60 + n]}]
        after.append({"id": "d", "label": "panel", "bbox": [20, 300, 740, 280]})
        act = {"corrected": {"boxes": after}, "comment": "<script>alert(1)</script>"}
        return self._send("panels", PAGE, {"boxes": before}, n, signal="correction", **act)

    def flag_image(self, n):
        shown, chosen = self.upload((200, 60, n)), self.upload((40, 90, 200 - n))
        regions = [{"bbox": [60, 40, 80, 60], "note": "<i>too many</i> fingers"}]
        corrected = {"image": chosen, "prompt": "a quiet harbour at night", "regions": regions}
        prompt = {"prompt": "a harbour at night", "seed": n}
        act = {"signal": "correction", "corrected": corrected}
        return self._send("cover", prompt, {"image": shown}, n, **act)


def moderator(page, name, *projects, role="moderator"):
    """Log a member of the staff in who has this role in these projects."""
    roles.make()
    user = get_user_model().objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    for project in projects:
        StaffProject.objects.create(user=user, project=project)
    page.goto("/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Review queue").first).to_be_visible()
    return page

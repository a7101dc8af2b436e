"""The table of modalities: a new one is one file and one line."""

from feedback.modalities.base import Modality
from feedback.modalities.classification import Classification
from feedback.modalities.image import Image
from feedback.modalities.layout import Layout
from feedback.modalities.text import Text

MODALITIES: dict[str, Modality] = {
    "classification": Classification(),
    "text": Text(),
    "layout": Layout(),
    "image": Image(),
}

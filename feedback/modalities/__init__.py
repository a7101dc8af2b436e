"""The table of modalities: a new one is one file and one line."""

from feedback.modalities.base import Modality
from feedback.modalities.classification import Classification

MODALITIES: dict[str, Modality] = {
    "classification": Classification(),
}

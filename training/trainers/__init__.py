"""Trainers: modality -> dotted path of its trainer module. Only these modules import torch.

A trainer has `fit(...)`; what it returns has `to_bytes()` and is served without torch.
"""

TRAINERS = {
    "classification": "training.trainers.classification",
}

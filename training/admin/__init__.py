"""What staff see of training: answers to check, datasets, runs, models and rollouts."""

from training.admin import checks, records

__all__ = ["checks", "records"]

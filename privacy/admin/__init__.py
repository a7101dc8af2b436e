"""What staff see of projects, keys, people, and of what becomes of people's data."""

from privacy.admin import keys, people, rules, staff
from privacy.admin.parts import ReadOnly, ReadOnlyAdmin, age

__all__ = ["ReadOnly", "ReadOnlyAdmin", "age", "keys", "people", "rules", "staff"]

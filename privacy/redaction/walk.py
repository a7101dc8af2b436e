"""Go through a JSON value and rewrite its texts, keys and whole numbers."""

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from config.json import JSON

# Gets a text or a whole number and the key it stands under; says what shall stand there.
Rewrite: TypeAlias = Callable[[str | int, str], str | int]


def walk(value: JSON, rewrite: Rewrite, key: str = "", *, has_keys: bool = True) -> JSON:
    """Copy a value, rewritten; two keys that become the same one are told apart by a number.

    Without `has_keys` keys stay as they are.
    """
    # Recursion is safe here: config.json admits no more than 32 levels.
    if isinstance(value, str):
        return rewrite(value, key)
    if isinstance(value, list):
        return [walk(child, rewrite, key, has_keys=has_keys) for child in value]
    if isinstance(value, dict) and not has_keys:
        return {name: walk(child, rewrite, name, has_keys=False) for name, child in value.items()}
    if isinstance(value, dict):
        return _walk_object(value, rewrite)
    if isinstance(value, int) and not isinstance(value, bool):
        return rewrite(value, key)
    return value


def _walk_object(value: dict[str, JSON], rewrite: Rewrite) -> JSON:
    result: dict[str, JSON] = {}
    numbers: Counter[str] = Counter()
    for key, child in value.items():
        clean = name = str(rewrite(key, ""))
        while name in result or (name != key and name in value):
            numbers[clean] += 1
            name = f"{clean} ({numbers[clean] + 1})"
        result[name] = walk(child, rewrite, clean)
    return result

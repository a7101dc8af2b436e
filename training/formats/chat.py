"""Conversations, as OpenAI's fine-tuning and TRL's trainers read them.

OpenAI's guides "Supervised fine-tuning" and "Direct preference optimization" (as of 2026), and
TRL 1.16, "Dataset formats and types". TRL decides by its first row what all rows are, so the rows
are always lists of messages. Neither has a place for a row's weight or split.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from feedback.modalities import MODALITIES
from training.formats import jsonl
from training.formats.base import About, Row, Writer

Message: TypeAlias = dict[str, str]
# The roles that every reader knows; who else speaks is a user whose words say who it was.
ROLES = {"system": "system", "developer": "system", "assistant": "assistant", "user": "user"}


def messages_of(value: Any, modality: str) -> list[Message]:
    """Return an input as messages: its own, or one of a user with the text that a model reads."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return [_message(**message) for message in value["messages"]]
    return [{"role": "user", "content": MODALITIES[modality].text_of(value)}]


def _message(*, role: str, content: str) -> Message:
    known = ROLES.get(role.strip().lower())
    if known is None:
        return {"role": "user", "content": f"{role}: {content}"}
    return {"role": known, "content": content}


def _answer(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _written(shape: Callable[[Row, list[Message]], Row]) -> Writer:
    """Return a writer of lines, each made by `shape` of a row and the messages of its input."""

    def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
        return jsonl.lines(shape(row, messages_of(row["input"], about.modality)) for row in rows)

    return write


@_written
def write_openai_chat(row: Row, prompt: list[Message]) -> Row:
    return {"messages": [*prompt, *_answer(row["output"])]}


@_written
def write_openai_preference(row: Row, prompt: list[Message]) -> Row:
    return {
        "input": {"messages": prompt, "tools": [], "parallel_tool_calls": True},
        "preferred_output": _answer(row["chosen"]),
        "non_preferred_output": _answer(row["rejected"]),
    }


@_written
def write_trl_sft(row: Row, prompt: list[Message]) -> Row:
    return {"prompt": prompt, "completion": _answer(row["output"])}


@_written
def write_trl_dpo(row: Row, prompt: list[Message]) -> Row:
    return {
        "prompt": prompt,
        "chosen": _answer(row["chosen"]),
        "rejected": _answer(row["rejected"]),
    }


@_written
def write_trl_kto(row: Row, prompt: list[Message]) -> Row:
    return {"prompt": prompt, "completion": _answer(row["output"]), "label": row["label"]}

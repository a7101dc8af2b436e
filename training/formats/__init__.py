"""Export formats: name -> for whom it is, and how rows become bytes.

The table is the contract's: which modality and purpose a format suits.
"""

from training.formats import (
    chat,
    coco,
    croissant,
    csv,
    imagefolder,
    jsonl,
    label_studio,
    parquet,
    promptfoo,
)
from training.formats.base import COLUMNS, About, Format, Row, Writer

__all__ = ["COLUMNS", "FORMATS", "About", "Format", "Row", "suitable"]

_LINES, _JSON, _ZIP = "application/x-ndjson", "application/json", "application/zip"
_PARQUET, _CSV = "application/vnd.apache.parquet", "text/csv; charset=utf-8"
_ANY = frozenset({"classification", "text", "layout", "image"})
_WORDS = frozenset({"classification", "text"})
_BOXES, _PICTURES = frozenset({"layout"}), frozenset({"image"})
_ALL = frozenset({"train", "eval", "preference", "unpaired"})
_TRAIN, _PAIRS, _THUMBS = frozenset({"train"}), frozenset({"preference"}), frozenset({"unpaired"})
_TOLD = _TRAIN | {"eval"}


def _chat(purposes: frozenset[str], write: Writer) -> Format:
    return Format(_LINES, ".jsonl", _WORDS, purposes, write, tells_splits=False)


FORMATS = {
    "jsonl": Format(_LINES, ".jsonl", _ANY, _ALL, jsonl.write),
    "parquet": Format(_PARQUET, ".parquet", _ANY, _ALL, parquet.write),
    "csv": Format(_CSV, ".csv", _WORDS, _TOLD, csv.write),
    "openai-chat": _chat(_TRAIN, chat.write_openai_chat),
    "openai-preference": _chat(_PAIRS, chat.write_openai_preference),
    "trl-sft": _chat(_TRAIN, chat.write_trl_sft),
    "trl-dpo": _chat(_PAIRS, chat.write_trl_dpo),
    "trl-kto": _chat(_THUMBS, chat.write_trl_kto),
    "promptfoo": Format(_LINES, ".jsonl", _WORDS, _TOLD, promptfoo.write),
    "label-studio": Format(_JSON, ".json", _WORDS | _BOXES, _TRAIN, label_studio.write),
    "croissant": Format(_ZIP, ".zip", _ANY, _ALL, croissant.write),
    "imagefolder": Format(_ZIP, ".zip", _PICTURES, _TRAIN | _PAIRS, imagefolder.write),
    "coco": Format(_JSON, ".json", _BOXES, _TRAIN, coco.write),
}


def suitable(modality: str, purpose: str) -> list[str]:
    """Return the names of the formats that can hold a dataset of that modality and purpose."""
    return [
        name
        for name, format_ in FORMATS.items()
        if modality in format_.modalities and purpose in format_.purposes
    ]

"""Croissant 1.0 (mlcommons, "Croissant format specification"): a zip of data and metadata.

The data are Parquet, as the format's own reader guesses at the types of JSON lines: a column of
"007" came back as numbers. They come first, so that the metadata can tell their size and SHA-256.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from training.formats import parquet
from training.formats.base import About, Row
from training.formats.sink import Zip

DATA, METADATA = "data.parquet", "croissant.json"
_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject"),
    *("fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField"),
    *("path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_TYPES = {"bool": "sc:Boolean", "double": "sc:Float", "string": "sc:Text"}


class _Measured:
    """Pieces that are counted and hashed as they go by."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            self.size_bytes += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    data = _Measured(parquet.write(rows, about))
    archive = Zip(about)
    yield from archive.add(DATA, data)
    metadata = msgspec.json.format(msgspec.json.encode(_metadata(about, data)))
    yield from archive.add(METADATA, [metadata])
    yield archive.end()


def _metadata(about: About, data: _Measured) -> dict[str, Any]:
    title = f"{about.name}, version {about.version}"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.name,
        "description": f"{title}: examples for {about.purpose} of a {about.modality} task.",
        "version": f"{about.version}.0.0",
        "datePublished": about.created_at.isoformat(),
        "url": f"urn:sha256:{about.content_hash}",  # there is no address that needs no key
        "license": "Not stated",
        "creator": {"@type": "sc:Organization", "name": "Emend"},
        "citeAs": f"{title}, content hash {about.content_hash}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": DATA,
                "name": DATA,
                "contentUrl": DATA,
                "contentSize": f"{data.size_bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": data.sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "examples",
                "name": "examples",
                "field": [_field(column) for column in parquet.schema_of(about.purpose)],
            }
        ],
    }


def _field(column: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"examples/{column.name}",
        "name": column.name,
        "dataType": _TYPES[str(column.type)],
        "source": {"fileObject": {"@id": DATA}, "extract": {"column": column.name}},
    }

"""Files in a bucket of an S3-compatible store: s3://bucket/prefix?endpoint=&region=&scheme=.

Credentials are found as every client of S3 finds them: AWS_ACCESS_KEY_ID and its like, the files
in ~/.aws, the role of the machine. An object appears whole when its upload has ended.
"""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

OPTIONS = {"endpoint": "endpoint_override", "region": "region", "scheme": "scheme"}
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 3.0  # without a byte; the client needs up to 6 more to be sure of an upload
ATTEMPTS = 2


def from_url(url: str) -> "Bucket":
    """Return the store that a URL names; nothing is asked yet. Raises ValueError."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(query.keys() - OPTIONS.keys()):
        raise ValueError(f"STORAGE_URL has {unknown}; of a bucket it can say {sorted(OPTIONS)}.")
    if not parts.netloc or "@" in parts.netloc:
        raise ValueError("STORAGE_URL names a bucket as s3://bucket/prefix, without credentials.")
    files = fs.S3FileSystem(
        **{OPTIONS[name]: value for name, value in query.items()},
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENCE_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # one request for what is below 10 MiB
    )
    return Bucket(files, f"{parts.netloc}{parts.path}".rstrip("/"))


class Bucket:
    """A store of objects below one prefix."""

    def __init__(self, files: fs.S3FileSystem, root: str) -> None:
        self.client = files
        self.root = root

    def write(self, path: str, data: bytes) -> None:
        with self.client.open_output_stream(f"{self.root}/{path}") as file:
            file.write(data)

    def read(self, path: str) -> bytes | None:
        try:
            with self.client.open_input_file(f"{self.root}/{path}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def remove(self, path: str, unless_since: datetime | None) -> bool:
        # S3 has no way to do both at once: what is written between them would go, too.
        written_at = self.client.get_file_info(f"{self.root}/{path}").mtime
        if written_at is None or (unless_since is not None and written_at >= unless_since):
            return False
        self.client.delete_file(f"{self.root}/{path}")
        return True

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        for info in self._infos(folder):
            yield info.base_name, info.mtime

    def folders(self) -> dict[str, int]:
        names = [info.base_name for info in self._listed(self.root) if not info.is_file]
        return {name: sum(info.size for info in self._infos(name)) for name in names}

    def _infos(self, folder: str) -> Iterator[fs.FileInfo]:
        for part in self._listed(f"{self.root}/{folder}"):  # 256, so that no list is long
            yield from (info for info in self._listed(part.path) if info.is_file)

    def _listed(self, path: str) -> list[fs.FileInfo]:
        selector = fs.FileSelector(path, allow_not_found=True)
        return list(self.client.get_file_info(selector))

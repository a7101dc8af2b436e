"""A bucket of S3 in memory, for a client over HTTP: as much of it as Emend uses."""

import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class MockS3(ThreadingHTTPServer):
    """A server whose `objects` are what was stored: key -> (bytes, time).

    With `refusal` it answers that status, `refusals` times or for ever.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.parts = {}, {}
        self.refusal, self.refusals = None, None
        self.authorization = ""
        address = f"127.0.0.1:{self.server_port}"
        self.url = f"s3://bucket/some/where?endpoint={address}&scheme=http&region=nowhere"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, status, data=b"", *, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self):
        body = self.read_body()
        self.server.authorization = self.headers["Authorization"]
        if self.server.refusal and self.server.refusals != 0:
            if self.server.refusals is not None:
                self.server.refusals -= 1
            self.answer(self.server.refusal)
            return
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/bucket").removeprefix("/")
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        getattr(self, f"on_{self.command.lower()}")(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = b"".join(self.chunks())
        # Inside are chunks once more (aws-chunked), the last of them empty, then a checksum.
        body = b""
        while size := int(sent.partition(b"\r\n")[0].partition(b";")[0], 16):
            sent = sent.partition(b"\r\n")[2]
            body, sent = body + sent[:size], sent[size + 2 :]
        return body

    def chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def on_head(self, key, _query, _body):
        if key in self.server.objects:
            data, at = self.server.objects[key]
            self.answer(200, length=len(data), Last_Modified=format_datetime(at, usegmt=True))
        else:
            self.answer(404)

    def on_get(self, key, query, _body):
        if not key:
            self.answer(200, self.listing(query["prefix"], query.get("delimiter")))
            return
        data = self.server.objects[key][0]
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        self.answer(206, part, Content_Range=f"bytes {first}-{last}/{len(data)}")

    def listing(self, prefix, delimiter):
        names = sorted(key for key in self.server.objects if key.startswith(prefix))
        folders, items = [], []
        for name in names:
            inner, found, _ = name.removeprefix(prefix).partition(delimiter or "\0")
            if found:
                folders.append(f"<Prefix>{prefix}{inner}{found}</Prefix>")
            else:
                data, at = self.server.objects[name]
                at = f"<LastModified>{at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
                items.append(f"<Contents><Key>{name}</Key><Size>{len(data)}</Size>{at}</Contents>")
        common = [f"<CommonPrefixes>{name}</CommonPrefixes>" for name in dict.fromkeys(folders)]
        inside = f"<IsTruncated>false</IsTruncated>{''.join(items + common)}"
        return f"<ListBucketResult>{inside}</ListBucketResult>".encode()

    def on_put(self, key, query, body):
        if "uploadId" in query:
            self.server.parts[query["uploadId"], int(query["partNumber"])] = body
        else:
            self.server.objects[key] = (body, datetime.now(UTC))
        self.answer(200, ETag='"tag"')

    def on_post(self, key, query, _body):
        if "uploads" in query:
            kind, inside = "InitiateMultipartUploadResult", f"<UploadId>{key}</UploadId>"
        else:
            own = sorted(part for part in self.server.parts if part[0] == query["uploadId"])
            whole = b"".join(self.server.parts.pop(part) for part in own)
            self.server.objects[key] = (whole, datetime.now(UTC))
            kind, inside = "CompleteMultipartUploadResult", '<ETag>"tag"</ETag>'
        self.answer(200, f"<{kind}>{inside}</{kind}>".encode())

    def on_delete(self, key, _query, _body):
        self.server.objects.pop(key, None)
        self.answer(204)

"""Downloads from a server on this machine that behaves badly in the ways servers do."""

import hashlib
import http.server
import threading

import pytest

from grids.data import download as downloads
from grids.data.download import download
from grids.io.config_files import is_address
from grids.io.errors import InputError

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
OTHER = CONTENT[::-1]


class Server(http.server.ThreadingHTTPServer):
    """Answers every request with the next of `behaviours`; the last one repeats."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = ["ranges"]
        self.content, self.etag = CONTENT, '"one"'
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/data.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append({"range": asked, "if_range": self.headers.get("If-Range")})
        behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
        if isinstance(behaviour, int):
            self.answer(behaviour, b"no")
            return
        content, start = server.content, 0
        unchanged = self.headers.get("If-Range") == server.etag
        if asked and unchanged and behaviour != "no ranges":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {} if behaviour == "no etag" else {"ETag": server.etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if behaviour == "gzip encoding":
            headers["Content-Encoding"] = "gzip"
        body = content[start:]
        sent = body[: len(body) // 2] if behaviour in ("drops", "no etag") else body
        self.answer(206 if start else 200, sent, headers, length=len(body))

    def answer(self, code, body, headers=(), length=None):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 10)
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 1000)

    def get(checksum=None, **options):
        return download(server.url, tmp_path / "in" / "data.bin", checksum, backoff=0, **options)

    return get


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "in").iterdir())


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_verified_file_arrives_and_nothing_else(server, get, tmp_path, algorithm):
    path = get(f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest().upper()}")
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["data.bin"]
    assert len(server.requests) == 1


def test_a_dropped_connection_is_resumed_where_it_broke(server, get):
    server.behaviours = ["drops", "drops", "ranges"]
    assert get().read_bytes() == CONTENT
    assert [r["range"] for r in server.requests] == [None, "bytes=51200-", "bytes=76800-"]
    assert [r["if_range"] for r in server.requests] == [None, '"one"', '"one"']


def test_a_later_call_resumes_the_part_of_an_earlier_one(server, get, tmp_path):
    server.behaviours = ["drops"]
    with pytest.raises(InputError, match=r"in 1 attempts.*run again"):
        get(attempts=1)
    assert files(tmp_path) == ["data.bin.part", "data.bin.part.json"]
    server.behaviours = ["ranges"]
    assert get().read_bytes() == CONTENT
    assert server.requests[-1]["range"] == "bytes=51200-"


def test_a_changed_file_is_not_spliced_onto_the_old_part(server, get):
    server.behaviours = ["drops"]
    with pytest.raises(InputError):
        get(attempts=1)
    server.behaviours, server.content, server.etag = ["ranges"], OTHER, '"two"'
    assert get().read_bytes() == OTHER


def test_a_part_of_another_address_is_not_continued(server, get, tmp_path):
    server.behaviours = ["drops"]
    with pytest.raises(InputError):
        get(attempts=1)
    server.behaviours = ["ranges"]
    path = download(f"{server.url}?other", tmp_path / "in" / "data.bin", backoff=0)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1]["range"] is None


def test_a_server_without_ranges_is_read_from_the_start_again(server, get):
    server.behaviours = ["drops", "no ranges"]
    assert get().read_bytes() == CONTENT
    assert [r["range"] for r in server.requests] == [None, "bytes=51200-"]


def test_a_part_without_etag_is_not_trusted(server, get):
    server.behaviours = ["no etag", "ranges"]
    assert get().read_bytes() == CONTENT
    assert [r["range"] for r in server.requests] == [None, None]


def test_a_part_that_is_complete_needs_no_byte(server, get, tmp_path):
    server.behaviours = ["drops"]
    with pytest.raises(InputError):
        get(attempts=1)
    (tmp_path / "in" / "data.bin.part").write_bytes(CONTENT)
    server.behaviours = ["ranges"]
    assert get().read_bytes() == CONTENT
    assert [r["range"] for r in server.requests] == [None, "bytes=102400-"]


def test_a_part_longer_than_the_file_starts_again(server, get, tmp_path):
    server.behaviours = ["drops"]
    with pytest.raises(InputError):
        get(attempts=1)
    (tmp_path / "in" / "data.bin.part").write_bytes(CONTENT + b"more")
    server.behaviours = ["ranges"]
    assert get().read_bytes() == CONTENT
    assert [r["range"] for r in server.requests] == [None, "bytes=102404-", None]


def test_errors_of_the_server_are_retried(server, get):
    server.behaviours = [500, 503, "ranges"]
    assert get(attempts=3).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_body_that_stays_short_is_an_error_not_a_file(server, get, tmp_path):
    server.behaviours = ["no etag"]
    with pytest.raises(InputError, match=r"could not be downloaded in 3 attempts"):
        get(attempts=3)
    assert len(server.requests) == 3
    assert "data.bin" not in files(tmp_path)


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_is_final(server, get, tmp_path, code):
    server.behaviours = [code]
    with pytest.raises(InputError, match=f"{server.url}.* answered {code} .*check the address"):
        get()
    assert len(server.requests) == 1
    assert files(tmp_path) == []


def test_a_wrong_checksum_names_both_sums_and_leaves_nothing(server, get, tmp_path):
    found, expected = hashlib.md5(CONTENT).hexdigest(), hashlib.md5(OTHER).hexdigest()
    with pytest.raises(InputError, match=f"md5 sum.* is {found}, expected {expected}"):
        get(f"md5:{expected}")
    assert files(tmp_path) == []
    assert len(server.requests) == 1


def test_a_failed_download_leaves_an_older_file_alone(server, get, tmp_path):
    get()
    server.content = OTHER
    with pytest.raises(InputError, match="sha256 sum"):
        get(f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    assert (tmp_path / "in" / "data.bin").read_bytes() == CONTENT


def test_a_gzip_file_sent_as_an_encoding_stays_as_it_is(server, get):
    server.behaviours = ["gzip encoding"]
    assert get().read_bytes() == CONTENT


def test_nobody_listening_is_an_error_after_all_attempts(server, tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    with pytest.raises(InputError, match="in 2 attempts; the last one: the connection failed"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "x", attempts=2, backoff=0)


@pytest.mark.parametrize("checksum", ["d41d8cd98f00b204e9800998ecf8427e", "md5:123", "crc32:0", "md5:", ":"])
def test_a_checksum_that_cannot_be_read_is_refused_before_any_request(server, get, checksum):
    with pytest.raises(InputError, match="expected md5: and 32, or sha256: and 64"):
        get(checksum)
    assert server.requests == []


def test_only_web_addresses_are_urls(tmp_path):
    assert is_address("https://example.org/a.h5") and is_address("HTTP://example.org/a.h5")
    for path in (
        "data/cells.h5mu",
        "/data/cells.h5mu",
        "file:///data",
        "ftp://example.org/a",
        "https:/a",
        "http://",
    ):
        assert not is_address(path)
    with pytest.raises(InputError, match="starts with http"):
        download("ftp://example.org/a", tmp_path / "a")

"""How a command reaches those who serve, and what it is told when they go away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.errors import CarillonError
from handlers.console.client import Parts, reach

HELLO = b'{"result": {"has_handset": true}}\n'


class Serving(ThreadingHTTPServer):
    """A process that says hello and hangs up at everything else; how many lines to it are open."""

    daemon_threads = True
    open_lines = 0

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self.open_lines += 1
        try:
            super().finish_request(request, client_address)
        finally:
            self.open_lines -= 1


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/control/hello":
            self.send_response(200)
            self.send_header("Content-Length", str(len(HELLO)))
            self.end_headers()
            self.wfile.write(HELLO)
        else:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A fleet on a PostgreSQL of which one lives, and one went without taking its key along."""
    with Serving(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        (tmp_path / "config.yaml").write_text("store: postgresql://nobody@127.0.0.1:1/none\n")
        (tmp_path / "data").mkdir()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            gone = taken.getsockname()[1]
        for node, port in ((1, gone), (2, server.server_port)):
            (tmp_path / "data" / f"control-{node}.token").write_text(f"key\nhttp://127.0.0.1:{port}\n")
        yield server
        server.shutdown()
        thread.join()


def no_parts() -> Parts:
    raise AssertionError("nobody opens the store while another serves")


def test_a_line_that_breaks_is_told_in_one_sentence_and_closed(serving: Serving, tmp_path: Path) -> None:
    with reach(no_parts, tmp_path / "config.yaml") as business:
        assert business.hello() == {"has_handset": True}
        with pytest.raises(CarillonError, match="the serving process does not answer: "):
            business.ask("status")


def test_the_line_is_closed_whatever_goes_wrong_at_this_end(serving: Serving, tmp_path: Path) -> None:
    with pytest.raises(KeyError), reach(no_parts, tmp_path / "config.yaml") as business:
        raise KeyError

    end = time.monotonic() + 5
    while serving.open_lines:
        assert time.monotonic() < end, business
        time.sleep(0.01)

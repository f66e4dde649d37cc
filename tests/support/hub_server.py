"""A stand-in for the hub on this machine: its API of repositories and files, as `huggingface_hub` asks it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

#: Files that the hub keeps as LFS: they have a SHA-256.
LARGE = (".safetensors", ".bin")


@dataclass
class HubServer:
    """Repositories by name, each with its commits; what it was asked, and how it misbehaves."""

    #: Repository -> commit or branch -> folder with its files.
    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    #: Repositories that need the token.
    gated: set[str] = field(default_factory=set)
    token: str = "secret"
    #: HTTP status of every answer, where not None.
    status: int | None = None
    #: After how many bytes of a large file the connection is closed; None for whole ones.
    cut_after: int | None = None
    #: Bytes of large files that are sent altered.
    altered: bool = False
    #: Method and path of each request.
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def put(self, repository: str, folder: Path, *, branch: str = "main") -> str:
        """Serve a folder as the newest commit of a branch; return the commit."""
        content = b"".join(
            path.relative_to(folder).as_posix().encode() + path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        )
        commit = sha1(content, usedforsecurity=False).hexdigest()
        self.repositories.setdefault(repository, {}).update({commit: folder, branch: folder})
        self.repositories[repository][f"commit of {branch}"] = Path(commit)
        return commit

    def commit_of(self, repository: str, revision: str) -> str:
        named = self.repositories[repository].get(f"commit of {revision}")
        return revision if named is None else named.name


def _files(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        entry: dict[str, Any] = {
            "rfilename": path.relative_to(folder).as_posix(),
            "size": len(data),
            "blobId": sha1(data, usedforsecurity=False).hexdigest(),
        }
        if path.suffix in LARGE:
            entry["lfs"] = {"sha256": sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        found.append(entry)
    return found


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one request, read top to bottom
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if hub.status is not None:
                return self._refuse(hub.status, "")
            is_api = parts[:2] == ["api", "models"]
            name = "/".join(parts[2:4] if is_api else parts[:2])
            revision = parts[5] if is_api and len(parts) > 5 else parts[3] if not is_api and len(parts) > 3 else "main"
            commits = hub.repositories.get(name)
            if commits is None:
                return self._refuse(401, "RepoNotFound")
            given = self.headers.get("Authorization", "")
            if given and given != f"Bearer {hub.token}":
                return self._refuse(401, "", {"X-Error-Message": "Invalid credentials in Authorization header"})
            if revision not in commits:
                return self._refuse(404, "RevisionNotFound")
            folder, commit = commits[revision], hub.commit_of(name, revision)
            if is_api:
                body = {"id": name, "modelId": name, "sha": commit, "siblings": _files(folder)}
                return self._send(json.dumps(body).encode(), {"Content-Type": "application/json"})
            # The hub lists a gated repository to everyone, and gives its files to those whom it knows.
            if name in hub.gated and not given:
                return self._refuse(401, "GatedRepo")
            file = folder / "/".join(parts[4:])
            if not file.is_file():
                return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            data = file.read_bytes()
            large = file.suffix in LARGE
            etag = (sha256(data) if large else sha1(data, usedforsecurity=False)).hexdigest()
            if hub.altered and large:
                data = data[:-1] + bytes([data[-1] ^ 1])
            return self._send(data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit}, cut=large)

        def _send(self, data: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
            begin = 0
            span = self.headers.get("Range", "")
            if span.startswith("bytes="):
                begin = int(span.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self.send_response(206 if span else 200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) - begin))
            self.end_headers()
            if self.command == "HEAD":
                return
            if cut and hub.cut_after is not None:
                self.wfile.write(data[begin : begin + hub.cut_after])
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data[begin:])

        def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"X-Error-Code": code, **(headers or {})}.items():
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Run a stand-in until the context ends."""
    found = HubServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(found)) as server:
        found.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()

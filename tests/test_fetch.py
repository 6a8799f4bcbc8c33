"""Fetching releases from a server on 127.0.0.1 that cuts, lies, forgets and bites."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from mcu_asc.audio import datasets, fetch
from mcu_asc.audio.datasets import DATASETS, DatasetRow
from mcu_asc.audio.release import Expected, Remote
from mcu_asc.cli import cli
from mcu_asc.errors import AscError, UsageError


class Server(NamedTuple):
    url: str
    files: dict[str, bytes]
    cut_after: list[int]  # one for each of the next answers: bytes until the line is cut
    asked: list[str]  # "NAME RANGE" of every request
    ranges: list[bool]  # [False]: the server ignores Range


@pytest.fixture
def server() -> Iterator[Server]:
    files: dict[str, bytes] = {}
    cuts: list[int] = []
    asked: list[str] = []
    ranges = [True]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            wanted = self.headers.get("Range") or ""
            asked.append(f"{name} {wanted}".strip())
            if name not in files:
                self.send_error(404)
                return
            body, start = files[name], 0
            if wanted and ranges[0]:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.end_headers()
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:][: cuts.pop(0) if cuts else None])

        def log_message(self, *_args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Server(f"http://127.0.0.1:{httpd.server_port}/", files, cuts, asked, ranges)
    httpd.shutdown()
    httpd.server_close()


def put(server: Server, name: str, content: bytes, into: str = "", size: bool = True) -> Remote:
    server.files[name] = content
    return Remote(
        name, server.url + name, len(content) if size else 0, hashlib.md5(content).hexdigest(), into
    )


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return out.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "/etc/passwd"
    return info


def refused(remotes: list[Remote], root: Path) -> str:
    with pytest.raises(AscError) as error:
        fetch.fetch(remotes, root, pause_s=0)
    assert error.value.hint
    assert "\n" not in str(error.value)
    return str(error.value)


def tree(root: Path) -> list[str]:
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and fetch.WORK not in p.parts
    )


BODY = bytes(range(256)) * 4000  # 1 MB


def test_files_and_archives_come_to_their_place_once(server: Server, tmp_path: Path) -> None:
    remotes = [
        put(server, "a.1.zip", zipped({"home/audio/1.wav": b"one", "home/audio/": b""})),
        put(server, "a.2.zip", zipped({"home/audio/2.wav": b"two"})),
        put(
            server,
            "more.tar.gz",
            tarred(member("./deep", kind=tarfile.DIRTYPE), member("./deep/3.bin", 7)),
            "t",
        ),
        put(server, "table.csv", b"a,b", "home/meta"),
    ]
    seen: list[tuple[int, int, str]] = []
    assert fetch.fetch(remotes, tmp_path, lambda *now: seen.append(now)) == tuple(r.name for r in remotes)
    assert tree(tmp_path) == ["home/audio/1.wav", "home/audio/2.wav", "home/meta/table.csv", "t/deep/3.bin"]
    assert (tmp_path / "home/audio/2.wav").read_bytes() == b"two"
    assert {what.split()[0] for _, _, what in seen} == {"fetching", "checking", "unpacking"}
    assert all(done <= total for done, total, _ in seen)
    assert [p.name for p in (tmp_path / fetch.WORK).iterdir()] == ["fetched.json"]
    server.asked.clear()
    assert fetch.fetch(remotes, tmp_path) == ()
    assert server.asked == []
    assert len(fetch.fetch(remotes, tmp_path, again=True)) == 4


@pytest.mark.parametrize("size", [True, False])
def test_a_cut_line_goes_on_where_it_broke(server: Server, tmp_path: Path, size: bool) -> None:
    remote = put(server, "big.bin", BODY, size=size)
    server.cut_after.extend([100_000, 0, 300_000])
    fetch.fetch([remote], tmp_path, pause_s=0)
    assert (tmp_path / "big.bin").read_bytes() == BODY
    assert server.asked == [
        "big.bin",
        "big.bin bytes=100000-",
        "big.bin bytes=100000-",
        "big.bin bytes=400000-",
    ]


def test_a_line_that_stays_cut_keeps_what_came(server: Server, tmp_path: Path) -> None:
    remote = put(server, "big.bin", BODY)
    server.cut_after.extend([100_000, *[0] * fetch.TRIES])
    said = refused([remote], tmp_path)
    assert "the connection was cut; 100,000 bytes have arrived" in said
    server.cut_after.clear()
    fetch.fetch([remote], tmp_path)
    assert server.asked[-1] == "big.bin bytes=100000-"
    assert (tmp_path / "big.bin").read_bytes() == BODY


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    remote = put(server, "big.bin", BODY)
    server.ranges[0] = False
    server.cut_after.extend([100_000])
    fetch.fetch([remote], tmp_path, pause_s=0)
    assert (tmp_path / "big.bin").read_bytes() == BODY


@pytest.mark.parametrize("size", [True, False])
def test_a_part_that_was_whole_is_not_fetched_again(server: Server, tmp_path: Path, size: bool) -> None:
    remote = put(server, "big.bin", BODY, size=size)
    (tmp_path / fetch.WORK).mkdir()
    (tmp_path / fetch.WORK / "big.bin.part").write_bytes(BODY)
    fetch.fetch([remote], tmp_path, pause_s=0)
    assert (tmp_path / "big.bin").read_bytes() == BODY
    assert server.asked == ([] if size else [f"big.bin bytes={len(BODY)}-"])


def test_a_wrong_checksum_or_size_is_refused(server: Server, tmp_path: Path) -> None:
    remote = put(server, "a.zip", zipped({"x": b"1"}))
    server.files["a.zip"] = zipped({"x": b"2"})
    said = refused([remote], tmp_path)
    assert remote.md5 in said
    assert hashlib.md5(server.files["a.zip"]).hexdigest() in said
    assert tree(tmp_path) == []
    assert not (tmp_path / fetch.WORK / "a.zip.part").exists()
    server.files["a.zip"] += b"more"
    assert "instead of" in refused([remote], tmp_path)
    server.files["a.zip"] = zipped({"x": b"1"})
    fetch.fetch([remote], tmp_path)
    assert tree(tmp_path) == ["x"]


def test_what_is_not_there_is_named_at_once(server: Server, tmp_path: Path) -> None:
    assert "HTTP 404" in refused([Remote("a.zip", server.url + "a.zip")], tmp_path)
    assert server.asked == ["a.zip"]
    assert "127.0.0.1:9" in refused([Remote("a.zip", "http://127.0.0.1:9/a.zip")], tmp_path)


@pytest.mark.parametrize(
    "name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "a\\..\\out.txt", "C:/out.txt"]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_that_leads_out_is_refused(server: Server, tmp_path: Path, name: str, kind: str) -> None:
    good = {"good.txt": b"1", name: b"2"}
    content = zipped(good) if kind == "zip" else tarred(*(member(n, 1) for n in good))
    root = tmp_path / "root"
    assert "leads out of its folder" in refused([put(server, f"a.{kind}", content)], root)
    assert tree(tmp_path) == []


def test_links_and_devices_are_refused(server: Server, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        said = refused([put(server, "a.tar.gz", tarred(member("x", kind=kind)))], tmp_path)
        assert "a link or a device" in said
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "holds a link" in refused([put(server, "a.zip", out.getvalue())], tmp_path)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_broken_archive_leaves_nothing(server: Server, tmp_path: Path, name: str) -> None:
    whole = zipped({"x": BODY}) if name == "a.zip" else tarred(member("x", 100_000))
    for content in (b"no archive", whole[: len(whole) // 2]):
        assert "no whole archive" in refused([put(server, name, content)], tmp_path)
        assert tree(tmp_path) == []


def test_a_full_disk_is_said_before_and_during(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = put(server, "big.bin", BODY)
    with monkeypatch.context() as m:
        m.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
        assert "10.0 GB are needed, 0.0 GB are free" in refused([Remote("b", "", 5 * 10**9)], tmp_path)
        assert server.asked == []

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(fetch, "_put", full)
        assert "the disk is full" in refused([remote], tmp_path)
    server.asked.clear()
    fetch.fetch([remote], tmp_path)  # it had arrived
    assert server.asked == []


def test_the_rows_can_be_fetched_as_they_say() -> None:
    for name, row in DATASETS.items():
        names = [(r.into, r.name) for r in row.remotes]
        assert len(set(names)) == len(names), name
        for r in row.remotes:
            assert r.url.startswith("https://")
            assert r.md5 == "" or len(bytes.fromhex(r.md5)) == 16
    with pytest.raises(UsageError, match="cannot be fetched"):
        fetch.remotes_of("folders", DATASETS["folders"].remotes, "")


# ---- the verb ---------------------------------------------------------------------------------


@pytest.fixture
def tiny(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set of two files on the server."""
    content = zipped({"cat/1.wav": b"1", "dog/2.wav": b"2"})
    row = DatasetRow(
        title="two files",
        licence="free",
        load=datasets.load_folders,
        remotes=(put(server, "tiny.zip", content), Remote("note.txt", server.url + "note.txt")),
        expected=Expected(labels={"cat": 1, "dog": 2}),
    )
    server.files["note.txt"] = b"hello"
    monkeypatch.setitem(DATASETS, "tiny", row)
    return "tiny"


def test_list_fetch_check(tiny: str, tmp_path: Path) -> None:
    run = CliRunner()
    listed = json.loads(run.invoke(cli, ["data", "list", "--json"]).stdout)["data"]
    assert [row["name"] for row in listed] == list(DATASETS)
    assert listed[-1]["unchecked"] == ["note.txt"]
    assert "TAU Urban" in run.invoke(cli, ["data", "list"]).stdout
    root = ["--data-root", str(tmp_path)]
    said = json.loads(run.invoke(cli, ["data", "fetch", tiny, *root, "--json"]).stdout)
    assert said["fetched"] == ["tiny.zip", "note.txt"]
    again = run.invoke(cli, ["data", "fetch", tiny, *root]).stdout
    assert "0 of 2 files fetched" in again
    assert "no checksum is published for note.txt" in again
    found = run.invoke(cli, ["data", "check", tiny, *root])
    assert "differs: dog has 1 clips instead of 2" in found.stdout
    assert isinstance(found.exception, UsageError)
    (tmp_path / "dog" / "3.wav").write_bytes(b"3")
    found = run.invoke(cli, ["data", "check", tiny, *root])
    assert found.exit_code == 0
    assert found.stdout.endswith("whole\n")
    counted = json.loads(run.invoke(cli, ["data", "check", tiny, *root, "--json"]).stdout)
    assert counted["clips"] == 3
    assert counted["missing"] == []


def test_unknown_names_and_folders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCU_ASC_DATA", raising=False)
    for args, says in (
        (["fetch", "nope"], "unknown data set 'nope'"),
        (["check", "nope"], "unknown data set 'nope'"),
        (["fetch", "tau2019"], "no folder to fetch into"),
        (["fetch", "folders", "--data-root", "x"], "cannot be fetched"),
    ):
        error = CliRunner().invoke(cli, ["data", *args]).exception
        assert isinstance(error, UsageError)
        assert says in str(error)


def test_check_names_missing_files(tmp_path: Path) -> None:
    from test_releases import make_tau

    make_tau(tmp_path, 2020)
    names = sorted((tmp_path / "TAU-urban-acoustic-scenes-2020-mobile-development" / "audio").iterdir())
    names[0].unlink()
    found = CliRunner().invoke(cli, ["data", "check", "tau2020", "--data-root", str(tmp_path)])
    assert f"missing: {names[0]}" in found.stdout
    assert "differs: fold 1 has 120 clips instead of 13,962" in found.stdout
    assert "devices: a, b, c, s1, s4" in found.stdout
    assert "cities: lyon, milan, paris" in found.stdout

"""Fetching a release: each file resumed where it broke off, checked, and unpacked all or nothing.

What is under way lies in ROOT/.mcu-asc: NAME.part grows until it is whole and its MD5 is right, an archive is
unpacked into a folder beside it, and only whole files move from there to their place.  fetched.json names
what is done, so that a second call gets only the rest.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import shutil
import ssl
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mcu_asc.audio.release import Remote
from mcu_asc.errors import AscError, UsageError

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all (0: not known), what is being done
WORK = ".mcu-asc"
CHUNK = 1 << 20
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, NotImplementedError)
TRIES = 4  # in a row that bring nothing new


def fetch(
    remotes: Sequence[Remote],
    root: Path,
    progress: Progress | None = None,
    timeout_s: float = 60.0,
    pause_s: float = 2.0,
    again: bool = False,
) -> tuple[str, ...]:
    """Bring a release's files under `root`; returns the names of those that had to be fetched.

    Archives (.zip, .tar.gz) are unpacked and deleted, other files moved to their place.  What an earlier call
    brought is left alone, unless `again`.  Raises AscError when the server cannot be reached, a file is not
    what its publisher names, an archive would write outside of its folder, or the disk is full; what has
    arrived is kept and the next call goes on from there.
    """
    work = root / WORK
    with _disk(root):
        work.mkdir(parents=True, exist_ok=True)
        done = {} if again else _done(work)
        todo = [remote for remote in remotes if done.get(_key(remote)) != remote.md5]
        _check_room(root, work, todo)
        for remote in todo:
            say = _say(progress, remote.name)
            part = work / f"{remote.name}.part"
            _download(remote, part, say, timeout_s, pause_s)
            _check_md5(remote, part, say)
            _put(remote, part, root, work, say)
            done[_key(remote)] = remote.md5
            _write(work / "fetched.json", json.dumps(done, indent=1, sort_keys=True))
    return tuple(remote.name for remote in todo)


def _key(remote: Remote) -> str:
    return f"{remote.into}/{remote.name}"


def _say(progress: Progress | None, name: str) -> Progress:
    def say(done: int, total: int, what: str) -> None:
        if progress:
            progress(done, total, f"{what} {name}")

    return say


def _done(work: Path) -> dict[str, str]:
    try:
        done = json.loads((work / "fetched.json").read_text())
        return {str(name): str(md5) for name, md5 in done.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AscError(
                f"{root}: the disk is full", "make room or give another --data-root; the next call goes on"
            ) from None
        raise AscError(f"{root}: {error}", "check --data-root and its rights") from None


def _check_room(root: Path, work: Path, todo: Sequence[Remote]) -> None:
    """What is left to come, unpacked, and the largest archive beside it; unknown sizes count nothing."""
    if not todo:
        return
    parts = {r.name: work / f"{r.name}.part" for r in todo}
    here = sum(part.stat().st_size for part in parts.values() if part.exists())
    needed = sum(r.bytes for r in todo) + max(r.bytes for r in todo) - here
    free = shutil.disk_usage(root).free
    if needed > free:
        raise AscError(
            f"{root}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free",
            "make room or give another --data-root",
        )


# ---- over the line -----------------------------------------------------------------------------


def _download(remote: Remote, part: Path, say: Progress, timeout_s: float, pause_s: float) -> None:
    """Let `part` grow to the whole file; try again as long as that brings something."""
    misses, reason = 0, ""
    while misses < TRIES:
        before = part.stat().st_size if part.exists() else 0
        if remote.bytes and before > remote.bytes:
            part.unlink()  # of another release
            before = 0
        if remote.bytes and before == remote.bytes:
            return
        try:
            if _request(remote, part, before, say, timeout_s):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code in (401, 403, 404, 410):
                break
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            reason = str(error) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        misses = 0 if after > before else misses + 1
        time.sleep(pause_s * misses)
    size = part.stat().st_size if part.exists() else 0
    raise AscError(
        f"{remote.url}: {reason}; {size:,} bytes have arrived", "run it again: it goes on from there"
    )


def _request(remote: Remote, part: Path, start: int, say: Progress, timeout_s: float) -> bool:
    """One request from `start` on; True when the file is whole."""
    request = urllib.request.Request(remote.url, headers={"User-Agent": "mcu-asc"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        whole = str(error.headers.get("Content-Range", "")).rpartition("/")[2]
        if error.code == 416 and whole == str(start):
            return True  # it was whole
        if error.code == 416:
            part.unlink()
            return False
        raise
    with response:
        if response.status != 206:  # the server begins anew
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else remote.bytes
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            done = start
            while data := response.read(CHUNK):
                file.write(data)
                done += len(data)
                say(done, total, "fetching")
    return done == total or not total


def _check_md5(remote: Remote, part: Path, say: Progress) -> None:
    size = part.stat().st_size
    if remote.bytes and size != remote.bytes:
        part.unlink()
        raise AscError(
            f"{remote.url}: {size:,} bytes instead of {remote.bytes:,}", "the publisher has changed the file"
        )
    if not remote.md5:
        return
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with part.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            done += len(data)
            say(done, size, "checking")
    if digest.hexdigest() != remote.md5:
        part.unlink()
        raise AscError(
            f"{remote.url}: its MD5 is {digest.hexdigest()}, its publisher says {remote.md5}",
            "run it again; if that repeats itself, the file is not the published one",
        )


# ---- to its place ------------------------------------------------------------------------------


def _put(remote: Remote, part: Path, root: Path, work: Path, say: Progress) -> None:
    target = root / remote.into
    target.mkdir(parents=True, exist_ok=True)
    unpack = next((f for end, f in UNPACKERS.items() if remote.name.endswith(end)), None)
    if unpack is None:
        part.replace(target / remote.name)
        return
    fresh = work / f"{remote.name}.unpacked"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        unpack(part, fresh, say)
    except BROKEN as error:
        part.unlink()
        reason = str(error).partition("\n")[0]
        raise AscError(f"{remote.url}: no whole archive: {reason}", "run it again") from None
    except AscError:  # it would bite: not kept
        part.unlink()
        raise
    else:
        for path in sorted(p for p in fresh.rglob("*") if p.is_file()):
            place = target / path.relative_to(fresh)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        part.unlink()
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _inside(name: str, where: Path) -> PurePosixPath:
    """A member's path, refused where it leads out of the archive's own folder."""
    path = PurePosixPath(name)
    if "\\" in name or "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise AscError(
            f"{where.name}: the archive holds {name!r}, which leads out of its folder",
            "nothing was unpacked: do not trust this file",
        )
    return path


def _unzip(source: Path, target: Path, say: Progress) -> None:
    with zipfile.ZipFile(source) as archive:
        members = [m for m in archive.infolist() if not m.is_dir()]
        for member in members:
            _inside(member.filename, source)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise AscError(
                    f"{source.name}: the archive holds a link, {member.filename!r}", "nothing was unpacked"
                )
        total, done = sum(m.file_size for m in members), 0
        for member in members:
            place = target / _inside(member.filename, source)
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as data, place.open("wb") as file:
                shutil.copyfileobj(data, file, CHUNK)
            done += member.file_size
            say(done, total, "unpacking")


def _untar(source: Path, target: Path, say: Progress) -> None:
    size = source.stat().st_size
    with source.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as archive:
        for member in archive:
            place = target / _inside(member.name, source)
            if member.isdir():
                continue
            data = archive.extractfile(member) if member.isreg() else None
            if data is None:
                raise AscError(
                    f"{source.name}: the archive holds a link or a device, {member.name!r}",
                    "nothing was unpacked",
                )
            place.parent.mkdir(parents=True, exist_ok=True)
            with data, place.open("wb") as file:
                shutil.copyfileobj(data, file, CHUNK)
            say(raw.tell(), size, "unpacking")


UNPACKERS: dict[str, Callable[[Path, Path, Progress], None]] = {
    ".zip": _unzip,
    ".tar.gz": _untar,
    ".tgz": _untar,
    ".tar": _untar,
}


def remotes_of(name: str, remotes: Sequence[Remote], where: str) -> Sequence[Remote]:
    """The files, or a UsageError that says why there are none."""
    if not remotes:
        raise UsageError(
            f"data set {name} cannot be fetched", where or "it needs no files, or they are yours"
        )
    return remotes

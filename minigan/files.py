"""Files that are written as a whole or not at all, and directories that one process has at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write in, beside `path`, that is synced and takes its place at the end of the with block.

    When the block or the disk fails, it is removed, and what stood at `path` stays; an OSError names `path`. A link
    stays a link; a pipe or device is written to.
    """
    path, special = _target(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with path.open("wb") if special else beside.open("wb") as file:
            yield file
            if not special:
                file.flush()
                os.fsync(file.fileno())
        if not special:
            beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename2 is None:
            error.filename = str(path)
        raise


def _target(path: str | Path) -> tuple[Path, bool]:
    """What a link leads to, and whether that is a pipe or a device."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        return path, True  # a pipe of /dev/fd has no name that could be opened
    return Path(os.path.realpath(path)) if path.is_symlink() else path, False


@contextmanager
def locked(directory: str | Path, wait: bool = True) -> Iterator[None]:
    """Inside, no other process has the directory locked (where the system has such locks).

    wait: until another lets go of it; else that is a BlockingIOError.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def check_writable(*paths: Path | None) -> None:
    """Raise an OSError where no file can be written at a path: to be asked before work whose results go there."""
    for given in filter(None, paths):
        path, special = _target(given)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a directory where a file is to be written", str(path))
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such directory to write in", str(path.parent))
        if not os.access(path if special else path.parent, os.W_OK):  # a file is replaced, not written to
            raise PermissionError(errno.EACCES, "no permission to write", str(path))

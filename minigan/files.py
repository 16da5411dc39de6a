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
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve() if path.is_symlink() else path
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename2 is None:
            error.filename = str(path)
        raise


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
    for path in filter(None, paths):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a directory where a file is to be written", str(path))
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such directory to write in", str(path.parent))
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission to write", str(path))

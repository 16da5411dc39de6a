"""Files that are written whole or not at all, and directories that one process has at a time."""

import multiprocessing
import os
import threading
import time

import pytest

from minigan.files import check_writable, locked, replacing


def write(path, text):
    with replacing(path) as file:
        file.write(text.encode())


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(KeyError), replacing(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_text() == "old"
    write(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write(pipe, "text")
    reader.join(timeout=20)
    assert found == ["text"] and pipe.is_fifo()
    write(os.devnull, "text")
    read, written = os.pipe()
    write(f"/dev/fd/{written}", "text")  # a link to what has no name
    assert os.read(read, 9) == b"text"
    os.close(read)
    os.close(written)


def test_an_error_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "no" / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "no" / "a.txt")


def test_what_can_be_written_is_known_before(tmp_path):
    check_writable(None, tmp_path / "new.txt")
    with pytest.raises(IsADirectoryError, match="a directory where a file is to be written"):
        check_writable(tmp_path / "new.txt", tmp_path)
    with pytest.raises(FileNotFoundError, match="no such directory to write in"):
        check_writable(tmp_path / "no" / "new.txt")
    if os.getuid():  # root may write anywhere
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="no permission to write"):
            check_writable(tmp_path / "new.txt")


def add_ten(directory, name):
    for number in range(10):
        with locked(directory):
            text = (directory / "list").read_text()
            time.sleep(0.001)
            (directory / "list").write_text(f"{text}{name}{number}\n")


def test_of_two_processes_one_waits(tmp_path):
    (tmp_path / "list").write_text("")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_ten, args=(tmp_path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len((tmp_path / "list").read_text().splitlines()) == 20


def test_or_does_not_wait(tmp_path):
    with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
        pass


def test_a_link_to_itself(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    check_writable(loop)
    write(loop, "text")
    assert loop.read_text() == "text"


def test_a_link_to_where_nothing_can_be(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "no" / "a.txt")
    with pytest.raises(FileNotFoundError, match="no such directory to write in"):
        check_writable(link)


def test_a_pipe_that_nobody_reads_is_named(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: pipe.open("rb").close())
    reader.start()
    with pytest.raises(BrokenPipeError) as caught, replacing(pipe) as file:
        reader.join(timeout=20)
        file.write(b"text" * 100_000)
    assert caught.value.filename == str(pipe)

"""Files and directories appear whole or not at all."""

import errno
import os
import threading
from pathlib import Path

import pytest

from edgekit.errors import DeviceError, InputError
from edgekit.files import digest_bytes, digest_file, naming_disk_errors, read_limited, replacing_directory, write_file


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """A file larger than one piece has the digest that sha256sum prints for its bytes."""
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert digest_file(tmp_path / "a") == digest_bytes(data)
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_write_file_replaces_and_sets_the_mode(tmp_path: Path) -> None:
    """A written file has the new bytes and the mode asked for, and leaves nothing beside it."""
    write_file(tmp_path / "new" / "a", b"1")
    write_file(tmp_path / "new" / "a", b"2", mode=0o600)
    assert (tmp_path / "new" / "a").read_bytes() == b"2"
    assert (tmp_path / "new" / "a").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path / "new") == ["a"]


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up during a write, the old bytes stay and no temporary file does."""
    write_file(tmp_path / "a", b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceError, match=r"a: the disk is full.*Free some room"):
        write_file(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A replaced directory has only the new files, and nothing is left beside it."""
    for content in ("one", "two"):
        with replacing_directory(tmp_path / "bundle") as staging:
            (staging / content).write_text(content)
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["two"]


def test_failed_replacement_leaves_the_old_directory(tmp_path: Path) -> None:
    """When the block ends in an error, the directory is as it was."""
    with replacing_directory(tmp_path / "bundle") as staging:
        (staging / "one").touch()
    with pytest.raises(KeyboardInterrupt), replacing_directory(tmp_path / "bundle") as staging:
        (staging / "two").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["one"]


def test_a_place_that_takes_no_directory_is_a_device_error() -> None:
    """Where the system makes no directories, the refusal names the place."""
    with pytest.raises(DeviceError, match="/proc/bundle"), replacing_directory(Path("/proc/bundle")):
        pytest.fail("there is nowhere to write")


def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    """While a file is written again and again, a reader finds one version's bytes or another's."""
    path = tmp_path / "a"
    versions = [bytes([digit]) * 50_000 for digit in range(4)]
    write_file(path, versions[0])
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for version in versions:
            write_file(path, version)
    done.set()
    reader.join()
    assert seen <= set(versions)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_disk_errors_name_the_path(code: int) -> None:
    """What the system says of the disk becomes a DeviceError with the path and what to do."""
    with pytest.raises(DeviceError, match=r"^/there: .*\. \w+.*\.$"), naming_disk_errors(Path("/there")):
        raise OSError(code, os.strerror(code))


def test_the_place_that_failed_is_named(tmp_path: Path) -> None:
    """What fails beside or below the path is told of the path, and what fails elsewhere, as in a temporary directory, of itself."""
    with pytest.raises(DeviceError, match=rf"^{tmp_path}/bundle: "), naming_disk_errors(tmp_path / "bundle"):
        (tmp_path / ".bundle.x" / "model").read_bytes()
    for elsewhere in (Path("/elsewhere/model"), tmp_path / ".." / "elsewhere"):
        with pytest.raises(DeviceError, match=rf"^{elsewhere}: "), naming_disk_errors(tmp_path / "bundle"):
            elsewhere.read_bytes()


def test_other_errors_stay_what_they_are() -> None:
    """An error that is not the disk's is not dressed up as one."""
    with pytest.raises(ConnectionResetError), naming_disk_errors(Path("/there")):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


def test_what_is_too_large_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A file of the limit's size is read, one byte more is refused with the remedy, and so is a file that is not there."""
    (tmp_path / "a").write_bytes(b"x" * (1 << 20))
    assert read_limited(tmp_path / "a", 1 << 20, "Cut it.") == b"x" * (1 << 20)
    (tmp_path / "a").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(InputError, match=r"a: it is larger than 1 MiB\. Cut it\."):
        read_limited(tmp_path / "a", 1 << 20, "Cut it.")
    with pytest.raises(InputError, match="b: it cannot be read: No such file"):
        read_limited(tmp_path / "b", 1 << 20, "Cut it.")

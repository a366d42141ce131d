"""Files that are written as a whole: at any moment there is the former file or the new one, and never a part of one."""

import contextlib
import glob
import os
import uuid
from pathlib import Path

# End of the name of a file that is not whole yet.
SUFFIX = ".part"


def write_whole(path: Path, data: bytes | memoryview, *, is_new: bool = False) -> None:
    """Write a file under another name, and rename it as soon as the disk has it.

    A call that fails or is interrupted leaves the former file, and no other.

    Parameters
    ----------
    path : Path
        The file.
    data : bytes-like
        Its content.
    is_new : bool, default=False
        Whether there was no such file, so that one is not replaced; a file system without links may replace it still.

    Raises
    ------
    FileExistsError
        If ``is_new`` is True and there is such a file by now.
    OSError
        If the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{SUFFIX}")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _rename(part, path, is_new)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_names(path.parent)


def remove_parts(path: Path) -> None:
    """Remove what ended processes have left of files with this path."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}{SUFFIX}"):
        part.unlink(missing_ok=True)


def _rename(part, path, is_new):
    if is_new:
        try:
            os.link(part, path)
            part.unlink()
            return
        except FileExistsError:
            raise
        except OSError:  # the file system has no links
            pass
    os.replace(part, path)


def _sync_names(folder):
    """Let the disk have the names of a folder, too; some systems and folders do not allow it."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)

"""What Python runs when it starts in a stage that is looked at: it notes the files of the repository that are opened.

Any Python from 3.8 on may run this, with no package of ours, so it imports only what Python has loaded by then. It
prints nothing and raises nothing. What the stage declares is passed over; each other path is written down at once,
since a process may end in any way. `notes.py` writes what this reads, and reads what this writes.
"""

import os
import sys

WATCHED = "GLIAFLOW_AUDIT"  # names the folder of the try
SETTING = "watched"  # the file in it that tells what to look at
READ, WROTE = "r", "w"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OF_FOLDERS = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0)  # flags with which folders are opened
COMPILED = "__pycache__"
MOST = 10000  # paths that a process writes down


def watch(folder: str) -> None:
    """Have Python tell of each file that it opens from now on; `folder` is that of the try."""
    with open(folder + os.sep + SETTING, "rb") as file:  # noqa: PTH123 pathlib takes longer to load than all this
        parts = os.fsdecode(file.read()).split("\0")
    tops, reads, folders, writes = ([path for path in part.split("\n") if path] for part in parts)
    inside = tuple(top + os.sep for top in tops)
    own = [path for path in (folder, sys.prefix, sys.base_prefix) if path.startswith(inside)]
    known = {READ: set(reads), WROTE: set(writes)}
    passed = {
        READ: tuple(path + os.sep for path in own + folders + writes),
        WROTE: tuple(path + os.sep for path in own + writes),
    }
    normal, decode, cwd = os.path.normpath, os.fsdecode, os.getcwd
    left = [MOST]
    here = [cwd() + "/"]  # where relative paths begin, as long as the program stays there

    def note(how: str, path: object) -> None:
        if not isinstance(path, str):
            if not isinstance(path, bytes):  # the number of an open file, or nothing
                return
            path = decode(path)
        if path[:1] != "/":
            path = (here[0] if here else cwd() + "/") + path
        if "/." in path or "//" in path:
            path = normal(path)
        if not path.startswith(inside) or path.startswith(passed[how]) or path in known[how]:
            return
        if COMPILED in path:
            if how == WROTE:
                return
            path = source(path)
        if path in known[how] or (how == READ and path in known[WROTE]) or not left[0]:
            return
        known[how].add(path)
        left[0] -= 1
        write(folder, how + path + "\0")

    def opened(args: "tuple[object, ...]") -> None:
        flags = args[2]
        if isinstance(flags, int) and not flags & OF_FOLDERS:
            note(WROTE if flags & WRITING else READ, args[0])

    def read(args: "tuple[object, ...]") -> None:
        note(READ, args[0])

    def written(args: "tuple[object, ...]") -> None:
        note(WROTE, args[0])

    def made(args: "tuple[object, ...]") -> None:
        note(WROTE, args[1])

    def moved(_: "tuple[object, ...]") -> None:
        del here[:]

    def linked(args: "tuple[object, ...]") -> None:
        note(READ, args[0])
        note(WROTE, args[1])

    def imported(args: "tuple[object, ...]") -> None:
        note(READ, args[1])  # where a compiled extension lies, and nothing else

    told = {
        "open": opened,
        "import": imported,
        "os.rename": made,
        "os.symlink": made,
        "os.link": linked,
        "os.chdir": moved,
        "os.truncate": written,
        "sqlite3.connect": read,
        "ctypes.dlopen": read,
    }.get

    def hook(event: str, args: "tuple[object, ...]") -> None:
        tell = told(event)
        if tell is not None:
            try:
                tell(args)
            except Exception:  # nothing of this may reach the stage
                return

    write(folder, "")  # a process that is looked at, though it may open nothing
    sys.addaudithook(hook)


def source(path: str) -> str:
    """The module of which a file in `__pycache__` is the compiled form."""
    folder, _, name = path.rpartition(os.sep)
    above, _, last = folder.rpartition(os.sep)
    return above + os.sep + name.split(".")[0] + ".py" if last == COMPILED else path


def write(folder: str, text: str) -> None:
    """Add to the notes of this process; no file stays open, since the stage may close those that it does not know."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    file = os.open(folder + os.sep + str(os.getpid()), flags, 0o600)
    try:
        os.write(file, os.fsencode(text))
    finally:
        os.close(file)


def give_way(name: str) -> None:
    """Leave no trace on the path of modules, and run the file of this name that would have run without this one."""
    here = __file__.rpartition(os.sep)[0]
    sys.path[:] = [path for path in sys.path if path != here]
    sys.path_importer_cache.pop(here, None)
    ours = sys.modules.pop(name)
    try:
        __import__(name)
    except ImportError as error:
        if error.name != name:
            raise
        sys.modules[name] = ours


if __name__ == "sitecustomize":
    try:
        if os.environ.get(WATCHED):
            watch(os.environ[WATCHED])
    except Exception:  # no folder, or a Python that tells of nothing: the stage runs as it would
        pass
    give_way(__name__)

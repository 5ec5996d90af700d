"""What bytes show on a terminal, as lines: without what moves the cursor, and without what only overwrites."""

import codecs
import locale
import re
import time
from collections.abc import Callable

LONGEST_LINE = 1 << 16  # characters; a longer one is cut into several
MOST_ROWS = 100  # above the last line, into which a cursor may move back
MOST_SHOWN = 1000  # characters of an unfinished line
SHOW_SECONDS = 0.1  # at least between two states of an unfinished line
MOST_STYLE = 256  # characters of colours in force
RESET = "\x1b[0m"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tabs and ends of lines
STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*"  # a title, a link, a picture
TOKEN = re.compile(
    r"(?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)"
    r"|(?:\x1b\[|\x9b)(?P<numbers>[0-?]*)[ -/]*(?P<what>[@-~])"
    rf"|{STRING}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|(?P<back>\x08+)"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
)
UNFINISHED = re.compile(rf"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|{STRING}\x1b?|\x1b[ -/]*|\r)\Z")


def plain(text: str, colours: bool = False) -> str:
    """What a terminal shows of a piece of text, its `colours` included if asked for, without what moves the cursor."""
    if not CONTROL.search(text):
        return text
    text = text.rstrip("\r").rpartition("\r")[2]
    kept = ((one["text"] or "") + (one[0] if colours and one["what"] == "m" else "") for one in TOKEN.finditer(text))
    made = "".join(kept)
    return made + RESET if "\x1b" in made and not made.endswith(RESET) else made


def encoding() -> str:
    """In which encoding programs of this machine print; UTF-8 where only ASCII is sure."""
    found = codecs.lookup(locale.getencoding()).name
    return "utf-8" if found == "ascii" else found


class Lines:
    """Bytes into lines, which keep their colours; what is overwritten is shown but is no line.

    A bar of several lines moves the cursor up and writes them again: they are lines once something comes below.
    """

    def __init__(
        self, on_line: Callable[[str, bool], None], clock: Callable[[], float] = time.monotonic, code: str = ""
    ) -> None:
        self._on_line, self._clock = on_line, clock
        self._decoder = codecs.getincrementaldecoder(code or encoding())("replace")
        self._held = ""  # the beginning of what moves the cursor, whose end has not come
        self._row = ""  # what stands on the line of the cursor
        self._anew = False  # whether what comes next overwrites it
        self._style = ""  # colours in force
        self._above = 0  # lines that the cursor stands above the last one
        self._rows: dict[int, str] = {}  # what was written again, by how far above
        self._count = 0
        self._shown, self._touched, self._when = "", "", float("-inf")

    def feed(self, data: bytes, last: bool = False) -> None:
        """Take more bytes, or tell that these are the `last`."""
        text = self._held + self._decoder.decode(data, last)
        self._held = ""
        if CONTROL.search(text):
            text = text.replace("\r\n", "\n")
            begun = UNFINISHED.search(text)
            if begun and len(text) - begun.start() <= LONGEST_LINE:
                self._held, text = "" if last else text[begun.start() :], text[: begun.start()]
        if self._anew or self._style or self._rows or CONTROL.search(text):
            for token in TOKEN.finditer(text):
                self._take(token)
        else:
            first, *lines = text.split("\n")
            lines.insert(0, self._row + first)
            self._row = lines.pop()
            for line in lines:
                self._tell(line)
        while len(self._row) > LONGEST_LINE:
            self._tell(self._row[:LONGEST_LINE])
            self._row = self._row[LONGEST_LINE:]
        if last:
            self._below()
            if self._row.strip():
                self._tell(self._row)
            self._row = ""
        self.show()

    def show(self) -> None:
        """Tell what stands on an unfinished line, unless it was told, or a state of it a moment ago."""
        text = (self._row or self._touched)[:MOST_SHOWN]
        if text and text != self._shown and self._clock() - self._when >= SHOW_SECONDS and plain(text).strip():
            self._shown, self._when = text, self._clock()
            self._on_line(_closed(text), False)

    def _tell(self, line: str) -> None:
        """A line is finished."""
        self._count += 1
        self._shown = self._touched = ""
        for start in range(0, max(len(line), 1), LONGEST_LINE):
            self._on_line(_closed(line[start : start + LONGEST_LINE]), True)

    def _take(self, token: re.Match[str]) -> None:
        if text := token["text"]:
            self._row = (self._style if self._anew or not self._row else self._row) + text
            self._anew = False
        elif token["what"]:
            self._command(token[0], token["numbers"], token["what"])
        elif token["back"]:
            self._back(len(token["back"]))
        elif token["control"] == "\n":
            self._next()
        elif token["control"] == "\r":
            self._anew = True

    def _command(self, whole: str, numbers: str, what: str) -> None:
        """Follow what moves the cursor or changes colours."""
        number = min(max(int(numbers), 1), MOST_SHOWN) if numbers.isdigit() else 1
        match what:
            case "m":
                self._colour(whole, numbers)
            case "K" if numbers == "2" or (self._anew and numbers in ("", "0")):
                self._row = ""
            case "J" if self._anew:
                self._row = ""
                self._rows = {above: row for above, row in self._rows.items() if above > self._above}
            case "A" | "F":
                self._move(min(self._above + number, self._count, MOST_ROWS))
            case "B" | "E":
                self._move(max(self._above - number, 0))
            case "G" | "`" if number <= 1:
                self._anew = True
            case "C" if not self._anew:
                self._row += " " * number
            case "D":
                self._back(number)
            case "H" | "f":
                self._anew = True

    def _colour(self, whole: str, numbers: str) -> None:
        if numbers in ("", "0"):
            self._style = ""
        elif numbers.startswith("0;") or len(self._style) + len(whole) > MOST_STYLE:
            self._style = whole
        else:
            self._style += whole
        if self._row and not self._anew:
            self._row += whole

    def _back(self, number: int) -> None:
        row = plain(self._row)
        self._row = row[:-number]

    def _move(self, above: int) -> None:
        """To another line of those that were written."""
        if above != self._above:
            if self._row:
                self._rows[self._above] = self._touched = self._row
            self._above = above
            self._row = self._rows.get(above, "")
        self._anew = True

    def _next(self) -> None:
        """To the line below."""
        if self._above:
            self._move(self._above - 1)
        else:
            self._below()
            self._tell(self._row)
            self._row, self._anew = "", False

    def _below(self) -> None:
        """Tell the lines that were written again: something comes below them."""
        if self._rows:
            self._move(0)
            for above in sorted(self._rows, reverse=True):
                if above and self._rows[above].strip():
                    self._tell(self._rows[above])
            self._rows = {}


def _closed(line: str) -> str:
    """The line, whose colours end with it."""
    return line + RESET if "\x1b" in line and not line.endswith(RESET) else line

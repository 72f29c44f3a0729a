"""The script language: text to a list of events.

Every constant is resolved here, so that a script with a name that does not exist fails before
anything is played. What of the language is not ours to play (UDP, IPv6, encapsulation) is refused.
"""
import re
from dataclasses import dataclass, field

import constants
import packet


class Wrong(Exception):
    """The script itself is wrong, at a line."""

    def __init__(self, line, why):
        super().__init__(why)
        self.line = line


class Anything:
    """`...` where a value could be."""

    def __repr__(self):
        return "..."


ANYTHING = Anything()


@dataclass
class Struct:
    """`{name=value, ...}`; a member without a name is called by its place: "0", "1"."""
    members: dict


@dataclass
class Syscall:
    name: str
    arguments: list
    result: object
    error: int = None  # the errno that is expected
    end: int = None    # when a blocking call returns, relative as the event is


@dataclass
class Command:
    text: str


@dataclass
class Code:
    text: str


@dataclass
class Event:
    line: int
    kind: str   # absolute, relative, any; a range: absolute range, relative range
    start: int  # microseconds
    end: int
    action: object


@dataclass
class Script:
    options: dict = field(default_factory=dict)
    defines: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    prepare: str = None
    clean_up: str = None


SPACE = re.compile(r"(?:\s|//[^\n]*(?:\n|$)|/\*.*?\*/)*", re.S)
TIME = re.compile(r"\d*\.\d+|\d+")
NUMBER = re.compile(r"-?0x[0-9a-fA-F]+|-?\d+")
WORD = re.compile(r"[A-Za-z_]\w*")
STRING = re.compile(r'"((?:\\.|[^"\\])*)"', re.S)
COMMAND = re.compile(r"`((?:\\.|[^`\\])*)`", re.S)
CODE = re.compile(r"%\{(.*?)\}%", re.S)
OPTION = re.compile(r"--(\w+)(?:=(\w+=(?:\"[^\"]*\"|`[^`]*`|\w+)|\"[^\"]*\"|[\w.:-]+))?")
NOTE = re.compile(r"\([\w\s]*\)")
ERRNO = re.compile(r"E[A-Z0-9]+\b")
ELLIPSIS = re.compile(r"\.\.\.")


class Parser:
    """A place in the text, and what is there."""

    def __init__(self, text, defines):
        self.text = text
        self.at = 0
        self.defines = defines

    @property
    def line(self):
        return self.text.count("\n", 0, self.at) + 1

    def wrong(self, why):
        return Wrong(self.line, why)

    def skip(self):
        self.at = SPACE.match(self.text, self.at).end()

    def take(self, pattern):
        """The match of a compiled pattern, or of a literal text, that comes next; None: something else does."""
        self.skip()
        if isinstance(pattern, str):
            if not self.text.startswith(pattern, self.at):
                return None
            self.at += len(pattern)
            return pattern
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def need(self, pattern, what):
        match = self.take(pattern)
        if not match:
            found = self.text[self.at:self.at + 20].split("\n")[0]
            raise self.wrong(f"expected {what}, found '{found}'")
        return match

    def looking_at(self, text):
        self.skip()
        return self.text.startswith(text, self.at)

    def at_end(self):
        self.skip()
        return self.at == len(self.text)

    # ---- values ----

    def number(self, what, most=0xffffffff):
        text = self.need(NUMBER, what)[0]
        value = int(text, 0 if "x" in text else 10)
        if not 0 <= value <= most:
            raise self.wrong(f"{what} out of range: {value}")
        return value

    def word(self, what):
        """A word, or what it was defined as."""
        word = self.need(WORD, what)[0]
        return self.defines.get(word, word)

    def constant(self, word):
        word = self.defines.get(word, word)
        try:
            return constants.value(word)
        except KeyError:
            raise self.wrong(f"unknown constant {word}") from None

    def members(self, closing):
        """What stands between brackets: names (None where there is none) and values."""
        found = []
        while not self.take(closing):
            if found:
                self.need(",", f"',' or '{closing}'")
            start = self.at
            name = self.take(re.compile(r"([A-Za-z_]\w*)\s*(\([^()]*\)\s*)?=(?!=)"))
            if not name:
                self.at = start
            found.append((name[1] if name else None, self.value()))
        return found

    def value(self):
        value = self.single_value()
        while self.take("|"):
            other = self.single_value()
            if not isinstance(value, int) or not isinstance(other, int):
                raise self.wrong("'|' wants numbers")
            value |= other
        return value

    def single_value(self):
        if self.take(ELLIPSIS):
            return ANYTHING
        if self.take("["):
            return [value for _, value in self.members("]")]
        if self.take("{"):
            return Struct({name or str(i): value for i, (name, value) in enumerate(self.members("}"))})
        if self.looking_at('"'):
            return self.string()
        number = self.take(NUMBER)
        if number:
            return int(number[0], 0 if "x" in number[0] else 10)
        return self.named_value()

    def string(self):
        text = b""
        while self.looking_at('"'):
            text += self.need(STRING, "a string")[1].encode().decode("unicode_escape").encode("latin-1")
        self.take(ELLIPSIS)
        return text

    def named_value(self):
        word = self.need(WORD, "a value")[0]
        if not self.take("("):
            return self.constant(word)
        arguments = [value for _, value in self.members(")")]
        if len(arguments) != 1:
            raise self.wrong(f"{word} takes one argument")
        try:
            return constants.function(word, arguments[0])
        except (KeyError, ValueError, OSError, TypeError, AttributeError):
            raise self.wrong(f"unknown function or wrong argument: {word}") from None

    # ---- events ----

    def time(self):
        return round(float(self.need(TIME, "a time")[0]) * 1000000)

    def event_time(self):
        """Kind, start and end."""
        if self.take("*"):
            return "any", 0, 0
        relative = bool(self.take("+"))
        start = self.time()
        kind = "relative" if relative else "absolute"
        if not self.take("~"):
            return kind, start, start
        if relative:
            self.need("+", "'+'")
        end = self.time()
        if end < start:
            raise self.wrong("the time range is backwards")
        return kind + " range", start, end

    def event(self):
        self.skip()
        line = self.line
        kind, start, end = self.event_time()
        action = self.action()
        outbound = isinstance(action, packet.Tcp) and action.outbound
        if not outbound and kind not in ("absolute", "relative"):
            raise Wrong(line, "only outbound packets have a range of time, or any")
        return Event(line, kind, start, end, action)

    def action(self):
        if self.looking_at("<") or self.looking_at(">"):
            return packet.parse(self)
        command = self.take(COMMAND)
        if command:
            return Command(command[1])
        code = self.take(CODE)
        if code:
            return Code(code[1].strip(" \t"))
        return self.syscall()

    def syscall(self):
        end = self.time() if self.take(ELLIPSIS) else None
        name = self.need(WORD, "a packet, a system call, a command or code")[0]
        self.need("(", "'('")
        arguments = [value for _, value in self.members(")")]
        self.need("=", "'='")
        result = self.value()
        if result is not ANYTHING and not isinstance(result, int):
            raise self.wrong("the result is no number")
        error = self.take(ERRNO)
        if error:
            error = constants.errno_value(error[0])
            if error is None:
                raise self.wrong("unknown errno")
        self.take(NOTE)
        return Syscall(name, arguments, result, error, end)

    # ---- the whole ----

    def options(self, script):
        while self.looking_at("--"):
            option = self.need(OPTION, "an option")
            name, value = option[1], option[2]
            if name == "define":
                key, _, text = value.partition("=")
                self.defines.setdefault(key, text)
            else:
                script.options[name] = value.strip('"') if value else ""


def parse(text, defines):
    script = Script(defines=dict(defines))
    parser = Parser(text, script.defines)
    parser.options(script)
    command = parser.take(COMMAND)
    if command:
        script.prepare = command[1]
    while not parser.at_end() and not parser.looking_at("`"):
        script.events.append(parser.event())
    command = parser.take(COMMAND)
    if command:
        script.clean_up = command[1]
    if not parser.at_end():
        raise parser.wrong("something follows the last command")
    if not script.events or script.events[0].kind == "any" or script.events[0].start != 0:
        raise Wrong(script.events[0].line if script.events else 1, "the first event must be at time 0")
    return script

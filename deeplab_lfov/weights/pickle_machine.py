"""A machine that runs the few opcodes of pickles which hold arrays in dicts and lists.

It imports nothing, sets no attributes, calls only what it was given, and never hashes, compares or
prints what a file has nested, which a file of 300 bytes can make take forever.
"""

import io
import pickletools
from collections.abc import Callable, Mapping

_MOST_OPCODES = 1_000_000  # a network with all its slots takes about 5,000
_MOST_KEY = 1000
_MOST_INTEGER_KEY = 1 << 60  # hashes of larger ones can be made to collide, one with all
_MOST_ARGUMENTS = 20  # each call copies them

_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8", "FLOAT", "BINFLOAT"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class ForbiddenCallError(ValueError):
    """A pickle names a function that it may not call."""


class Stateful:
    """What an opcode BUILD may give a state: an object that checks it."""

    def set_state(self, state: object) -> None:
        """Keep what of a state is needed; raises ValueError for any other than the expected."""
        raise NotImplementedError


class Attributed(dict, Stateful):
    """A dict that may be given attributes, such as an OrderedDict; they are forgotten."""

    def set_state(self, state: object) -> None:
        """Forget it."""


class _Function:
    """A function that a file may call, in a wrapper that has nothing else for it to reach."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object]):
        self.call = call


class Machine:
    """The stack, marks and memo of one pickle.

    functions: all that it may call, by name; what is no function is pushed as it is. persistent:
    what a reference to something outside the pickle becomes. keys: the types of keys of dicts.
    """

    def __init__(
        self,
        functions: Mapping[str, object],
        persistent: Callable[[object], object] | None = None,
        keys: tuple[type, ...] = (str,),
    ):
        self._functions = {
            name: _Function(each) if callable(each) else each for name, each in functions.items()
        }
        self._persistent, self._keys = persistent, keys
        self._stack: list = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def run(self, stream: io.BytesIO) -> object:
        """Run a pickle and return what it makes; the stream is left behind it.

        Raises ValueError or IndexError for a bad one.
        """
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= _MOST_OPCODES:
                raise ValueError(f"it has more than {_MOST_OPCODES:,} opcodes")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        return self._stack.pop()

    def _step(self, opcode: str, argument: object) -> None:
        if opcode in _PUSHED:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            self._stack.append(self._pop(_TUPLES[opcode]))
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        else:
            raise ValueError(f"it has an opcode {opcode}, which no weights need")

    def _pop(self, count: int) -> tuple:
        """Take the last `count` things off the stack."""
        items = tuple(self._stack[-count:])
        if len(items) != count:
            raise IndexError("its stack is too short")
        del self._stack[-count:]
        return items

    def _pop_mark(self) -> list:
        """Take all things after the last mark off the stack."""
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _tuple(self, _: None) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _list(self, _: None) -> None:
        self._stack.append(self._pop_mark())

    def _dict(self, _: None) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._set_items(items)

    def _put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise ValueError("it gets what it has not put")
        self._stack.append(self._memo[place])

    def _append(self, _: None) -> None:
        self._append_items(self._pop(1))

    def _appends(self, _: None) -> None:
        self._append_items(self._pop_mark())

    def _append_items(self, items: list | tuple) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("it appends to what is no list")
        self._stack[-1].extend(items)

    def _set_item(self, _: None) -> None:
        self._set_items(self._pop(2))

    def _set_marked(self, _: None) -> None:
        self._set_items(self._pop_mark())

    def _set_items(self, items: list | tuple) -> None:
        if not isinstance(self._stack[-1], dict) or len(items) % 2:
            raise ValueError("it sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in self._keys or not _is_short(key):
                raise ValueError("a key is no text, or a very long one")
            self._stack[-1][key] = value

    def _global(self, name: str) -> None:
        self._push_function(name)

    def _stack_global(self, _: None) -> None:
        module, name = self._pop(2)
        if type(module) is not str or type(name) is not str:
            raise ValueError("it calls by a name that is no text")
        self._push_function(f"{module} {name}")

    def _push_function(self, name: str) -> None:
        if name not in self._functions:
            raise ForbiddenCallError(
                f"it calls {name.replace(' ', '.')[:100]}, which no weights need"
            )
        self._stack.append(self._functions[name])

    def _reduce(self, _: None) -> None:
        function, arguments = self._pop(2)
        if type(function) is not _Function or type(arguments) is not tuple:
            raise ValueError("it calls what is no function")
        if len(arguments) > _MOST_ARGUMENTS:
            raise ValueError(f"it calls with {len(arguments):,} arguments")
        self._stack.append(function.call(*arguments))

    def _refer(self, _: None) -> None:
        if not self._persistent:
            raise ValueError("it refers to what is outside of it")
        self._stack.append(self._persistent(*self._pop(1)))

    def _build(self, _: None) -> None:
        (state,) = self._pop(1)
        if not isinstance(self._stack[-1], Stateful):
            raise ValueError("it gives a state to what has none")
        self._stack[-1].set_state(state)


def _is_short(key: str | int) -> bool:
    return len(key) <= _MOST_KEY if isinstance(key, str) else abs(key) < _MOST_INTEGER_KEY


_STEPS = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "DUP": lambda machine, _: machine._stack.append(machine._stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine._stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine._stack.append({}),
    "MARK": Machine._mark,
    "TUPLE": Machine._tuple,
    "LIST": Machine._list,
    "DICT": Machine._dict,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "SETITEM": Machine._set_item,
    "SETITEMS": Machine._set_marked,
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "BUILD": Machine._build,
    "BINPERSID": Machine._refer,
}

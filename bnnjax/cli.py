"""What all launch scripts have in common.

The help of a flag states its units. Bad input ends in a one-line message and exit status 1; status
0 means that everything was done. ``--json`` prints figures as one JSON object on the last line.
"""

import _thread
import collections.abc
import dataclasses
import importlib
import json
import os
import re
import sys
import threading
import time
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from bnnjax import interrupts

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # Flags belong to the scripts that call the functions below.
_LOADED = time.perf_counter()


def run(main: Callable[[], int | None], *, leave_at_once: bool = False) -> None:
    """Parses the flags and calls ``main``, whose result is the exit status.

    ValueError, OSError and missing extras become one line on stderr and status 1; Ctrl-C becomes
    one line and status 130.

    Args:
      main: does the work of the script.
      leave_at_once: whether Ctrl-C ends the process at once, except within `interrupts.held`,
        instead of raising KeyboardInterrupt.
    """
    logging.set_verbosity(logging.ERROR)
    _define_import()
    _show_in_help(sys.modules[main.__module__])
    sys.unraisablehook = _interrupt_again
    if leave_at_once:
        interrupts.leave_at_once()
    app.run(lambda argv: _guarded(main, argv, leave_at_once), flags_parser=_parse)


def _interrupt_again(ignored: Any) -> None:
    """Repeats a Ctrl-C that arrived in a finalizer, where Python drops exceptions."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(ignored)


def _show_in_help(script: types.ModuleType) -> None:
    """Makes --help describe a script that is installed as a command, which absl does not know."""
    sys.modules["__main__"].__doc__ = script.__doc__
    for flag in FLAGS.flags_by_module_dict().get(script.__name__, ()):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _parse(argv: list[str]) -> list[str]:
    # A shell expands ~ only at the beginning of a word.
    argv = [re.sub(r"^(--?\w+=)~(?=/|$)", lambda m: m[1] + str(Path.home()), a) for a in argv]
    try:
        return FLAGS(argv)
    except flags.Error as error:
        print(f"{os.path.basename(argv[0])}: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit:  # absl ends --help with status 1
        sys.exit(0)


def _guarded(main: Callable[[], int | None], argv: list[str], leave_at_once: bool) -> None:
    program = os.path.basename(argv[0])
    try:
        if not leave_at_once:
            interrupts.raise_again()
        if argv[1:]:
            raise ValueError(f"unexpected argument {argv[1]!r}; flags have the form --name=value")
        _import(FLAGS["import"].value or [])
        status = main()
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"{program}: {one_line(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        status = interrupts.STATUS
        if interrupts.is_command():  # XLA may crash if it is shut down while it works
            sys.stdout.flush()
            os._exit(status)
    sys.stdout.flush()
    sys.exit(status)


def _define_import() -> None:
    if "import" not in FLAGS:
        help = "Python modules to import first, such as one that registers your own network"
        flags.DEFINE_list("import", [], help)


def _import(modules: Sequence[str]) -> None:
    if modules:
        sys.path.append(os.getcwd())  # a script's path starts in its own folder
    for module in modules:
        importlib.import_module(module)


def one_line(error: Exception) -> str:
    """Joins the lines of an error that lists its faults line by line."""
    first, *faults = (line.strip() for line in str(error).splitlines() or [""])
    return " ".join([first, "; ".join(faults)]).strip()


def define_json() -> None:
    """Defines the flag ``--json``."""
    flags.DEFINE_boolean("json", False, "print the figures as one JSON object on the last line")


def print_json(figures: Mapping[str, Any]) -> None:
    """Prints the figures on one line if ``--json`` was given."""
    if FLAGS.json:
        print(json.dumps(figures))


def define_fields(kind: type) -> None:
    """Defines a flag for every field of a dataclass, with its default and help."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        _define(field.name, hints[field.name], field.default, field.metadata["help"])


def given(names: Iterable[str]) -> dict[str, Any]:
    """Returns the flags among ``names`` that were given on the command line, by name."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].present}


def _define(name: str, hint: Any, default: Any, help: str) -> None:
    kinds = [kind for kind in _alternatives(hint) if kind is not type(None)]
    if typing.get_origin(kinds[0]) is typing.Literal:
        flags.DEFINE_enum(name, default, list(typing.get_args(kinds[0])), help)
    elif kinds[0] is bool:
        flags.DEFINE_boolean(name, default, help)
    elif kinds[0] is int:
        flags.DEFINE_integer(name, default, help)
    elif kinds[0] is float:
        flags.DEFINE_float(name, default, help)
    elif typing.get_origin(kinds[0]) in (tuple, collections.abc.Sequence):
        flags.DEFINE_list(name, default and [str(item) for item in default], help)
    else:
        flags.DEFINE_string(name, default, help)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the type alone."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns as wide as necessary; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def print_problems(problems: Sequence[str]) -> None:
    """Prints to stderr what was asked for and not done."""
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)


def report(
    table: Sequence[Sequence[str]],
    figures: Mapping[str, Any],
    pictures: Sequence[Path],
    summaries: Sequence[Path],
    problems: Sequence[str],
) -> int:
    """Prints a study's table, its summaries, its costs and its problems; the exit status."""
    print_table(table)
    spent = costs()
    shown = ", ".join(path.name for path in summaries)
    print(f"{summaries[0].parent}: {shown}; {spent['total_seconds']} s")
    print_problems(problems)
    files = [str(path) for path in (*pictures, *summaries)]
    print_json({**figures, **spent, "files": files, "problems": [*problems]})
    return 1 if problems else 0


def costs() -> dict[str, float | None]:
    """Returns the seconds since this process started and its peak memory in MiB."""
    return {
        "total_seconds": round(_seconds(), 2),
        "peak_memory_mib": _peak_memory(),
    }


def _seconds() -> float:
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # Not on Linux: seconds since this module was loaded.
        return time.perf_counter() - _LOADED


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)

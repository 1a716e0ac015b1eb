"""``bnnjax COMMAND``: all launch scripts as the commands of one program.

The commands are those that pyproject.toml installs as ``bnnjax-COMMAND``.
"""

import ast
import importlib.util
import os
import sys
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

from bnnjax import completion
from bnnjax.options import nearest

PREFIX = "bnnjax-"
HELP = """Style transfer, attacks and activation atlases through binarized networks.

usage: bnnjax COMMAND [--flag=value …]
       bnnjax COMMAND --help
       bnnjax --version
       bnnjax completion bash|zsh|fish

commands:
"""


def main() -> None:
    """Runs the command that the arguments name."""
    name, *rest = sys.argv[1:] or ["--help"]
    found = commands()
    if name in ("--help", "-h", "help"):
        print(HELP + "\n".join(f"  {n:<14} {summary(found[n])}" for n in found))
    elif name == "--version":
        print(f"bnnjax {version('bnnjax')}")
    elif name == "completion" and len(rest) == 1 and rest[0] in completion.SHELLS:
        print(completion.script(rest[0], [*found]), end="")
    elif name in found:
        sys.argv = [f"bnnjax {name}", *rest]
        found[name].load()()
    elif name == "completion":
        sys.exit(f"bnnjax: completion needs one of {', '.join(completion.SHELLS)}")
    else:
        sys.exit(f"bnnjax: no command {name!r}{nearest(name, found)}")


def commands() -> dict[str, EntryPoint]:
    """The installed commands by name."""
    scripts = entry_points(group="console_scripts")
    return {s.name.removeprefix(PREFIX): s for s in scripts if s.name.startswith(PREFIX)}


def summary(command: EntryPoint) -> str:
    """The first line of the script's docstring, which is read without importing the script."""
    spec = importlib.util.find_spec(command.module)
    if spec is None or spec.origin is None:
        return ""
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # of `bnnjax --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

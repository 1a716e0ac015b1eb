"""Completion of ``bnnjax COMMAND --flag=value`` in bash, zsh and fish.

The scripts' flags are read once, while the completion is installed, so that pressing Tab starts no
Python. Reading them takes some seconds:

    bnnjax completion bash > ~/.local/share/bash-completion/completions/bnnjax
    bnnjax completion zsh > ~/.zfunc/_bnnjax    # a folder of $fpath
    bnnjax completion fish > ~/.config/fish/completions/bnnjax.fish
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from xml.etree import ElementTree

SHELLS = ("bash", "zsh", "fish")


class Flag(NamedTuple):
    """A flag of a script: its name, its help, and its values if it has a fixed set of them."""

    name: str
    help: str
    values: tuple[str, ...]


def script(shell: str, commands: Sequence[str]) -> str:
    """The program that makes a shell complete the flags of these commands."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(commands, pool.map(flags, commands), strict=True))
    return _fish(found) if shell == "fish" else _bash(found, zsh=shell == "zsh")


def flags(command: str) -> list[Flag]:
    """The flags that ``bnnjax COMMAND --help`` lists."""
    shown = subprocess.run(
        [sys.executable, "-m", "bnnjax", command, "--helpxml"], capture_output=True, check=True
    )
    return read(shown.stdout)


def read(xml: bytes) -> list[Flag]:
    """The key flags in the output of ``--helpxml``; a boolean flag occurs as NAME and noNAME."""
    found = []
    for flag in ElementTree.fromstring(xml).iter("flag"):
        if flag.findtext("key") != "yes":
            continue
        name, meaning = flag.findtext("name", ""), " ".join(flag.findtext("meaning", "").split())
        values = tuple(value.text or "" for value in flag.iter("enum_value"))
        found.append(Flag(name, meaning, values))
        if flag.findtext("type") == "bool":
            found.append(Flag(f"no{name}", meaning, ()))
    return found


def _bash(found: Mapping[str, Sequence[Flag]], *, zsh: bool) -> str:
    cases = []
    for command, all_flags in found.items():
        words = [f"--{flag.name}={value}" for flag in all_flags for value in flag.values] + [
            f"--{flag.name}" for flag in all_flags
        ]
        cases.append(f"        {command}) words='{' '.join(words)}' ;;")
    lines = [
        *(["#compdef bnnjax", "autoload -U +X bashcompinit && bashcompinit"] if zsh else []),
        "_bnnjax() {",
        '    local line="${COMP_LINE:0:COMP_POINT}" words',
        '    local word="${line##* }"',
        '    case "${COMP_WORDS[1]}" in',
        *cases,
        f"        *) words='{' '.join([*found, 'completion'])}' ;;",
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "    # Bash ends a word at the equals sign, of which it keeps the part before.",
        '    [[ $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")',
        "}",
        "complete -o default -o nospace -F _bnnjax bnnjax",
    ]
    return "\n".join(lines) + "\n"


def _fish(found: Mapping[str, Sequence[Flag]]) -> str:
    lines = [f"complete -c bnnjax -n __fish_use_subcommand -a {command}" for command in found]
    for command, all_flags in found.items():
        for flag in all_flags:
            meaning = flag.help.replace("\\", "\\\\").replace("'", "\\'")
            values = f" -x -a '{' '.join(flag.values)}'" if flag.values else ""
            lines.append(
                f"complete -c bnnjax -n '__fish_seen_subcommand_from {command}'"
                f" -l {flag.name} -d '{meaning}'{values}"
            )
    return "\n".join(lines) + "\n"

"""The command line: minigan train | sample | evaluate | gradcheck | bench | info."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from typing import NoReturn

from . import __version__
from .checkpoint import CheckpointError

COMMANDS = {  # name: (what it does, the module with its add_arguments and run)
    "train": ("train a GAN", ".commands.train"),
    "sample": ("draw images from a trained generator", ".commands.sample"),
    "evaluate": (
        "score a trained generator of gray 28x28 images, stacked-mnist, ring or grid, each score with its protocol",
        ".commands.evaluate",
    ),
    "gradcheck": ("check every gradient rule and print the table", ".testing.command"),
    "bench": ("time operations and training steps, on the CPU against the GPU", ".bench.command"),
    "info": ("versions, processor, BLAS, threads, GPU, presets", ".commands.info"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; user errors print one line and give exit code 2, Ctrl-C gives 130."""
    argv = sys.argv[1:] if argv is None else argv
    command = argv[0] if argv else ""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(command, f"warning: {message}")
        try:
            args = _parser(command).parse_args(argv)
            code = args.run(args)
            if sys.stdout:  # none where it was closed
                sys.stdout.flush()
            return code
        except (ValueError, OSError, ArithmeticError, MemoryError) as error:
            if isinstance(error, BrokenPipeError) and error.filename is None:  # who reads the output has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141  # 128 + SIGPIPE
            _say(command, _one_line(error))
            return 2
        except KeyboardInterrupt:
            _say(command, "interrupted")
            return 130


def _say(command: str, line: str) -> None:
    print(f"minigan {command}: {line}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")  # one line, without the usage


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser, with the arguments of the chosen command only: the others' modules are not even imported."""
    parser = _Parser(
        prog="minigan", description="GANs from scratch on NumPy and CuPy: train them, prove their gradients, race them."
    )
    parser.add_argument("--version", action="version", version=f"minigan {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, module) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == chosen:
            implementation = importlib.import_module(module, __package__)
            implementation.add_arguments(command)
            command.set_defaults(run=implementation.run)
    return parser


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = error.filename2 or error.filename
        return f"{error.strerror}: {name}" if name else error.strerror
    if isinstance(error, CheckpointError) and error.previous:
        return f"{error} (the same command with --checkpoint {error.previous})"
    return " ".join(str(error).split()) or type(error).__name__

"""minigan info."""

from __future__ import annotations

import argparse

from ..gan.presets import PRESETS
from ..system import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    for name, value in describe().items():
        print(f"{name:<12}{value}")
    print("presets")
    for preset in PRESETS.values():
        settings = ", ".join(f"{name} {value}" for name, value in preset.settings.items())
        print(f"  {preset.name:<14}{preset.summary}\n  {'':<14}({settings})")
    return 0

"""The command line: minigan train | sample | evaluate | gradcheck | bench | info."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path
from typing import Any

from . import __version__


def main(argv: list[str] | None = None) -> int:
    """Run a command; user errors print one line and give exit code 2."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError, ArithmeticError, MemoryError) as error:
        print(f"minigan {args.command}: {_one_line(error)}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minigan", description="GANs from scratch on NumPy and CuPy: train them, prove their gradients, race them."
    )
    parser.add_argument("--version", action="version", version=f"minigan {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, add, run, text in (
        ("train", _train_arguments, _train, "train a GAN"),
        ("sample", _sample_arguments, _sample, "draw images from a trained generator"),
        ("info", _no_arguments, _info, "versions, processor, BLAS, threads, GPU, presets"),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add(command)
        command.set_defaults(run=run)
    return parser


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    pass


# ---------------------------------------------------------------------------------------------- train


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    from .gan.config import Config, field_types

    parser.add_argument("--out", metavar="DIR", help="directory of the run (default: the next number under runs/)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    parser.add_argument("--epochs", type=int, metavar="N", help="training steps, as passes over the data")
    parser.add_argument("--lr", type=float, metavar="LR", help="learning rate of both players")
    _cpu_arguments(parser)
    types = field_types()
    settings = parser.add_argument_group("settings (defaults are the preset's)")
    for f in dataclasses.fields(Config):
        kind = types[f.name]
        options: dict[str, Any] = {"help": f.metadata["help"], "default": None}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": kind, "metavar": {int: "N", float: "X", str: "NAME"}[kind]}
        settings.add_argument("--" + f.name.replace("_", "-"), **options)


def _train(args: argparse.Namespace) -> int:
    from . import data
    from .backend import choose_device
    from .gan import GAN, Config, Run, Trainer, presets, reporters

    _configure_cpu(args)
    given = {f.name: getattr(args, f.name) for f in dataclasses.fields(Config) if getattr(args, f.name) is not None}
    if args.lr is not None:
        given = {"lr_generator": args.lr, "lr_discriminator": args.lr, **given}
    if args.resume:
        if args.out is None:
            raise ValueError("--resume needs --out DIR: the run to continue")
        run = Run.open(args.out)
        config = run.config().replace(**given)
        changed = "; ".join(run.config().differences(config, resuming=True))
        if changed:
            raise ValueError(f"a resumed run keeps its configuration, but {changed}: leave these options out")
    else:
        config = presets.configure(**given)
    preset = presets.get(config.preset)
    dataset = data.load_dataset(config.data, size=preset.shape[1], channels=preset.shape[0])
    if args.epochs is not None:
        if "steps" in given:
            raise ValueError("give --steps or --epochs, not both")
        config = config.replace(steps=args.epochs * data.Batches(len(dataset), config.batch_size, 0).per_epoch)
    device, reason = choose_device(config.device)
    if args.resume:
        algorithm, state = run.load(device)
        step = state["step"]
        run.save_config(config)
    else:
        algorithm, step = GAN(config, device), 0
        trainer = Trainer(config, algorithm, dataset)  # fails on what cannot be before a directory is made
        run = Run.create(args.out, config)
    listeners = [
        reporters.Progress(), reporters.Metrics(run.metrics_path), reporters.Pictures(run), reporters.Checkpoints(run),
        reporters.LossPlot(run),
    ]  # fmt: skip
    trainer = Trainer(config, algorithm, dataset, listeners, step)
    images = f"{len(dataset):,} images of {config.data}"
    print(f"{config.preset} on {images}, {config.objective}, device {device} ({reason}), into {run.directory}")
    with _stop_on_interrupt(trainer):
        trainer.run()
    if trainer.step < config.steps:
        print(f"stopped after step {trainer.step}; continue with: minigan train --out {run.directory} --resume")
        return 130
    print(f"done: {run.samples / f'step_{trainer.step:08d}.png'}, {run.gif_path}, {run.metrics_path}")
    print(f"more digits: minigan sample {run.directory} -o digits.png")
    return 0


class _stop_on_interrupt:
    """The first Ctrl-C lets the current step finish and the trainer save; a second one interrupts at once."""

    def __init__(self, trainer: Any):
        self.trainer = trainer

    def __enter__(self) -> None:
        self.previous = signal.signal(signal.SIGINT, self.handle)

    def handle(self, *_: Any) -> None:
        self.trainer.stopping = True
        signal.signal(signal.SIGINT, self.previous)

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGINT, self.previous)


def _cpu_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: MINIGAN_THREADS, or all cores)")
    parser.add_argument("--conv-algorithm", metavar="NAME", default="auto", help="force a convolution algorithm")


def _configure_cpu(args: argparse.Namespace) -> None:
    from .backend import configure_cpu

    configure_cpu(threads=args.threads, conv_algorithm=args.conv_algorithm)


# --------------------------------------------------------------------------------------------- sample


def _sample_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="directory of a run")
    parser.add_argument("-o", "--output", metavar="FILE.png", required=True, help="the picture to write")
    parser.add_argument("-n", "--number", type=int, default=64, metavar="N", help="number of images (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents (default 0)")
    parser.add_argument("--interpolate", action="store_true", help="rows of 8 that go from one latent to another")


def _sample(args: argparse.Namespace) -> int:
    from . import images
    from .gan import Run
    from .gan.sampling import draw

    if args.number < 1:
        raise ValueError(f"-n must be 1 or more, got {args.number}")
    algorithm, state = Run.open(args.directory).load()
    fakes = draw(algorithm, args.number, args.seed, interpolate=args.interpolate)
    images.save_png(images.grid(fakes, columns=8 if args.interpolate else None), Path(args.output))
    print(f"{len(fakes)} images by the generator of step {state['step']}, seed {args.seed}: {args.output}")
    return 0


# ----------------------------------------------------------------------------------------------- info


def _info(args: argparse.Namespace) -> int:
    from .gan.presets import PRESETS
    from .system import describe

    for name, value in describe().items():
        print(f"{name:<12}{value}")
    print("presets")
    for preset in PRESETS.values():
        settings = ", ".join(f"{name} {value}" for name, value in preset.settings.items())
        print(f"  {preset.name:<12}{preset.summary}\n  {'':<12}({settings})")
    return 0

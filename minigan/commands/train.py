"""minigan train."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import signal
from contextlib import nullcontext
from typing import Any

from .. import data
from ..backend import choose_device, configure_cpu, configure_cuda
from ..gan import GAN, Config, Run, Trainer, create, presets, reporters
from ..gan.config import field_types
from ..gan.diagnosis import Diagnosis
from ..gan.evaluate import Evaluation, evaluator
from ..profile import Profile

METAVARS = {int: "N", float: "X", str: "NAME"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="directory of the run (default: the next number under runs/)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    parser.add_argument("--checkpoint", metavar="FILE", help="with --resume: the checkpoint to continue from instead")
    parser.add_argument("--epochs", type=int, metavar="N", help="training steps, as passes over the data")
    parser.add_argument("--lr", type=float, metavar="LR", help="learning rate of both players")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: MINIGAN_THREADS, or all cores)")
    parser.add_argument("--conv-algorithm", metavar="NAME", default="auto", help="force a convolution algorithm")
    parser.add_argument("--profile", action="store_true", help="show in the end where the time went (slower meanwhile)")
    types = field_types()
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(Config):
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        kind: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if types[field.name] is not bool:
            kind = {"type": types[field.name], "metavar": METAVARS[types[field.name]]}
        option = "--" + field.name.replace("_", "-")
        groups[title].add_argument(option, help=field.metadata["help"], default=None, **kind)


def run(args: argparse.Namespace) -> int:
    """0 when all steps are done, 130 when Ctrl-C stopped the run (it is saved)."""
    configure_cpu(threads=args.threads, conv_algorithm=args.conv_algorithm)
    if args.checkpoint and not args.resume:
        raise ValueError("--checkpoint is the file to --resume from: give both, or neither")
    trainer, directory = _resumed(args) if args.resume else _new(args)
    first = trainer.step
    profile = Profile(trainer.algorithm.backend, trainer.algorithm.modules) if args.profile else None
    with _stop_on_interrupt(trainer), profile or nullcontext():
        trainer.run()
    if profile and trainer.step > first:
        print(profile.table(trainer.step - first))
    if trainer.step < trainer.config.steps:
        command = shlex.join(["minigan", "train", "--out", str(directory), "--resume"])
        print(f"stopped after step {trainer.step}; continue with: {command}")
        return 130
    print(f"done: see {directory}/progress.gif, samples/ and metrics.csv beside it")
    print("more images:", shlex.join(["minigan", "sample", str(directory), "-o", "more.png"]))
    return 0


def _new(args: argparse.Namespace) -> tuple[Trainer, Any]:
    config = presets.configure(**_given(args))
    dataset = _dataset(config)
    config = _with_epochs(args, config, dataset)
    device = _device(config)
    algorithm = create(config, device)
    Trainer(config, algorithm, dataset, _evaluation(config, device))  # what cannot be fails before a directory is made
    run = Run.create(args.out, config)
    return _trainer(config, algorithm, dataset, run, 0), run.directory


def _resumed(args: argparse.Namespace) -> tuple[Trainer, Any]:
    if args.out is None:
        raise ValueError("--resume needs --out DIR: the run to continue")
    run = Run.open(args.out)
    begun = run.config()
    config = begun.replace(**_given(args))
    device = _device(config)
    if args.checkpoint or run.checkpoint_paths():
        algorithm, state = run.load(device, args.checkpoint)
        step = state["step"]
    else:
        print(f"{run.directory} holds no checkpoint yet: it starts from its beginning")
        algorithm, step = create(begun, device), 0
    dataset = _dataset(algorithm.config)
    config = _with_epochs(args, config, dataset)
    changed = "; ".join(algorithm.config.differences(config, resuming=True))
    if changed:
        raise ValueError(f"a resumed run keeps its configuration, but {changed}: leave that as it was")
    if config.steps < step:
        raise ValueError(f"the run has done {step} steps already, and cannot end at step {config.steps}")
    run.save_config(config)
    return _trainer(config, algorithm, dataset, run, step), run.directory


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings named on the command line."""
    names = [field.name for field in dataclasses.fields(Config)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.lr is not None:
        given = {"lr_generator": args.lr, "lr_discriminator": args.lr, **given}
    return given


def _dataset(config: Config) -> data.Dataset | data.Points:
    return presets.get(config.preset).load_data(config.data)


def _with_epochs(args: argparse.Namespace, config: Config, dataset: data.Dataset | data.Points) -> Config:
    if args.epochs is None:
        return config
    if args.steps is not None:
        raise ValueError("give --steps or --epochs, not both")
    if isinstance(dataset, data.Points):
        raise ValueError(f"{config.data} has points without end, and so no epochs: give --steps")
    return config.replace(steps=args.epochs * data.Batches(len(dataset), config.images_per_step, 0).per_epoch)


def _device(config: Config) -> str:
    device, reason = choose_device(config.device)
    if device != "cpu":
        configure_cuda(device, config.precision)
        reason += f"; matrix products in {config.precision}"
    elif config.precision != "float32":
        raise ValueError(f"--precision {config.precision} is for GPUs, and the device is cpu ({reason}): use float32")
    print(f"device {device}: {reason}")
    return device


def _trainer(config: Config, algorithm: GAN, dataset: data.Dataset | data.Points, run: Run, step: int) -> Trainer:
    amount = "points" if isinstance(dataset, data.Points) else f"{len(dataset):,} images"
    print(f"{config.preset} on {amount} of {config.data}, {config.objective}, into {run.directory}")
    listeners = [
        *_evaluation(config, algorithm.backend.device),
        reporters.Progress(),
        Diagnosis(run.directory / "diagnosis.txt"),
        reporters.Metrics(run.metrics_path),
        reporters.LossPlot(run),
        reporters.Pictures(run),
        reporters.Checkpoints(run),  # last: all that comes before a checkpoint is on the disk by then
    ]
    return Trainer(config, algorithm, dataset, listeners, step)


def _evaluation(config: Config, device: str) -> list[Evaluation]:
    return [Evaluation(evaluator(config, device=device))] if config.evaluate_every else []


class _stop_on_interrupt:
    """The first Ctrl-C lets the current step finish and the trainer save; a second one interrupts at once."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def __enter__(self) -> None:
        self.previous = signal.signal(signal.SIGINT, self.handle)

    def handle(self, *_: Any) -> None:
        self.trainer.stopping = True
        signal.signal(signal.SIGINT, self.previous)

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGINT, self.previous)

"""minigan train."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import signal
import warnings
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from .. import data
from ..backend import choose_device, configure_cpu, configure_cuda
from ..gan import Config, Run, Trainer, create, presets, reporters
from ..gan.config import field_types
from ..gan.contradictions import ConfigWarning
from ..gan.diagnosis import Diagnosis
from ..gan.evaluate import evaluator
from ..profile import Profile

METAVARS = {int: "N", float: "X", str: "NAME"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="directory of the run (default: the next number under runs/)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="with --resume: an earlier checkpoint to go back to; later samples and checkpoints are removed",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="training steps, as passes over the data")
    parser.add_argument("--lr", type=float, metavar="LR", help="learning rate of both players")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: MINIGAN_THREADS, or all cores)")
    parser.add_argument("--profile", action="store_true", help="show in the end where the time went (slower meanwhile)")
    types, default = field_types(), presets.configure()
    parser.epilog = f"The defaults are those of the preset {default.preset}; `minigan info` shows the others'."
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(Config):
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        kind: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if types[field.name] is not bool:
            kind = {"type": types[field.name], "metavar": METAVARS[types[field.name]]}
        option = "--" + field.name.replace("_", "-")
        text = f"{field.metadata['help']} (default {getattr(default, field.name)})"
        groups[title].add_argument(option, help=text, default=None, **kind)


def run(args: argparse.Namespace) -> int:
    """0 when all steps are done, 130 (143) when Ctrl-C (SIGTERM) stopped the run: it is saved."""
    if args.out == "":
        raise ValueError("--out is the directory of the run, but what was given is empty")
    if args.checkpoint and not args.resume:
        raise ValueError("--checkpoint is the file to --resume from: give both, or neither")
    with ExitStack() as claims:
        return _train(args, *(_resumed if args.resume else _new)(args, claims))


def _train(args: argparse.Namespace, trainer: Trainer, directory: Path) -> int:
    first = trainer.step
    profile = Profile(trainer.algorithm.backend, trainer.algorithm.modules) if args.profile else None
    with _StopOnSignal(trainer) as stop, profile or nullcontext():
        trainer.run()
    if profile and trainer.step > first:
        print(profile.table(trainer.step - first))
    if trainer.step < trainer.config.steps:
        command = shlex.join(["minigan", "train", "--out", str(directory), "--resume"])
        print(f"stopped after step {trainer.step}; continue with: {command}")
        return 128 + stop.received
    print(f"done: see {directory}/progress.gif, samples/ and metrics.csv beside it")
    print("more images:", shlex.join(["minigan", "sample", str(directory), "-o", "more.png"]))
    return 0


def _new(args: argparse.Namespace, claims: ExitStack) -> tuple[Trainer, Path]:
    config = presets.configure(**_given(args))
    dataset = _dataset(config)
    config = _with_epochs(args, config, dataset)
    device = _device(config, args.threads)
    trainer = Trainer(config, create(config, device), dataset)
    evaluation = _evaluation(config, device)
    run = Run.create(args.out, config)  # after all that can be refused before a step is taken
    claims.enter_context(run.claimed())
    return _with_reporters(trainer, run, evaluation), run.directory


def _resumed(args: argparse.Namespace, claims: ExitStack) -> tuple[Trainer, Path]:
    if args.out is None:
        raise ValueError("--resume needs --out DIR: the run to continue")
    run = Run.open(args.out)
    claims.enter_context(run.claimed())
    begun = run.config()
    config = begun.replace(**_given(args))
    device = _device(config, args.threads)
    if args.checkpoint or run.checkpoint_paths():
        algorithm, state = run.load(device, args.checkpoint)
    else:
        print(f"{run.directory} holds no checkpoint yet: it starts from its beginning")
        algorithm, state = create(begun, device), {"step": 0}
    step, dataset = state["step"], _dataset(algorithm.config.replace(data=config.data))
    config = _with_epochs(args, config, dataset)
    same_data = state.get("data") == dataset.checksum
    asked = config.replace(data=algorithm.config.data) if same_data else config  # the same data may have moved
    changed = "; ".join(algorithm.config.differences(asked, resuming=True))
    if changed:
        raise ValueError(f"a resumed run keeps its configuration, but {changed}: leave that as it was")
    if "data" in state and not same_data:
        warnings.warn(f"{config.data} holds other data than when the checkpoint was made", ConfigWarning, stacklevel=2)
    if config.steps < step:
        raise ValueError(f"the run has done {step} steps already, and cannot end at step {config.steps}")
    trainer = Trainer(config, algorithm, dataset, step=step, remembered=state.get("reporters"))
    evaluation = _evaluation(config, device)
    run.make_folders()
    return _with_reporters(trainer, run, evaluation), run.directory


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


def _device(config: Config, threads: int | None) -> str:
    configure_cpu(threads=threads, conv_algorithm=config.conv_algorithm)
    device, reason = choose_device(config.device)
    if device != "cpu":
        configure_cuda(device, config.precision)
        reason += f"; matrix products in {config.precision}"
    elif config.precision != "float32":
        raise ValueError(f"--precision {config.precision} is for GPUs, and the device is cpu ({reason}): use float32")
    print(f"device {device}: {reason}")
    return device


def _with_reporters(trainer: Trainer, run: Run, evaluation: list[reporters.Evaluation]) -> Trainer:
    config, dataset = trainer.config, trainer.dataset
    amount = "points" if isinstance(dataset, data.Points) else f"{len(dataset):,} images"
    print(f"{config.preset} on {amount} of {config.data}, {config.objective}, into {run.directory}")
    trainer.reporters = [
        *evaluation,
        reporters.Metrics(run.metrics_path),  # may refuse the directory, so before all that shows or changes anything
        reporters.Progress(),
        Diagnosis(run.directory / "diagnosis.txt"),
        reporters.LossPlot(run),
        reporters.Pictures(run),
        reporters.Checkpoints(run),  # last: all that comes before a checkpoint is written by then
    ]
    return trainer


def _evaluation(config: Config, device: str) -> list[reporters.Evaluation]:
    return [reporters.Evaluation(evaluator(config, device=device))] if config.evaluate_every else []


class _StopOnSignal:
    """The first Ctrl-C or SIGTERM lets the current step finish and the trainer save; a second one acts at once."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.received = signal.SIGINT

    def __enter__(self) -> _StopOnSignal:
        self.previous = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def handle(self, number: int, _: Any) -> None:
        self.trainer.stopping, self.received = True, signal.Signals(number)
        self.restore()

    def __exit__(self, *_: Any) -> None:
        self.restore()

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

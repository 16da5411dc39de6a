"""Presets: that each trains, that the stated architectures and settings are what is built, labels and points."""

import json

import numpy as np
import pytest
from PIL import Image

import minigan as mg
from minigan import data, nn
from minigan.cli import main
from minigan.data.dataset import stored
from minigan.gan import ACGAN, Batch, Run, Trainer, create, presets
from minigan.gan.presets.convolutional import LogitOfProbability
from minigan.gan.sampling import draw, picture

every = pytest.mark.parametrize("name", presets.PRESETS)


def random_data(preset, count=40):
    """Random images in a preset's shape, labelled in turn; or its points."""
    if len(preset.shape) == 1:
        return data.load_points("ring")
    images = np.random.default_rng(0).integers(0, 256, (count, *preset.shape), np.uint8)
    return stored("random", images, np.arange(count) % 10)


def start(name, **settings):
    config = presets.configure(name, **{"steps": 2, "batch_size": 4, "log_every": 1, **settings})
    return create(config), config


@every
def test_every_preset_trains_for_a_few_steps(name):
    algorithm, config = start(name)
    before = {player: optimizer.flat.copy() for player, optimizer in algorithm.optimizers.items()}
    Trainer(config, algorithm, random_data(presets.get(name))).run()  # raises when a loss is not finite
    for player, optimizer in algorithm.optimizers.items():
        assert np.isfinite(optimizer.flat).all()
        assert (optimizer.flat != before[player]).mean() > 0.5
    samples = draw(algorithm, 3, seed=0)
    assert samples.shape == (3, *presets.get(name).shape)
    assert samples.dtype == np.float32
    if samples.ndim == 4:
        assert abs(samples).max() <= 1


@every
def test_the_configuration_of_every_preset_can_be_written_and_read(name, tmp_path):
    config = presets.configure(name)
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert type(config).load(path) == config
    assert vars(config) == {**vars(type(config)()), "preset": name, **presets.get(name).settings}


@pytest.mark.parametrize("name", ["dcgan28-rgb", "mlp-2d", "cgan"])
def test_the_data_of_a_preset_has_its_shape(name):
    preset, config = presets.get(name), presets.configure(name)
    samples, labels = preset.load_data(config.data).batches(5, seed=0)(0)
    assert samples.shape == (5, *preset.shape)
    assert (labels is None) == (name == "mlp-2d")


def shapes(network):
    return [tuple(p.shape) for _, p in network.named_parameters()]


def test_dcgan64_is_the_stated_pair():
    algorithm, _ = start("dcgan64")
    bn = [(128,), (128,)]
    assert shapes(algorithm.generator) == [
        (256, 100), (256,), (4, 128, 4, 4), *bn, (128, 64, 4, 4), (64,), (64,), (64, 3, 4, 4), (3,),
    ]  # fmt: skip
    assert shapes(algorithm.discriminator) == [
        (64, 3, 4, 4), (64,), (128, 64, 4, 4), *bn, (256, 128, 4, 4), (256,), (256,), (1, 16384), (1,),
    ]  # fmt: skip
    for network in (algorithm.generator, algorithm.discriminator):
        layers = [module for _, module in network.named_modules()]
        assert {m.stride for m in layers if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)} == {(2, 2)}
        slopes = [m.negative_slope for m in layers if isinstance(m, nn.LeakyReLU)]
        assert slopes == [0.2] * (2 if network is algorithm.generator else 3)
    assert presets.configure("dcgan64").batch_size == 32


def test_mlp_2d_is_the_pair_of_the_published_protocol():
    algorithm, _ = start("mlp-2d")
    assert shapes(algorithm.generator) == [(128, 256), (128,), (128, 128), (128,), (2, 128), (2,)]
    assert shapes(algorithm.discriminator) == [(128, 2), (128,), (128, 128), (128,), (1, 128), (1,)]
    for network in (algorithm.generator, algorithm.discriminator):
        for weight in (p.numpy().astype(float) for p in network.parameters() if p.ndim == 2):
            smaller = weight @ weight.T if weight.shape[0] < weight.shape[1] else weight.T @ weight
            np.testing.assert_allclose(smaller, 1.4**2 * np.eye(len(smaller)), atol=1e-5)
    config = presets.configure("mlp-2d")
    assert (config.batch_size, config.latent_size, config.steps, config.beta1) == (512, 256, 25000, 0.5)
    assert (config.lr_generator, config.lr_discriminator) == (1e-3, 1e-3)


@pytest.mark.parametrize(
    "name, settings",
    [
        (
            "wgan",
            {"objective": "wasserstein", "weight_clip": 0.01, "discriminator_steps": 5, "optimizer": "rmsprop",
             "lr_generator": 5e-5, "lr_discriminator": 5e-5, "batch_size": 64},
        ),
        (
            "wgan-gp",
            {"objective": "wasserstein", "penalty": "wgan_gp", "penalty_weight": 10, "discriminator_steps": 5,
             "optimizer": "adam", "beta1": 0.5, "beta2": 0.9, "lr_generator": 1e-4, "lr_discriminator": 1e-4},
        ),
        (
            "sngan",
            {"objective": "hinge", "spectral_norm": True, "discriminator_steps": 5, "optimizer": "adam",
             "beta1": 0.0, "beta2": 0.9, "lr_generator": 2e-4, "lr_discriminator": 2e-4, "batch_size": 64},
        ),
        (
            "acgan",
            {"objective": "non_saturating", "optimizer": "adam", "beta1": 0.5, "beta2": 0.999, "lr_generator": 2e-4,
             "lr_discriminator": 2e-4, "latent_size": 100, "dropout": 0.5, "classes": 10},
        ),
    ],
)  # fmt: skip
def test_the_settings_of_the_papers(name, settings):
    config = vars(presets.configure(name))
    assert {key: config[key] for key in settings} == settings


@pytest.mark.parametrize("name", ["wgan-gp", "sngan"])
def test_critics_whose_gradients_are_each_sample_s_own_have_no_batch_norm(name):
    algorithm, _ = start(name)
    assert not any(isinstance(module, nn.BatchNorm2d) for _, module in algorithm.discriminator.named_modules())


def test_conv_sigmoid_works_on_unit_pixels_and_returns_the_logit_of_a_probability():
    algorithm, _ = start("conv-sigmoid", dropout=0.0)
    pixels, rescale = algorithm.generator[0], algorithm.generator[1]
    unit = pixels(algorithm.fixed_latents(3))
    assert 0 <= unit.numpy().min() <= unit.numpy().max() <= 1
    np.testing.assert_allclose(rescale(unit).numpy(), 2 * unit.numpy() - 1, atol=1e-6)
    network = algorithm.discriminator
    images = mg.tensor(np.random.default_rng(0).uniform(-1, 1, (3, 1, 28, 28)).astype(np.float32))
    inside = network[1](network[0](images))
    np.testing.assert_allclose(network[0](images).numpy(), (images.numpy() + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(network(images).sigmoid().numpy(), inside.sigmoid().numpy(), atol=1e-6)
    np.testing.assert_allclose(network(images).numpy(), inside.numpy(), atol=1e-4)


def test_the_logit_of_a_probability_is_finite_at_both_ends():
    p = mg.tensor(np.array([0.0, 0.25, 1.0], np.float32), requires_grad=True)
    logit = LogitOfProbability()(p)
    np.testing.assert_allclose(logit.numpy(), [-16.118, np.log(1 / 3), 15.94], atol=0.01)
    assert np.isfinite(mg.grad(logit.sum(), p)[0].numpy()).all()


# -------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("name", ["cgan", "acgan"])
def test_a_conditional_generator_listens_to_the_label(name):
    algorithm, _ = start(name)
    latents = algorithm.fixed_latents(1)
    drawn = [algorithm.sample(latents, mg.tensor(np.array([label]))).numpy() for label in range(10)]
    assert len({image.tobytes() for image in drawn}) == 10
    in_turn = algorithm.sample(mg.concatenate([latents] * 12)).numpy()
    np.testing.assert_allclose(in_turn[:10], np.concatenate(drawn), atol=1e-6)
    np.testing.assert_allclose(in_turn[10:], np.concatenate(drawn[:2]), atol=1e-6)


def test_the_cgan_s_discriminator_listens_to_the_label():
    algorithm, _ = start("cgan")
    algorithm.discriminator.eval()
    images = mg.tensor(np.zeros((10, 1, 28, 28), np.float32))
    outputs = algorithm.outputs(Batch(images, algorithm.labels_in_turn(10))).numpy()
    assert outputs.shape == (10, 1)
    assert len(np.unique(outputs)) == 10


def test_the_acgan_adds_the_cross_entropy_of_the_class_to_both_losses():
    algorithm, _ = start("acgan")
    assert isinstance(algorithm, ACGAN)
    labels = mg.tensor(np.array([3, 0, 9, 9]))
    batch = Batch(mg.tensor(np.random.default_rng(0).uniform(-1, 1, (4, 1, 28, 28)).astype(np.float32)), labels)
    verdict = algorithm.judge(batch, algorithm.fakes(batch))
    assert verdict.real_outputs.shape == (4, 11)
    assert verdict.real_logits.shape == (4, 1)

    def cross_entropy(outputs):
        classes = outputs.numpy()[:, 1:].astype(float)
        return np.mean(np.log(np.exp(classes).sum(1)) - classes[np.arange(4), labels.numpy()])

    on_fakes = cross_entropy(verdict.fake_outputs)
    losses = algorithm.discriminator_losses(verdict)
    assert losses["d_class_loss"].item() == pytest.approx(cross_entropy(verdict.real_outputs) + on_fakes, rel=1e-4)
    assert algorithm.generator_losses(verdict)["g_class_loss"].item() == pytest.approx(on_fakes, rel=1e-4)
    expected = algorithm.objective.discriminator_loss(verdict.real_logits, verdict.fake_logits)
    assert losses["d_loss"].item() == pytest.approx(expected.item())


def test_fakes_get_the_labels_of_the_real_samples():
    algorithm, config = start("cgan")
    batch = Trainer(config, algorithm, random_data(presets.get("cgan"))).batch(0)
    assert batch.labels.shape == (4,)
    assert (algorithm.fakes(batch).labels.numpy() == batch.labels.numpy()).all()


@pytest.mark.parametrize("name, classes", [("cgan", 0), ("dcgan", 10)])
def test_classes_are_for_conditional_presets_only(name, classes):
    with pytest.raises(ValueError, match=rf"the preset {name} .*classes.*, got {classes}"):
        start(name, classes=classes)


def test_data_without_labels_or_with_too_many_classes_are_refused():
    algorithm, config = start("cgan")
    images = np.zeros((8, 1, 28, 28), np.uint8)
    with pytest.raises(ValueError, match="cgan learns from labels, and mnist has none"):
        Trainer(config, algorithm, stored("bare", images, None))
    for greatest in (10, 11):
        message = f"labels up to {greatest}: --classes must be at least {greatest + 1}, got 10"
        with pytest.raises(ValueError, match=message):
            Trainer(config, algorithm, stored("more", images, np.arange(8) + greatest - 7))


@pytest.fixture
def run_of(tmp_path):
    """Saves a run of a preset at its start."""

    def save(name, **settings):
        algorithm, config = start(name, **settings)
        run = Run.create(tmp_path / name, config)
        run.save_checkpoint(0, config, algorithm, data=0, reporters={})
        return run, algorithm

    return save


def test_sample_draws_the_label_that_is_asked_for(run_of, tmp_path):
    run, algorithm = run_of("cgan")
    output = tmp_path / "sevens.png"
    assert main(["sample", str(run.directory), "--label", "7", "-n", "6", "-o", str(output)]) == 0
    expected = picture(algorithm.config, draw(algorithm, 6, 0, label=7))
    np.testing.assert_array_equal(np.asarray(Image.open(output)), np.asarray(expected))
    others = picture(algorithm.config, draw(algorithm, 6, 0))
    assert (np.asarray(others) != np.asarray(expected)).any()


@pytest.mark.parametrize(
    "name, label, message",
    [
        ("mlp", 7, "the preset mlp has no labels to ask for: leave --label out"),
        ("acgan", 10, "label 10 is unknown: expected 0 to 9"),
        ("acgan", -1, "label -1 is unknown: expected 0 to 9"),
    ],
)
def test_sample_refuses_labels_that_the_run_does_not_know(run_of, tmp_path, capsys, name, label, message):
    run, _ = run_of(name)
    output = tmp_path / "x.png"
    assert main(["sample", str(run.directory), "--label", str(label), "-o", str(output)]) == 2
    assert capsys.readouterr().err == f"minigan sample: {message}\n"
    assert not output.exists()


# -------------------------------------------------------------------------------------------- points


@pytest.mark.parametrize("source", data.POINTS)
def test_points_are_fresh_every_step_and_a_function_of_seed_and_step(source):
    points = data.load_points(source)
    one, other = points.batches(64, seed=0), points.batches(64, seed=1)
    np.testing.assert_array_equal(one(5)[0], points.batches(64, seed=0)(5)[0])
    assert not (set(map(tuple, one(5)[0])) & set(map(tuple, one(6)[0])))
    assert (one(5)[0] != other(5)[0]).any()
    assert one(5)[1] is None
    assert one(5)[0].dtype == np.float32
    assert (abs(one(0)[0]) < points.reach).all()


def test_a_conditional_run_draws_one_class_a_column(tmp_path):
    out = tmp_path / "run"
    assert main(["train", "--preset", "cgan", "--steps", "1", "--batch-size", "2", "--out", str(out)]) == 0
    config = Run.open(out).config
    algorithm, _ = Run.open(out).load()
    fakes = algorithm.sample(algorithm.fixed_latents(80), mg.tensor(np.arange(80) % 10)).numpy()
    grid = np.asarray(picture(config, fakes, columns=10))
    np.testing.assert_array_equal(np.asarray(Image.open(out / "samples" / "step_00000001.png")), grid)


def test_a_run_on_points_draws_plots(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "--preset", "mlp-2d", "--data", "grid", "--steps", "3", "--batch-size", "8", "--out", str(out)]
    assert main(words) == 0
    assert "mlp-2d on points of grid" in capsys.readouterr().out
    assert Image.open(out / "samples" / "step_00000003.png").size == (400, 400)
    assert main(["sample", str(out), "-o", str(tmp_path / "more.png"), "-n", "50"]) == 0
    assert Image.open(tmp_path / "more.png").mode == "RGB"


def test_the_picture_of_points_is_a_plot_at_the_scale_of_the_data():
    config = presets.configure("mlp-2d", data="grid")
    canvas = np.asarray(picture(config, np.array([[4.0, -2.0]])).convert("L"))
    assert canvas[280, 360] < 200  # 4 of +-5 to the right, 2 down, on 400 pixels
    assert canvas[120, 360] > 200


@pytest.mark.parametrize(
    "words, message",
    [
        (["--preset", "mlp-2d", "--data", "mnist"], "unknown points 'mnist'; known: ring, grid, swiss-roll"),
        (["--preset", "dcgan", "--data", "ring"], "ring is a set of points, expected images"),
        (["--preset", "mlp-2d", "--epochs", "2"], "ring has points without end, and so no epochs: give --steps"),
        (["--preset", "dcgan64x"], "unknown preset 'dcgan64x'; known: cgan, dcgan, "),
        (["--preset", "mlp", "--ema", "2"], "ema must be at least 0 and less than 1, got 2.0"),
    ],
)
def test_what_cannot_be_trained_gets_one_line(words, message, tmp_path, capsys):
    assert main(["train", *words, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minigan train: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_contradiction_is_shown_as_one_line_when_training_begins_and_not_again(tmp_path, capsys):
    out = str(tmp_path / "run")
    words = ["--preset", "mlp-2d", "--objective", "wasserstein", "--batch-size", "8"]
    assert main(["train", *words, "--steps", "1", "--out", out]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert lines == [
        "minigan train: warning: nothing bounds the slope of this Wasserstein critic, whose loss then falls without "
        "end: add --penalty wgan_gp, --spectral-norm or --weight-clip 0.01"
    ]
    assert main(["sample", out, "-o", str(tmp_path / "x.png")]) == 0
    assert "warning" not in capsys.readouterr().err


def test_every_setting_is_an_option_of_train(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for name in json.loads(presets.configure().to_json()):
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": "5"}, "steps must be int, got '5'"),
        ({"ema": "0.9"}, "ema must be float, got '0.9'"),
        ({"batch_size": 64.5}, "batch_size must be int, got 64.5"),
        ({"steps": True}, "steps must be int, got True"),
        ({"spectral_norm": 1}, "spectral_norm must be bool, got 1"),
    ],
)
def test_settings_are_of_their_types(settings, message):
    with pytest.raises(ValueError, match=message):
        presets.configure("mlp", **settings)
    assert presets.configure("mlp", ema=0).ema == 0

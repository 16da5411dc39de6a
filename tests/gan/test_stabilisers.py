"""Every stabiliser as a setting: what it does to a step, and that a saved state continues to the bit."""

import warnings

import numpy as np
import pytest

import minigan as mg
from minigan.gan import GAN, Batch, Config, ConfigWarning, create, penalties, presets
from minigan.nn import Dropout, SpectralNorm


def small(preset="mlp-2d", **settings):
    """The algorithm of a preset with a small batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        return create(presets.configure(preset, **{"batch_size": 8, "steps": 10, **settings}))


def batch(algorithm, seed=0):
    """Real samples for one step of an algorithm."""
    rng, config = np.random.default_rng(seed), algorithm.config
    shape = (config.images_per_step, *presets.get(config.preset).shape)
    samples = mg.tensor(rng.uniform(-1, 1, shape).astype(np.float32))
    return Batch(samples, mg.tensor(rng.integers(config.classes, size=shape[0])) if config.classes else None)


def weights(algorithm, player):
    return algorithm.optimizers[player].flat.copy()


def change(algorithm, player):
    """What one step adds to a player's parameters."""
    before = weights(algorithm, player)
    algorithm.step(batch(algorithm))
    return weights(algorithm, player) - before


def spy_on_discriminator(algorithm):
    """A list that will hold the arrays which the discriminator is shown."""
    shown, forward = [], algorithm.discriminator.forward

    def watched(x, *labels):
        shown.append(x.numpy())
        return forward(x, *labels)

    algorithm.discriminator.forward = watched
    return shown


def test_clipped_weights_are_the_critic_s_alone():
    gan = small(objective="wasserstein", weight_clip=0.01, lr_generator=0.1, lr_discriminator=0.1)
    gan.step(batch(gan))
    assert abs(weights(gan, "discriminator")).max() == np.float32(0.01)
    assert abs(weights(gan, "generator")).max() > 0.01


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradient_norm_is_clipped(player):
    settings = {"optimizer": "sgd", "lr_generator": 1.0, "lr_discriminator": 1.0}
    free, clipped = change(small(**settings), player), change(small(**settings, clip_norm=1e-3), player)
    assert np.linalg.norm(free) > 1e-2
    assert np.linalg.norm(clipped) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradient_values_are_clipped(player):
    settings = {"optimizer": "sgd", "lr_generator": 1.0, "lr_discriminator": 1.0}
    assert abs(change(small(**settings), player)).max() > 1e-3
    assert abs(change(small(**settings, clip_value=1e-4), player)).max() == pytest.approx(1e-4, rel=1e-2)


def test_gradient_values_are_clipped_before_their_norm():
    settings = {"optimizer": "sgd", "lr_generator": 0.0, "lr_discriminator": 1.0}
    free = change(small(**settings), "discriminator")
    within = free.clip(-1e-2, 1e-2)
    assert abs(free).max() > 0.05 and np.linalg.norm(within) > 0.1
    both = change(small(**settings, clip_value=1e-2, clip_norm=0.02), "discriminator")
    np.testing.assert_allclose(both, within * 0.02 / np.linalg.norm(within), atol=1e-6)


@pytest.mark.parametrize("regularised", ["generator", "discriminator", "both"])
def test_l1_and_l2_are_terms_of_the_chosen_player_s_loss(regularised):
    gan = small(l1=0.5, l2=2.0, regularised=regularised)
    expected = {}
    for player in ("generator", "discriminator"):
        if regularised in (player, "both"):
            matrices = [p.numpy() for p in gan.optimizers[player].parameters if p.ndim == 2]
            assert len(matrices) == 3
            total = sum(0.5 * abs(w).sum() + 2 * (w * w).sum() for w in matrices)
            expected[f"{player[0]}_regularisation"] = pytest.approx(total, rel=1e-5)
    numbers = gan.step(batch(gan)).numbers()
    assert {name: value for name, value in numbers.items() if "regularisation" in name} == expected


def test_l2_pulls_weights_to_zero_and_leaves_biases():
    settings = {"optimizer": "sgd", "lr_discriminator": 0.1, "lr_generator": 0.0}
    plain, pulled = small(**settings), small(**settings, l2=0.5)
    for gan in (plain, pulled):
        for p in gan.discriminator.parameters():
            if p.ndim == 1:
                p.assign(np.ones(p.shape, p.dtype))  # a bias of 0 has nowhere to be pulled
    start = [p.numpy() for p in plain.discriminator.parameters()]
    for gan in (plain, pulled):
        gan.step(batch(gan))
    for w, a, b in zip(start, plain.discriminator.parameters(), pulled.discriminator.parameters(), strict=True):
        expected = a.numpy() - 0.1 * 2 * 0.5 * w if w.ndim > 1 else a.numpy()
        np.testing.assert_allclose(b.numpy(), expected, atol=1e-6)


def test_several_discriminator_steps_each_on_samples_of_their_own():
    gan = small(discriminator_steps=3, fresh_latents=True)
    shown, real = spy_on_discriminator(gan), batch(gan)
    assert len(real) == 24
    gan.step(real)
    assert gan.optimizers["discriminator"].steps == 3
    assert gan.optimizers["generator"].steps == 1
    assert len(shown) == 4
    for part, samples in enumerate(shown[:3]):
        np.testing.assert_array_equal(samples[:8], real.images.numpy()[8 * part : 8 * (part + 1)])
    assert len({samples[8:].tobytes() for samples in shown[:3]} | {shown[3].tobytes()}) == 4  # and fakes of their own


def test_the_generator_s_step_reuses_the_last_fakes_unless_fresh_ones_are_asked_for():
    for fresh in (False, True):
        gan = small(discriminator_steps=2, fresh_latents=fresh)
        shown = spy_on_discriminator(gan)
        gan.step(batch(gan))
        assert (shown[1][8:] == shown[2]).all() == (not fresh)


@pytest.mark.parametrize("preset", ["mlp-2d", "dcgan"])
@pytest.mark.parametrize("fresh", [False, True])
def test_the_relativistic_generator_compares_with_the_updated_discriminator_s_real_logits(preset, fresh):
    settings = {"objective": "relativistic", "fresh_latents": fresh, "lr_discriminator": 0.1, "lr_generator": 0.0}
    gan = small(preset, **settings, optimizer="sgd")
    real = batch(gan)
    report = gan.step(real)
    real_logits = gan.discriminator(real.images)  # as the discriminator's update left it
    assert abs(real_logits.numpy() - report.real_logits.numpy()).max() > 0.01
    expected = gan.objective.generator_loss(report.updated_fake_logits, real_logits)
    assert report.generator_loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_each_player_has_its_learning_rate():
    settings = {"optimizer": "sgd", "fresh_latents": True}
    slow, fast = (change(small(**settings, lr_discriminator=1e-3, lr_generator=lr), "generator") for lr in (1e-3, 4e-3))
    np.testing.assert_allclose(fast, 4 * slow, atol=2e-6)


@pytest.mark.parametrize(
    "schedule, expected",
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.8535534, 0.5, 0.1464466]),
        ("step", [1, 1, 0.5, 0.5]),
    ],
)
def test_learning_rates_follow_the_schedule(schedule, expected):
    gan = small(steps=4, lr_schedule=schedule, lr_decay=0.5, lr_decay_every=2, lr_generator=2.0, lr_discriminator=3.0)
    seen = []
    for _ in range(4):
        gan.step(batch(gan))
        seen.append([gan.optimizers["generator"].lr, gan.optimizers["discriminator"].lr])
    np.testing.assert_allclose(seen, np.outer(expected, [2, 3]), rtol=1e-6)


def test_samples_are_drawn_from_the_average():
    gan = small("dcgan", batch_size=2, ema=0.5)
    latents = gan.fixed_latents(3)
    first = gan.generator.state_dict()
    np.testing.assert_array_equal(gan.modules["average"].state_dict()["0.weight"], first["0.weight"])
    average = {name: value.astype(float) for name, value in first.items()}
    for step, d in enumerate((1 / 10, 2 / 11, 3 / 12)):
        gan.step(batch(gan, step))
        for name, value in gan.generator.state_dict().items():
            average[name] = d * average[name] + (1 - d) * value
    state = gan.modules["average"].state_dict()
    for name in ("0.weight", "2.weight", "2.running_mean", "2.running_var", "7.bias"):
        np.testing.assert_allclose(state[name], average[name], rtol=1e-4, atol=1e-6)
    own = GAN(gan.config.replace(ema=0.0))
    own.generator.load_state_dict(state)
    np.testing.assert_array_equal(gan.sample(latents).numpy(), own.sample(latents).numpy())
    own.generator.load_state_dict(gan.generator.state_dict())
    assert (gan.sample(latents).numpy() != own.sample(latents).numpy()).any()


def test_without_an_average_there_is_none():
    assert set(small().modules) == {"generator", "discriminator"}


def test_an_average_changes_nothing_in_training():
    plain, averaged = small(), small(ema=0.9)
    for step in range(3):
        a, b = plain.step(batch(plain, step)), averaged.step(batch(averaged, step))
        assert a.numbers() == b.numbers()


def test_instance_noise_falls_linearly_to_zero():
    gan = small(steps=4, batch_size=2048, instance_noise=0.5)
    shown, real = spy_on_discriminator(gan), batch(gan)
    for step in range(4):
        del shown[:]
        gan.step(real)
        noise = shown[0][:2048] - real.images.numpy()
        assert noise.std() == pytest.approx(0.5 * (1 - step / 4), rel=0.05)
        assert abs(noise.mean()) < 0.05
        assert shown[1].shape == (2048, 2)
        assert (shown[1] != shown[0][2048:]).all()  # the generator's fakes get noise of their own
    del shown[:]
    gan.step(real)  # after the end there is none
    np.testing.assert_array_equal(shown[0][:2048], real.images.numpy())


def test_packing_stacks_samples_on_the_channel_axis():
    gan = small(packing=2)
    shown, real = spy_on_discriminator(gan), batch(gan)
    report = gan.step(real)
    assert report.real_logits.shape == report.updated_fake_logits.shape == (4, 1)
    np.testing.assert_array_equal(shown[0][:4], real.images.numpy().reshape(4, 4))
    images = mg.tensor(np.arange(4 * 3 * 5 * 5, dtype=np.float32).reshape(4, 3, 5, 5))
    packed = Batch(images).packed(2).images.numpy()
    assert packed.shape == (2, 6, 5, 5)
    np.testing.assert_array_equal(packed[1, 3:], images.numpy()[3])


@pytest.mark.parametrize("preset", ["dcgan", "dcgan28", "mlp", "conv-sigmoid", "wgan-gp", "sngan"])
def test_every_unconditional_preset_can_pack(preset):
    gan = small(preset, batch_size=2, packing=2, discriminator_steps=1)
    assert np.isfinite(list(gan.step(batch(gan)).numbers().values())).all()


def test_dropout_is_put_behind_every_hidden_layer_of_the_discriminator():
    gan = small(dropout=0.5)
    dropouts = [module for _, module in gan.discriminator.named_modules() if isinstance(module, Dropout)]
    assert [module.p for module in dropouts] == [0.5, 0.5]
    assert not any(isinstance(module, Dropout) for _, module in gan.generator.named_modules())
    x = batch(gan).images
    assert (gan.discriminator(x).numpy() != gan.discriminator(x).numpy()).any()


def test_a_preset_with_dropout_of_its_own_takes_the_setting():
    for p in (0.3, 0.7):
        gan = small("dcgan28", batch_size=2, dropout=p)
        assert [m.p for _, m in gan.discriminator.named_modules() if isinstance(m, Dropout)] == [p, p]


def test_spectral_norm_is_on_every_layer_of_the_discriminator():
    gan = small(spectral_norm=True)
    wrapped = [module for _, module in gan.discriminator.named_modules() if isinstance(module, SpectralNorm)]
    assert len(wrapped) == 3
    assert not any(isinstance(module, SpectralNorm) for _, module in gan.generator.named_modules())
    hidden = wrapped[:2]  # a single output has one singular value, and u = 1
    before = [module.u.numpy() for module in hidden]
    gan.step(batch(gan))
    assert all((module.u.numpy() != u).any() for module, u in zip(hidden, before, strict=True))


@pytest.mark.parametrize("name, kind", [("adam", "Adam"), ("rmsprop", "RMSprop"), ("sgd", "SGD")])
def test_the_optimizer_is_chosen_by_name(name, kind):
    gan = small(optimizer=name, momentum=0.5)
    assert [type(optimizer).__name__ for optimizer in gan.optimizers.values()] == [kind, kind]
    gan.step(batch(gan))


@pytest.mark.parametrize("name", penalties.ALL)
@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_a_penalty_is_a_term_of_the_discriminator_s_loss(name, update):
    """The discriminator's gradient is that of the objective plus the weighted penalty."""
    settings = {"optimizer": "sgd", "lr_discriminator": 1.0, "lr_generator": 1e-3, "update": update}
    plain, weighted, double = (
        small(**settings),
        small(**settings, penalty=name, penalty_weight=0.1),
        small(**settings, penalty=name, penalty_weight=0.2),
    )
    steps = [change(gan, "discriminator") for gan in (plain, weighted, double)]
    assert abs(steps[1] - steps[0]).max() > 1e-4
    np.testing.assert_allclose(steps[2] - steps[0], 2 * (steps[1] - steps[0]), atol=1e-5)
    numbers = [gan.step(batch(gan)).numbers() for gan in (plain, weighted)]
    assert "d_penalty" not in numbers[0]
    assert numbers[1]["d_penalty"] > 0


def test_the_penalty_sees_packed_samples():
    gan = small(penalty="r1", packing=2)
    shown = spy_on_discriminator(gan)
    gan.step(batch(gan))
    assert [samples.shape for samples in shown] == [(8, 4), (4, 4), (4, 4)]  # both, the penalty's, the generator's


EVERYTHING = {
    "penalty": "dragan",
    "penalty_weight": 0.1,
    "ema": 0.9,
    "spectral_norm": True,
    "dropout": 0.2,
    "instance_noise": 0.1,
    "packing": 2,
    "clip_norm": 1.0,
    "clip_value": 0.5,
    "l2": 1e-3,
    "discriminator_steps": 2,
    "lr_schedule": "cosine",
}


@pytest.mark.parametrize(
    "preset, settings",
    [
        ("mlp-2d", EVERYTHING),
        ("dcgan", {"ema": 0.9, "instance_noise": 0.1}),
        ("acgan", {"ema": 0.9}),
        ("wgan", {}),
        ("wgan-gp", {}),
        ("sngan", {}),
    ],
)
def test_a_saved_state_continues_to_the_bit(preset, settings):
    settings = {"batch_size": 2 if preset != "mlp-2d" else 8, **settings}
    straight, resumed = small(preset, **settings), small(preset, **settings)
    for step in range(2):
        straight.step(batch(straight, step))
    resumed.load_state_dict(straight.state_dict())
    for step in range(2, 4):
        a, b = straight.step(batch(straight, step)), resumed.step(batch(resumed, step))
        assert a.numbers() == b.numbers()
    assert_equal(straight.state_dict(), resumed.state_dict())


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            assert_equal(value, b[key])
        else:
            np.testing.assert_array_equal(value, b[key])


# ------------------------------------------------------------------------------------ contradictions


@pytest.mark.parametrize(
    "preset, settings, message",
    [
        ("dcgan", {"penalty": "wgan_gp"}, "batch norm makes a logit depend on the whole batch"),
        (
            "wgan",
            {"objective": "minimax"},
            "weight clipping bounds the slope of a Wasserstein critic; the objective min",
        ),
        ("mlp-2d", {"objective": "wasserstein"}, "nothing bounds the slope"),
        (
            "mlp-2d",
            {"objective": "wasserstein", "weight_clip": 0.01, "beta1": 0.0, "spectral_norm": True},
            "undoes weight clipping",
        ),
        ("dcgan", {"spectral_norm": True}, "batch norm behind it stretches that again"),
        ("wgan-gp", {"weight_clip": 0.01, "beta1": 0.0}, "both bound the critic's slope"),
        ("wgan", {"optimizer": "adam"}, "unstable under an optimizer with momentum"),
        ("wgan", {"optimizer": "sgd", "momentum": 0.9}, "unstable under an optimizer with momentum"),
        ("mlp-2d", {"momentum": 0.9}, "momentum 0.9 has no effect without --optimizer sgd: add that, or leave it out"),
        ("mlp-2d", {"optimizer": "rmsprop", "beta1": 0.9}, "beta1 0.9 has no effect without --optimizer adam"),
        ("mlp-2d", {"penalty_weight": 1.0}, "penalty_weight 1.0 has no effect without --penalty"),
        ("wgan-gp", {"lr_decay_every": 50}, "lr_decay_every 50 has no effect without --lr-schedule step"),
        ("mlp-2d", {"regularised": "generator"}, "regularised generator has no effect without --l1 or --l2"),
        ("mlp", {"update": "simultaneous"}, "fresh_latents has no effect"),
    ],
)
def test_contradictions_draw_a_warning_that_explains(preset, settings, message):
    with pytest.warns(ConfigWarning, match=message) as caught:
        GAN(presets.configure(preset, **settings))
    assert len(caught) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"lr_schedule": "step", "lr_decay": 0.5, "lr_decay_every": 5},
        {"l1": 0.1, "regularised": "generator"},
        {"penalty": "r1", "penalty_weight": 0.1, "beta1": 0.0, "beta2": 0.99, "adam_eps": 1e-6},
    ],
)
def test_what_has_an_effect_draws_no_warning(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create(presets.configure("mlp-2d", **settings))


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_presets_do_not_contradict_themselves(preset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create(presets.configure(preset))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"ema": 1.0}, "ema must be at least 0 and less than 1, got 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and less than 1, got -0.1"),
        ({"weight_clip": -1.0}, "weight_clip must be 0 or more, got -1.0"),
        ({"real_target": 1.1}, "real_target must be from 0 to 1, got 1.1"),
        ({"penalty_weight": float("nan")}, "penalty_weight must be 0 or more, got nan"),
        ({"lr_generator": float("inf")}, "lr_generator must be finite, got inf"),
        ({"discriminator_steps": 0}, "discriminator_steps must be 1 or more, got 0"),
        ({"packing": 3}, "batch_size must be a multiple of packing 3, got 64"),
        ({"penalty": "gp"}, "unknown penalty 'gp'; known: none, wgan_gp, r1, r2, dragan"),
        ({"objective": "bce"}, "unknown objective 'bce'; known: minimax,"),
        ({"optimizer": "adamw"}, "unknown optimizer 'adamw'; known: adam, rmsprop, sgd"),
        ({"lr_schedule": "poly"}, "unknown lr_schedule 'poly'; known: constant, linear, cosine, step"),
        ({"regularised": "all"}, "unknown regularised 'all'; known: generator, discriminator, both"),
        ({"objective": "hinge", "real_target": 0.9}, "objective hinge has no target to smooth"),
        ({"update": "simultaneous", "discriminator_steps": 2}, "discriminator_steps must be 1, got 2"),
        ({"preset": "cgan", "classes": 10, "packing": 2}, "packing mixes classes"),
    ],
)
def test_impossible_settings_get_one_clear_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        Config(**settings)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_may_end_later_only_if_nothing_depends_on_its_end():
    for settings, kept in (
        ({}, 0),
        ({"lr_schedule": "step"}, 0),
        ({"lr_schedule": "linear"}, 1),
        ({"instance_noise": 0.1}, 1),
    ):
        config = Config(steps=10, **settings)
        assert len(config.differences(config.replace(steps=20), resuming=True)) == kept

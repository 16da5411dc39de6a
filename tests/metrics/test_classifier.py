"""The shipped digit classifier: how often it is right, what its features are like, how it was made."""

import numpy as np
import pytest

from minigan import data
from minigan.backend import get_backend
from minigan.metrics import classifier
from minigan.metrics.features import digit_features

IMAGES, LABELS = data.load_mnist("test")


@pytest.fixture(scope="module")
def scored():
    return digit_features(IMAGES)


def test_at_least_99_percent_of_the_test_set_is_right(scored):
    assert (scored.probabilities.argmax(axis=1) == LABELS).mean() >= 0.99


def test_the_weights_are_a_few_hundred_kilobytes():
    assert classifier.WEIGHTS.stat().st_size < 300_000


def test_every_feature_is_alive_and_of_one_scale(scored):
    assert scored.features.shape == (10_000, 64)
    deviations = scored.features.std(axis=0)
    assert deviations.min() > 0.1
    assert deviations.max() < 10 * deviations.min()


def test_probabilities_are_probabilities(scored):
    assert scored.probabilities.min() >= 0
    np.testing.assert_allclose(scored.probabilities.sum(axis=1), 1, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_head(scored):
    head = classifier.load(get_backend("cpu")).head
    logits = scored.features[:50] @ head.weight.numpy().T + head.bias.numpy()
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scored.probabilities[:50], expected, atol=1e-5)


def test_an_image_scores_the_same_in_any_batch_form_and_dtype(scored):
    few = IMAGES[100:103]
    floats = few[:, None].astype(np.float32) * (2 / 255) - 1
    for form in (few, few[:, None], floats):
        np.testing.assert_allclose(digit_features(form).features, scored.features[100:103], atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32), (32, 28), (2,), (1, 28, 28, 1)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match="takes gray images of 28x28 pixels"):
        digit_features(np.zeros((2, *shape), np.uint8))


def test_training_lowers_the_loss(monkeypatch, capsys):
    """The documented command's training loop, on its first few steps."""
    monkeypatch.setattr(classifier, "EPOCHS", 1)
    monkeypatch.setattr(data, "load_mnist", lambda split: (IMAGES[:3000], LABELS[:3000]))
    trained = classifier.train(seed=1)
    assert classifier.accuracy(trained, IMAGES[3000:4000], LABELS[3000:4000]) > 0.8
    assert "epoch 1 of 1" in capsys.readouterr().out


def test_saved_weights_give_the_same_answers(tmp_path, monkeypatch):
    shipped = classifier.load(get_backend("cpu"))
    path = tmp_path / "digits.npz"
    classifier.save(shipped, path)
    with np.load(path) as saved, np.load(classifier.WEIGHTS) as original:
        assert sorted(saved) == sorted(original)
        for name in saved:
            np.testing.assert_array_equal(saved[name], original[name])


def test_other_weights_have_another_name(tmp_path, monkeypatch):
    name = classifier.extractor_name()
    assert name.startswith("digits-")
    other = tmp_path / "digits.npz"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(classifier, "WEIGHTS", other)
    assert classifier.extractor_name() != name


def test_shifted_images_are_the_originals_moved():
    padded = np.pad(IMAGES[:5], ((0, 0), (2, 2), (2, 2)))
    moved = classifier._shifted(padded, np.array([3] * 200), np.random.default_rng(0))
    moves = {
        (dy, dx): np.pad(IMAGES[3], 2)[2 + dy : 30 + dy, 2 + dx : 30 + dx] for dy in range(-2, 3) for dx in range(-2, 3)
    }
    seen = {move for image in moved for move, expected in moves.items() if (image == expected).all()}
    assert len(seen) == 25
    assert all(any((image == expected).all() for expected in moves.values()) for image in moved)

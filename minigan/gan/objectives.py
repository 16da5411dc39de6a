"""What the two players minimise, as pure functions of the discriminator's logits C(x).

s is the sigmoid, sp the softplus, sp(x) = log(1 + exp(x)): log s(x) = -sp(-x), log(1 - s(x)) = -sp(x). Means are over
the batch: binary_cross_entropy(C, t) = mean of t sp(-C) + (1 - t) sp(C). Every loss is a Tensor of one element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..autograd import Tensor, grad, tensor
from ..ops import binary_cross_entropy, relu


class Objective(Protocol):
    """A pair of losses, one for each player; both are minimised.

    has_target: whether real_target means anything; relative: whether the generator's loss reads real logits too;
    probability: whether D(x) = s(C(x)) is the probability that x is real. Elsewhere C(x) is a score, or (least_squares)
    itself an estimate of the target.
    """

    name: str
    has_target: bool
    relative: bool
    probability: bool

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor: ...

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor: ...


class Minimax:
    """The two-player game of Goodfellow et al. 2014 (eq. 1), min over G, max over D of

        V = E_x log D(x) + E_z log(1 - D(G(z))),  D = s(C)

    discriminator minimises  mean sp(-C(x)) + mean sp(C(G(z)))  = -V;  at the optimum log 4 = 1.386294
    generator minimises      -mean sp(C(G(z))) = mean log(1 - D(G(z)));  at the optimum -log 2 = -0.693147

    real_target t (one-sided label smoothing, Salimans et al. 2016) replaces the first term by t sp(-C) + (1 - t) sp(C).
    """

    name = "minimax"
    has_target = True
    relative = False
    probability = True

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor:
        return binary_cross_entropy(real_logits, real_target) + binary_cross_entropy(fake_logits, 0.0)

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return -binary_cross_entropy(fake_logits, 0.0)


class NonSaturating(Minimax):
    """Minimax's discriminator; the generator minimises mean sp(-C(G(z))) = -mean log D(G(z)) instead.

    The same fixed point (log 2 = 0.693147 at the optimum), but a strong gradient where the discriminator rejects the
    sample: d/dC is s(C) - 1 in place of -s(C) (Goodfellow et al. 2014, section 3).
    """

    name = "non_saturating"

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return binary_cross_entropy(fake_logits, 1.0)


class LeastSquares:
    """Mao et al. 2017 (eq. 9), targets 1 for real and 0 for fake:

    discriminator minimises  1/2 mean (C(x) - t)^2 + 1/2 mean C(G(z))^2;  at the optimum (C = 1/2) 1/4
    generator minimises      1/2 mean (C(G(z)) - 1)^2;  at the optimum 1/8
    """

    name = "least_squares"
    has_target = True
    relative = False
    probability = False

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor:
        return 0.5 * ((real_logits - real_target) ** 2).mean() + 0.5 * (fake_logits**2).mean()

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return 0.5 * ((fake_logits - 1.0) ** 2).mean()


class Wasserstein:
    """Arjovsky et al. 2017 (eq. 2), the critic kept Lipschitz by weight clipping, a penalty or spectral norm:

    critic minimises     mean C(G(z)) - mean C(x): minus the estimated distance, 0 at the optimum
    generator minimises  -mean C(G(z))
    """

    name = "wasserstein"
    has_target = False
    relative = False
    probability = False

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor:
        _no_smoothing(self, real_target)
        return fake_logits.mean() - real_logits.mean()

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return -fake_logits.mean()


class Hinge:
    """Lim and Ye 2017; Miyato et al. 2018 (eq. 16):

    discriminator minimises  mean relu(1 - C(x)) + mean relu(1 + C(G(z)));  2 at the optimum
    generator minimises      -mean C(G(z))
    """

    name = "hinge"
    has_target = False
    relative = False
    probability = False

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor:
        _no_smoothing(self, real_target)
        return relu(1.0 - real_logits).mean() + relu(1.0 + fake_logits).mean()

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        return -fake_logits.mean()


class Relativistic:
    """The relativistic average GAN, Jolicoeur-Martineau 2019 (section 4): is this real more real than the mean fake?

    with r = C(x), f = C(G(z)):
    discriminator minimises  mean sp(-(r - mean f)) + mean sp(f - mean r);  log 4 at the optimum
    generator minimises      the same with r and f swapped, so it needs real_logits
    """

    name = "relativistic"
    has_target = True
    relative = True
    probability = False  # but the sigmoid of a difference is one: that this is more real than the mean of those

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, *, real_target: float = 1.0) -> Tensor:
        relative_real, relative_fake = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
        return Minimax().discriminator_loss(relative_real, relative_fake, real_target=real_target)

    def generator_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        if real_logits is None:
            raise ValueError("the relativistic generator loss compares with real samples: pass real_logits")
        return self.discriminator_loss(fake_logits, real_logits)


def _no_smoothing(objective: Objective, real_target: float) -> None:
    if real_target != 1.0:
        raise ValueError(f"the {objective.name} objective has no target to smooth: real_target must be 1.0")


minimax = Minimax()
non_saturating = NonSaturating()
least_squares = LeastSquares()
wasserstein = Wasserstein()
hinge = Hinge()
relativistic = Relativistic()

ALL: dict[str, Objective] = {
    o.name: o for o in (minimax, non_saturating, least_squares, wasserstein, hinge, relativistic)
}


def logit_gradients(objective: Objective, logits: Sequence[float]) -> dict[str, list[float]]:
    """d loss / d C of one sample whose logit is C, at each of the given logits.

    "real" and "fake": of the discriminator's loss, for a real and for a generated sample; "generator": of the
    generator's. The sample opposite has logit 0, which matters to the relativistic objective alone. Where the
    generator's is nearly 0 at the logits its fakes get, it does not learn, however wrong they are.
    """
    opposite = tensor([0.0])
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "real": lambda c: objective.discriminator_loss(c, opposite),
        "fake": lambda c: objective.discriminator_loss(opposite, c),
        "generator": lambda c: objective.generator_loss(c, opposite),
    }
    gradients: dict[str, list[float]] = {kind: [] for kind in losses}
    for logit in logits:
        for kind, loss in losses.items():
            c = tensor([float(logit)], requires_grad=True)
            gradients[kind].append(grad(loss(c), c)[0].item())
    return gradients


def get(name: str) -> Objective:
    """The objective of that name."""
    if name not in ALL:
        raise ValueError(f"unknown objective {name!r}; known: {', '.join(ALL)}")
    return ALL[name]

"""Why the saturating loss starves the generator: d loss / d logit of every objective, as a table and a plot.

python examples/objectives.py [objectives.png]    (the plot needs matplotlib)
"""

import sys

from minigan.gan import objectives

LOGITS = [c / 4 for c in range(-32, 33)]  # C(G(z)) from -8, a fake that is seen through, to 8, one that passes

curves = {name: objectives.logit_gradients(objective, LOGITS) for name, objective in objectives.ALL.items()}

print("d generator's loss / d C(G(z)): what the generator learns from, at the logits its fakes are given\n")
shown = [-8, -4, 0, 4, 8]
print(f"{'C(G(z))':<16}" + "".join(f"{c:>10}" for c in shown))
for name, gradients in curves.items():
    print(f"{name:<16}" + "".join(f"{gradients['generator'][LOGITS.index(c)]:>10.4f}" for c in shown))
print("\nA discriminator that is winning puts fakes on the left. There minimax is nearly flat: -s(C) against s(C) - 1.")

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    titles = {
        "generator": "generator, fake sample",
        "fake": "discriminator, fake sample",
        "real": "discriminator, real",
    }
    for axes, (kind, title) in zip(figure.subplots(1, 3, sharey=True), titles.items(), strict=True):
        for name, gradients in curves.items():
            axes.plot(LOGITS, gradients[kind], label=name, linestyle="--" if name == "non_saturating" else "-")
        axes.set(title=title, xlabel="logit C", ylim=(-2.2, 2.2))
        axes.axhline(0, color="gray", linewidth=0.5)
    figure.axes[0].set_ylabel("d loss / d C")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(sys.argv[1], dpi=110)
    print(f"plot: {sys.argv[1]}")

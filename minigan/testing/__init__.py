"""Instruments that prove gradients: for minigan's own operations, and for yours.

`minigan.testing.strategies` (Hypothesis strategies) is imported by name, as it needs Hypothesis.
"""

from .adjoint import adjoint_check
from .catalog import CATALOG, Entry, Sample
from .draw import Draw
from .gradcheck import gradcheck
from .report import GradientError, Mismatch

__all__ = ["CATALOG", "Draw", "Entry", "GradientError", "Mismatch", "Sample", "adjoint_check", "gradcheck"]

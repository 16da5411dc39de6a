"""Hypothesis profiles: `pytest --hypothesis-profile=intense`, or HYPOTHESIS_PROFILE=intense.

dev (the default) explores new examples at every run; ci repeats the same ones; intense is for a night, quick for
many runs in a row (source_mutations.py).
"""

import os

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

settings.register_profile("dev", max_examples=20, **COMMON)
settings.register_profile("ci", max_examples=20, derandomize=True, **COMMON)
settings.register_profile("quick", max_examples=3, derandomize=True, **COMMON)
settings.register_profile("intense", max_examples=1000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

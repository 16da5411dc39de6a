"""Plain array functions, no Tensor in sight: the definition (reference), and the tuned twins (cpu, gpu)."""

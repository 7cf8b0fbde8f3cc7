"""How a target is asked: one module for each scenario, run inside the target's process."""

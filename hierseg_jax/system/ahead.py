"""What training needs and takes long to come, begun before anything else."""

from hierseg_jax.system.kernel_sources import compile_ahead, trains_on_a_cpu


def begin_ahead() -> None:
    """Has kernels compiled and memory supplied in the background, where training needs them.

    To be called before JAX is imported. Does nothing where an accelerator may be found.
    """
    if trains_on_a_cpu():
        compile_ahead()
        # Not without jaxlib, which those have who train.
        from hierseg_jax.system.memory.supply import supply_ahead

        supply_ahead()

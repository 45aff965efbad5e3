"""The memory subsystem of the 9front 386 kernel, in Python.

Nothing here knows of Unicorn: the kernel sees hardware through :mod:`kernel.base.hw`.
"""

"""A lasting comparison with a real processor: random sequences of instructions, run on p9emu's and on this computer's.

Each sequence starts from the same registers, FPU and SSE state and memory on both and runs to INT3 or to what it traps
on: ``generate`` makes it, ``ours`` and ``host`` (by a 32-bit program, ``host.c``) run it, ``compare`` tells where they
differ and at which instruction, ``known`` has what Unicorn cannot do, with the reason.

``python -m tests.emu.differential --sequences 100000`` runs many. Where 32-bit programs cannot be run, the test takes
what a real processor did from ``recorded.bin``, which ``--record`` writes.
"""

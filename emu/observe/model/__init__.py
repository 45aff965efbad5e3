"""The machine's state, folded from its events alone: what each of them means, and what can be asked of the sum.

:mod:`model` is the fold, :mod:`records` what it keeps, :mod:`look` the questions, :mod:`history` the state at any
moment of a recorded stream. Nothing here knows a kernel: a trace that was written yesterday will do.
"""

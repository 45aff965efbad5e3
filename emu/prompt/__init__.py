"""A run at a prompt: lines are typed, or come from a script, and the machine stands where they say.

:mod:`place` is where one stands and how to go on and back, :mod:`lines` what a line means, :mod:`commands` the
commands, :mod:`terminal` where lines come from.
"""

"""A debugger's view of a machine, by gdb's remote protocol.

:mod:`rsp` frames packets and :mod:`link` carries them; :mod:`machine` is a machine that can stand still anywhere,
:mod:`session` says where it does, with :mod:`watches`, and why, in terms of :mod:`stops`; :mod:`server` answers
packets, with :mod:`packets`, :mod:`registers`, :mod:`memory`, :mod:`files` and, in words, :mod:`monitor`.
"""

"""A debugger's view of a machine, by gdb's remote protocol.

:mod:`rsp` frames packets and :mod:`link` carries them; :mod:`machine` is a machine that can stand still anywhere,
:mod:`session` says where it does and why; :mod:`server` answers packets, with :mod:`registers`, :mod:`memory`,
:mod:`files` and, in words, :mod:`monitor`.
"""

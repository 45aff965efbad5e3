"""The view in a terminal: what is to be seen at each moment of a run.

:mod:`session` is where one stands and how to go on, fed by a source of emu.session; :mod:`pagemap`,
:mod:`space`, :mod:`panels` and :mod:`words` say what is shown, as lines of painted text; :mod:`app` puts them on the
screen, and alone knows textual.
"""

"""A run that somebody looks at: a machine that stands still at its events, or a trace of one that is read.

Who shows it takes the events from a :class:`emu.session.source.Source`; what has happened, and how it was at any
moment, is his to keep (emu.observe.model). The screen (emu.view) and the prompt (emu.prompt) do so.
"""

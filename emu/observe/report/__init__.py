"""A run as one HTML file: what happened in words, and pictures of memory at any moment.

:mod:`columns` keeps the events, :mod:`tally` what the words need, :mod:`words` writes them, :mod:`html` puts the file
together from the parts in ``page/``, :mod:`read` gets events from a trace. The pictures are drawn in the browser, by
a fold of the same events that ``emu/observe/model`` does here: ``page/model.js`` follows it operation by operation.
"""

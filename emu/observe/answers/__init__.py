"""Questions to what has happened so far, and answers as values: str() of one is text for a person.

:mod:`why` tells how a page came to be what it is, :mod:`page` the life of a frame, :mod:`state` what there is at a
moment. All ask a History, so a trace that was written yesterday will do, and so does any moment of a run.
"""

"""Miss-ratio curves: how many pages would have to be brought in if a machine had less memory.

:mod:`shorten` keeps of a string of references what matters, :mod:`lru`, :mod:`optimum` and :mod:`clock` count misses in
it by three policies, :mod:`runs` counts those of a real run, :mod:`curve` puts them together, and :mod:`render` and
:mod:`picture` show it. A string is a sequence of numbers of pages; ``~n`` says that page n is no more.
"""

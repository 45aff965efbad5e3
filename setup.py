"""The one part of the build that pyproject.toml cannot say: an extension that may be left out."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("emu._blockcount", ["emu/_blockcount.c"], optional=True)])

"""``python -m emu`` is ``p9emu``."""

from emu.cli import main

if __name__ == "__main__":
    main()

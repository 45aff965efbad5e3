"""Go's own tests, built for plan9/386 by the ordinary toolchain and run by p9emu."""

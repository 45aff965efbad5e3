"""The plugin for pytest: guests as test subjects. Imported in every run of pytest where p9emu is installed."""

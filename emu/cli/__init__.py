"""The command line. Nothing is imported before it is needed: --help must be instant."""

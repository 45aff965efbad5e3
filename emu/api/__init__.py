"""The machine for other Python programs: runs with captured output, stepping by events, views of the kernel."""

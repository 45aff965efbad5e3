"""Renderings of the kernel's event stream: text, JSON lines, summaries. Nothing flows back."""

"""Foreign text made safe for one line of ours."""


def plain(text: str) -> str:
    """text with every character that is not printable written as an escape.

    The result is one line, cannot drive a terminal, and can be encoded (lone surrogates, which
    stand for bytes of a name that is not UTF-8, are escaped too).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)

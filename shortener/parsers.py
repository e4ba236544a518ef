"""How values of settings are read.  Each raises `ValueError` with what the value must be."""

import os
import re


def header(text: str) -> str:
    """The name of a header in lower case, or nothing."""
    if not re.fullmatch(r"[A-Za-z0-9-]{0,64}", text):
        raise ValueError("must be the name of a header")
    return text.lower()


def readable_file(text: str) -> str:
    """The name of a file that can be read, or nothing."""
    if text and not os.access(text, os.R_OK):
        raise ValueError(f"cannot read {text}")
    return text

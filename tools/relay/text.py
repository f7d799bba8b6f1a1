"""Text for the terminal: escaped, and with plurals and ordinals."""

from __future__ import annotations

from rich.markup import escape


def printable(text: str) -> str:
    """The text without control characters: a buyer's PO number can contain escape sequences."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def escaped(text: str) -> str:
    """Printable text with rich's markup escaped."""
    return escape(printable(text))


def counted(number: int, noun: str) -> str:
    """`1 order`, `2 orders`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in {11, 12, 13} else endings.get(number % 10, 'th')}"

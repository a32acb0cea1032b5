"""Sentences with numbers in them, and text that stays text."""
import re


def plural(n: int, word: str) -> str:
    "'1 picture', '2,500 pictures'."
    return f'{n:,} {word}' if n == 1 else f'{n:,} {word}s'


def abridged(
    names,     # anything that can be shown
    n: int=3,
) -> str:
    "The first `n`, and how many more there are: 'a; b; c; and 4 more'."
    shown = '; '.join(map(str, list(names)[:n]))
    return f'{shown}; and {len(names) - n} more' if len(names) > n else shown


def escaped_markdown(text: str) -> str:
    "Text on one line in which no character is Markdown or HTML."
    escaped = re.sub(r'([\\`*_\[\]()#$|!~<>&])', r'\\\1', text)
    return ' '.join(escaped.split())

"""Sentences with numbers in them."""


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

"""Markup of the cards and frames that lessons show."""
import html, inspect

from IPython.display import Code


def framed(colour, inner) -> str:
    return f'<div role="status" class="course-card" style="border:1px solid #8886;border-left:4px solid {colour};border-radius:6px;padding:.6em 1em;margin:.5em 0;max-width:44em">{inner}</div>'


def in_html(text) -> str:
    "Escaped, and with `code` between backticks."
    parts = html.escape(text).split('`')
    return ''.join(f'<code>{p}</code>' if k % 2 and k < len(parts) - 1 else ('`' if k % 2 else '') + p for k, p in enumerate(parts))


class Said:
    "Text for the learner, as text and as HTML."
    def __init__(self, text, as_html): self.text, self.html = text, as_html
    def __repr__(self): return self.text
    def _repr_html_(self): return self.html


def code_of(*things) -> Code:
    "The source of functions and classes of the course, for a lesson that explains them."
    return Code('\n\n'.join(inspect.getsource(thing).rstrip() for thing in things), language='python')

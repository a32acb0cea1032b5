"""Markup of everything a lesson shows that is no picture: frames, cards, tables, messages, code.

One rule keeps names of learners' files and classes from becoming tags: every text goes through `markup`, which escapes it, unless
it is a `Markup` already. Elements are made by `element`, so nobody has to think of it. (fastcore's FT leaves quotes as they are.)"""
import base64, html, inspect, re

from IPython.display import Markdown

from course_utils.show.palette import BORDER, LEVELS

VOID = {'br', 'hr', 'img', 'input'}  # elements that hold nothing
LEFT = 'text-align:left'             # what JupyterLab would set to the right in tables
ALIGN_TOP = 'vertical-align:top'


class Markup(str):
    "Text that is HTML: nothing escapes it again. Adding a `str` to it makes a `str`, which is text: use `join`."


def markup(
    value,  # anything; a `Markup` stays as it is, all else becomes escaped text
) -> Markup:
    "The only place where text for the page is escaped."
    if isinstance(value, Markup): return value
    return Markup(html.escape(str(value)))


def join(
    parts,         # anything
    separator='',  # between them
) -> Markup:
    "The parts, one after another."
    return Markup(markup(separator).join(markup(part) for part in parts))


def element(
    name: str,    # `div`
    *children,    # anything; text is escaped
    **attributes  # text; None leaves one away; a `_` at the end of a name is dropped (`class_`), any other becomes `-`
) -> Markup:
    "One element of a page."
    start = name
    for key, value in attributes.items():
        attribute = key.rstrip('_').replace('_', '-')
        if value is not None: start += f' {attribute}="{markup(value)}"'
    if name in VOID: return Markup(f'<{start}>')
    return Markup(f'<{start}>{join(children)}</{name}>')


LINE_BREAK = element('br')


def in_html(text) -> Markup:
    "Escaped, and with `code` between backticks. A backtick without a partner stays."
    return Markup(re.sub('`([^`]*)`', r'<code>\1</code>', markup(text)))


def frame(
    level: str,              # out of `palette.LEVELS`, or a colour `#rrggbb`: of the thick line to the left
    *body,                   # anything; text is escaped
    width: str='44em',       # at most this wide
    role: str|None='status', # what a screen reader makes of it: `status` is read out when it appears; None is not
    style: str='',           # added to the frame's own
) -> Markup:
    "A frame around something that is said to the learner."
    colour = LEVELS[level].colour if level in LEVELS else level
    rules = [f'border:1px solid {BORDER}', f'border-left:4px solid {colour}', 'border-radius:6px', 'padding:.6em 1em',
             'margin:.5em 0', f'max-width:{width}']
    if style: rules.append(style)
    return element('div', *body, role=role, class_='course-card', style=';'.join(rules))


def card(
    rows: dict,    # what a line is about → what it says
    folded=None,   # the same for lines that open at a click
) -> Markup:
    "A few lines in a frame, each with its name in bold."
    margin = 'margin:.25em 0'
    lines = [element('div', element('b', name), ' · ', text, style=margin) for name, text in rows.items()]
    for name, text in (folded or {}).items():
        lines.append(element('details', element('summary', element('b', name)), text, style=margin))
    return frame('info', *lines, role=None)


class Cell(Markup):
    "A cell that is made already: `table` takes it as it is."


def cell(
    value,                # anything; text is escaped
    scope: str|None=None, # `row` or `col` for a cell that names its row or column
    style: str=LEFT,
) -> Cell:
    "A cell of a table."
    name = 'th' if scope else 'td'
    return Cell(element(name, value, scope=scope, style=style or None))


def table(
    header,                  # names of the columns; empty: none are shown
    rows,                    # a sequence of cells a row: anything, or what `cell` made
    caption,                 # what the table holds; screen readers read it first
    row_name: int|None=0,    # number of the cell that names its row
    style: str=LEFT,         # of every cell that `cell` did not make
) -> Markup:
    "A table that a screen reader can walk through."
    def body_cell(k, value):
        if isinstance(value, Cell): return value
        return cell(value, 'row' if k == row_name else None, style)

    def body_row(values):
        cells = [body_cell(k, value) for k, value in enumerate(values)]
        return element('tr', *cells)

    names = [cell(name, 'col', style) for name in header]
    head = element('thead', element('tr', *names)) if names else ''
    body = element('tbody', *map(body_row, rows))
    return element('table', element('caption', caption, style=LEFT), head, body)


class Message:
    "Something said to the learner, as text and as HTML."
    def __init__(self,
        text: str,     # for a console
        html: Markup,  # for a page
    ):
        self.text, self.html = text, html

    def __repr__(self): return self.text
    def _repr_html_(self): return self.html


def code_of(
    *things,  # functions and classes of the course
) -> Markdown:
    "Their source, for a lesson that explains them: a block of code, in JupyterLab and on the site alike."
    sources = [inspect.getsource(thing).rstrip() for thing in things]
    code = '\n\n'.join(sources)
    return Markdown(f'```python\n{code}\n```')


def data_url(
    data: bytes,
    kind: str,  # `image/webp`
) -> str:
    "A file as an address, so that a page needs no other file."
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def widget_bundle(
    widget,    # what JupyterLab shows
    page: str, # HTML for a page without a kernel
    text: str, # for a console
) -> dict:  # kind of content → content
    "What `_repr_mimebundle_` of something live returns."
    live = {'version_major': 2, 'version_minor': 0, 'model_id': widget.model_id}
    return {'application/vnd.jupyter.widget-view+json': live, 'text/html': page, 'text/plain': text}

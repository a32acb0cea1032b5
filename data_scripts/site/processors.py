"""What happens to the notebooks on their way to the site, beyond nbdev's own: settings.ini names these processors, nbdev calls them."""
import functools, importlib, re
from pathlib import Path
from xml.etree import ElementTree

from execnb.nbio import mk_cell, read_nb
from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.process import Processor
from nbdev.processors import _default_exp

from data_scripts.site import reference

RUN = '''::: {{.run-it}}
Read here, or run it yourself: `git clone {repo}`, then `make lab`, and open [`{path}`]({repo}/blob/{branch}/{path}). The numbers on this page are those of the run that is kept in the notebook.
:::'''


def lesson_number(path: Path) -> str:
    "`01` of `nbs/01_augmentation.ipynb`; nothing for a page that is no lesson."
    return path.name[:2] if path.parent.name == 'nbs' and path.name[:2].isdigit() else ''


IMPORT_LINE = re.compile(r'(from \S+ )?import ')
DRAWING = re.compile(r'\b(plt|ax|axes|fig|\w+_ax)\b[.\[ ]|figsize=|\bgrid\(|\balt=')
KEEPING = re.compile(r'^(record|record_case)\(', re.M)
PLUMBING_SHARE = .3  # of a cell's lines
LONG_CELL = 16       # lines: more are no idea that is read in passing
DEFINED = re.compile(r'^(?:def|class) (\w+)', re.M)


def fold_summary(
    source: str,  # of a code cell
) -> str | None:  # None: the code stays open
    "What stands over code that is plumbing and opens at a click: imports, the drawing of a figure, the keeping of a result."
    if IMPORT_LINE.match(source): return 'Imports'
    lines = [line for line in source.splitlines() if line.strip()]
    drawing = [line for line in lines if DRAWING.search(line)]
    if len(lines) > 5 and len(drawing) >= PLUMBING_SHARE*len(lines): return 'Code: the figure'
    if KEEPING.search(source): return 'Code: keeps the result'
    if len(lines) > LONG_CELL: return f"Code, {len(lines)} lines: {', '.join(DEFINED.findall(source)) or 'the run'}"
    return None


def with_fold(source: str, summary: str) -> str:
    "The cell's source with what makes an engine fold it."
    return f'#| code-fold: true\n#| code-summary: "{summary}"\n{source}'


LONG_OUTPUT = 20  # lines


def fold_long(output: dict) -> dict:
    "An output, where it is long a listing that opens at a click: source that `code_of` shows, or what a cell prints."
    source = ''.join(output.get('data', {}).get('text/markdown', ''))
    printed = ''.join(output.get('text', ''))
    n_lines = (source or printed).count('\n')
    if n_lines <= LONG_OUTPUT: return output
    if source.startswith('```python'):
        summary = f"Source, {n_lines} lines: {', '.join(DEFINED.findall(source))}"
        return dict(output, data={'text/markdown': reference.folded(summary, source)})
    if not printed: return output
    listing = reference.folded(f'Printed, {n_lines} lines', f'~~~~\n{printed}\n~~~~')
    return dict(output_type='display_data', metadata={}, data={'text/markdown': listing})


def is_card(output: dict) -> bool:
    "Does the output show a lesson's card at a glance?"
    text = ''.join(output.get('data', {}).get('text/html', ''))
    return 'course-card' in text and '<b>Minutes</b>' in text


def take_card(cells: list):  # a cell that shows the card only, or None where there is none
    "Takes the card at a glance out of the cell of imports, for its place below the title."
    for cell in cells:
        cards = [output for output in cell.get('outputs', []) if is_card(output)]
        if not cards: continue
        cell.outputs = [output for output in cell.outputs if output not in cards]
        card = mk_cell("#| echo: false\n'The card'")
        card.outputs = cards
        return card
    return None


def is_open_import(cell) -> bool:
    "Does a cell hold imports that the page shows, and show nothing itself?"
    if cell.cell_type != 'code' or cell.get('outputs'): return False
    return bool(IMPORT_LINE.match(cell.source)) and 'hide' not in cell.directives_


def join_imports(cells: list) -> list:
    "Imports of a module and of a lesson, in two cells one right after the other, become one."
    joined = []
    for cell in cells:
        if joined and is_open_import(joined[-1]) and is_open_import(cell):
            cell.source = f'{joined.pop().source}\n\n{cell.source}'
        joined.append(cell)
    return joined


class Course(Processor):
    """A lesson opens with its card, shows its code, folds the plumbing, and ends with the reference of what it exports. The
    reference comes from the exported modules: no cell is run (nbdev's `exec_show_docs` would run every import)."""
    def begin(self):
        config = get_config()
        path = Path(self.nb.path_).relative_to(config.nbs_path)
        name = _default_exp(read_nb(self.nb.path_))   # the cell that names it is gone from self.nb by now
        self.module = name and f'{config.lib_name}.{name}'
        self.level = 2   # of a function's heading: below the page's own
        self.is_lesson = lesson_number(path) or path.parent.name == 'cases'
        if not lesson_number(path): return
        show_docs = [cell for cell in self.nb.cells if getattr(cell, 'has_sd', False)]
        cells = [cell for cell in self.nb.cells if cell not in show_docs]
        invitation = RUN.format(repo=config.git_url, branch=config.branch, path=path.as_posix())
        card = take_card(cells)
        opening = [card] if card else []
        cells[1:] = [*opening, mk_cell(invitation, 'markdown'), *join_imports(cells[1:])]
        if show_docs: show_docs.insert(0, mk_cell(f'## Reference: `{self.module}`', 'markdown'))
        self.nb.cells = cells + show_docs

    def cell(self, cell):
        if cell.cell_type == 'markdown' and re.search('^## ', cell.source, re.M): self.level = 3
        if cell.cell_type != 'code': return
        shown = re.search(r'^show_doc\(([\w.]+)\)', cell.source, re.M)
        if cell.directives_.keys() & {'hide', 'default_exp', 'exporti'}: cell.source = None
        elif shown: cell.outputs = [self.documented(shown[1])]
        elif summary := self.summary_of(cell.source): cell.source = with_fold(cell.source, summary)
        if self.is_lesson and not shown and cell.get('outputs'): cell.outputs = [fold_long(output) for output in cell.outputs]

    def summary_of(self, source):
        "Imports fold on every page, other plumbing in lessons and case studies."
        if not self.is_lesson and not IMPORT_LINE.match(source): return None
        return fold_summary(source)

    def documented(self, name):
        "The output of a cell that asks for the reference of `name`."
        thing = importlib.import_module(self.module)
        for part in name.split('.'): thing = getattr(thing, part)
        markdown = reference.documented(thing, self.level)
        return dict(output_type='display_data', metadata={}, data={'text/markdown': markdown})


@functools.cache
def addresses() -> dict:
    """What the lessons export and the rooms define -> where the site describes it, `/nbs/01_augmentation.ipynb#draws`. A name
    that two modules have is left out."""
    config = get_config()
    pages = {}
    for path in nbglob(as_path=True):
        stem = re.sub(r'^\d+[a-zA-Z0-9]*_', '', path.stem.lower())   # nbdev drops a lesson's number
        pages[stem] = path.relative_to(config.nbs_path).as_posix()
    places = {name: [address] for name, address in reference.room_addresses().items()}
    index = importlib.import_module(f'{config.lib_name}._modidx').d['syms']
    for module, names in index.items():
        for full_name, (address, _) in names.items():
            name = full_name.removeprefix(f'{module}.')
            if '.' in name or name.startswith('_'): continue  # a method, or no part of the interface
            page, anchor = address.split('.html#')
            notebook = pages[page.split('/')[-1]]
            places.setdefault(name, []).append(f'/{notebook}#{anchor}')
    return {name: addresses[0] for name, addresses in places.items() if len(addresses) == 1}


IN_BACKTICKS = re.compile(r'(?<![\[`])`(\w+)(?:\(\))?`(?![\]`])')  # no link already, no code in longer backticks


def linked(text: str, places: dict) -> str:
    "Markdown in which an exported name in backticks leads to its description."
    def link(match): return f'[{match[0]}]({places[match[1]]})' if match[1] in places else match[0]
    is_code = False
    lines = text.split('\n')
    for i, line in enumerate(lines):
        if line.startswith('```'): is_code = not is_code
        if is_code or line.startswith(('```', '#', '    ')): continue
        lines[i] = IN_BACKTICKS.sub(link, line)
    return '\n'.join(lines)


OUTPUT_FILE = re.compile(r'^output-file: .*\n', re.M)
TITLE = re.compile(r'^title: (["\']?)', re.M)


class Links(Processor):
    """An exported name in backticks leads to its description; a page keeps the name of its notebook, with both engines; a lesson's
    title begins with its number, in the sidebar and everywhere else."""
    def begin(self):
        self.addresses = addresses()
        self.number = lesson_number(Path(self.nb.path_))

    def cell(self, cell):
        if cell.cell_type == 'raw':
            cell.source = OUTPUT_FILE.sub('', cell.source)
            if self.number: cell.source = TITLE.sub(rf'title: \g<1>{self.number} · ', cell.source)
        if cell.cell_type == 'markdown': cell.source = linked(cell.source, self.addresses)
        for output in cell.get('outputs', []):
            data = output.get('data', {})
            if 'text/markdown' in data: data['text/markdown'] = linked(''.join(data['text/markdown']), self.addresses)


# Code first, so that a dollar in it stays one. Dollars as Pandoc reads them: no space inside, no digit behind.
CODE = r'(?P<code>^(?P<f>`{3,}|~{3,}).*?^(?P=f)|(?P<t>`+)(?!`).*?(?<!`)(?P=t)(?!`))'
BLOCK = r'\$\$(?P<block>.+?)\$\$'
INLINE = r'(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)'
PIECES = re.compile(f'{CODE}|{BLOCK}|{INLINE}', re.S | re.M)


def formula(tex: str, display=False) -> str:
    "TeX as MathML. Raises `ValueError` for what latex2mathml cannot read: better no site than a page with half a formula."
    try: markup = convert(tex, display='block' if display else 'inline')
    except Exception as error: raise ValueError(f'The formula {tex} cannot be written: {error!r}') from None
    if '\\' in markup: raise ValueError(f'The formula {tex} cannot be written: a command in it is not known.')
    # latex2mathml 3.81.1 leaves the & of `aligned` bare, and a browser then shows something else
    try: ElementTree.fromstring(markup)
    except ElementTree.ParseError as error: raise ValueError(f'The formula {tex} cannot be written: what comes out is no XML ({error}).') from None
    return markup


def mathml(markdown: str) -> str:
    "Markdown whose TeX has become MathML."
    def piece(match):
        if match['code']: return match['code']
        return formula(match['block'], True) if match['block'] else formula(match['inline'])
    return PIECES.sub(piece, markdown)


class Maths(Processor):
    "TeX becomes MathML, which every browser draws by itself: no script, no font, nothing to fetch."
    def cell(self, cell):
        if cell.cell_type == 'markdown': cell.source = mathml(cell.source)


def finished_markdown(markdown: str) -> str:
    "Markdown of a page that no notebook holds, as `Links` and `Maths` leave it."
    return mathml(linked(markdown, addresses()))

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


class Course(Processor):
    """A lesson shows all its code, and ends with the reference of what it exports. The reference comes from the exported modules:
    no cell is run (nbdev's `exec_show_docs` would run every import)."""
    def begin(self):
        config = get_config()
        path = Path(self.nb.path_).relative_to(config.nbs_path)
        name = _default_exp(read_nb(self.nb.path_))   # the cell that names it is gone from self.nb by now
        self.module = name and f'{config.lib_name}.{name}'
        self.level = 2   # of a function's heading: below the page's own
        if not path.name[:2].isdigit(): return
        show_docs = [cell for cell in self.nb.cells if getattr(cell, 'has_sd', False)]
        cells = [cell for cell in self.nb.cells if cell not in show_docs]
        invitation = RUN.format(repo=config.git_url, branch=config.branch, path=path.as_posix())
        cells.insert(1, mk_cell(invitation, 'markdown'))
        if show_docs: show_docs.insert(0, mk_cell(f'## Reference: `{self.module}`', 'markdown'))
        self.nb.cells = cells + show_docs

    def cell(self, cell):
        if cell.cell_type == 'markdown' and re.search('^## ', cell.source, re.M): self.level = 3
        if cell.cell_type != 'code': return
        shown = re.search(r'^show_doc\(([\w.]+)\)', cell.source, re.M)
        if cell.directives_.keys() & {'hide', 'default_exp', 'exporti'}: cell.source = None
        elif shown: cell.outputs = [self.documented(shown[1])]
        elif re.match(r'(from \S+ )?import ', cell.source):
            summary = 'Imports of the module' if 'export' in cell.directives_ else 'Imports'
            cell.source = f'#| code-fold: true\n#| code-summary: "{summary}"\n{cell.source}'

    def documented(self, name):
        "The output of a cell that asks for the reference of `name`."
        thing = importlib.import_module(self.module)
        for part in name.split('.'): thing = getattr(thing, part)
        markdown = reference.documented(self.module, thing, self.level)
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


class Links(Processor):
    "An exported name in backticks leads to its description; and a page keeps the name of its notebook, with both engines."
    def begin(self): self.addresses = addresses()

    def cell(self, cell):
        if cell.cell_type == 'raw': cell.source = OUTPUT_FILE.sub('', cell.source)
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

"""What nbdev does to the notebooks on their way to the site, beyond its own (settings.ini names these processors)."""
import importlib, re

from execnb.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup, nbglob
from nbdev.process import Processor
from nbdev.processors import _default_exp
from nbdev.showdoc import show_doc

from data_scripts.mathml import mathml


class Reference(Processor):
    "The API reference of what a notebook exports, from the exported module: no cell of a notebook is run (nbdev's own would run its imports)."
    def begin(self):
        name = _default_exp(read_nb(self.nb.path_))   # by now the cell that says it is gone from self.nb
        self.module = name and f'{get_config().lib_name}.{name}'

    def cell(self, cell):
        if cell.cell_type != 'code' or not (name := re.search(r'^show_doc\(([\w.]+)\)', cell.source, re.M)): return
        names = importlib.import_module(self.module)
        for part in name[1].split('.'): names = getattr(names, part)
        text = NbdevLookup().linkify(show_doc(names)._repr_markdown_())
        cell.outputs = [dict(output_type='display_data', metadata={}, data={'text/markdown': text})]


def addresses():
    "nbdev's address of every page -> its notebook: nbdev drops the number of a lesson, Quarto and smalldocs keep it."
    return {re.sub(r'[^/]*$', lambda m: re.sub(r'^\d+[a-zA-Z0-9]*_', '', m[0].lower()), nb[:-6]) + '.html': nb
            for nb in (str(p.relative_to(get_config().nbs_path)) for p in nbglob(as_path=True))}


class Links(Processor):
    "nbdev's links to the published site become links from notebook to notebook, which hold wherever the site is shown."
    def begin(self):
        c = get_config()
        self.base, self.pages = f'{c.doc_host}{c.doc_baseurl}/', addresses()
        self.nb.frontmatter_.pop('output-file', None)   # the page keeps the name of its notebook

    def point(self, text):
        def one(m):
            page, _, anchor = m[1].partition('#')
            return f'(/{self.pages[page]}#{anchor.split(".")[0]})' if page in self.pages else m[0]   # a method is described with its class
        return re.sub(rf'\({re.escape(self.base)}([^)\s]+)\)', one, text)

    def cell(self, cell):
        if cell.cell_type == 'raw': cell.source = re.sub(r'^output-file: .*\n', '', cell.source, flags=re.M)
        if cell.cell_type == 'markdown': cell.source = self.point(cell.source)
        for o in cell.get('outputs', []):
            data = o.get('data', {})
            if 'text/markdown' in data: data['text/markdown'] = self.point(''.join(data['text/markdown']))


class Maths(Processor):
    "TeX becomes MathML, which every browser draws by itself: no script, no font, nothing to fetch."
    def cell(self, cell):
        if cell.cell_type == 'markdown': cell.source = mathml(cell.source)

"""What happens to the notebooks on their way to the site, beyond nbdev's own: settings.ini names these processors, nbdev calls them."""
import functools, importlib, inspect, re
from pathlib import Path

from execnb.nbio import mk_cell, read_nb
from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.process import Processor
from nbdev.processors import _default_exp
from nbdev.showdoc import show_doc


RUN = '''::: {{.run-it}}
Read here, or run it yourself: `git clone {repo}`, then `make lab`, and open [`{path}`]({repo}/blob/{branch}/{path}). The numbers on this page are those of the run that is kept in the notebook.
:::'''


def folded(summary, markdown): return f'<details class="folded"><summary>{summary}</summary>\n\n{markdown}\n\n</details>'


def as_code(code): return f'```python\n{code}\n```'


def exercise_page(module):
    "Text, start, hints and solution of every exercise in a module: hints and solution open one by one."
    from course_utils.classroom.checker import EXERCISES
    for key, ex in EXERCISES.items():
        if not key.startswith(module[-2:]): continue
        yield '\n\n'.join([f'## {key} · {ex.title}', ex.task, as_code(ex.start),
            *(folded(f'Hint {i} of {len(ex.hints)}', h) for i, h in enumerate(ex.hints, 1)), folded('Solution', as_code(ex.solution))])


class Course(Processor):
    """The three kinds of pages. A lesson shows all its code, and ends with the reference of what it exports. A reference page
    shows no source, only signatures. A page of exercises shows texts, hints and solutions. The reference comes from the exported modules:
    no cell is run (nbdev's `exec_show_docs` would run every import)."""
    def begin(self):
        path, c = Path(self.nb.path_).relative_to(get_config().nbs_path), get_config()
        self.lesson = path.name[:2].isdigit()
        name = _default_exp(read_nb(self.nb.path_))   # the cell that says it is gone from self.nb by now
        self.module = name and f'{c.lib_name}.{name}'
        cells, end = self.nb.cells, []
        if path.parent.name == 'exercises':
            importlib.import_module(self.module)
            cells = [o for o in cells if o.cell_type != 'code']
            end = [mk_cell(o, 'markdown') for o in exercise_page(self.module)]
        elif self.lesson:
            end = [o for o in cells if getattr(o, 'has_sd', False)]
            cells = [o for o in cells if o not in end]
            cells.insert(1, mk_cell(RUN.format(repo=c.git_url, branch=c.branch, path=path.as_posix()), 'markdown'))
            if end: end.insert(0, mk_cell(f'## Reference: `{self.module}`', 'markdown'))
        self.nb.cells, self.level = cells + end, 2   # of a function's heading: below the page's own

    def cell(self, cell):
        if cell.cell_type == 'markdown' and re.search('^## ', cell.source, re.M): self.level = 3
        if cell.cell_type != 'code': return
        hidden = {'hide', 'default_exp', 'exporti'} | (set() if self.lesson else {'export'})
        if cell.directives_.keys() & hidden: cell.source = None
        elif name := re.search(r'^show_doc\(([\w.]+)\)', cell.source, re.M): cell.outputs = [self.documented(name[1])]
        elif re.match(r'(from \S+ )?import ', cell.source):
            summary = 'Imports of the module' if 'export' in cell.directives_ else 'Imports'
            cell.source = f'#| code-fold: true\n#| code-summary: "{summary}"\n{cell.source}'

    def documented(self, name):
        "Signature, parameters and first words of a function or class, as Markdown."
        c, thing = get_config(), importlib.import_module(self.module)
        for part in name.split('.'): thing = getattr(thing, part)
        heading, rest = show_doc(thing, title_level=self.level)._repr_markdown_().removeprefix('---\n\n').split('\n', 1)
        if not thing.__doc__: rest = rest.replace('*Call self as a function.*', '')
        line = inspect.getsourcelines(inspect.unwrap(thing))[1]
        source = f"[source]({c.git_url}/blob/{c.branch}/{self.module.replace('.', '/')}.py#L{line}){{.source}}"
        return dict(output_type='display_data', metadata={}, data={'text/markdown': f'{heading}\n{rest}\n\n{source}'})


@functools.cache
def addresses():
    "What the modules export -> where the site describes it, `/nbs/01_augmentation.ipynb#draws`. A name that two modules export is left out."
    c = get_config()
    pages = {re.sub(r'^\d+[a-zA-Z0-9]*_', '', p.stem.lower()): p.relative_to(c.nbs_path).as_posix() for p in nbglob(as_path=True)}   # nbdev drops a lesson's number
    out = {}
    for module, names in importlib.import_module(f'{c.lib_name}._modidx').d['syms'].items():
        for name, (page, _) in names.items():
            name, (page, anchor) = name.removeprefix(module + '.'), page.split('.html#')
            if '.' not in name and name[0] != '_' and '/exercises/' not in page: out.setdefault(name, []).append(f"/{pages[page.split('/')[-1]]}#{anchor}")
    return {name: places[0] for name, places in out.items() if len(places) == 1}


class Links(Processor):
    "An exported name in backticks leads to its description; and a page keeps the name of its notebook, with both engines."
    def begin(self): self.addresses = addresses()

    def linked(self, text):
        one = lambda m: f'[{m[0]}]({self.addresses[m[1]]})' if m[1] in self.addresses else m[0]
        fenced, lines = False, text.split('\n')
        for i, line in enumerate(lines):
            if line.startswith('```'): fenced = not fenced
            elif not (fenced or line.startswith(('#', '    '))): lines[i] = re.sub(r'(?<![\[`])`(\w+)(?:\(\))?`(?![\]`])', one, line)
        return '\n'.join(lines)

    def cell(self, cell):
        if cell.cell_type == 'raw': cell.source = re.sub(r'^output-file: .*\n', '', cell.source, flags=re.M)
        if cell.cell_type == 'markdown': cell.source = self.linked(cell.source)
        for o in cell.get('outputs', []):
            if 'text/markdown' in o.get('data', {}): o['data']['text/markdown'] = self.linked(''.join(o['data']['text/markdown']))


# Code first, so that a dollar in it stays one. Dollars as Pandoc reads them: no space inside, no digit behind.
PIECES = re.compile(r'(?P<code>^(?P<f>`{3,}|~{3,}).*?^(?P=f)|(?P<t>`+)(?!`).*?(?<!`)(?P=t)(?!`))|\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)',
                    re.S | re.M)


def formula(tex, display=False):
    "TeX as MathML. Raises `ValueError` for what latex2mathml cannot read: better no site than a page with half a formula."
    try: out = convert(tex, display='block' if display else 'inline')
    except Exception as e: raise ValueError(f'The formula {tex} cannot be written: {e!r}') from None
    if '\\' in out: raise ValueError(f'The formula {tex} cannot be written: a command in it is not known.')
    return out


def mathml(markdown):
    "Markdown whose TeX has become MathML."
    def one(m): return m['code'] or (formula(m['block'], True) if m['block'] else formula(m['inline']))
    return PIECES.sub(one, markdown)


class Maths(Processor):
    "TeX becomes MathML, which every browser draws by itself: no script, no font, nothing to fetch."
    def cell(self, cell):
        if cell.cell_type == 'markdown': cell.source = mathml(cell.source)

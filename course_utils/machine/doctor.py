"""Is this machine ready, and if not, what exactly puts it right? And how long will a lesson take here?"""
import base64, hashlib, html, importlib.util, os, re, shutil, socket, sys, tempfile, tomllib, warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from course_utils.config import cache_dir, data_dir, home_dir, root, write_whole

STATES = {'good': ('✓', '#009E73'), 'look': ('≈', '#E69F00'), 'bad': ('✗', '#D55E00')}


@dataclass
class Finding:
    "What one check found."
    state: str   # one of `STATES`: nothing to do; worth a look, the course runs; something that the course needs does not work
    found: str
    fix: str=''  # a command or a sentence; in both texts, commands stand between backticks
    name: str=''

CHECKS = {}      # name → a function of no required arguments that gives a `Finding`, or None where there is nothing to say


def checks(name):
    "Adds a function to `CHECKS`."
    def add(f):
        CHECKS[name] = f
        return f
    return add


def examine(those=None) -> list:  # of `Finding`
    "Runs the checks. One that stops is a finding, too."
    out = []
    for name, look in (CHECKS if those is None else those).items():
        try: f = look()
        except Exception as e: f = Finding('bad', f'the check stopped with {_in_a_line(e)}', reinstall())
        if f: f.name = name; out.append(f)
    return out


def _in_a_line(e): return f"{type(e).__name__}{f': {str(e).splitlines()[0]}' if str(e) else ''}"


def _short(path):
    "As the learner would type it in the course's folder."
    path = Path(path)
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)


def _some(items, n=5): return '; '.join(items[:n]) + (f' and {len(items) - n:,} more' if len(items) > n else '')


def _gb(n): return f'{n / 1e9:.1f} GB'


def reinstall() -> str:
    "Installs what is missing or of another version, without looking at what make has noted as done."
    return f"`rm -f .venv/.ready-*; make {'env' if importlib.util.find_spec('pytest') else 'lab'}`"


def install_again(package) -> str:
    "Installs one package again, files and all."
    python = '.venv/bin/python' if Path(sys.prefix).resolve() == (root()/'.venv').resolve() else sys.executable
    return f'`{python} -m pip install --force-reinstall --no-deps -c constraints.txt {package}`'


@checks('Python')
def check_python(version=None, prefix=None):
    "Is it new enough, and is it the course's own?"
    version, prefix = version or sys.version_info[:3], Path(prefix or sys.prefix)
    wanted = tuple(map(int, re.search(r'min_python\s*=\s*(\d+)\.(\d+)', (root()/'settings.ini').read_text()).groups()))
    said = '.'.join(map(str, version))
    if tuple(version[:2]) < wanted:
        return Finding('bad', f"{said}, and the course needs {'.'.join(map(str, wanted))} or newer",
                       '`make clean; make lab PYTHON=/path/to/a/newer/python3`')
    if prefix.resolve() != (root()/'.venv').resolve():
        return Finding('look', f"{said}, but not that of the course's .venv: it is {prefix}", 'Start with `make lab`, which uses .venv.')
    return Finding('good', f'{said}, in .venv')


def locked(text: str) -> dict:  # name → version
    "What a constraints file says."
    lines = (l.split('#')[0].strip() for l in text.splitlines())
    return {_plain(name): version for name, _, version in (l.partition('==') for l in lines) if version}


def _plain(name): return re.sub(r'[-_.]+', '-', name.strip()).lower()


def drawn_in(asked, requires=None) -> set:  # names
    "All that a list of requirements draws in on this machine."
    from packaging.requirements import Requirement
    def of(name):
        try: return importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError: return ()
    seen, todo = set(), list(map(Requirement, asked))
    while todo:
        r = todo.pop()
        for extra in ('', *r.extras):
            if (_plain(r.name), extra) in seen: continue
            seen.add((_plain(r.name), extra))
            todo += [q for q in map(Requirement, (requires or of)(r.name)) if not q.marker or q.marker.evaluate(dict(extra=extra))]
    return {name for name, _ in seen}


@checks('Packages')
def check_packages(constraints=None, installed=None, needed=None):
    "Is every package there, at the version that the course was tested with? Those that only the tests need may be missing."
    want = locked((root()/'constraints.txt').read_text() if constraints is None else constraints)
    there = ((d.metadata['Name'], d.version) for d in importlib.metadata.distributions())
    have = {_plain(name): version for name, version in there if name} if installed is None else installed
    if needed is None: needed = drawn_in(tomllib.loads((root()/'pyproject.toml').read_text())['project']['dependencies'])
    # 2.15.0+cpu is 2.15.0, built for a machine without a GPU
    wrong = [f'{n} is {have[n]}, not {v}' for n, v in want.items() if n in have and have[n].split('+')[0] != v.split('+')[0]]
    missing = [f'{n} {v} is missing' for n, v in want.items() if n in needed and n not in have]
    if wrong or missing: return Finding('bad', _some(missing + wrong), reinstall())
    return Finding('good', f'all {len(want.keys() & have.keys())} at the versions of constraints.txt')

NEEDS = dict(memory=2e9, gpu=3e9, cache=3e9, data=.5e9, home=.01e9)  # bytes


@checks('GPU')
def check_gpu(cuda=None, driver=None):
    "Its name and memory. Without one the course runs, at profile cpu."
    if cuda is None: from torch import cuda
    if driver is None: driver = bool(shutil.which('nvidia-smi'))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            there = cuda.is_available()
        if not there and not driver: return Finding('good', 'none: profile cpu is used')
        if not there:
            return Finding('look', "none that torch can use, though NVIDIA's driver is here: profile cpu is used",
                           "`nvidia-smi` says whether the driver works; torch's own words are in `.venv/bin/python -c 'import torch; torch.cuda.init()'`.")
        name, (free, total) = cuda.get_device_name(), cuda.mem_get_info()
    except Exception as e: return Finding('look', f'one that does not answer ({_in_a_line(e)})', '`CUDA_VISIBLE_DEVICES= make lab` does without it.')
    said = f'{name}, {_gb(total)}, of which {_gb(free)} are free'
    if free < NEEDS['gpu']:
        return Finding('look', f"{said}: lessons may need {_gb(NEEDS['gpu'])}",
                       '`nvidia-smi` lists the programs that use it: stop those, or do without it by `CUDA_VISIBLE_DEVICES= make lab`.')
    return Finding('good', said)


def in_container(total: int, free: int, at=Path('/sys/fs/cgroup')) -> tuple[int, int]:
    "Bytes that a container leaves of the machine's memory: what it allows, and what of that is not in use yet."
    for limit, used in (('memory.max', 'memory.current'), ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes')):
        if (at/limit).exists() and (most := (at/limit).read_text().strip()).isdigit():
            total, free = min(total, int(most)), min(free, max(0, int(most) - int((at/used).read_text())))
    return total, free


@checks('Memory and cores')
def check_memory(total=None, free=None, cores=None):
    "A container may be given less than the machine has."
    import psutil
    m = psutil.virtual_memory()
    if total is None: total, free = in_container(m.total, m.available)
    cores = cores or (len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())
    said = f"{_gb(total)}, of which {_gb(free)} are free; {cores} core{'s' * (cores > 1)}"
    if total < NEEDS['memory']: return Finding('bad', f"{said}: a lesson needs {_gb(NEEDS['memory'])}", 'Give this machine or container more memory.')
    if free < NEEDS['memory']:
        return Finding('look', f"{said}: a lesson needs {_gb(NEEDS['memory'])}",
                       'Shut down other kernels (in JupyterLab: Kernel, Shut Down All Kernels) and close other programs.')
    return Finding('good', said)


def places() -> dict:  # what → (folder, the variable that moves it)
    return dict(cache=(cache_dir(), 'COURSE_CACHE'), data=(data_dir(), 'COURSE_DATA_DIR'), home=(home_dir(), 'COURSE_HOME'))


def _there(folder): return next(p for p in (folder, *folder.parents) if p.is_dir())


def _size(folder): return sum(f.stat().st_size for f in folder.rglob('*') if f.is_file() and not f.is_symlink())


@checks('Disk')
def check_disk(usage=shutil.disk_usage, where=None):
    "Is there room for what the course still writes? Folders on one disk share it."
    disks = {}
    for what, (folder, variable) in (where or places()).items():
        need = max(NEEDS[what] - _size(folder), .1 * NEEDS[what])
        disks.setdefault(os.stat(_there(folder)).st_dev, []).append((need, what, folder, variable))
    full, said = [], []
    for those in disks.values():
        free, need, names = usage(_there(those[0][2])).free, sum(t[0] for t in those), ', '.join(_short(t[2]) for t in those)
        said.append(f'{_gb(free)} free for {names}, where up to {_gb(need)} more will lie')
        if free < need: full += [variable for _, _, _, variable in those]
    if full:
        others = f", and so {' and '.join(full[1:])}." if full[1:] else ''
        return Finding('bad', '; '.join(said), f'Make room on that disk, or choose a folder on another one: `{full[0]}=/other/disk/course make lab`{others}')
    return Finding('good', '; '.join(said))


@checks('Writing')
def check_writing(where=None):
    "Is what is written into the cache and the home what is read again?"
    refused = []
    for what, (folder, variable) in (where or places()).items():
        if what == 'data' and not folder.exists(): continue  # made when the first data set is fetched
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = Path(tempfile.mkdtemp(prefix='.doctor-', dir=folder))
            try:
                write_whole(probe/'probe', 'written')
                if (probe/'probe').read_text() != 'written': raise OSError('another text came back')
            finally: shutil.rmtree(probe, ignore_errors=True)
        except OSError as e: refused.append((f'{_short(folder)} ({e.strerror or e})', folder, variable))
    if refused:
        _, folder, variable = refused[0]
        return Finding('bad', f"refused in {_some([r[0] for r in refused])}",
                       f'`chmod -R u+rwX "{folder}"` if the folder is yours, else choose another: `{variable}=/another/folder make lab`')
    return Finding('good', f"works in {', '.join(_short(f) for f, _ in (where or places()).values() if f.exists())}")

GLYPHS = '×−→…±≥≤≈·½°Δ✓'  # beyond ASCII, in figures and tables of the course


@checks('Fonts')
def check_fonts(family=None):
    "Is matplotlib's font here, and can it draw every sign? It is drawn, and matplotlib warns where it leaves a box."
    from matplotlib import font_manager, rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    family = family or rcParams['font.family']
    fix = (f"`{sys.executable} -c 'import matplotlib; print(matplotlib.matplotlib_fname())'` names the file that sets font.family: "
           f"take that line out, and run {install_again('matplotlib')} if it sets none.")
    try: name = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=family), fallback_to_default=False)).family_name
    except ValueError: return Finding('bad', f"no font of the family {', '.join([family] if isinstance(family, str) else family)}", fix)
    fig = Figure()
    FigureCanvasAgg(fig)
    fig.text(.1, .5, GLYPHS, family=family)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        fig.canvas.draw()
    lost = [chr(int(m[1])) for w in said if (m := re.match(r'Glyph (\d+)', str(w.message)))]
    if lost: return Finding('look', f"{name} has no {' '.join(lost)}: figures show boxes there", fix)
    return Finding('good', f"{name} draws {' '.join(GLYPHS)}")


@checks('Weights')
def check_weights(files=None):
    "Are the packaged ImageNet weights the published ones?"
    from course_utils.models import PACKAGED, packaged_file
    damaged = []
    for arch, (package, _, sha256) in PACKAGED.items():
        try: right = hashlib.sha256((files[arch] if files else packaged_file(arch)).read_bytes()).hexdigest() == sha256
        except (OSError, ValueError): right = False  # missing: `CourseError` is a ValueError
        if not right: damaged.append((arch, package))
    if damaged: return Finding('bad', f"missing or damaged: {', '.join(a for a, _ in damaged)}", install_again(' '.join(p for _, p in damaged)))
    return Finding('good', f"{', '.join(PACKAGED)}: the published checksums")


@checks('Photographs')
def check_photographs(files=None):
    "Is every file of the default data set what its package lists?"
    if files is None:
        try: files = importlib.metadata.files('elpv-dataset')
        except importlib.metadata.PackageNotFoundError: return Finding('bad', 'the package elpv-dataset is missing', reinstall())
    listed = [f for f in files or () if f.hash]
    if not listed: return Finding('look', 'the package elpv-dataset lists no checksums', install_again('elpv-dataset'))
    def whole(f):
        try: digest = hashlib.new(f.hash.mode, Path(f.locate()).read_bytes()).digest()
        except OSError: return False
        return base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == f.hash.value
    damaged = [f.name for f in listed if not whole(f)]
    if damaged: return Finding('bad', f'missing or changed: {_some(damaged)}', install_again('elpv-dataset'))
    return Finding('good', f'solar: all {len(listed):,} files with the checksums of their package')


@contextmanager
def alone():
    "Inside, this process finds no address and opens no connection. Raised is an `OSError` that says so."
    def refuse(*args, **kw): raise ConnectionRefusedError('it asked for a network')
    old = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex
    socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
    try: yield
    finally: socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex = old


def _start():
    "How every lesson begins: photographs, and a network with ImageNet weights."
    from course_utils.data import decode, photo, solar_cells
    from course_utils.models import create_model
    decode(list(solar_cells()[0].path[:2]), 64, quiet=True); photo('chelsea')
    create_model('tf_efficientnet_lite0', 2)


@checks('Without a network')
def check_offline(start=_start):
    "Does a lesson's beginning work where no connection can be opened?"
    try:
        with alone(): start()
    except Exception as e: return Finding('bad', f'a lesson could not begin without one ({_in_a_line(e)})', reinstall())
    return Finding('good', 'with every connection of this process refused, photographs were read and a network was built with its '
                   'ImageNet weights. Only that was tried here; `make test-offline` runs every lesson so')


@checks('Browser for the tests')
def check_browser(tests=None, found=None):
    "Chromium, where the tests are installed."
    if tests is None: tests = bool(importlib.util.find_spec('playwright'))
    if not tests: return None
    if found is None: found = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), '')
    if not found: return Finding('look', 'no Chromium: `make test` leaves out the browser tests', 'On Debian and Ubuntu: `sudo apt install chromium`')
    return Finding('good', Path(found).name)


class Findings(list):
    "Findings, a line each, and a last sentence. Text in a terminal, a table in a notebook."
    @property
    def state(self) -> str:
        "The worst there is."
        return max((f.state for f in self), key=list(STATES).index, default='good')

    @property
    def sentence(self) -> str:
        of = lambda state: [f.name for f in self if f.state == state]
        n, bad, look = len(self), of('bad'), of('look')
        are = lambda names, what: f"{'is' if len(names) == 1 else 'are'} {what} ({', '.join(names)})"
        if bad: return f"{len(bad)} of {n} checks {are(bad, 'bad')}: do what stands there, then ask the doctor again."
        if look: return f"{n - len(look)} of {n} checks are good, and {len(look)} {are(look, 'worth a look')}: the course runs here."
        return f'All {n} checks are good: the course runs here.'

    def __repr__(self):
        lines = [f"{STATES[f.state][0]} {f.state:<4}  {f.name}: {f.found}" + (f"\n         Fix: {f.fix}" if f.fix else '') for f in self]
        return '\n'.join([*lines, self.sentence]).replace('`', '')

    def _repr_html_(self):
        code = lambda text: re.sub('`([^`]+)`', r'<code>\1</code>', html.escape(text))
        def row(f):
            sign, colour = STATES[f.state]
            return (f'<tr><td style="white-space:nowrap;text-align:left"><b style="color:{colour}">{sign}</b> {f.state}</td>'
                    f'<th scope="row" style="text-align:left">{html.escape(f.name)}</th>'
                    f'<td style="text-align:left">{code(f.found)}{f"<br>Fix: {code(f.fix)}" if f.fix else ""}</td></tr>')
        return (f'<div class="course-doctor"><table><caption style="text-align:left">What the doctor found</caption>'
                f'<tbody>{"".join(map(row, self))}</tbody></table>'
                f'<p role="status"><b>{html.escape(self.sentence)}</b></p></div>')


class RoundTrip:
    "Sends a number to the page that shows this notebook, and says what became of it."
    every_s, tries = .5, 20

    def __init__(self, then):  # then: called with a `Finding` at every change
        import ipywidgets, random
        self.then, self.number, self.back = then, random.randint(10**6, 10**9), False
        # one step from nought to the number; nobody needs to see the buttons
        self.play = ipywidgets.Play(min=0, max=self.number, step=self.number, value=0, interval=0, layout=ipywidgets.Layout(display='none'))
        self.play.observe(self.came, 'value')

    def say(self, *finding): self.then(Finding(*finding, name='Sliders'))
    def came(self, change):
        if self.back or change['new'] != self.number: return
        self.back = True
        self.say('good', 'alive: a number went to this page and came back')

    async def run(self):
        "Asks until an answer comes: the view may not be drawn yet, or the kernel may have been busy."
        import asyncio
        for _ in range(self.tries):
            if self.back: return
            self.play.playing = False
            self.play.playing = True
            await asyncio.sleep(self.every_s)
        if not self.back:
            self.say('bad', f'dead: in {self.tries * self.every_s:.0f} s this page sent nothing back (or no page shows this notebook)',
                     "Save, stop JupyterLab with Ctrl-C, start it by `make lab` and reload the page. It must be the JupyterLab "
                     "of the course's .venv: `.venv/bin/jupyter labextension list` has to show @jupyter-widgets/jupyterlab-manager, enabled.")


def doctor():
    "Checks this machine. In a notebook, the line on sliders turns green when the page has answered."
    found = Findings(examine())
    kernel = getattr(sys.modules['IPython'].get_ipython(), 'kernel', None) if 'IPython' in sys.modules else None
    if kernel is None: print(repr(found)); return
    import asyncio
    from IPython.display import display
    def line(f): found[-1] = f; handle.update(found)
    trip = RoundTrip(line)
    found.append(Finding('look', 'asked, no answer yet', name='Sliders'))
    handle = display(found, display_id=True)
    display(trip.play)
    trip.task = asyncio.get_running_loop().create_task(trip.run())

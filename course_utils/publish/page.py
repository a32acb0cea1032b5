"""The *Try it* page: an exported classifier in the visitor's own browser, without a server. `python -m course_utils page MODEL.onnx --out folder`.

Its files are plain: any static host will do. The runtime, onnxruntime-web, comes from npm and is copied beside them."""
import argparse, base64, gzip, hashlib, html, json, shutil, subprocess, tarfile, tempfile
from pathlib import Path
from string import Template

import numpy as np, onnx
from PIL import Image

from course_utils.config import CourseError, cache_dir, profile, whole_folder, write_whole
from course_utils.data.decode import read_picture, unreadable_reason, whole_picture
from course_utils.data.greys import is_deep
from course_utils.publish.app import detector_words, map_over, percent, unknown_words
from course_utils.publish.small import half_weights
from course_utils.publish.space import accuracy_words, shipped_facts
from course_utils.techniques.answer import answer, open_model

TEMPLATES = Path(__file__).parent/'page'
RUNTIME = 'onnxruntime-web'
RUNTIME_VERSION = '1.30.0'
RUNTIME_SHA512 = 'q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=='  # npm view PACKAGE@VERSION dist.integrity
MODULE, WASM = 'ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm'
PACKED = 'ort.bin'  # the WASM file, packed by gzip; a name ending in .gz would be unpacked by some servers, not by others
SCRIPTS = ('page.js', 'answer.js', 'picture.js', 'page.css')
MOST_BYTES = 12_000_000  # of the whole page
SAMPLE_SIZE = 384  # the longer side of a sample, in pixels
EARLY = dict(  # what the browser fetches while it still reads the page, and its kind
    modulepreload=('page.js', 'answer.js', 'picture.js', MODULE),
    preload=(PACKED, 'model.onnx', 'model.json'),
)
MAP_REASONS = {  # by what `map_shows` says of a file
    'all': "The map is CAM: each place's share in the number of the class that is named. Behind the last map this network takes the "
           "mean over all places, and one linear layer. So the gradient of that number is the same at every place, the layer's weight "
           "divided by the number of places. That is all that Grad-CAM takes the gradient for: the two maps are equal up to a factor, and "
           "none has to be computed.",
    'last': "This network reads maps of several depths. Of each it takes the mean and the maximum over all places, and behind them is one "
            "linear layer. The map that is shown is CAM at the last depth. Grad-CAM takes the mean gradient over all places. For a mean and "
            "for a maximum that is the layer's weight divided by the number of places. So each channel weighs as much as its two weights "
            "together: the two maps are equal up to a factor, and no gradient has to be computed. What the earlier maps add is not shown.",
    '': "Of this network there is no map that could be drawn without a gradient.",
}
NO_NPM = 'The network cannot run here: onnxruntime-web, which runs it, could not be fetched from npm when this page was written.'


# ---- the runtime ----

def runtime_folder() -> Path:
    """Where onnxruntime-web lies, packed: fetched once by npm, then kept in `cache_dir()`. Raises `CourseError` where npm is missing,
    cannot reach its registry or brings another file than the pinned one, and at profile smoke, which fetches nothing."""
    folder = cache_dir()/f'{RUNTIME}-{RUNTIME_VERSION}'
    if folder.is_dir(): return folder
    if profile().name == 'smoke': raise CourseError(f'{RUNTIME} is not kept here, and profile smoke fetches nothing: choose another profile.')
    with tempfile.TemporaryDirectory() as work:
        archive = fetch_runtime(Path(work))
        check_runtime(archive)
        with whole_folder(folder, RUNTIME) as kept: unpack_runtime(archive, kept)
    return folder


def fetch_runtime(work: Path) -> Path:
    "The package as npm packs it."
    command = ['npm', 'pack', f'{RUNTIME}@{RUNTIME_VERSION}', '--ignore-scripts', '--silent', '--fetch-retries=1', '--fetch-retry-mintimeout=1000']
    try: subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError):
        raise CourseError(f"The page needs {RUNTIME}, and npm could not fetch it: install Node.js, which brings npm, or try again with a network.") from None
    return next(work.glob('*.tgz'))


def check_runtime(archive: Path):
    "Raises `CourseError` unless it is the package that was pinned: a page runs it in its visitors' browsers."
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if base64.b64encode(digest).decode() == RUNTIME_SHA512: return
    raise CourseError(f"npm brought another {RUNTIME} than the one that is pinned, its checksum differs: empty npm's cache (npm cache clean --force), and try again.")


def unpack_runtime(archive: Path, folder: Path):
    "The two files of it that a page needs; the large one packed, to a quarter."
    with tarfile.open(archive) as package:
        module = package.extractfile(f'package/dist/{MODULE}').read()
        wasm = package.extractfile(f'package/dist/{WASM}').read()
    (folder/MODULE).write_bytes(module)
    (folder/PACKED).write_bytes(gzip.compress(wasm, 9, mtime=0))


# ---- samples and the still ----

def read_sample(
    path,
    grey_range=None,  # of the exported file: see `data.decode.read_picture`
) -> Image.Image:
    """A picture that a visitor can click: read as the training pictures were, made smaller, without what else its file tells.
    Raises `CourseError` where it cannot be read."""
    try: picture, mode, _ = whole_picture(path, grey_range)
    except Exception as e:
        reason = getattr(e, 'strerror', None) or unreadable_reason(e, path)
        raise CourseError(f"The sample {path} cannot be read ({reason}): leave it out, or name another picture.") from None
    picture.thumbnail((SAMPLE_SIZE, SAMPLE_SIZE))
    picture.info.clear()
    return picture.convert('L') if has_grey_mode(mode) else picture


def has_grey_mode(mode: str) -> bool:
    "Has a picture of this mode (as `read_picture` tells it) no colours? Such a sample is a smaller file without them."
    kind = mode.split()[0]
    return kind in ('L', '1') or (is_deep(mode) and kind[0] in 'IF')


def write_samples(
    samples,        # (`read_sample`, label or ''), shown in this order
    folder: Path,
) -> list:          # (name of the file, label)
    "Writes them into the page."
    (folder/'samples').mkdir()
    written = []
    for k, (picture, label) in enumerate(samples):
        name = f'samples/{k}.jpg'
        picture.save(folder/name, 'JPEG', quality=92)
        written.append((name, label))
    return written


def write_still(
    onnx_file,
    sample: Path,
    target: Path,
) -> str:        # what it shows, in words
    "A picture and its map side by side, for whoever has no scripts."
    session, facts = open_model(onnx_file)
    image, *_ = read_picture(sample, facts['size'], facts.get('grey_range'))
    told = answer(session, facts, image)
    shown = [image] if told['map'] is None else [image, map_over(image, told['map'])]
    Image.fromarray(np.hstack(shown)).save(target)
    name = facts['labels'][told['named']]
    beside = '' if told['map'] is None else ', and beside it a map of where the evidence lies'
    return f"A picture that the network calls {name}, with {percent(told['probs'][told['named']])}{beside}."


# ---- the page ----

def sample_buttons(samples: list) -> str:  # HTML
    "A list of pictures to click, or nothing where there are none."
    if not samples: return ''
    items = []
    for k, (name, label) in enumerate(samples, 1):
        words = html.escape(f'Sample {k}: {label}' if label else f'Sample {k}')
        items.append(f'<li><button type="button" data-file="{name}" aria-pressed="false" disabled><img src="{name}" alt="picture">{words}</button></li>')
    return f'<ul class="samples">{"".join(items)}</ul>'


def accuracy_paragraph(facts: dict) -> str:  # HTML
    "How good it is. Empty for files of before, which do not say which held-out pictures are alike: their interval would be too narrow."
    if 'by_group' not in (facts.get('card') or {}): return ''
    return f'<p>{html.escape(accuracy_words(facts))}</p>'


def map_reason(facts: dict) -> str:
    "Why the map needs no gradient, or that there is none."
    return MAP_REASONS[facts.get('map', 'all')]  # older files do not say it


def early_links() -> str:  # HTML
    "Asks for all that the first answer needs, at once: a script that asks for the next would do it one by one."
    modules = [f'<link rel="modulepreload" href="{name}">' for name in EARLY['modulepreload']]
    files = [f'<link rel="preload" href="{name}" as="fetch" crossorigin>' for name in EARLY['preload']]
    return '\n'.join([*modules, *files])


def needs_optimising(onnx_file) -> bool:
    "Has it nodes of 8 bits, which are slow until the runtime has joined them to their neighbours?"
    model = onnx.load(onnx_file, load_external_data=False)
    return any(node.op_type in ('QuantizeLinear', 'DynamicQuantizeLinear') for node in model.graph.node)


def page_blanks(facts: dict, title: str, samples: list, still: str, missing: str, home: str) -> dict:
    "What the template's blanks are filled with, as HTML."
    names = ', '.join(facts['labels'][:12]) + (' …' if len(facts['labels']) > 12 else '')
    lead = f"A network that tells {len(facts['labels'])} classes apart: {names}."
    image = f'<img class="still" src="still.png" alt="{html.escape(still)}">' if still else ''
    shown_still = f'{image}<p>{html.escape(still)}</p>' if still else ''
    return dict(
        title=html.escape(title), lead=html.escape(lead), size=facts['size'], samples=sample_buttons(samples), still=shown_still,
        missing=f'<p>{NO_NPM}</p>{shown_still}' if missing else '', live='hidden' if missing else '',
        early='' if missing else early_links(), script='' if missing else '<script type="module" src="page.js"></script>',
        accuracy=accuracy_paragraph(facts), detector=html.escape(detector_words(facts)), map=map_reason(facts),
        home=f'<a href="{html.escape(home)}">Back to the course</a>.' if home else '')


def offline_script(folder: Path) -> str:
    "The script that keeps the page's files, named by their content, so that a new page is another one."
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())
    content = hashlib.sha256()
    for name in files: content.update(name.encode() + (folder/name).read_bytes())
    values = dict(name=f'try-it {content.hexdigest()[:12]}', files=json.dumps(['./', *files]))
    return Template((TEMPLATES/'offline.js').read_text(encoding='utf-8')).safe_substitute(values)


def write_page(
    onnx_file,          # written by `export`
    folder,             # is emptied of an older page and written
    title: str='Try it',
    samples=(),         # (file, label or ''): pictures to click
    home: str='',       # an address that a link at the end leads to
    runtime: Path | None=None,  # onnxruntime-web as `runtime_folder` leaves it; None: fetched by npm
) -> dict:              # `folder`; `bytes` of all files; `missing`, where the network cannot run: why, and the remedy
    """Writes the page: index.html, scripts, runtime, model and samples. A model that would make it larger than 12 MB has its weights
    halved to 16 bits. Where npm is out of reach the page says so to its visitors and shows the still, and `missing` says why and what
    to do. Raises `CourseError` for a file of another kind, a sample that cannot be read, or a folder that cannot be written."""
    facts, folder = shipped_facts(onnx_file), Path(folder)
    samples = [(read_sample(path, facts.get('grey_range')), label) for path, label in samples]  # before an older page is cleared away
    if folder.resolve() in Path(onnx_file).resolve().parents:
        raise CourseError(f"{onnx_file} lies in {folder}, which is emptied first: name another folder.")
    missing = ''
    try: runtime = runtime or runtime_folder()
    except CourseError as e: runtime, missing = None, str(e)
    try:
        clear_page(folder)
        for name in SCRIPTS: shutil.copyfile(TEMPLATES/name, folder/name)
        written = write_samples(samples, folder)
        write_model(onnx_file, folder, runtime)
        still = write_still(folder/'model.onnx', folder/written[0][0], folder/'still.png') if written else ''
        facts |= dict(optimise=needs_optimising(folder/'model.onnx'), unknown=unknown_words(facts))
        write_whole(folder/'model.json', json.dumps(facts, ensure_ascii=False))
        blanks = page_blanks(facts, title, written, still, missing, home)
        write_whole(folder/'index.html', Template((TEMPLATES/'index.html').read_text(encoding='utf-8')).substitute(blanks))
        write_whole(folder/'offline.js', offline_script(folder))
    except OSError as e:
        raise CourseError(f"The page could not be written into {folder} ({e.strerror or e}): allow it there, or name another folder.") from None
    return dict(folder=folder, bytes=sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()), missing=missing)


def clear_page(folder: Path):
    "An empty folder. Raises `CourseError` where other things than a page lie in it."
    folder.mkdir(parents=True, exist_ok=True)
    is_page = (folder/'offline.js').exists() and (folder/'model.json').exists()
    if any(folder.iterdir()) and not is_page:
        raise CourseError(f"{folder} holds other things than an older page: name an empty folder.")
    for path in folder.iterdir():
        if path.is_dir(): shutil.rmtree(path)
        else: path.unlink()


def write_model(onnx_file, folder: Path, runtime: Path | None):
    "The model beside its runtime, with weights of 16 bits where the page would be too large otherwise."
    target = folder/'model.onnx'
    if runtime:
        for name in (MODULE, PACKED): shutil.copyfile(runtime/name, folder/name)
    shutil.copyfile(onnx_file, target)
    n_bytes = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    if n_bytes > MOST_BYTES: half_weights(onnx_file, target)


def main(arguments: list | None=None):
    "`MODEL.onnx --out folder --samples …`."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='an ONNX file that export wrote')
    parser.add_argument('--out', default='page')
    parser.add_argument('--title', default='Try it')
    parser.add_argument('--samples', nargs='*', default=(), help='pictures to click')
    options = parser.parse_args(arguments)
    done = write_page(options.model, options.out, options.title, [(path, '') for path in options.samples])
    if done['missing']: raise CourseError(done['missing'])
    print(f"Written: {done['folder']}, {done['bytes'] / 1e6:.1f} MB. Try it: python -m http.server --directory {done['folder']}, then http://127.0.0.1:8000/.")
    if done['bytes'] > MOST_BYTES: print(f"That is more than {MOST_BYTES / 1e6:.0f} MB, for which visitors wait: a smaller network would do.")

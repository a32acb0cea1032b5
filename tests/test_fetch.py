"""`make data` and `make mirror`: every fault ends in a whole folder or in one sentence, with nothing half-made left."""
import errno, functools, gzip, hashlib, io, json, os, pickle, random, re, shutil, signal, socketserver, struct, subprocess, sys, tarfile, threading, time, zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from scipy.io import savemat

from course_utils.config import CourseError
from course_utils.data.sources import read_facts
from data_scripts.datasets import archives, arrange, classroom_mirror, download, prepare
from data_scripts.datasets.archives import check_member, unpack
from data_scripts.datasets.classroom_mirror import shrinker, write_mirror
from data_scripts.datasets.download import download_path
from data_scripts.datasets.mirror_list import from_mirror
from data_scripts.datasets.prepare import disk_errors
from data_scripts.datasets.sources import SOURCES
from data_scripts.datasets.sources.cats_dogs import cut_cats_dogs
from data_scripts.datasets.sources.source import PictureFile, cut_training

ROOT = Path(__file__).parent.parent
RPS = 'rock_paper_scissors'


# ---- tiny archives in the official layouts ----

@functools.cache
def picture(seed, kind='JPEG', side=24):
    f, rng = io.BytesIO(), np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(f, kind)
    return f.getvalue()


def zipped(files, **kw):
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', **kw) as z:
        for name, b in files.items(): z.writestr(name, b)
    return f.getvalue()


def tarred(files, gz=True):
    "`files`: name → bytes, or a TarInfo's changes."
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode='w') as t:
        for name, b in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(b, dict):
                for k, v in b.items(): setattr(info, k, v)
                t.addfile(info)
            else:
                info.size = len(b)
                t.addfile(info, io.BytesIO(b))
    return gzip.compress(f.getvalue(), 1, mtime=0) if gz else f.getvalue()


@functools.cache
def rps():
    make = lambda top, n, start: zipped({f'{top}/{c}/{c} {i} é.png': picture(start + 10 * k + i, 'PNG') for k, c in enumerate(('paper', 'rock', 'scissors')) for i in range(n)})
    return {'rps.zip': make('rps', 4, 0), 'rps-test-set.zip': make('rps-test-set', 2, 100)}


def cats():
    files = {f'PetImages/{c}/{i}.jpg': picture(i + 50 * k) for k, c in enumerate(('Cat', 'Dog')) for i in range(10)}
    good = picture(99)
    return files | {'PetImages/Cat/666.jpg': b'', 'PetImages/Cat/Thumbs.db': b'x' * 32, 'PetImages/Dog/11702.jpg': b'', 'readme[1].txt': b'hi',
                    'PetImages/Cat/10404.jpg': good.replace(b'JFIF', b'AAAA', 1), 'PetImages/Dog/1308.jpg': picture(98, 'BMP'),
                    'PetImages/Cat/4351.jpg': good[:len(good) // 2]}


def dogs(folder='n02085782-Spaniel_japones'):
    breeds = {'n02085620-Chihuahua': 'n02085620-Chihuahua', folder: 'n02085782-Japanese_spaniel'}  # in the archive → in the lists
    names = [(f, l, f'{l[:9]}_{i}.jpg', 'train' if i < 3 else 'test') for f, l in breeds.items() for i in range(5)]
    images = tarred({f'Images/{f}/{n}': picture(i) for i, (f, _, n, _) in enumerate(names)}, gz=False)
    def mat(part):
        own, out = [f'{l}/{n}' for _, l, n, p in names if p == part], io.BytesIO()
        savemat(out, dict(file_list=np.array([[np.array([x])] for x in own] + [[None]], object)[:-1]))
        return out.getvalue()
    return {'images.tar': images, 'lists.tar': tarred({f'{p}_list.mat': mat(p) for p in ('train', 'test')}, gz=False)}


def pets():
    names = {'trainval': ['Abyssinian_1', 'Abyssinian_2', 'american_bulldog_1', 'american_bulldog_2'], 'test': ['Abyssinian_3', 'american_bulldog_3']}
    every = sum(names.values(), [])
    trimap = lambda i: (Image.fromarray(np.full((24, 24), 1 + i % 3, np.uint8)).save(f := io.BytesIO(), 'PNG'), f.getvalue())[1]
    return {'pets-images.tar.gz': tarred({f'images/{n}.jpg': picture(i) for i, n in enumerate(every)} | {'images/Abyssinian_1.mat': b'x'}),
            'pets-annotations.tar.gz': tarred({f'annotations/trimaps/{n}.png': trimap(i) for i, n in enumerate(every)} | {'annotations/trimaps/._Abyssinian_1.png': b'x'}
                | {f'annotations/{k}.txt': ''.join(f'{n} 1 1 1\n' for n in v).encode() for k, v in names.items()})}


def python2(x, labels, key):
    "A batch as the original archives hold it: pickled by Python 2 and an old NumPy."
    text = lambda b: b'T' + struct.pack('<i', len(b)) + b
    return (b'\x80\x02}(' + text(b'data') + b'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J' + struct.pack('<i', len(x)) +
            b'M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89' + text(x.tobytes()) + b'tb' +
            text(key) + b'](' + b''.join(b'K' + bytes([i]) for i in labels) + b'eu.')


def cifar(which='cifar100', write=python2):
    x, n = np.random.default_rng(0).integers(0, 255, (30, 3072), np.uint8), 3
    names = [f'thing {i}'.encode() for i in range(n)]
    if which == 'cifar100':
        files = {'train': write(x[:20], [i % n for i in range(20)], b'fine_labels'), 'test': write(x[20:], [i % n for i in range(20, 30)], b'fine_labels'),
                 'meta': pickle.dumps({b'fine_label_names': names, b'coarse_label_names': [b'x']}, 2)}
    else:
        files = {f'data_batch_{b + 1}': write(x[4 * b:4 * b + 4], [i % n for i in range(4 * b, 4 * b + 4)], b'labels') for b in range(5)}
        files |= {'test_batch': write(x[20:], [i % n for i in range(20, 30)], b'labels'), 'batches.meta': pickle.dumps({b'label_names': names}, 2)}
    top = dict(cifar100='cifar-100-python', cifar10='cifar-10-batches-py')[which]
    return {SOURCES[which].archives[0].name: tarred({f'{top}/{k}': v for k, v in files.items()})}


def cats_archive(): return {'kagglecatsanddogs_5340.zip': zipped(cats())}

TINY = {RPS: rps, 'cats_dogs': cats_archive, 'dog_breeds': dogs, 'pets': pets, 'cifar100': cifar, 'cifar10': lambda: cifar('cifar10')}


def listing(files, **changes):
    return json.dumps({n: dict(sha256=hashlib.sha256(b).hexdigest(), bytes=len(b), note='subset: tiny', **changes) for n, b in files.items()}).encode()


def mirror_folder(folder, files):
    folder.mkdir()
    for n, b in files.items(): (folder/n).write_bytes(b)
    (folder/'manifest.json').write_bytes(listing(files))
    return str(folder)


# ---- a server with scripted faults ----

class Server(socketserver.ThreadingTCPServer):
    "Serves `files`. Each request for a name takes the first step out of `script[name]`, or is served well when none is left."
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 50
    def __init__(self, files):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.script, self.log, self.end = {**files, 'manifest.json': listing(files)}, {}, [], threading.Event()
        self.address = f'http://127.0.0.1:{self.server_address[1]}'
    def asked(self, name): return [r for r in self.log if r[0] == name]
    def handle_error(self, request, client): pass  # the client may be killed


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        s, name = self.server, self.path.rsplit('/', 1)[-1]
        m = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        self.begin = int(m[1]) if m else 0
        self.record = [name, self.begin, 0]
        s.log.append(self.record)
        steps = s.script.get(name, [])
        (steps.pop(0) if steps else serve)(self, s.files[name])
        self.close_connection = True
    def head(self, code, length=None, **headers):
        self.send_response(code)
        if length is not None: self.send_header('Content-Length', str(length))
        for k, v in headers.items(): self.send_header(k.replace('_', '-'), v)
        self.end_headers()
    def body(self, data):
        self.wfile.write(data)
        self.wfile.flush()
        self.record[2] += len(data)


def serve(h, d, upto=None):
    b, upto = h.begin, len(d) if upto is None else upto
    if b >= len(d) and b: return h.head(416, 0, Content_Range=f'bytes */{len(d)}')
    h.head(206, len(d) - b, Content_Range=f'bytes {b}-{len(d) - 1}/{len(d)}') if b else h.head(200, len(d))
    h.body(d[b:upto])

def cut(upto): return lambda h, d: serve(h, d, upto(d) if callable(upto) else upto)
def says(code): return lambda h, d: h.head(code, 0)
def redirect(to): return lambda h, d: h.head(302, 0, Location=to)
def no_ranges(h, d): h.head(200, len(d)); h.body(d)
def no_ranges_cut(h, d): h.head(200, len(d)); h.body(d[:len(d) // 2])
def no_length(h, d): h.head(200); h.body(d)
def endless(h, d): h.head(200); h.body(d + b'more')
def other_length(n): return lambda h, d: (h.head(200, len(d) + n), h.body(d + b'x' * n if n > 0 else d[:n]))
def other_range(h, d): h.head(206, len(d), Content_Range=f'bytes 0-{len(d) - 1}/{len(d)}'); h.body(d)
def other_bytes(h, d): serve(h, bytes(len(d)))
def stall(h, d): h.head(200, len(d)); h.body(d[:100]); h.server.end.wait(20)
def trickle(h, d):
    h.head(200, len(d))
    for i in range(60):
        h.body(d[i:i + 1])
        if h.server.end.wait(.05): return
def slowly(h, d):
    h.head(200, len(d))
    for i in range(0, len(d), 2000): h.body(d[i:i + 2000]); time.sleep(.01)
def page(h, d): text = b'<html>Please log in</html>'; h.head(200, len(text)); h.body(text)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, 'WAIT_S', 0)
    monkeypatch.setattr(download, 'STALL_S', .4)
    with Server(rps()) as s:
        threading.Thread(target=s.serve_forever, args=(.02,), daemon=True).start()
        yield s
        s.end.set()
        s.shutdown()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'data'))
    return tmp_path/'data'


def get(server): return prepare.prepare(RPS, server.address)


def whole(folder, files=None):
    "The folder holds every picture of the archives, byte for byte, and nothing is left beside it."
    want = Counter((part, b) for name, part in (('rps.zip', 'train'), ('rps-test-set.zip', 'test'))
                   for z in [zipfile.ZipFile(io.BytesIO((files or rps())[name]))] for n in z.namelist() for b in [z.read(n)])
    assert Counter((p.parts[-3], p.read_bytes()) for p in (folder/RPS).rglob('*.png')) == want
    assert json.loads((folder/RPS/'about.json').read_text())['pictures'] == want.total()
    assert [p.name for p in (folder/'.fetch').iterdir()] == [f'{RPS}.lock'] and {p.name for p in folder.iterdir()} == {RPS, '.fetch'}


def nothing(folder, kept=()):
    "No data set, nothing unpacked; at most what was downloaded."
    assert not (folder/RPS).exists() and all(p.name == '.fetch' for p in folder.glob('*'))
    assert sorted(p.name.split('-', 1)[1] for p in folder.rglob('*') if p.is_file() and p.suffix != '.lock') == sorted(kept)
    assert not [p for p in folder.rglob('*') if p.name in ('unpacked', 'made')]


def fails(call, *parts):
    with pytest.raises(CourseError) as e: call()
    text = str(e.value)
    assert '\n' not in text and text.endswith('.') and all(p in text for p in parts), text
    return text


# ---- downloads ----

def test_a_good_server(server, here, capsys):
    about = get(server)
    whole(here)
    assert about['subset'] and about['counts'] == {'train': dict(paper=4, rock=4, scissors=4), 'test': dict(paper=2, rock=2, scissors=2)}
    out = capsys.readouterr().out
    assert out.count('Licence:') == 1 and 'subset, 18 pictures (12 train, 6 test)' in out and out.strip().endswith(f'COURSE_DATA={RPS}.')


def test_a_second_run_does_nothing(server, here, capsys):
    get(server)
    before, asked = {p: p.stat().st_mtime_ns for p in here.rglob('*')}, len(server.log)
    capsys.readouterr()
    for m in ('', server.address, '/nowhere'): prepare.prepare(RPS, m)
    assert {p: p.stat().st_mtime_ns for p in here.rglob('*')} == before and len(server.log) == asked
    out = capsys.readouterr().out
    assert out.count('is there already: subset, 18 pictures') == 3 and 'Licence' not in out


@pytest.mark.parametrize('tenth', range(10))
@pytest.mark.fault
def test_cut_at_every_tenth(server, here, tenth):
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n * tenth // 10)]
    get(server)
    whole(here)
    asked = server.asked('rps.zip')
    assert [r[1] for r in asked] == [0, n * tenth // 10] and sum(r[2] for r in asked) == n, 'each byte is served once'


@pytest.mark.fault
def test_cut_ten_times(server, here):
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n * i // 10) for i in range(1, 10)]
    get(server)
    whole(here)
    assert sum(r[2] for r in server.asked('rps.zip')) == n


@pytest.mark.fault
def test_a_later_run_goes_on(server, here):
    "What a run that gave up has fetched is not fetched again."
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n // 2)] + [says(503)] * download.TRIES
    fails(lambda: get(server), '503', 'kept for the next run')
    nothing(here, kept=['rps.zip'])
    del server.log[:]
    get(server)
    whole(here)
    assert server.asked('rps.zip') == [['rps.zip', n // 2, n - n // 2]]


@pytest.mark.fault
def test_always_cut_at_the_same_byte(server, here):
    server.script['rps.zip'] = [cut(1000)] * 20
    fails(lambda: get(server), 'was cut', '1,000 bytes', f'{download.TRIES} times in a row')
    nothing(here, kept=['rps.zip'])
    assert len(server.asked('rps.zip')) == download.TRIES + 1


@pytest.mark.parametrize('step, part', [
    (other_length(7), 'instead of'), (other_length(-7), 'instead of'), (endless, 'has more bytes'), (other_bytes, 'has the checksum'), (page, 'has 26 bytes'),
    (says(404), '404 Not Found'), (says(403), '403 Forbidden'), (says(410), '410 Gone'), (says(416), '416'), (redirect('file:///etc/passwd'), 'no address')])
@pytest.mark.fault
def test_not_the_file_it_should_be(server, here, step, part):
    server.script['rps.zip'] = [step] * 20
    fails(lambda: get(server), part, 'MIRROR')
    nothing(here)
    assert len(server.asked('rps.zip')) == 1, 'asking again would not help'
    server.script.clear()
    get(server)
    whole(here)


@pytest.mark.parametrize('steps', [
    [says(500)], [says(500), says(502), says(503)], [says(429)], [says(408)], [redirect('/elsewhere/rps.zip')], [redirect('rps.zip')] * 3, [no_ranges], [no_length],
    [cut(500), no_ranges], [no_ranges_cut, no_ranges], [cut(500), other_range], [cut(500), says(416)], [cut(500), says(500), cut(900)], [stall], [trickle],
    [cut(500), redirect('/x/rps.zip')]], ids=lambda x: '-'.join(getattr(f, '__name__', '') for f in x))
@pytest.mark.fault
def test_fine_in_the_end(server, here, steps):
    server.script['rps.zip'] = list(steps)
    get(server)
    whole(here)
    assert len(server.asked('rps.zip')) == len(steps) + (steps not in ([no_ranges], [no_length]) and steps[-1] is not no_ranges)


@pytest.mark.parametrize('step, part', [
    (stall, 'nothing came for 0.4 s'), (trickle, 'only'), (says(500), '500'), (no_ranges_cut, 'was cut'), (redirect('rps.zip'), 'without end')])
@pytest.mark.fault
def test_never_fine(server, here, step, part):
    server.script['rps.zip'] = [step] * 200
    start = time.monotonic()
    fails(lambda: get(server), part, 'could not be fetched', f'{download.TRIES} times in a row')
    assert time.monotonic() - start < 15
    assert not (here/RPS).exists()
    server.end.set()
    server.script.clear()
    get(server)
    whole(here)


@pytest.mark.fault
def test_what_an_earlier_run_left_is_not_what_it_seemed(server, here):
    a = from_mirror(SOURCES[RPS].archives, server.address)[0]
    left = download_path(a, here/'.fetch'/RPS)
    for wrong in (b'x' * 1000, b'x' * a.bytes, b'x' * (a.bytes + 1)):
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(wrong)
        get(server)
        whole(here)
        shutil.rmtree(here/RPS)


@pytest.mark.fault
def test_nobody_there(here, monkeypatch):
    monkeypatch.setattr(download, 'WAIT_S', 0)
    fails(lambda: prepare.prepare(RPS, 'http://127.0.0.1:9'), 'no connection', 'manifest.json')
    nothing(here)


@pytest.mark.parametrize('name', SOURCES)
def test_without_a_mirror_the_official_address(name, here, monkeypatch):
    "And without a network, one sentence."
    monkeypatch.setattr(download, 'WAIT_S', 0)
    monkeypatch.setattr(prepare, 'check_room', lambda *_: 0)
    text = fails(lambda: prepare.prepare(name), 'no connection to the server')
    assert text.startswith(SOURCES[name].archives[0].address) and not (here/name).exists()


def test_progress(server, here, monkeypatch):
    "A bar with speed and time left where somebody looks, and none in a log."
    class Terminal(io.StringIO):
        def isatty(self): return True
    server.script['rps.zip'] = [lambda h, d: (h.head(200, len(d)), [(h.body(d[i * len(d) // 4:(i + 1) * len(d) // 4]), time.sleep(.12)) for i in range(4)])]
    monkeypatch.setattr(sys, 'stderr', t := Terminal())
    get(server)
    assert re.search(r'rps\.zip: +\d+%.*\[\d\d:\d\d<\d\d:\d\d, +[\d.]+k?B/s\]', t.getvalue()), t.getvalue()
    shutil.rmtree(here/RPS)
    monkeypatch.setattr(sys, 'stderr', t := io.StringIO())
    get(server)
    assert not t.getvalue()


# ---- mirrors ----

def test_a_folder(tmp_path, here):
    m = mirror_folder(tmp_path/'a mirror', rps())
    before = {p: p.stat().st_mtime_ns for p in Path(m).iterdir()}
    prepare.prepare(RPS, m)
    whole(here)
    assert {p: p.stat().st_mtime_ns for p in Path(m).iterdir()} == before


@pytest.mark.parametrize('spoil, part', [
    (lambda m: (m/'rps.zip').unlink(), 'cannot be read'), (lambda m: (m/'manifest.json').unlink(), 'needs a folder or an address'),
    (lambda m: (m/'rps.zip').write_bytes(b'x' * (m/'rps.zip').stat().st_size), 'another checksum'), (lambda m: (m/'rps.zip').write_bytes(b'x'), 'has 1 bytes'),
    (lambda m: (m/'manifest.json').write_text('{}'), 'has no rps.zip and no rps-test-set.zip'), *[(lambda m, t=t: (m/'manifest.json').write_text(t), 'not a list of archives') for t in (
        '', '[]', '<html>', '3', '{"rps.zip": 3}', '{"rps.zip": {}}', '{"rps.zip": {"sha256": "x", "bytes": 3}}', '[' * 100_000,
        json.dumps({'rps.zip': dict(sha256='0' * 64, bytes=-3)}), json.dumps({'rps.zip': dict(sha256='0' * 64, bytes='3')}))]])
@pytest.mark.fault
def test_a_bad_folder(tmp_path, here, spoil, part):
    m = mirror_folder(tmp_path/'m', rps())
    spoil(Path(m))
    fails(lambda: prepare.prepare(RPS, m), part)
    nothing(here)


@pytest.mark.parametrize('step, part', [(page, 'not a list'), (says(404), '404'), (lambda h, d: (h.head(200), h.body(b'x' * 2_000_000)), 'longer than any list')])
@pytest.mark.fault
def test_a_bad_manifest_at_an_address(server, here, step, part):
    server.script['manifest.json'] = [step]
    fails(lambda: get(server), part)
    nothing(here)


@pytest.mark.fault
def test_a_manifest_in_the_end(server, here):
    server.script['manifest.json'] = [says(500), cut(20), stall]
    get(server)
    whole(here)


@pytest.mark.parametrize('m', ['ftp://127.0.0.1/x', 'http://', 'http://[', 'x://y'])
@pytest.mark.fault
def test_no_address(m, here):
    fails(lambda: prepare.prepare(RPS, m), 'no address')
    nothing(here)


def test_the_original_is_no_subset(tmp_path, monkeypatch):
    from dataclasses import replace
    files, s = rps(), SOURCES[RPS]
    own = tuple(replace(a, bytes=len(files[a.name]), sha256=hashlib.sha256(files[a.name]).hexdigest()) for a in s.archives)
    monkeypatch.setitem(SOURCES, RPS, replace(s, archives=own))
    about = prepare.prepare(RPS, mirror_folder(tmp_path/'m', files))
    assert not about['subset'] and prepare.in_words(about) == '18 pictures'


# ---- kills, locks, disks ----

def in_a_child(run):
    "Runs in a forked process, and waits for it. Returns its status; it may kill itself."
    pid = os.fork()
    if not pid:
        try: sys.stdout = open(os.devnull, 'w'); run(); os._exit(0)
        except BaseException: os._exit(1)
    return pid


def killed_at(module, name, nth):
    "`module.name` kills its process when called for the nth time."
    real, calls = getattr(module, name), iter(range(nth - 1))
    def f(*a, **kw):
        if next(calls, None) is None: os.kill(os.getpid(), signal.SIGKILL)
        return real(*a, **kw)
    setattr(module, name, f)


@pytest.mark.parametrize('module, name, nth', [
    (download.tqdm, 'update', 1), (download.tqdm, 'update', 3), (prepare, 'unpack', 1), (shutil, 'copyfileobj', 5), (prepare, 'unpack', 2), (arrange, 'check_pictures', 1), (arrange, 'move', 1),
    (arrange, 'move', 9), (json, 'dumps', 1), (os, 'rename', 1), (Path, 'unlink', 1), (shutil, 'rmtree', 3)],
    ids=lambda x: getattr(x, '__name__', str(x)))
@pytest.mark.fault
def test_killed_at(server, here, module, name, nth):
    server.script['rps.zip'] = [slowly]
    pid = in_a_child(lambda: (killed_at(module, name, nth), get(server)))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    if (here/RPS).exists(): assert read_facts(here/RPS)['pictures'] == 18
    get(server)
    prepare.prepare(RPS)  # sweeps what a run killed at its very end has left
    whole(here)


@pytest.mark.fault
def test_killed_at_random_moments(server, here):
    rng, seen = random.Random(0), Counter()
    for _ in range(12):
        server.script['rps.zip'] = [slowly]
        pid = in_a_child(lambda: get(server))
        time.sleep(rng.uniform(0, .25))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        seen['whole' if (here/RPS).exists() else 'part'] += 1
        if (here/RPS).exists():
            prepare.prepare(RPS)
            whole(here)
            shutil.rmtree(here/RPS)
    assert seen['part']
    get(server)
    whole(here)


@pytest.mark.fault
def test_two_at_once(server, here):
    go, ended = threading.Event(), []
    server.script['rps.zip'] = [lambda h, d: (go.wait(10), serve(h, d))]
    download.STALL_S = 10  # of the fixture, which puts it back
    t = threading.Thread(target=lambda: ended.append(get(server)))
    t.start()
    while not server.asked('rps.zip'): time.sleep(.01)
    try: fails(lambda: get(server), 'Another command is at work on rock_paper_scissors')
    finally: go.set()
    t.join(20)
    assert ended
    whole(here)


def test_another_run_has_just_ended(server, here, monkeypatch, capsys):
    "Between the look and the lock."
    get(server)
    real, looks = prepare.find_prepared, iter([{}])
    def there(*a):
        for nothing_yet in looks: return nothing_yet
        return real(*a)
    monkeypatch.setattr(prepare, 'find_prepared', there)
    asked = len(server.log)
    assert get(server)['pictures'] == 18 and len(server.log) == asked and 'is there already' in capsys.readouterr().out
    whole(here)


@pytest.mark.parametrize('nth', [1, 2, 3, 8, 14, 20, 21])
@pytest.mark.fault
def test_full_disk(server, here, monkeypatch, nth):
    "The nth file that is opened for writing gets half of what is written: two archives, eighteen pictures, about.json."
    opened, real = iter(range(1, 100)), open
    class Full:
        def __init__(self, f): self.f = f
        def __enter__(self): return self
        def __exit__(self, *_): self.f.close()
        def __getattr__(self, name): return getattr(self.f, name)
        def write(self, b):
            self.f.write(b[:len(b) // 2]); self.f.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    def limited(path, mode='r', *a, **kw):
        f = real(path, mode, *a, **kw)
        return Full(f) if set(mode) & set('wa') and next(opened) == nth else f
    with monkeypatch.context() as m:
        m.setattr(download, 'open', limited, raising=False)
        m.setattr(zipfile, 'open', limited, raising=False)
        m.setattr(Path, 'write_text', lambda p, t, **kw: limited(p, 'w', **kw).write(t))
        fails(lambda: get(server), 'No space left', 'COURSE_DATA_DIR')
    nothing(here, kept=['rps.zip'] if nth == 1 else ['rps-test-set.zip', 'rps.zip'])
    before = len(server.asked('rps.zip'))
    get(server)
    whole(here)
    assert len(server.asked('rps.zip')) == before + (nth == 1), 'what was whole is not fetched again'


@pytest.mark.parametrize('options, part', [('size=40k', 'of disk are needed'), ('size=60k', 'No space left'), ('ro', 'Read-only file system')])
@pytest.mark.fault
def test_real_disks(tmp_path, here, options, part):
    "A disk too small, one that fills up, and one that is read-only, of the kernel's making."
    m, disk = mirror_folder(tmp_path/'m', rps()), tmp_path/'disk'
    disk.mkdir()
    if subprocess.run(['unshare', '-rm', 'true'], capture_output=True).returncode: pytest.skip('Small disks need the right to use unshare -rm (Linux).')
    r = subprocess.run(['unshare', '-rm', 'bash', '-c', 'mount -t tmpfs -o "$1" none "$2" || exit 99; "$3" -m course_utils data rock_paper_scissors --mirror "$4"; s=$?; find "$2" -type f; exit $s', 'x',
                        options, str(disk), sys.executable, m], cwd=ROOT, capture_output=True, text=True, env={**os.environ, 'COURSE_DATA_DIR': str(disk)})
    if r.returncode == 99: pytest.skip('Mounting a tmpfs is not allowed here.')
    assert r.returncode == 1 and len(r.stderr.strip().splitlines()) == 1 and part in r.stderr, r
    assert not [l for l in r.stdout.splitlines() if l.startswith(str(disk)) and not l.endswith('.lock')]


@pytest.mark.fault
def test_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path/'file').write_text('')
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'file'/'data'))
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps())), 'Not a directory', 'COURSE_DATA_DIR')


@pytest.mark.fault
def test_a_folder_of_somebody_else_stays(tmp_path, here):
    (here/RPS).mkdir(parents=True)
    (here/RPS/'mine.txt').write_text('mine')
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps())), 'did not make it')
    assert (here/RPS/'mine.txt').read_text() == 'mine'


# ---- archives that are not to be trusted ----

def link(to, kind=tarfile.SYMTYPE): return dict(type=kind, linkname=to)

def zip_entry(name, mode=0, data=b'x', flags=0):
    f, info = io.BytesIO(), zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(f, 'w') as z: z.writestr(info, data)
    b = f.getvalue()
    at = b.index(b'PK\1\2')
    return b[:at + 8] + struct.pack('<H', flags) + b[at + 10:] if flags else b

def lying_zip(real, said):
    "A zip whose directory says that its file is smaller than it is."
    b = zipped({'x.bin': bytes(real)}, compression=zipfile.ZIP_DEFLATED)
    return b.replace(struct.pack('<I', real), struct.pack('<I', said))

def pax_bomb(n):
    info = tarfile.TarInfo('x')
    info.pax_headers = {'comment': 'x' * n}
    return gzip.compress(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024), mtime=0)

SLIPS = {
    'zip up': zipped({'a.txt': b'x', '../out.txt': b'x'}), 'zip up inside': zipped({'a/../../out.txt': b'x'}), 'zip absolute': zip_entry('/out.txt'), 'zip backslashes': zip_entry('a\\..\\..\\out.txt'),
    'zip drive': zip_entry('C:/out.txt'), 'zip link': zip_entry('l', 0o120777, b'../..'), 'zip device': zip_entry('d', 0o020666), 'zip encrypted': zip_entry('e', flags=1),
    'zip only dots': zip_entry('./.'), 'zip newline': zip_entry('a\nb'),
    'tar up': tarred({'a.txt': b'x', '../out.txt': b'x'}), 'tar up inside': tarred({'a/../../out.txt': b'x'}, gz=False), 'tar absolute': tarred({'/out.txt': b'x'}),
    'tar link': tarred({'l': link('/etc'), 'l/out.txt': b'x'}), 'tar link to a folder above': tarred({'l': link('..'), 'l/out.txt': b'x'}), 'tar hard link': tarred({'h': link('/etc/passwd', tarfile.LNKTYPE)}),
    'tar fifo': tarred({'f': dict(type=tarfile.FIFOTYPE)}), 'tar device': tarred({'f': dict(type=tarfile.CHRTYPE)}), 'tar sparse': tarred({'s': dict(type=tarfile.GNUTYPE_SPARSE)}),
    'tar surrogates': tarred({'\udc80': b'x'})}
BOMBS = {
    'zip by declared size': zipped({'x': bytes(3_000_000)}, compression=zipfile.ZIP_DEFLATED), 'zip by many': zipped({f'{i}': bytes(100_000) for i in range(20)}, compression=zipfile.ZIP_DEFLATED),
    'zip by real size': lying_zip(3_000_000, 10), 'zip with less than it says': lying_zip(1000, 100_000),
    'tar by declared size': tarred({'x': bytes(3_000_000)}), 'tar by many': tarred({f'{i}': bytes(100_000) for i in range(20)}), 'tar by empty files': tarred({f'{i}': b'' for i in range(3000)}),
    'tar by real size': pax_bomb(3_000_000), 'tar by a size without bytes': gzip.compress(tarfile.TarInfo('x').tobuf()[:124] + b'77777777777\0' + bytes(900), mtime=0)}
DAMAGED = {'zip cut': zipped({'a': b'x' * 500})[:-10], 'zip CRC': zipped({'a': b'x' * 500}).replace(b'x' * 500, b'x' * 499 + b'y'), 'tar cut': tarred({'a': b'x' * 5000}, gz=False)[:2000],
           'gz cut': tarred({'a': random.Random(0).randbytes(5000)})[:-600], 'text': b'hello', 'empty': b'',
           'file in a file': tarred({'a': b'x', 'a/b': b'x'})}


def refused(tmp_path, b, part):
    (tmp_path/'a'/'b').mkdir(parents=True)
    (tmp_path/'archive').write_bytes(b)
    with disk_errors(tmp_path): fails(lambda: unpack(tmp_path/'archive', tmp_path/'a'/'b'/'c', 'the.zip'), part)
    return [p for p in tmp_path.rglob('*') if p.is_file() and p.name != 'archive' and tmp_path/'a'/'b'/'c' not in p.parents]


@pytest.mark.parametrize('name', SLIPS)
@pytest.mark.fault
def test_nothing_leaves_the_folder(tmp_path, name):
    assert not refused(tmp_path, SLIPS[name], 'the.zip was not unpacked:') and not Path('/out.txt').exists()


@pytest.mark.parametrize('name', BOMBS)
@pytest.mark.fault
def test_bombs(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, 'SPARE', 500_000)
    refused(tmp_path, BOMBS[name], 'the.zip was not unpacked:')
    written = sum(p.stat().st_size for p in (tmp_path/'a').rglob('*') if p.is_file())
    assert written <= archives.ALLOWED * len(BOMBS[name]) + archives.SPARE


@pytest.mark.parametrize('name', DAMAGED)
@pytest.mark.fault
def test_damaged(tmp_path, name):
    (tmp_path/'archive').write_bytes(DAMAGED[name])
    def call():
        with disk_errors(tmp_path): unpack(tmp_path/'archive', tmp_path/'x', 'the.zip')
    fails(call, 'in' if name == 'file in a file' else 'the.zip was not unpacked: it is damaged')


@pytest.mark.parametrize('b', [SLIPS['zip up'], SLIPS['zip link'], SLIPS['tar link'], BOMBS['zip by declared size'], DAMAGED['zip CRC'], zipped({'a.txt': b'no pictures'}),
                               zipped({'rps-test-set/lizard/a.png': picture(0, 'PNG')}), zipped({'rps-test-set/paper/a.png': b''})],
                         ids=['slip', 'link', 'tar link', 'bomb', 'damaged', 'another layout', 'another class', 'none readable'])
@pytest.mark.fault
def test_nothing_half_made_is_left(tmp_path, here, monkeypatch, b):
    "With the mirror's own checksum, so that only the unpacking can notice."
    monkeypatch.setattr(archives, 'SPARE', 500_000)
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps() | {'rps-test-set.zip': b})))
    nothing(here)


NAMES = ['a b/c d.txt', 'ü/ñandú.txt', '文/字.txt', './dot.txt', 'a//b.txt', 'x' * 120 + '/' + 'y' * 120 + '.txt', "quo'te \"$(x)`.txt", '...', 'a..b']

@pytest.mark.parametrize('pack', [zipped, tarred, functools.partial(tarred, gz=False)], ids=['zip', 'tar.gz', 'tar'])
@pytest.mark.fault
def test_unusual_names_are_fine(tmp_path, pack):
    (tmp_path/'archive').write_bytes(pack({n: n.encode() for n in NAMES}))
    unpack(tmp_path/'archive', tmp_path/'out')
    assert {os.path.normpath(n): n.encode() for n in NAMES} == {str(p.relative_to(tmp_path/'out')): p.read_bytes() for p in (tmp_path/'out').rglob('*') if p.is_file()}


@given(st.text(st.sampled_from('./\\a: é\0\n~C\ud800'), max_size=12))
@settings(max_examples=300, deadline=None)
@pytest.mark.fault
def test_every_name_stays_inside_or_is_refused(name):
    try: check_member(name, 'x')
    except CourseError: return
    full = os.path.normpath(f'/folder/{name}')
    assert full.startswith('/folder/') and '\\' not in full and full.isprintable()


# ---- the data sets ----

@pytest.mark.parametrize('name', SOURCES)
def test_each_data_set(tmp_path, here, name):
    about = prepare.prepare(name, mirror_folder(tmp_path/'m', TINY[name]()))
    counts = Counter((p.parts[-3], p.parts[-2]) for p in (here/name).glob('[!.]*/*/*'))
    assert counts == {(part, c): n for part, of in about['counts'].items() for c, n in of.items()}
    assert about == read_facts(here/name) and about['subset'] and about['pictures'] == sum(counts.values())
    assert about['licence'] and re.fullmatch(r'\d{4}-\d\d-\d\d', about['date']) and about['page'].startswith('http')
    assert {n: a['sha256'] for n, a in about['archives'].items()} == {n: hashlib.sha256(b).hexdigest() for n, b in TINY[name]().items()}
    assert {p.name for p in (here/name).iterdir()} - {'.set_aside'} == {*about['counts'], *about['beside'], 'about.json'}
    expected = dict(rock_paper_scissors=(12, 0, 6), cats_dogs=(14, 3, 3), dog_breeds=(6, 0, 4), pets=(4, 0, 2), cifar100=(16, 4, 10), cifar10=(16, 4, 10))[name]
    assert tuple(sum(about['counts'].get(p, {}).values()) for p in arrange.PARTS) == expected


@pytest.mark.fault
def test_unreadable_cats_and_dogs_are_set_aside(tmp_path, here, capsys):
    about = prepare.prepare('cats_dogs', mirror_folder(tmp_path/'m', cats_archive()))
    why = {Path(p).name: w for p, w in about['set_aside'].items()}
    assert 'truncated' in why.pop('4351.jpg').lower()
    assert why == {'666.jpg': 'the file is empty', '11702.jpg': 'the file is empty', '10404.jpg': 'no JFIF header', '1308.jpg': 'no JFIF header'}
    assert {p.name for p in (here/'cats_dogs'/'.set_aside').rglob('*.jpg')} == {'666.jpg', '11702.jpg', '10404.jpg', '1308.jpg', '4351.jpg'}
    left = {p.name for p in (here/'cats_dogs').glob('[!.]*/*/*')}
    assert left == {f'{i}.jpg' for i in range(10)} and '5 files set aside' in capsys.readouterr().out


@pytest.mark.fault
def test_every_kind_of_bad_picture(tmp_path, monkeypatch):
    for kind, part in ((b'', 'empty'), (b'hello', 'not a picture'), (picture(0)[:300], 'truncated'), (picture(0, 'PNG')[:300], 'truncated')):
        (tmp_path/'x.jpg').write_bytes(kind)
        assert part in arrange.why_unreadable(tmp_path/'x.jpg').lower()
    for kind in ('JPEG', 'PNG', 'BMP', 'GIF', 'WEBP'):
        (tmp_path/'x.jpg').write_bytes(picture(0, kind))
        assert arrange.why_unreadable(tmp_path/'x.jpg') == '' and (kind == 'JPEG') == (arrange.why_unreadable(tmp_path/'x.jpg', jfif=True) == '')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    Image.new('1', (40, 40)).save(tmp_path/'big.png')
    assert [arrange.check_pictures([PictureFile('train', 'a', tmp_path/'big.png')], False)] == [['too many pixels to be safe to open']]


def test_cats_and_dogs_as_in_the_article():
    assert cut_cats_dogs(23_262) == dict(train=16_000, valid=4_000, test=3_262)
    assert cut_cats_dogs(25_000)['train'] == 16_000
    small = cut_cats_dogs(3_000)
    assert sum(small.values()) == 3_000 and small['train'] / small['valid'] == pytest.approx(4, rel=.01)
    rows = [PictureFile('train', c, Path(f'{c}{i}')) for c, n in (('Cat', 11_741), ('Dog', 11_521)) for i in range(n)]
    n = Counter((part, c) for part, c, _ in cut_training(rows, cut_cats_dogs))
    assert n['train', 'Cat'] + n['train', 'Dog'] == 16_000 and n['valid', 'Cat'] + n['valid', 'Dog'] == 4_000
    assert n['train', 'Cat'] / 16_000 == pytest.approx(11_741 / 23_262, abs=1e-4)


def test_cifar_100_is_40000_and_10000_with_equal_classes():
    rows = [PictureFile('train', f'{c:02}', Path(f'{c}-{i}')) for c in range(100) for i in range(500)] + [PictureFile('test', '00', Path('t'))]
    n = Counter((part, c) for part, c, _ in cut_training(rows, SOURCES['cifar100'].cut))
    assert n.pop(('test', '00')) == 1 and {k[0]: v for k, v in n.items()} == dict(train=400, valid=100) and len(set(n.values())) == 2 and n.total() == 50_000


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 3), st.randoms())
@settings(max_examples=60, deadline=None)
def test_split(sizes, seed, rnd):
    "A partition, with exact sums, each class in proportion, whatever the order of the files."
    rows = [PictureFile('train', f'c{c}', Path(f'{c}-{i}')) for c, n in enumerate(sizes) for i in range(n)]
    cut = SOURCES['cifar10'].cut
    out = cut_training(rows, cut, seed)
    assert sorted(r[1:] for r in out) == sorted(r[1:] for r in rows) and {k: v for k, v in cut(len(rows)).items() if v} == Counter(r[0] for r in out)
    for c, n in enumerate(sizes): assert abs(sum(r[:2] == ('valid', f'c{c}') for r in out) - n * cut(len(rows))['valid'] / len(rows)) <= 1
    rnd.shuffle(rows)
    assert sorted(cut_training(rows, cut, seed)) == sorted(out)


def test_dogs_are_known_by_their_number(tmp_path, here):
    about = prepare.prepare('dog_breeds', mirror_folder(tmp_path/'m', dogs()))
    assert about['counts'] == {'train': dict(Chihuahua=3, Spaniel_japones=3), 'test': dict(Chihuahua=2, Spaniel_japones=2)}
    assert {p.name for p in (here/'dog_breeds'/'test'/'Spaniel_japones').iterdir()} == {'n02085782_3.jpg', 'n02085782_4.jpg'}


def test_two_breeds_of_one_name_stay_two(tmp_path):
    about = prepare.prepare('dog_breeds', mirror_folder(tmp_path/'m', dogs('n02085782-Chihuahua')))
    assert set(about['counts']['train']) == {'n02085620-Chihuahua', 'n02085782-Chihuahua'}


def test_trimaps_lie_beside(tmp_path, here):
    prepare.prepare('pets', mirror_folder(tmp_path/'m', pets()))
    for p in (here/'pets').glob('t*/*/*.jpg'): assert (here/'pets'/'trimaps'/f'{p.stem}.png').exists()
    assert set(np.asarray(Image.open(here/'pets'/'trimaps'/'Abyssinian_1.png')).flat) <= {1, 2, 3}


@pytest.mark.fault
def test_a_list_names_what_is_not_there(tmp_path, here):
    files = pets()
    files['pets-images.tar.gz'] = tarred({'images/Abyssinian_1.jpg': picture(0)})
    fails(lambda: prepare.prepare('pets', mirror_folder(tmp_path/'m', files)), '5 pictures that the archives do not hold')
    assert not (here/'pets').exists()


@pytest.mark.parametrize('line', ['../../../secret_1', '/etc/secret_1', '..'])
@pytest.mark.fault
def test_a_list_leads_nowhere_else(tmp_path, here, line):
    (tmp_path/'secret_1.jpg').write_bytes(picture(0))
    files = pets()
    files['pets-annotations.tar.gz'] = tarred({'annotations/trimaps/x.png': b'', 'annotations/test.txt': b'', 'annotations/trainval.txt': f'{line} 1 1 1\n'.encode()})
    fails(lambda: prepare.prepare('pets', mirror_folder(tmp_path/'m', files)), 'do not hold')
    assert (tmp_path/'secret_1.jpg').exists()


# ---- CIFAR's pickles ----

def python3(x, labels, key): return pickle.dumps({b'data': x, key: labels, b'batch_label': b'x', b'filenames': [b'a.png'] * len(labels)}, 2)

@pytest.mark.parametrize('write', [python2, python3], ids=['as the original', 'as the mirror'])
@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_pictures_of_cifar_are_the_arrays(tmp_path, here, write, name):
    prepare.prepare(name, mirror_folder(tmp_path/'m', cifar(name, write)))
    x = np.random.default_rng(0).integers(0, 255, (30, 3072), np.uint8).reshape(30, 3, 32, 32).transpose(0, 2, 3, 1)
    found = {int(p.stem): (p.parent.name, np.asarray(Image.open(p)), p.parts[-3]) for p in (here/name).glob('*/*/*.png')}
    assert len(found) == 30
    for i, (c, one, part) in found.items(): assert c == f'thing {i % 3}' and (one == x[i]).all() and (part == 'test') == (i >= 20)


class Call:
    def __init__(self, f, *a): self.f, self.a = f, a
    def __reduce__(self): return self.f, self.a

def hostile(x): return lambda *_: pickle.dumps({b'data': x, b'labels': [0], b'fine_labels': [0]}, 2)

@pytest.mark.parametrize('batch', [
    lambda f: hostile(Call(os.system, f'touch {f}')), lambda f: hostile(Call(eval, f'open({str(f)!r}, "w")')), lambda f: hostile(Call(exec, f'open({str(f)!r}, "w")')),
    lambda f: hostile(np.array([Call(os.system, f'touch {f}')], object)), lambda f: hostile(np.zeros((1, 3072))), lambda f: hostile(np.zeros((2, 7), np.uint8)), lambda f: hostile([1, 2]),
    lambda f: lambda *_: b'not a pickle', lambda f: lambda *_: b'', lambda f: lambda *_: b'cposix\nsystem\n(Vtouch ' + str(f).encode() + b'\ntR.',
    lambda f: lambda *_: b'cnumpy.core.multiarray\nscalar\n.', lambda f: lambda *_: b'c_codecs\nencode\n(Vx\nVrot13\ntR.', lambda f: lambda *_: pickle.dumps([1], 2)])
@pytest.mark.fault
def test_hostile_pickles(tmp_path, here, batch):
    trap = tmp_path/'trap'
    fails(lambda: prepare.prepare('cifar10', mirror_folder(tmp_path/'m', cifar('cifar10', batch(trap)))), 'not laid out as CIFAR-10 is')
    assert not trap.exists() and not (here/'cifar10').exists()


def test_the_trap_can_spring(tmp_path):
    "An ordinary unpickler would have run it."
    pickle.loads(hostile(Call(os.system, f'touch "{tmp_path}/trap"'))())
    assert (tmp_path/'trap').exists()


@pytest.mark.parametrize('name', ['../../out', '/out', '..', '.hidden', 'a/b', '.', 'a\0b'])
@pytest.mark.fault
def test_class_names_out_of_a_pickle(tmp_path, here, name):
    files = cifar('cifar10')
    meta = pickle.dumps({b'label_names': [name.encode(), b'b', b'c']}, 2)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(files['cifar-10-python.tar.gz']))) as t:
        members = {m.name: t.extractfile(m).read() for m in t}
    files = {'cifar-10-python.tar.gz': tarred(members | {'cifar-10-batches-py/batches.meta': meta})}
    fails(lambda: prepare.prepare('cifar10', mirror_folder(tmp_path/'m', files)), 'no name for a class folder')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['data', 'm'] and not (here/'cifar10').exists()


# ---- smaller mirrors ----

@pytest.mark.parametrize('name', SOURCES)
def test_a_mirror_of_each(tmp_path, here, monkeypatch, name, capsys):
    first = prepare.prepare(name, mirror_folder(tmp_path/'m', TINY[name]()))
    out = tmp_path/'for the class'
    args = [name, '--keep', '4', '--size', '16', '--mirror', str(out)]
    classroom_mirror.main(args)
    assert 'make data NAME=' in capsys.readouterr().out
    written = (out/'manifest.json').read_bytes()
    classroom_mirror.main(args)
    assert (out/'manifest.json').read_bytes() == written, 'the same pictures make the same archives'
    assert {p.name for p in out.iterdir()} == {*TINY[name](), 'manifest.json', '.lock'}
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'second'))
    second = prepare.prepare(name, str(out))
    classes = {c for of in first['counts'].values() for c in of}
    for c in classes: assert sum(of.get(c, 0) for of in second['counts'].values()) == min(4, sum(of.get(c, 0) for of in first['counts'].values()))
    assert set(second['counts']) == set(first['counts']) and second['subset'] and {c for of in second['counts'].values() for c in of} == classes and not second['set_aside']
    sizes = {Image.open(p).size for p in (tmp_path/'second'/name).glob('*/*/*')}
    assert sizes == ({(32, 32)} if 'cifar' in name else {(16, 16)})
    if name == 'pets':
        t = Image.open(tmp_path/'second'/'pets'/'trimaps'/f"{next((tmp_path/'second'/'pets').glob('train/*/*')).stem}.png")
        assert t.size == (16, 16) and set(np.asarray(t).flat) <= {1, 2, 3}


def test_a_mirror_holds_several(tmp_path, here):
    for name in (RPS, 'cifar10'):
        prepare.prepare(name, mirror_folder(tmp_path/name, TINY[name]()))
        write_mirror(name, 4, 16, tmp_path/'out')
    assert set(json.loads((tmp_path/'out'/'manifest.json').read_text())) == {'rps.zip', 'rps-test-set.zip', 'cifar-10-python.tar.gz'}


def test_a_small_picture_stays_as_it_is(tmp_path):
    (tmp_path/'x.jpg').write_bytes(picture(0))
    assert shrinker(24)(tmp_path/'x.jpg') == picture(0)
    Image.new('CMYK', (40, 60)).save(tmp_path/'y.jpg')
    shrunk = Image.open(io.BytesIO(shrinker(24)(tmp_path/'y.jpg')))
    assert shrunk.size == (24, 36) and shrunk.mode == 'RGB'


@pytest.mark.parametrize('args, part', [([], 'NAME= is missing'), (['dogs'], "no data set 'dogs'"), ([RPS], 'fetch it first'), ([RPS, '--keep', 'all'], 'KEEP=all'), ([RPS, '--keep', '0'], 'KEEP=0'),
                                        ([RPS, '--size=-3'], 'SIZE=-3'), ([RPS, '--mirror', 'http://x'], 'into a folder')])
@pytest.mark.fault
def test_a_mirror_that_cannot_be(args, part):
    fails(lambda: classroom_mirror.main(args), part)


@pytest.mark.fault
def test_a_mirror_on_a_full_disk(tmp_path, here, monkeypatch):
    prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps()))
    write_mirror(RPS, 4, 16, tmp_path/'out')
    before = {p: p.read_bytes() for p in (tmp_path/'out').iterdir()}
    def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(classroom_mirror, 'write_archive', full)
    fails(lambda: write_mirror(RPS, 2, 16, tmp_path/'out'), 'No space left', 'MIRROR')
    assert {p: p.read_bytes() for p in (tmp_path/'out').iterdir()} == before


# ---- the commands ----

@pytest.mark.parametrize('args, part', [([], 'NAME= is missing'), (['cats'], "no data set 'cats'")])
@pytest.mark.fault
def test_names(args, part):
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'data', *args], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode == 1 and len(r.stderr.strip().splitlines()) == 1 and part in r.stderr and 'cats_dogs (825 MB)' in r.stderr and not r.stdout


def test_make_hands_names_with_spaces_on():
    r = subprocess.run(['make', '-n', 'data', 'NAME=a b', 'MIRROR=c d'], cwd=ROOT, capture_output=True, text=True)
    assert '-m course_utils data "a b" --mirror "c d"' in r.stdout


def test_nothing_is_contacted_at_import():
    code = "import sys\ndef f(e, a):\n if e.startswith(('socket.connect', 'socket.send', 'socket.get')): raise SystemExit('contacted: ' + e)\nsys.addaudithook(f)\nimport data_scripts.datasets.prepare, data_scripts.datasets.classroom_mirror"
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True).stderr == ''
    probe = subprocess.run([sys.executable, '-c', code + '\nimport socket; socket.gethostbyname("localhost")'], cwd=ROOT, capture_output=True, text=True)
    assert 'contacted: socket.gethostbyname' in probe.stderr


def test_no_lesson_asks_for_data():
    "Only the commands import what downloads."
    modules = [p for p in (ROOT/'course_utils').rglob('*.py') if p.name != '__main__.py']
    for p in [*modules, *(ROOT/'nbs').rglob('*.ipynb')]:
        assert not re.search(r'import (requests|urllib)|data_scripts\.datasets', p.read_text()), p

"""`make data` and `make mirror`: every fault ends in a whole folder or in one sentence, with nothing half-made left."""
import errno, functools, gzip, hashlib, io, json, os, pickle, random, re, shutil, signal, struct, subprocess, sys, tarfile, threading, time, zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.sources import read_facts
from data_scripts.datasets import archives, arrange, classroom_mirror, download, prepare
from data_scripts.datasets.archives import check_member, unpack
from data_scripts.datasets.classroom_mirror import shrinker, write_mirror
from data_scripts.datasets.download import TRIES, download_path
from data_scripts.datasets.mirror_list import from_mirror
from data_scripts.datasets.prepare import disk_errors
from data_scripts.datasets.sources import SOURCES
from data_scripts.datasets.sources.cats_dogs import cut_cats_dogs
from data_scripts.datasets.sources.source import PictureFile, cut_training

from .faulty_server import (Server, cut, endless, huge, in_quarters, longer, no_length, no_ranges, no_ranges_cut, other_bytes, other_range,
                            page, redirect, serve, shorter, slowly, stall, status, trickle)
from .tiny_archives import (CIFAR_X, RPS, TINY, cats_dogs, cifar, dog_breeds, mirror_folder, noise_file, pets, python2_batch, python3_batch,
                            rps, tarred, zipped)

ROOT = Path(__file__).parent.parent


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
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'data'))
    return tmp_path/'data'


def get(server): return prepare.prepare(RPS, server.address)


def contents(name):
    "Each picture's bytes in a tiny archive."
    with zipfile.ZipFile(io.BytesIO(rps()[name])) as archive:
        return [archive.read(member) for member in archive.namelist()]


def whole(folder):
    "The folder holds every picture of the archives, byte for byte, and nothing is left beside it."
    expected = Counter(('train', content) for content in contents('rps.zip'))
    expected += Counter(('test', content) for content in contents('rps-test-set.zip'))
    found = Counter((path.parts[-3], path.read_bytes()) for path in (folder/RPS).rglob('*.png'))
    assert found == expected
    assert read_facts(folder/RPS)['pictures'] == expected.total()
    assert [path.name for path in (folder/'.fetch').iterdir()] == [f'{RPS}.lock']
    assert {path.name for path in folder.iterdir()} == {RPS, '.fetch'}


def nothing(folder, kept=()):
    "No data set, nothing unpacked; at most what was downloaded."
    assert not (folder/RPS).exists()
    assert all(path.name == '.fetch' for path in folder.glob('*'))
    files = [path.name for path in folder.rglob('*') if path.is_file() and path.suffix != '.lock']
    assert sorted(name.split('-', 1)[1] for name in files) == sorted(kept)
    assert not [path for path in folder.rglob('*') if path.name in ('unpacked', 'made')]


def fails(call, *parts):
    with pytest.raises(CourseError) as e: call()
    text = str(e.value)
    assert '\n' not in text, text
    assert text.endswith('.'), text
    assert all(p in text for p in parts), text
    return text


# ---- downloads ----

def test_a_good_server(server, data_folder, capsys):
    about = get(server)
    whole(data_folder)
    assert about['subset']
    assert about['counts'] == {'train': dict(paper=4, rock=4, scissors=4), 'test': dict(paper=2, rock=2, scissors=2)}
    out = capsys.readouterr().out
    assert out.count('Licence:') == 1
    assert 'subset, 18 pictures (12 train, 6 test)' in out
    assert out.strip().endswith(f'COURSE_DATA={RPS}.')


def test_a_second_run_does_nothing(server, data_folder, capsys):
    get(server)
    before, asked = {p: p.stat().st_mtime_ns for p in data_folder.rglob('*')}, len(server.log)
    capsys.readouterr()
    for m in ('', server.address, '/nowhere'): prepare.prepare(RPS, m)
    assert {p: p.stat().st_mtime_ns for p in data_folder.rglob('*')} == before
    assert len(server.log) == asked
    out = capsys.readouterr().out
    assert out.count('is there already: subset, 18 pictures') == 3
    assert 'Licence' not in out


@pytest.mark.parametrize('tenth', range(10))
@pytest.mark.fault
def test_cut_at_every_tenth(server, data_folder, tenth):
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n * tenth // 10)]
    get(server)
    whole(data_folder)
    asked = server.asked('rps.zip')
    assert [r[1] for r in asked] == [0, n * tenth // 10], 'each byte is served once'
    assert sum(r[2] for r in asked) == n, 'each byte is served once'


@pytest.mark.fault
def test_cut_ten_times(server, data_folder):
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n * i // 10) for i in range(1, 10)]
    get(server)
    whole(data_folder)
    assert sum(r[2] for r in server.asked('rps.zip')) == n


@pytest.mark.fault
def test_a_later_run_goes_on(server, data_folder):
    "What a run that gave up has fetched is not fetched again."
    n = len(rps()['rps.zip'])
    server.script['rps.zip'] = [cut(n // 2)] + [status(503)] * TRIES
    fails(lambda: get(server), '503', 'kept for the next run')
    nothing(data_folder, kept=['rps.zip'])
    del server.log[:]
    get(server)
    whole(data_folder)
    assert server.asked('rps.zip') == [['rps.zip', n // 2, n - n // 2]]


@pytest.mark.fault
def test_always_cut_at_the_same_byte(server, data_folder):
    server.script['rps.zip'] = [cut(1000)] * 20
    fails(lambda: get(server), 'was cut', '1,000 bytes', f'{TRIES} times in a row')
    nothing(data_folder, kept=['rps.zip'])
    assert len(server.asked('rps.zip')) == TRIES + 1


NOT_THE_FILE = [
    (longer, 'instead of'),
    (shorter, 'instead of'),
    (endless, 'has more bytes'),
    (other_bytes, 'has the checksum'),
    (page, 'has 26 bytes'),
    (status(404), '404 Not Found'),
    (status(403), '403 Forbidden'),
    (status(410), '410 Gone'),
    (status(416), '416'),
    (redirect('file:///etc/passwd'), 'no address'),
]


@pytest.mark.parametrize('step, part', NOT_THE_FILE)
@pytest.mark.fault
def test_not_the_file_it_should_be(server, data_folder, step, part):
    server.script['rps.zip'] = [step] * 20
    fails(lambda: get(server), part, 'MIRROR')
    nothing(data_folder)
    assert len(server.asked('rps.zip')) == 1, 'asking again would not help'
    server.script.clear()
    get(server)
    whole(data_folder)


LAST_STEP_SERVES_ALL = [[no_ranges], [no_length], [cut(500), no_ranges], [no_ranges_cut, no_ranges]]
LAST_STEP_FAILS = [
    [status(500)],
    [status(500), status(502), status(503)],
    [status(429)],
    [status(408)],
    [redirect('/elsewhere/rps.zip')],
    [redirect('rps.zip')] * 3,
    [cut(500), other_range],
    [cut(500), status(416)],
    [cut(500), status(500), cut(900)],
    [stall],
    [trickle],
    [cut(500), redirect('/x/rps.zip')],
]


@pytest.mark.parametrize('steps', LAST_STEP_SERVES_ALL)
@pytest.mark.fault
def test_fine_with_the_last_step(server, data_folder, steps):
    server.script['rps.zip'] = list(steps)
    get(server)
    whole(data_folder)
    assert len(server.asked('rps.zip')) == len(steps)


@pytest.mark.parametrize('steps', LAST_STEP_FAILS)
@pytest.mark.fault
def test_fine_in_the_end(server, data_folder, steps):
    server.script['rps.zip'] = list(steps)
    get(server)
    whole(data_folder)
    assert len(server.asked('rps.zip')) == len(steps) + 1


@pytest.mark.parametrize('step, part', [
    (stall, 'nothing came for 0.4 s'), (trickle, 'only'), (status(500), '500'), (no_ranges_cut, 'was cut'), (redirect('rps.zip'), 'without end')])
@pytest.mark.fault
def test_never_fine(server, data_folder, step, part):
    server.script['rps.zip'] = [step] * 200
    start = time.monotonic()
    fails(lambda: get(server), part, 'could not be fetched', f'{TRIES} times in a row')
    assert time.monotonic() - start < 15
    assert not (data_folder/RPS).exists()
    server.end.set()
    server.script.clear()
    get(server)
    whole(data_folder)


@pytest.mark.fault
def test_what_an_earlier_run_left_is_not_what_it_seemed(server, data_folder):
    a = from_mirror(SOURCES[RPS].archives, server.address)[0]
    left = download_path(a, data_folder/'.fetch'/RPS)
    for wrong in (b'x' * 1000, b'x' * a.bytes, b'x' * (a.bytes + 1)):
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(wrong)
        get(server)
        whole(data_folder)
        shutil.rmtree(data_folder/RPS)


@pytest.mark.fault
def test_nobody_there(data_folder, monkeypatch):
    monkeypatch.setattr(download, 'WAIT_S', 0)
    fails(lambda: prepare.prepare(RPS, 'http://127.0.0.1:9'), 'no connection', 'manifest.json')
    nothing(data_folder)


@pytest.mark.parametrize('name', SOURCES)
def test_without_a_mirror_the_official_address(name, data_folder, monkeypatch):
    "And without a network, one sentence."
    monkeypatch.setattr(download, 'WAIT_S', 0)
    monkeypatch.setattr(prepare, 'check_room', lambda *_: 0)
    text = fails(lambda: prepare.prepare(name), 'no connection to the server')
    assert text.startswith(SOURCES[name].archives[0].address)
    assert not (data_folder/name).exists()


def test_progress(server, data_folder, monkeypatch):
    "A bar with speed and time left where somebody looks, and none in a log."
    class Terminal(io.StringIO):
        def isatty(self): return True
    server.script['rps.zip'] = [in_quarters]
    monkeypatch.setattr(sys, 'stderr', t := Terminal())
    get(server)
    assert re.search(r'rps\.zip: +\d+%.*\[\d\d:\d\d<\d\d:\d\d, +[\d.]+k?B/s\]', t.getvalue()), t.getvalue()
    shutil.rmtree(data_folder/RPS)
    monkeypatch.setattr(sys, 'stderr', t := io.StringIO())
    get(server)
    assert not t.getvalue()


# ---- mirrors ----

def test_a_folder(tmp_path, data_folder):
    m = mirror_folder(tmp_path/'a mirror', rps())
    before = {p: p.stat().st_mtime_ns for p in Path(m).iterdir()}
    prepare.prepare(RPS, m)
    whole(data_folder)
    assert {p: p.stat().st_mtime_ns for p in Path(m).iterdir()} == before


NO_LISTS = ['', '[]', '<html>', '3', '{"rps.zip": 3}', '{"rps.zip": {}}', '{"rps.zip": {"sha256": "x", "bytes": 3}}', '[' * 100_000]
NO_LISTS += [json.dumps({'rps.zip': dict(sha256='0' * 64, bytes=n)}) for n in (-3, '3')]


def write_list(text): return lambda folder: (folder/'manifest.json').write_text(text)


def same_length(folder):
    "Other bytes, as many as there were."
    file = folder/'rps.zip'
    file.write_bytes(b'x' * file.stat().st_size)


SPOILT_MIRRORS = [
    (lambda folder: (folder/'rps.zip').unlink(), 'cannot be read'),
    (lambda folder: (folder/'manifest.json').unlink(), 'needs a folder or an address'),
    (same_length, 'another checksum'),
    (lambda folder: (folder/'rps.zip').write_bytes(b'x'), 'has 1 bytes'),
    (write_list('{}'), 'has no rps.zip and no rps-test-set.zip'),
    *[(write_list(text), 'not a list of archives') for text in NO_LISTS],
]


@pytest.mark.parametrize('spoil, part', SPOILT_MIRRORS)
@pytest.mark.fault
def test_a_bad_folder(tmp_path, data_folder, spoil, part):
    m = mirror_folder(tmp_path/'m', rps())
    spoil(Path(m))
    fails(lambda: prepare.prepare(RPS, m), part)
    nothing(data_folder)


@pytest.mark.parametrize('step, part', [(page, 'not a list'), (status(404), '404'), (huge, 'longer than any list')])
@pytest.mark.fault
def test_a_bad_manifest_at_an_address(server, data_folder, step, part):
    server.script['manifest.json'] = [step]
    fails(lambda: get(server), part)
    nothing(data_folder)


@pytest.mark.fault
def test_a_manifest_in_the_end(server, data_folder):
    server.script['manifest.json'] = [status(500), cut(20), stall]
    get(server)
    whole(data_folder)


@pytest.mark.parametrize('m', ['ftp://127.0.0.1/x', 'http://', 'http://[', 'x://y'])
@pytest.mark.fault
def test_no_address(m, data_folder):
    fails(lambda: prepare.prepare(RPS, m), 'no address')
    nothing(data_folder)


def test_the_original_is_no_subset(tmp_path, monkeypatch):
    files = rps()
    sha256 = checksums(files)
    source = SOURCES[RPS]
    archives = [replace(archive, bytes=len(files[archive.name]), sha256=sha256[archive.name]) for archive in source.archives]
    monkeypatch.setitem(SOURCES, RPS, replace(source, archives=tuple(archives)))
    facts = prepare.prepare(RPS, mirror_folder(tmp_path/'m', files))
    assert not facts['subset']
    assert prepare.source_in_words(facts) == '18 pictures'


# ---- kills, locks, disks ----

def in_a_child(run):
    "Runs in a forked process, and waits for it. Returns its status; it may kill itself."
    pid = os.fork()
    if not pid:
        try:
            sys.stdout = open(os.devnull, 'w')
            run()
            os._exit(0)
        except BaseException: os._exit(1)
    return pid


def killed_at(module, name, nth):
    "`module.name` kills its process when called for the nth time."
    real, calls = getattr(module, name), iter(range(nth - 1))
    def f(*a, **kw):
        if next(calls, None) is None: os.kill(os.getpid(), signal.SIGKILL)
        return real(*a, **kw)
    setattr(module, name, f)


KILLS = [
    (download.tqdm, 'update', 1),
    (download.tqdm, 'update', 3),
    (prepare, 'unpack', 1),
    (shutil, 'copyfileobj', 5),
    (prepare, 'unpack', 2),
    (arrange, 'check_arranged', 1),
    (arrange, 'move', 1),
    (arrange, 'move', 9),
    (json, 'dumps', 1),
    (os, 'rename', 1),
    (Path, 'unlink', 1),
    (shutil, 'rmtree', 3),
]


@pytest.mark.parametrize('module, name, nth', KILLS, ids=lambda value: getattr(value, '__name__', str(value)))
@pytest.mark.fault
def test_killed_at(server, data_folder, module, name, nth):
    server.script['rps.zip'] = [slowly]
    pid = in_a_child(lambda: (killed_at(module, name, nth), get(server)))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    if (data_folder/RPS).exists(): assert read_facts(data_folder/RPS)['pictures'] == 18
    get(server)
    prepare.prepare(RPS)  # sweeps what a run killed at its very end has left
    whole(data_folder)


@pytest.mark.fault
def test_killed_at_random_moments(server, data_folder):
    rng, seen = random.Random(0), Counter()
    for _ in range(12):
        server.script['rps.zip'] = [slowly]
        pid = in_a_child(lambda: get(server))
        time.sleep(rng.uniform(0, .25))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        seen['whole' if (data_folder/RPS).exists() else 'part'] += 1
        if (data_folder/RPS).exists():
            prepare.prepare(RPS)
            whole(data_folder)
            shutil.rmtree(data_folder/RPS)
    assert seen['part']
    get(server)
    whole(data_folder)


@pytest.mark.fault
def test_two_at_once(server, data_folder):
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
    whole(data_folder)


def test_another_run_has_just_ended(server, data_folder, monkeypatch, capsys):
    "Between the look and the lock."
    get(server)
    real, looks = prepare.find_prepared, iter([{}])
    def there(*a):
        for nothing_yet in looks: return nothing_yet
        return real(*a)
    monkeypatch.setattr(prepare, 'find_prepared', there)
    asked = len(server.log)
    assert get(server)['pictures'] == 18
    assert len(server.log) == asked
    assert 'is there already' in capsys.readouterr().out
    whole(data_folder)


@pytest.mark.parametrize('nth', [1, 2, 3, 8, 14, 20, 21])
@pytest.mark.fault
def test_full_disk(server, data_folder, monkeypatch, nth):
    "The nth file that is opened for writing gets half of what is written: two archives, eighteen pictures, about.json."
    opened, real = iter(range(1, 100)), open
    class Full:
        def __init__(self, f): self.f = f
        def __enter__(self): return self
        def __exit__(self, *_): self.f.close()
        def __getattr__(self, name): return getattr(self.f, name)
        def write(self, b):
            self.f.write(b[:len(b) // 2])
            self.f.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    def limited(path, mode='r', *a, **kw):
        f = real(path, mode, *a, **kw)
        return Full(f) if set(mode) & set('wa') and next(opened) == nth else f
    with monkeypatch.context() as m:
        m.setattr(download, 'open', limited, raising=False)
        m.setattr(zipfile, 'open', limited, raising=False)
        m.setattr(Path, 'write_text', lambda p, t, **kw: limited(p, 'w', **kw).write(t))
        fails(lambda: get(server), 'No space left', 'COURSE_DATA_DIR')
    nothing(data_folder, kept=['rps.zip'] if nth == 1 else ['rps-test-set.zip', 'rps.zip'])
    before = len(server.asked('rps.zip'))
    get(server)
    whole(data_folder)
    assert len(server.asked('rps.zip')) == before + (nth == 1), 'what was whole is not fetched again'


@pytest.mark.parametrize('options, part', [('size=40k', 'of disk are needed'), ('size=60k', 'No space left'), ('ro', 'Read-only file system')])
@pytest.mark.fault
def test_real_disks(tmp_path, data_folder, options, part):
    "A disk too small, one that fills up, and one that is read-only, of the kernel's making."
    m, disk = mirror_folder(tmp_path/'m', rps()), tmp_path/'disk'
    disk.mkdir()
    if subprocess.run(['unshare', '-rm', 'true'], capture_output=True).returncode: pytest.skip('Small disks need the right to use unshare -rm (Linux).')
    r = subprocess.run(['unshare', '-rm', 'bash', '-c', 'mount -t tmpfs -o "$1" none "$2" || exit 99; "$3" -m course_utils data rock_paper_scissors --mirror "$4"; s=$?; find "$2" -type f; exit $s', 'x',
                        options, str(disk), sys.executable, m], cwd=ROOT, capture_output=True, text=True, env={**os.environ, 'COURSE_DATA_DIR': str(disk)})
    if r.returncode == 99: pytest.skip('Mounting a tmpfs is not allowed here.')
    assert r.returncode == 1, r
    assert len(r.stderr.strip().splitlines()) == 1, r
    assert part in r.stderr, r
    assert not [l for l in r.stdout.splitlines() if l.startswith(str(disk)) and not l.endswith('.lock')]


@pytest.mark.fault
def test_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path/'file').write_text('')
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'file'/'data'))
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps())), 'Not a directory', 'COURSE_DATA_DIR')


@pytest.mark.fault
def test_a_folder_of_somebody_else_stays(tmp_path, data_folder):
    (data_folder/RPS).mkdir(parents=True)
    (data_folder/RPS/'mine.txt').write_text('mine')
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps())), 'did not make it')
    assert (data_folder/RPS/'mine.txt').read_text() == 'mine'


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
    'zip up': zipped({'a.txt': b'x', '../out.txt': b'x'}),
    'zip up inside': zipped({'a/../../out.txt': b'x'}),
    'zip absolute': zip_entry('/out.txt'),
    'zip backslashes': zip_entry('a\\..\\..\\out.txt'),
    'zip drive': zip_entry('C:/out.txt'),
    'zip link': zip_entry('l', 0o120777, b'../..'),
    'zip device': zip_entry('d', 0o020666),
    'zip encrypted': zip_entry('e', flags=1),
    'zip only dots': zip_entry('./.'),
    'zip newline': zip_entry('a\nb'),
    'tar up': tarred({'a.txt': b'x', '../out.txt': b'x'}),
    'tar up inside': tarred({'a/../../out.txt': b'x'}, gz=False),
    'tar absolute': tarred({'/out.txt': b'x'}),
    'tar link': tarred({'l': link('/etc'), 'l/out.txt': b'x'}),
    'tar link to a folder above': tarred({'l': link('..'), 'l/out.txt': b'x'}),
    'tar hard link': tarred({'h': link('/etc/passwd', tarfile.LNKTYPE)}),
    'tar fifo': tarred({'f': dict(type=tarfile.FIFOTYPE)}),
    'tar device': tarred({'f': dict(type=tarfile.CHRTYPE)}),
    'tar sparse': tarred({'s': dict(type=tarfile.GNUTYPE_SPARSE)}),
    'tar surrogates': tarred({'\udc80': b'x'}),
}
SIZE_WITHOUT_BYTES = tarfile.TarInfo('x').tobuf()[:124] + b'77777777777\0' + bytes(900)
BOMBS = {
    'zip by declared size': zipped({'x': bytes(3_000_000)}, compression=zipfile.ZIP_DEFLATED),
    'zip by many': zipped({f'{i}': bytes(100_000) for i in range(20)}, compression=zipfile.ZIP_DEFLATED),
    'zip by real size': lying_zip(3_000_000, 10),
    'zip with less than it says': lying_zip(1000, 100_000),
    'tar by declared size': tarred({'x': bytes(3_000_000)}),
    'tar by many': tarred({f'{i}': bytes(100_000) for i in range(20)}),
    'tar by empty files': tarred({f'{i}': b'' for i in range(3000)}),
    'tar by real size': pax_bomb(3_000_000),
    'tar by a size without bytes': gzip.compress(SIZE_WITHOUT_BYTES, mtime=0),
}
SMALL_ZIP = zipped({'a': b'x' * 500})
DAMAGED = {
    'zip cut': SMALL_ZIP[:-10],
    'zip CRC': SMALL_ZIP.replace(b'x' * 500, b'x' * 499 + b'y'),
    'tar cut': tarred({'a': b'x' * 5000}, gz=False)[:2000],
    'gz cut': tarred({'a': random.Random(0).randbytes(5000)})[:-600],
    'text': b'hello',
    'empty': b'',
    'file in a file': tarred({'a': b'x', 'a/b': b'x'}),
}
ODD_DATES = {  # no system takes these, and what is unpacked has the date of its unpacking
    'huge': '1e300',
    'no number': 'nan',
}


@pytest.mark.parametrize('date', ODD_DATES)
@pytest.mark.fault
def test_a_date_that_no_system_takes(tmp_path, date):
    info = tarfile.TarInfo('a.txt')
    info.pax_headers = {'mtime': ODD_DATES[date]}
    (tmp_path/'archive').write_bytes(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    unpack(tmp_path/'archive', tmp_path/'unpacked')
    age_s = time.time() - (tmp_path/'unpacked'/'a.txt').stat().st_mtime
    assert abs(age_s) < 60


def refused(tmp_path, b, part):
    (tmp_path/'a'/'b').mkdir(parents=True)
    (tmp_path/'archive').write_bytes(b)
    with disk_errors(tmp_path): fails(lambda: unpack(tmp_path/'archive', tmp_path/'a'/'b'/'c', 'the.zip'), part)
    return [p for p in tmp_path.rglob('*') if p.is_file() and p.name != 'archive' and tmp_path/'a'/'b'/'c' not in p.parents]


@pytest.mark.parametrize('name', SLIPS)
@pytest.mark.fault
def test_nothing_leaves_the_folder(tmp_path, name):
    assert not refused(tmp_path, SLIPS[name], 'the.zip was not unpacked:')
    assert not Path('/out.txt').exists()


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


HALF_MADE = {
    'slip': SLIPS['zip up'],
    'link': SLIPS['zip link'],
    'tar link': SLIPS['tar link'],
    'bomb': BOMBS['zip by declared size'],
    'damaged': DAMAGED['zip CRC'],
    'another layout': zipped({'a.txt': b'no pictures'}),
    'another class': zipped({'rps-test-set/lizard/a.png': noise_file(0, 'PNG')}),
    'none readable': zipped({'rps-test-set/paper/a.png': b''}),
}


@pytest.mark.parametrize('b', HALF_MADE.values(), ids=HALF_MADE)
@pytest.mark.fault
def test_nothing_half_made_is_left(tmp_path, data_folder, monkeypatch, b):
    "With the mirror's own checksum, so that only the unpacking can notice."
    monkeypatch.setattr(archives, 'SPARE', 500_000)
    fails(lambda: prepare.prepare(RPS, mirror_folder(tmp_path/'m', rps() | {'rps-test-set.zip': b})))
    nothing(data_folder)


NAMES = ['a b/c d.txt', 'ü/ñandú.txt', '文/字.txt', './dot.txt', 'a//b.txt', 'x' * 120 + '/' + 'y' * 120 + '.txt', "quo'te \"$(x)`.txt", '...', 'a..b']

@pytest.mark.parametrize('pack', [zipped, tarred, functools.partial(tarred, gz=False)], ids=['zip', 'tar.gz', 'tar'])
@pytest.mark.fault
def test_unusual_names_are_fine(tmp_path, pack):
    (tmp_path/'archive').write_bytes(pack({name: name.encode() for name in NAMES}))
    folder = tmp_path/'unpacked'
    unpack(tmp_path/'archive', folder)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    assert found == {os.path.normpath(name): name.encode() for name in NAMES}


@given(st.text(st.sampled_from('./\\a: é\0\n~C\ud800'), max_size=12))
@settings(max_examples=300, deadline=None)
@pytest.mark.fault
def test_every_name_stays_inside_or_is_refused(name):
    try: check_member(name, 'x')
    except CourseError: return
    full = os.path.normpath(f'/folder/{name}')
    assert full.startswith('/folder/')
    assert '\\' not in full
    assert full.isprintable()


# ---- the data sets ----

SIZES = dict(  # train, valid, test
    rock_paper_scissors=(12, 0, 6),
    cats_dogs=(14, 3, 3),
    dog_breeds=(6, 0, 4),
    pets=(4, 0, 2),
    cifar100=(16, 4, 10),
    cifar10=(16, 4, 10),
)


def checksums(files): return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@pytest.mark.parametrize('name', SOURCES)
def test_each_data_set(tmp_path, data_folder, name):
    facts = prepare.prepare(name, mirror_folder(tmp_path/'m', TINY[name]()))
    folders = [path.parent.relative_to(data_folder/name).as_posix() for path in (data_folder/name).glob('[!.]*/*/*')]
    counts = facts['counts']
    for part, classes in counts.items():
        assert {class_name: folders.count(f'{part}/{class_name}') for class_name in classes} == classes
    assert facts['pictures'] == len(folders)
    assert tuple(sum(counts.get(part, {}).values()) for part in arrange.SPLIT_PARTS) == SIZES[name]
    made = {path.name for path in (data_folder/name).iterdir()}
    assert made - {'.set_aside'} == {*counts, *facts['beside'], 'about.json'}


@pytest.mark.parametrize('name', SOURCES)
def test_what_is_written_about_each(tmp_path, data_folder, name):
    files = TINY[name]()
    facts = prepare.prepare(name, mirror_folder(tmp_path/'m', files))
    assert facts == read_facts(data_folder/name)
    assert facts['subset']
    assert facts['licence']
    assert facts['page'].startswith('http')
    assert re.fullmatch(r'\d{4}-\d\d-\d\d', facts['date'])
    assert {archive: entry['sha256'] for archive, entry in facts['archives'].items()} == checksums(files)


@pytest.mark.fault
def test_unreadable_cats_and_dogs_are_set_aside(tmp_path, data_folder, capsys):
    about = prepare.prepare('cats_dogs', mirror_folder(tmp_path/'m', cats_dogs()))
    why = {Path(p).name: w for p, w in about['set_aside'].items()}
    assert 'truncated' in why.pop('4351.jpg').lower()
    assert why == {'666.jpg': 'the file is empty', '11702.jpg': 'the file is empty', '10404.jpg': 'no JFIF header', '1308.jpg': 'no JFIF header'}
    assert {p.name for p in (data_folder/'cats_dogs'/'.set_aside').rglob('*.jpg')} == {'666.jpg', '11702.jpg', '10404.jpg', '1308.jpg', '4351.jpg'}
    left = {p.name for p in (data_folder/'cats_dogs').glob('[!.]*/*/*')}
    assert left == {f'{i}.jpg' for i in range(10)}
    assert '5 files set aside' in capsys.readouterr().out


BAD_CONTENTS = {
    'empty': b'',
    'not a picture': b'hello',
    'truncated': noise_file(0)[:300],
    'is truncated': noise_file(0, 'PNG')[:300],
}


@pytest.mark.parametrize('reason', BAD_CONTENTS)
@pytest.mark.fault
def test_every_kind_of_bad_picture(tmp_path, reason):
    (tmp_path/'x.jpg').write_bytes(BAD_CONTENTS[reason])
    assert reason in arrange.why_unreadable(tmp_path/'x.jpg').lower()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'GIF', 'WEBP'])
def test_every_kind_of_good_picture(tmp_path, kind):
    (tmp_path/'x.jpg').write_bytes(noise_file(0, kind))
    assert arrange.why_unreadable(tmp_path/'x.jpg') == ''
    has_header = arrange.why_unreadable(tmp_path/'x.jpg', jfif=True) == ''
    assert has_header == (kind == 'JPEG')


@pytest.mark.fault
def test_a_gigantic_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    Image.new('1', (40, 40)).save(tmp_path/'big.png')
    reasons = arrange.check_arranged([PictureFile('train', 'a', tmp_path/'big.png')], False)
    assert reasons == ['too many pixels to be safe to open']


# ---- the split ----

def training_files(class_name, n): return [PictureFile('train', class_name, Path(f'{class_name}-{i}')) for i in range(n)]


def count_by_part(files): return Counter((file.part, file.class_name) for file in files)


def test_cats_and_dogs_as_in_the_article():
    assert cut_cats_dogs(23_262) == dict(train=16_000, valid=4_000, test=3_262)
    assert cut_cats_dogs(25_000)['train'] == 16_000
    files = training_files('Cat', 11_741) + training_files('Dog', 11_521)
    counts = count_by_part(cut_training(files, cut_cats_dogs))
    assert counts['train', 'Cat'] + counts['train', 'Dog'] == 16_000
    assert counts['valid', 'Cat'] + counts['valid', 'Dog'] == 4_000
    assert counts['train', 'Cat'] / 16_000 == pytest.approx(11_741 / 23_262, abs=1e-4)


def test_a_smaller_version_in_proportion():
    sizes = cut_cats_dogs(3_000)
    assert sum(sizes.values()) == 3_000
    assert sizes['train'] / sizes['valid'] == pytest.approx(4, rel=.01)


def test_cifar_100_is_40000_and_10000_with_equal_classes():
    files = [PictureFile('test', '00', Path('t'))]
    for k in range(100): files += training_files(f'{k:02}', 500)
    counts = count_by_part(cut_training(files, SOURCES['cifar100'].cut))
    assert counts.pop(('test', '00')) == 1
    assert {n for (part, _), n in counts.items() if part == 'train'} == {400}
    assert {n for (part, _), n in counts.items() if part == 'valid'} == {100}
    assert counts.total() == 50_000


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 3), st.randoms())
@settings(max_examples=60, deadline=None)
def test_split(sizes, seed, rng):
    "A partition, with exact sums, each class in proportion, whatever the order of the files."
    files = []
    for k, n in enumerate(sizes): files += training_files(f'c{k}', n)
    cut_files = SOURCES['cifar10'].cut
    parts = cut_training(files, cut_files, seed)
    assert sorted(file.path for file in parts) == sorted(file.path for file in files)
    wanted = cut_files(len(files))
    assert Counter(file.part for file in parts) == Counter(wanted)
    counts = count_by_part(parts)
    for k, n in enumerate(sizes):
        in_proportion = n * wanted['valid'] / len(files)
        assert abs(counts['valid', f'c{k}'] - in_proportion) <= 1
    rng.shuffle(files)
    assert sorted(cut_training(files, cut_files, seed)) == sorted(parts)


def test_dogs_are_known_by_their_number(tmp_path, data_folder):
    about = prepare.prepare('dog_breeds', mirror_folder(tmp_path/'m', dog_breeds()))
    assert about['counts'] == {'train': dict(Chihuahua=3, Spaniel_japones=3), 'test': dict(Chihuahua=2, Spaniel_japones=2)}
    assert {p.name for p in (data_folder/'dog_breeds'/'test'/'Spaniel_japones').iterdir()} == {'n02085782_3.jpg', 'n02085782_4.jpg'}


def test_two_breeds_of_one_name_stay_two(tmp_path):
    about = prepare.prepare('dog_breeds', mirror_folder(tmp_path/'m', dog_breeds('n02085782-Chihuahua')))
    assert set(about['counts']['train']) == {'n02085620-Chihuahua', 'n02085782-Chihuahua'}


def test_trimaps_lie_beside(tmp_path, data_folder):
    prepare.prepare('pets', mirror_folder(tmp_path/'m', pets()))
    for p in (data_folder/'pets').glob('t*/*/*.jpg'): assert (data_folder/'pets'/'trimaps'/f'{p.stem}.png').exists()
    assert set(np.asarray(Image.open(data_folder/'pets'/'trimaps'/'Abyssinian_1.png')).flat) <= {1, 2, 3}


@pytest.mark.fault
def test_a_list_names_what_is_not_there(tmp_path, data_folder):
    files = pets()
    files['pets-images.tar.gz'] = tarred({'images/Abyssinian_1.jpg': noise_file(0)})
    fails(lambda: prepare.prepare('pets', mirror_folder(tmp_path/'m', files)), '5 pictures that the archives do not hold')
    assert not (data_folder/'pets').exists()


@pytest.mark.parametrize('line', ['../../../secret_1', '/etc/secret_1', '..'])
@pytest.mark.fault
def test_a_list_leads_nowhere_else(tmp_path, data_folder, line):
    (tmp_path/'secret_1.jpg').write_bytes(noise_file(0))
    files = pets()
    files['pets-annotations.tar.gz'] = tarred({'annotations/trimaps/x.png': b'', 'annotations/test.txt': b'', 'annotations/trainval.txt': f'{line} 1 1 1\n'.encode()})
    fails(lambda: prepare.prepare('pets', mirror_folder(tmp_path/'m', files)), 'do not hold')
    assert (tmp_path/'secret_1.jpg').exists()


# ---- CIFAR's pickles ----

@pytest.mark.parametrize('write', [python2_batch, python3_batch], ids=['as the original', 'as the mirror'])
@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_pictures_of_cifar_are_the_arrays(tmp_path, data_folder, write, name):
    prepare.prepare(name, mirror_folder(tmp_path/'m', cifar(name, write)))
    x = CIFAR_X.reshape(30, 3, 32, 32).transpose(0, 2, 3, 1)
    paths = {int(path.stem): path for path in (data_folder/name).glob('*/*/*.png')}
    assert sorted(paths) == list(range(30))
    for i, path in paths.items():
        part, class_name, _ = path.parts[-3:]
        assert class_name == f'thing {i % 3}'
        assert (part == 'test') == (i >= 20)
        assert np.array_equal(np.asarray(Image.open(path)), x[i])


class Call:
    def __init__(self, f, *a): self.f, self.a = f, a
    def __reduce__(self): return self.f, self.a

def hostile(x): return lambda *_: pickle.dumps({b'data': x, b'labels': [0], b'fine_labels': [0]}, 2)

HOSTILE = [  # each gets the file that must not appear
    lambda file: hostile(Call(os.system, f'touch {file}')),
    lambda file: hostile(Call(eval, f'open({str(file)!r}, "w")')),
    lambda file: hostile(Call(exec, f'open({str(file)!r}, "w")')),
    lambda file: hostile(np.array([Call(os.system, f'touch {file}')], object)),
    lambda file: hostile(np.zeros((1, 3072))),
    lambda file: hostile(np.zeros((2, 7), np.uint8)),
    lambda file: hostile([1, 2]),
    lambda file: lambda *_: b'not a pickle',
    lambda file: lambda *_: b'',
    lambda file: lambda *_: b'cposix\nsystem\n(Vtouch ' + str(file).encode() + b'\ntR.',
    lambda file: lambda *_: b'cnumpy.core.multiarray\nscalar\n.',
    lambda file: lambda *_: b'c_codecs\nencode\n(Vx\nVrot13\ntR.',
    lambda file: lambda *_: pickle.dumps([1], 2),
]


@pytest.mark.parametrize('batch', HOSTILE)
@pytest.mark.fault
def test_hostile_pickles(tmp_path, data_folder, batch):
    trap = tmp_path/'trap'
    fails(lambda: prepare.prepare('cifar10', mirror_folder(tmp_path/'m', cifar('cifar10', batch(trap)))), 'not laid out as CIFAR-10 is')
    assert not trap.exists()
    assert not (data_folder/'cifar10').exists()


def test_the_trap_can_spring(tmp_path):
    "An ordinary unpickler would have run it."
    pickle.loads(hostile(Call(os.system, f'touch "{tmp_path}/trap"'))())
    assert (tmp_path/'trap').exists()


@pytest.mark.parametrize('name', ['../../out', '/out', '..', '.hidden', 'a/b', '.', 'a\0b'])
@pytest.mark.fault
def test_class_names_out_of_a_pickle(tmp_path, data_folder, name):
    files = cifar('cifar10')
    meta = pickle.dumps({b'label_names': [name.encode(), b'b', b'c']}, 2)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(files['cifar-10-python.tar.gz']))) as t:
        members = {m.name: t.extractfile(m).read() for m in t}
    files = {'cifar-10-python.tar.gz': tarred(members | {'cifar-10-batches-py/batches.meta': meta})}
    fails(lambda: prepare.prepare('cifar10', mirror_folder(tmp_path/'m', files)), 'no name for a class folder')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['data', 'm']
    assert not (data_folder/'cifar10').exists()


# ---- smaller mirrors ----

@pytest.mark.parametrize('name', SOURCES)
def test_a_mirror_of_each(tmp_path, data_folder, monkeypatch, name, capsys):
    first = prepare.prepare(name, mirror_folder(tmp_path/'m', TINY[name]()))
    mirror = tmp_path/'for the class'
    arguments = [name, '--keep', '4', '--size', '16', '--mirror', str(mirror)]
    classroom_mirror.main(arguments)
    assert 'make data NAME=' in capsys.readouterr().out
    written = (mirror/'manifest.json').read_bytes()
    monkeypatch.setattr('time.asctime', lambda *_: 'Thu Jan  1 00:00:00 1970')  # which MATLAB's files hold
    classroom_mirror.main(arguments)
    assert (mirror/'manifest.json').read_bytes() == written, 'the same pictures make the same archives'
    assert {path.name for path in mirror.iterdir()} == {*TINY[name](), 'manifest.json', '.lock'}
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'second'))
    second = prepare.prepare(name, str(mirror))
    assert second['subset']
    assert not second['set_aside']
    assert set(second['counts']) == set(first['counts'])
    before, after = by_class(first), by_class(second)
    assert after == {class_name: min(4, n) for class_name, n in before.items()}
    sizes = {Image.open(path).size for path in (tmp_path/'second'/name).glob('*/*/*')}
    assert sizes == ({(32, 32)} if 'cifar' in name else {(16, 16)})


def by_class(facts):
    "Number of pictures of each class, over all parts."
    total = Counter()
    for classes in facts['counts'].values(): total.update(classes)
    return total


def test_a_mirror_s_trimaps_stay_trimaps(tmp_path, data_folder, monkeypatch):
    prepare.prepare('pets', mirror_folder(tmp_path/'m', pets()))
    write_mirror('pets', 4, 16, tmp_path/'mirror')
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'second'))
    prepare.prepare('pets', str(tmp_path/'mirror'))
    pictures = list((tmp_path/'second'/'pets').glob('train/*/*'))
    assert pictures
    for path in pictures:
        trimap = Image.open(tmp_path/'second'/'pets'/'trimaps'/f'{path.stem}.png')
        assert trimap.size == (16, 16)
        assert set(np.asarray(trimap).flat) <= {1, 2, 3}


def test_a_mirror_holds_several(tmp_path, data_folder):
    for name in (RPS, 'cifar10'):
        prepare.prepare(name, mirror_folder(tmp_path/name, TINY[name]()))
        write_mirror(name, 4, 16, tmp_path/'out')
    assert set(json.loads((tmp_path/'out'/'manifest.json').read_text())) == {'rps.zip', 'rps-test-set.zip', 'cifar-10-python.tar.gz'}


def test_a_small_picture_stays_as_it_is(tmp_path):
    (tmp_path/'x.jpg').write_bytes(noise_file(0))
    assert shrinker(24)(tmp_path/'x.jpg') == noise_file(0)
    Image.new('CMYK', (40, 60)).save(tmp_path/'y.jpg')
    shrunk = Image.open(io.BytesIO(shrinker(24)(tmp_path/'y.jpg')))
    assert shrunk.size == (24, 36)
    assert shrunk.mode == 'RGB'


BAD_COMMANDS = [
    ([], 'NAME= is missing'),
    (['dogs'], "no data set 'dogs'"),
    ([RPS], 'fetch it first'),
    ([RPS, '--keep', 'all'], 'KEEP=all'),
    ([RPS, '--keep', '0'], 'KEEP=0'),
    ([RPS, '--size=-3'], 'SIZE=-3'),
    ([RPS, '--mirror', 'http://x'], 'into a folder'),
]


@pytest.mark.parametrize('args, part', BAD_COMMANDS)
@pytest.mark.fault
def test_a_mirror_that_cannot_be(args, part):
    fails(lambda: classroom_mirror.main(args), part)


@pytest.mark.fault
def test_a_mirror_on_a_full_disk(tmp_path, data_folder, monkeypatch):
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
    assert r.returncode == 1
    assert len(r.stderr.strip().splitlines()) == 1
    assert part in r.stderr
    assert 'cats_dogs (825 MB)' in r.stderr
    assert not r.stdout


def test_make_hands_names_with_spaces_on():
    r = subprocess.run(['make', '-n', 'data', 'NAME=a b', 'MIRROR=c d'], cwd=ROOT, capture_output=True, text=True)
    assert 'data "a b" --mirror "c d"' in r.stdout


def test_nothing_is_contacted_at_import():
    code = "import sys\ndef f(e, a):\n if e.startswith(('socket.connect', 'socket.send', 'socket.get')): raise SystemExit('contacted: ' + e)\nsys.addaudithook(f)\nimport data_scripts.datasets.prepare, data_scripts.datasets.classroom_mirror"
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True).stderr == ''
    probe = subprocess.run([sys.executable, '-c', code + '\nimport socket; socket.gethostbyname("localhost")'], cwd=ROOT, capture_output=True, text=True)
    assert 'contacted: socket.gethostbyname' in probe.stderr


def test_no_lesson_asks_for_data():
    "Only the commands import what downloads."
    modules = [p for p in (ROOT/'course_utils').rglob('*.py') if p.name != '__main__.py']
    for p in [*modules, *(ROOT/'nbs').rglob('*.ipynb')]:
        assert not re.search(r'import (requests|urllib)|(from|import) data_scripts\.datasets', p.read_text()), p

"""The page without a server, in a real Chromium: the answers of Python, for everyone, without a network."""
import base64, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.decode import Found, read_picture
from course_utils.data.pictures import Pictures
from course_utils.data.sources import photo
from course_utils.models import create_model
from course_utils.publish.page import runtime_folder, write_page
from course_utils.techniques.answer import answer, open_model
from course_utils.techniques.export import export

pytestmark = pytest.mark.browser
AXE = Path(find_spec('axe_playwright_python').origin).parent
SIZE = 96
ASK = '''async file => {
  const { read } = await import('./picture.js');
  const { open, answer } = await import('./answer.js');
  window.opened ??= await open();
  const blob = await (await fetch('data:application/octet-stream;base64,' + file)).blob();
  const image = await read(blob, window.opened.facts.size);
  const told = await answer(window.opened, image);
  return { image: Array.from(image), views: told.views.map(view => view.probs), map: told.views[0].map.values, distance: told.distance, agree: told.agree };
}'''


def crops(name, n) -> list:
    "Pieces of a photograph, each of another size."
    rng, whole = np.random.default_rng(0), photo(name, 400)
    pieces = []
    for _ in range(n):
        side = rng.integers(100, 300)
        y, x = rng.integers(0, 400 - side, 2)
        pieces.append(np.asarray(Image.fromarray(whole[y:y + side, x:x + side]).resize((SIZE, SIZE))))
    return pieces


def exported_photos(folder) -> Path:
    "The file of a network that was never trained, with a detector of what is unlike pieces of two photographs."
    x = np.stack(crops('chelsea', 60) + crops('coffee', 60))
    labels = np.repeat([0, 1], 60)
    table = pd.DataFrame(dict(path='', label=labels, stratum=labels.astype(str), split=['train', 'valid'] * 60))
    torch.manual_seed(0)
    network = create_model('tf_efficientnet_lite0', 2).eval()
    return export(network, Pictures('photos', x, ['cat', 'cup'], table, Found()), folder)['onnx']


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
    "A page, and the file on it. Nothing is fetched: where onnxruntime-web is not kept yet, the tests are left out."
    try: runtime = runtime_folder()
    except CourseError: pytest.skip('onnxruntime-web is not kept here: python -m course_utils page fetches it once.')
    folder = tmp_path_factory.mktemp('page')
    file = exported_photos(folder)
    for name in ('chelsea', 'coffee'): Image.fromarray(photo(name, 200)).save(folder/f'{name}.png')
    samples = [(folder/'chelsea.png', 'cat'), (folder/'coffee.png', 'cup')]
    return write_page(file, folder/'page', 'Try it', samples, runtime=runtime)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def at(shown):
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(shown['folder'])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser, at):
    "Opens the page and waits for its first answer; a request elsewhere or a script error fails the test."
    contexts, wrong = [], []

    def go(**options):
        context = browser.new_context(**dict(viewport=dict(width=1000, height=900)) | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('request', lambda request: None if request.url.startswith((at, 'data:', 'blob:')) else wrong.append(request.url))
        page.goto(at)
        if options.get('java_script_enabled', True): page.wait_for_selector('#answer:not([hidden])')
        return page
    yield go
    for context in contexts: context.close()
    assert not wrong, wrong


def twenty(folder) -> list:
    "Five formats, four sizes: upright, wide, smaller than the network's, turned by EXIF, half transparent."
    files = []
    rng = np.random.default_rng(0)
    for k, (width, height) in enumerate([(300, 300), (97, 211), (1333, 750), (60, 50)]):
        picture = Image.fromarray(photo(['chelsea', 'coffee', 'astronaut', 'rocket'][k], 400)).resize((width, height))
        exif = Image.Exif()
        exif[274] = [1, 6, 3, 8][k]
        see_through = picture.copy()
        see_through.putalpha(Image.fromarray(rng.integers(0, 256, (height, width)).astype(np.uint8)))
        for name, image, options in (('a.jpg', picture, dict(quality=85, exif=exif)), ('b.webp', picture, dict(quality=80)), ('c.png', see_through, {}),
                                     ('d.gif', picture.convert('P'), {}), ('e.bmp', picture, {})):
            files.append(folder/f'{k}{name}')
            image.save(files[-1], **options)
    return files


def test_the_browser_answers_as_python_does(visit, shown, tmp_path):
    page = visit(bypass_csp=True)
    session, facts = open_model(shown['folder']/'model.onnx')
    files = twenty(tmp_path)
    assert len(files) == 20
    worst = {}
    for file in files:
        told = page.evaluate(ASK, base64.b64encode(file.read_bytes()).decode())
        image = read_picture(file, SIZE)[0]
        mine = answer(session, facts, image)
        worst[file.name] = np.abs(mine['views'] - np.array(told['views'])).max()
        assert np.abs(image.astype(int) - np.array(told['image']).reshape(image.shape)).max() <= 1, file.name
        assert mine['agree'] == told['agree']
        assert np.abs(mine['map'].ravel() - np.array(told['map'])).max() < 1e-2, file.name
        assert mine['distance'] == pytest.approx(told['distance'], rel=1e-2)
    assert max(worst.values()) < 1e-3, worst


def test_it_is_small(shown): assert shown['bytes'] <= 12_000_000


def test_it_works_by_keyboard(visit):
    page = visit(bypass_csp=True)
    page.locator('.samples button').nth(1).focus()
    page.keyboard.press('Enter')
    page.wait_for_function("document.querySelectorAll('.samples button')[1].getAttribute('aria-pressed') === 'true'")
    page.wait_for_function("document.getElementById('view').max > 0")
    page.locator('#view').focus()
    before = page.inner_text('#view-name')
    page.keyboard.press('ArrowRight')
    assert page.inner_text('#view-name') != before
    page.locator('#with-map').focus()
    page.keyboard.press('Space')
    assert page.inner_text('#caption') == 'What the network was shown.'


def test_something_else_is_not_known(visit, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path/'noise.png')
    page = visit(bypass_csp=True)
    page.set_input_files('#own', tmp_path/'noise.png')
    page.wait_for_function("document.getElementById('verdict').textContent.startsWith('I do not know')")


@pytest.mark.fault
def test_odd_files_get_a_sentence(visit, tmp_path):
    (tmp_path/'paper.jpg').write_bytes(b'%PDF-1.4 and so on')
    Image.new('L', (10_000, 10_000)).save(tmp_path/'huge.png')
    Image.fromarray(np.zeros((90, 120), np.uint16)).save(tmp_path/'deep.png')
    page = visit(bypass_csp=True)
    for name, words in (('paper.jpg', 'no picture'), ('huge.png', '100 million pixels'), ('deep.png', '16 bits')):
        page.set_input_files('#own', tmp_path/name)
        page.wait_for_function('words => document.getElementById("status").textContent.includes(words)', arg=words)


def test_it_opens_without_a_network(visit):
    page = visit(bypass_csp=True)
    page.evaluate('navigator.serviceWorker.ready')
    page.wait_for_function('caches.keys().then(names => names.length === 1)')
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector('#answer:not([hidden])')
    assert not page.context.cookies()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_everyone_can_read_it(visit, scheme):
    page = visit(color_scheme=scheme, viewport=dict(width=360, height=740), bypass_csp=True)
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    page.add_script_tag(path=str(AXE/'axe.min.js'))
    found = page.evaluate('axe.run()')['violations']
    assert not [(fault['id'], [node['html'] for node in fault['nodes']]) for fault in found]


def test_without_scripts_there_is_a_still(visit):
    page = visit(java_script_enabled=False)
    assert 'Scripts are off' in page.inner_text('main')
    assert page.locator('img.still').evaluate('image => image.naturalWidth') == 2 * SIZE

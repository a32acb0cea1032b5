"""The app in a real Chromium, in an environment of its own that has what the space's requirements name and nothing of the course.

`python -m course_utils app MODEL.onnx --install` makes that environment once; without it these tests are left out."""
import json, os, re, signal, socket, subprocess, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np, pytest, requests
from PIL import Image

from course_utils.data.decode import read_picture
from course_utils.publish.serve import app_environment
from course_utils.publish.space import write_space
from course_utils.techniques.answer import answer, open_model
from tests.browser.test_page import SIZE, exported_photos, twenty

pytestmark = pytest.mark.browser
PLACE = 'button[aria-label^="Drop an image"]'
ASK_IN_SPACE = '''
import json, sys
from answer import answer, open_model, read_picture
session, facts = open_model('model.onnx')
for file in sys.argv[1:]:
    told = answer(session, facts, read_picture(file, facts['size'], facts.get('grey_range'))[0])
    print(json.dumps([told['views'].tolist(), told['map'].tolist(), told['distance'], told['agree']]))
'''
ODD_NAME = '<img src=x onerror=alert(1)> $(touch pwned) ..%2F..%2Fé.png'


@pytest.fixture(scope='module')
def python():
    "Of the app's environment. Nothing is installed by a test."
    found = app_environment()
    if not found.exists(): pytest.skip('the app has no environment here: python -m course_utils app MODEL.onnx --install makes it once.')
    return str(found)


@pytest.fixture(scope='module')
def space(tmp_path_factory, python):
    folder = tmp_path_factory.mktemp('app')
    return write_space(exported_photos(folder), folder/'space')


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as taken: return taken.getsockname()[1]


@pytest.fixture(scope='module')
def at(python, space):
    "The app, running as a host would run it: from the folder alone."
    port = free_port()
    hidden = ('PYTHONPATH', 'COURSE_CACHE')
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | dict(GRADIO_SERVER_PORT=str(port))
    running = subprocess.Popen([python, 'app.py'], cwd=space, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f'http://127.0.0.1:{port}'
    for _ in range(600):
        assert running.poll() is None, 'the app has ended'
        try:
            if requests.get(f'{address}/config', timeout=5).ok: break
        except requests.RequestException: time.sleep(.2)
    yield address
    running.send_signal(signal.SIGINT)
    running.wait(30)


@pytest.fixture
def visit(browser, at):
    "Opens the app; a request elsewhere or a script error fails the test."
    wrong = []
    context = browser.new_context(viewport=dict(width=1000, height=900))
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('request', lambda request: None if request.url.startswith((at, 'data:', 'blob:')) else wrong.append(request.url))
    page.goto(at)
    page.wait_for_selector(PLACE)
    yield page
    context.close()
    assert not wrong, wrong


def asked(at, file) -> str:  # HTML
    "What the app's own address for programs says of a file."
    api = f'{at}/gradio_api'
    with open(file, 'rb') as stream: [path] = requests.post(f'{api}/upload', files=dict(files=(Path(file).name, stream)), timeout=60).json()
    picture = dict(path=path, meta={'_type': 'gradio.FileData'})
    event = requests.post(f'{api}/call/ask', json=dict(data=[picture]), timeout=60).json()['event_id']
    text = requests.get(f'{api}/call/ask/{event}', timeout=120).text
    [data] = re.findall(r'event: complete\ndata: (.*)', text)
    return json.loads(data)[1]


def test_the_space_answers_as_the_course_does(python, space, tmp_path):
    "Another Pillow and another ONNX Runtime, twenty pictures."
    files = twenty(tmp_path)
    ran = subprocess.run([python, '-c', ASK_IN_SPACE, *map(str, files)], cwd=space, capture_output=True, text=True, check=True)
    session, facts = open_model(space/'model.onnx')
    worst = {}
    for file, line in zip(files, ran.stdout.splitlines(), strict=True):
        views, evidence, distance, agree = json.loads(line)
        told = answer(session, facts, read_picture(file, SIZE)[0])
        worst[file.name] = np.abs(told['views'] - np.array(views)).max()
        assert told['agree'] == agree
        assert np.abs(told['map'] - np.array(evidence)).max() < 1e-2, file.name
        assert told['distance'] == pytest.approx(distance, rel=1e-2)
    print(f'space: at most {max(worst.values()):.1e}')
    assert max(worst.values()) < 1e-3, worst


def test_the_app_answers_as_the_course_does(at, space, tmp_path):
    session, facts = open_model(space/'model.onnx')
    worst = {}
    for file in twenty(tmp_path):
        told = answer(session, facts, read_picture(file, SIZE)[0])
        said = asked(at, file)
        shown = [float(value) for value in re.findall(r'<meter value="([\d.]+)"', said)]
        worst[file.name] = np.abs(np.sort(told['probs'])[::-1] - shown).max()
        assert ('I do not know' in said) == told['is_unlike']
    print(f'app: at most {max(worst.values()):.1e}, shown with four digits')
    assert max(worst.values()) < 1e-3, worst


def hand_in(page, file, press):
    "Chooses a file as a visitor does; returns what the app says of it."
    with page.expect_file_chooser() as chooser: press()
    chooser.value.set_files(file)
    page.wait_for_selector('.answer')
    return page.inner_text('.answer')


def test_by_mouse(visit, tmp_path):
    said = hand_in(visit, twenty(tmp_path)[0], lambda: visit.click(PLACE))
    assert 'views of it' in said
    assert visit.locator('.answer figure img').count() == 2  # the picture, and the map over it
    assert visit.locator('.answer meter').count() == 2


def test_by_keyboard(visit, tmp_path):
    for _ in range(20):
        visit.keyboard.press('Tab')
        if visit.evaluate(f"() => document.activeElement.matches('{PLACE}')"): break
    assert 'views of it' in hand_in(visit, twenty(tmp_path)[5], lambda: visit.keyboard.press('Enter'))


def test_something_else_is_not_known(visit, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path/'noise.png')
    assert hand_in(visit, tmp_path/'noise.png', lambda: visit.click(PLACE)).startswith('I do not know')


@pytest.mark.fault
@pytest.mark.parametrize('name, words', [('paper.jpg', 'no picture'), ('huge.png', '100 million pixels'), (ODD_NAME.replace('/', ''), 'views of it')])
def test_odd_files_get_a_sentence(visit, space, tmp_path, name, words):
    file = tmp_path/name
    if name == 'paper.jpg': file.write_bytes(b'%PDF-1.4 and so on')
    elif name == 'huge.png': Image.new('L', (10_000, 10_000)).save(file)
    else: twenty(tmp_path)[10].rename(file)
    assert words in hand_in(visit, file, lambda: visit.click(PLACE))
    assert not (space/'pwned').exists()


def test_twenty_at_once_are_all_answered(at, tmp_path):
    with ThreadPoolExecutor(20) as pool: said = list(pool.map(lambda file: asked(at, file), twenty(tmp_path)))
    assert all('views of it' in text for text in said)

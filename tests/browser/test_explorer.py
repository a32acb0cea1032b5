"Explorers in a real JupyterLab, and their page twins in a plain browser."
import io, json, os, statistics
from pathlib import Path
import cv2, numpy as np, pytest
from PIL import Image
from skimage.data import chelsea
from .lab import drag, press, readout, time_steps, wait_for
from course_utils.show.explorer import Explorer, Slider

pytestmark = pytest.mark.browser

DRAW = """
import cv2, numpy as np
from skimage.data import chelsea
from course_utils.show.explorer import Explorer, Slider
cat = cv2.resize(chelsea(), (480, 400))

def draw(p, turn):
    soft = cv2.GaussianBlur(cat, (0, 0), 8*p) if p else cat
    m = cv2.getRotationMatrix2D((240, 200), 90*turn, 1)
    both = np.hstack([soft, cv2.warpAffine(soft, m, (480, 400))])
    cv2.putText(both, f'p {p:.2f}', (12, 30), cv2.FONT_HERSHEY_SIMPLEX, .8, (255, 255, 255), 2)   # so that no two positions look the same
    return both, f'p is {p:.2f}, turn is {turn:.2f}.'
"""
LIVE = """
e = Explorer(draw, [Slider('p', 'Blur', step=.01), Slider('turn', 'Quarter turns of it', value=.25)], title='A cat, blurred and turned',
             alt='Left a blurred photograph of a cat, right the same turned.')
e
"""
# What the speed is measured of: lesson 01's own explorer.
LESSON = """
import cv2
from course_utils.explorers.augment import probability_explorer
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.show.explorer import Explorer
plain = probability_explorer([photo('chelsea', 96), load_pictures('solar', size=96, limit=64).x[0]])

def draw(**values):
    "With p drawn in: between two neighbouring p there may be no coin, and then there is no new picture to wait for."
    picture, sentence = plain.draw(**values)
    return cv2.putText(picture, f"p {values['p0']:.2f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, .4, (255, 255, 255), 1), sentence
e = Explorer(draw, plain.sliders, master=plain.master, alt=plain.alt)
e
"""
# The usual way: the same drawing, through interactive_output and matplotlib, in the same size.
USUAL = """
import ipywidgets as widgets, matplotlib.pyplot as plt
from IPython.display import display
%matplotlib inline

def show(p):
    picture, sentence = e.draw_at(**e.values_at(p))
    fig = plt.figure(figsize=(picture.shape[1] / 100, picture.shape[0] / 100), dpi=100)
    ax = fig.add_axes([0, 0, 1, 1])
    ax.imshow(picture)
    ax.axis('off')
    plt.show()
    print(sentence)
p = widgets.FloatSlider(min=0, max=1, step=.01)
usual = widgets.VBox([p, widgets.interactive_output(show, dict(p=p))])
usual.add_class('usual')
display(usual)
"""

def test_live(lab, page):
    "Mouse and keyboard move the picture; the sentence says where it stands; an error in draw is said, too."
    broken = "def bad(p):\n    if p > .5: raise KeyError('nothing here')\n    return draw(p, 0)\nExplorer(bad, [Slider('p', 'Blur', value=.5)], alt='A cat.').widget"
    lab.write('live.ipynb', DRAW, LIVE, broken)
    lab.open_notebook(page, 'live.ipynb')
    lab.run_all(page, 'live.ipynb')
    box = page.locator('.explorer-live').first
    handle, img, says = box.locator('.noUi-handle').first, box.locator('img'), box.locator('.explorer-says')
    assert says.inner_text() == 'p is 0.00, turn is 0.25.'
    for move in (lambda: drag(page, handle, 90), lambda: press(handle)):
        before, value = img.get_attribute('src'), float(readout(handle))
        move()
        wait_for(lambda: img.get_attribute('src') != before, 5, 'the picture did not change')
        assert float(readout(handle)) > value
        wait_for(lambda: says.inner_text() == f'p is {float(readout(handle)):.2f}, turn is 0.25.', 5,
                 lambda: f'the slider stands at {readout(handle)}, but the sentence says: {says.inner_text()}')
    assert img.get_attribute('title') == 'Left a blurred photograph of a cat, right the same turned. ' + says.inner_text()
    size = img.evaluate('i => [i.naturalWidth, i.naturalHeight, i.getBoundingClientRect().width / i.getBoundingClientRect().height]')
    assert size[:2] == [960, 400]
    assert abs(size[2] - 2.4) < .02
    bad = page.locator('.explorer-live').nth(1)
    press(bad.locator('.noUi-handle'))
    wait_for(lambda: 'nothing here' in bad.locator('.explorer-says').inner_text(), 5, 'the error in draw was not said')
    press(bad.locator('.noUi-handle'), 'ArrowLeft')
    wait_for(lambda: bad.locator('.explorer-says').inner_text() == 'p is 0.50, turn is 0.00.', 5, 'it did not recover')

def test_speed(lab, page):
    """30 steps of lesson 01's explorer and 30 of interactive_output + matplotlib, in one kernel, measured in one way.

    On a quiet machine the explorer is three times as fast and under 50 ms; what is asserted leaves room for a machine at work.
    Where `make bench` asks, five rounds are kept as they come, and nothing is asserted."""
    lab.write('speed.ipynb', LESSON, USUAL)
    lab.open_notebook(page, 'speed.ipynb')
    lab.run_all(page, 'speed.ipynb')
    record, rounds = os.environ.get('COURSE_RECORD'), {'usual': [], 'explorer-live': []}
    for attempt in range(1, 6):   # other programs only ever add time, so a busy moment is given more chances
        ms = {}
        for name in sorted(rounds, reverse=bool(attempt % 2)):  # in turn
            box = page.locator(f'.{name}').first
            handle = box.locator('.noUi-handle').first
            box.scroll_into_view_if_needed()
            press(handle, 'Home')
            page.wait_for_timeout(1000)
            ms[name] = time_steps(page, handle, box)
            rounds[name].append(statistics.median(ms[name]))
        median, usual = statistics.median(ms['explorer-live']), statistics.median(ms['usual'])
        p95 = statistics.quantiles(ms['explorer-live'], n=20, method='inclusive')[-1]
        result = dict(steps=len(ms['explorer-live']), explorer_median_ms=round(median, 1), explorer_p95_ms=round(p95, 1),
                      matplotlib_median_ms=round(usual, 1), ratio=round(usual/median, 2), attempt=attempt)
        print(f"\nslider to new picture: explorer median {median:.0f} ms, p95 {p95:.0f} ms; interactive_output + matplotlib median "
              f"{usual:.0f} ms; {usual/median:.1f} times as fast ({result['steps']} steps, attempt {attempt})")
        if not record and usual >= 2*median and p95 <= 250: break
    else:
        if not record: pytest.fail(f'the explorer is too slow: {result}')
        Path(record, 'explorer_speed.json').write_text(json.dumps(rounds))

# The page twin: a file, no server, no network.

def decode(png): return np.array(Image.open(io.BytesIO(png)).convert('RGB'))

def explorer(label='Blur', start=0., **kw):
    photo = cv2.resize(chelsea(), (480, 400))
    def draw(p):
        soft = cv2.GaussianBlur(photo, (0, 0), 8*p) if p else photo.copy()
        cv2.putText(soft, f'{p:.2f}', (12, 30), cv2.FONT_HERSHEY_SIMPLEX, .8, (255, 255, 255), 2)
        return np.hstack([photo, soft]), f'{label} is {p:.2f}.'
    return Explorer(draw, [Slider('p', label, value=start)], alt='Two photographs of a cat.', **kw)

def as_file(tmp_path, *figures):
    f = tmp_path/'page.html'
    f.write_text('<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>t</title>'
                 '<meta name="color-scheme" content="light dark"><body style="font-family:sans-serif">' + '\n'.join(figures) + '</body></html>')
    return f.as_uri()

def test_twin_moves(browser, page, tmp_path):
    "From a file, with the network cut: the keyboard changes the picture, the value, the sentence and the alt text."
    page.context.set_offline(True)
    page.goto(as_file(tmp_path, explorer(start=.5).html()))
    window, img, slider = page.locator('.explorer-window'), page.locator('img'), page.get_by_role('slider', name='Blur', exact=True)
    first = window.screenshot()
    slider.focus()
    page.keyboard.press('ArrowRight')
    assert page.locator('output').inner_text() == '0.55'
    assert page.locator('figcaption').inner_text() == 'Blur is 0.55.'
    assert img.get_attribute('alt') == 'Two photographs of a cat. Blur is 0.55.'
    assert window.screenshot() != first
    page.keyboard.press('ArrowLeft')
    assert window.screenshot() == first
    page.keyboard.press('End')
    assert page.locator('output').inner_text() == '1.00'

def test_twin_without_scripts(browser, tmp_path):
    "Scripts off: the picture at the start is there, and no slider that does nothing."
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(as_file(tmp_path, explorer(start=.5).html()))
    shot = decode(page.locator('.explorer-window').screenshot())
    assert not page.locator('input').is_visible()
    assert page.locator('figcaption').inner_text() == 'Blur is 0.50.'
    wanted = explorer().draw_at(p=.5)[0]
    assert shot.shape == wanted.shape, 'this is not the picture at the start'
    assert abs(shot.astype(int) - wanted).mean() < 6, 'this is not the picture at the start'
    context.close()

def test_twins_side_by_side(browser, page, tmp_path):
    "Two explorers and one of them twice: each moves alone. No sideways scrolling at 360 px."
    page.set_viewport_size(dict(width=360, height=900))
    a, b = explorer('Blur', title='One'), explorer('Softness')
    page.goto(as_file(tmp_path, a.html(), b.html(), a.html()))
    says = page.locator('figcaption')
    page.locator('input').nth(2).focus()
    page.keyboard.press('ArrowRight')
    assert says.all_inner_texts() == ['Blur is 0.00.', 'Softness is 0.00.', 'Blur is 0.05.']
    page.get_by_label('Softness').focus()
    page.keyboard.press('End')
    assert says.all_inner_texts() == ['Blur is 0.00.', 'Softness is 1.00.', 'Blur is 0.05.']
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    ids = page.locator('input').evaluate_all('all => all.map(o => o.id)')
    assert len(set(ids)) == 3

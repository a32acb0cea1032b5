"A new learner's path in JupyterLab, by keyboard alone: one exercise wrong, the hint, the exercise right, the table of progress."
import json

import pytest

from .lab import Lab, wait_for

pytestmark = pytest.mark.browser
NAME = '02_transfer_learning.ipynb'


@pytest.fixture
def own_lab(browser, tmp_path):
    with Lab(tmp_path/'lab', COURSE_PROFILE='smoke', COURSE_HOME=str(tmp_path/'home')) as it: yield it


def active(page): return page.evaluate("document.querySelector('.jp-Notebook .jp-mod-active')?.innerText ?? ''")


def walk_to(page, text):
    "Down with the arrow key, until the active cell holds this text."
    for _ in range(150):
        if text in active(page): return
        page.keyboard.press('ArrowDown')
        page.wait_for_timeout(60)
    raise AssertionError(f'no cell with {text!r} was reached by keyboard; the last one was {active(page)[:200]!r}')


def run_and_read(page, wanted):
    "Control+Enter, and wait for these words in the active cell."
    page.keyboard.press('Control+Enter')
    wait_for(lambda: wanted in active(page), 90, lambda: f'{wanted!r} did not come; the cell says {active(page)[-400:]!r}')


def rewrite_second_line(page, code):
    "Into the cell, to its second line, and over what stands there."
    for key in ('Enter', 'Control+Home', 'ArrowDown', 'End', 'Shift+Home'):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
    page.keyboard.type(code)
    page.keyboard.press('Escape')


def test_wrong_hint_right_progress_by_keyboard(own_lab, page, tmp_path):
    own_lab.open_notebook(page, NAME)
    page.keyboard.press('Escape')   # from here on no mouse, and nothing but keys
    walk_to(page, 'from course_utils.classroom.checker import check')
    page.keyboard.press('Control+Enter')
    walk_to(page, 'def head_size')
    run_and_read(page, 'is still as it came')
    rewrite_second_line(page, 'return features * classes')
    run_and_read(page, 'nn.Linear has a bias, too')
    page.keyboard.press('b')        # a new cell below
    page.keyboard.press('Enter')
    page.keyboard.type("hint('02-1')")
    run_and_read(page, 'Hint 1 of 3.')
    run_and_read(page, 'Hint 2 of 3.')
    page.keyboard.press('Escape')
    page.keyboard.press('ArrowUp')
    assert 'def head_size' in active(page)
    rewrite_second_line(page, 'return features * classes + classes')
    run_and_read(page, '✓ 02-1: right.')
    walk_to(page, 'progress()')
    run_and_read(page, '1 of ')
    assert 'done, 2 tries' in active(page)
    kept = json.loads((tmp_path/'home'/'answers.json').read_text())['exercises']['02-1']
    assert kept['done']
    assert kept['hints'] == 2
    assert 'features * classes + classes' in kept['answer']


def test_a_guess_by_keyboard(own_lab, page, tmp_path):
    "The form of `guess`: Tab to its numbers, type, press its button; the sentence above says that it is kept."
    own_lab.write('guess.ipynb', "from course_utils.classroom.guesses import guess\nguess('02')")
    own_lab.open_notebook(page, 'guess.ipynb')
    page.keyboard.press('Escape')
    page.keyboard.press('Control+Enter')
    page.wait_for_selector('.jp-OutputArea input[type=number]', timeout=60_000)
    focused = lambda: page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.type || '') + ' ' + document.activeElement.innerText")
    def tab_to(what):
        for _ in range(60):
            page.keyboard.press('Tab')
            if what in focused(): return
        raise AssertionError(f'{what} was not reached by Tab; the last one was {focused()!r}')
    for value in ('0.01', '0.02'):
        tab_to('INPUT number')
        page.keyboard.press('Control+a')
        page.keyboard.type(value)
    tab_to('Write it down')
    page.keyboard.press('Space')
    wait_for(lambda: '+1.0% to +2.0%' in page.locator('.jp-OutputArea').first.inner_text(), 20, lambda: page.locator('.jp-OutputArea').first.inner_text())
    kept = json.loads((tmp_path/'home'/'answers.json').read_text())['predictions']['02']
    assert kept['gain']['range'] == [.01, .02]
    assert kept['gain']['counts']

"Fixtures for tests that need a browser."
import os, pytest
from data_scripts.experiments.visit import BROWSER_FLAGS, find_browser
from .lab import Lab

@pytest.fixture(scope='session')
def browser():
    try: from playwright.sync_api import sync_playwright
    except ImportError: sync_playwright = None
    missing = None if sync_playwright and find_browser() else 'Playwright for Python' if find_browser() else 'a Chromium (chromium, chromium-browser or google-chrome on PATH)'
    if missing:
        sentence = f'The browser tests need {missing}, which is not installed.'
        if os.environ.get('COURSE_REQUIRE_BROWSER') == '1': pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        yield b
        b.close()

@pytest.fixture
def page(browser):
    "A page in a profile of its own; a script error on a page of ours (a file) fails the test."
    context = browser.new_context(viewport=dict(width=1280, height=1000))
    it, errors = context.new_page(), []
    it.on('pageerror', lambda e: errors.append(str(e)) if it.url.startswith('file:') else None)
    yield it
    context.close()
    assert not errors, errors

@pytest.fixture(scope='session')
def lab(browser, tmp_path_factory):   # asks for the browser first: no server is started for nothing
    with Lab(tmp_path_factory.mktemp('lab')/'home', COURSE_PROFILE='smoke') as it: yield it

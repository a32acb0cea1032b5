"""What a visitor of a built page meets, measured in a real Chromium: the browser tests judge it, site_report.py sets it out in a table.
Every function takes a page of Playwright's, or its browser."""
import functools, http.server, shutil, threading
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from course_utils.config import CourseError
from course_utils.machine.software import BROWSERS
from data_scripts.site.build import Handler

BROWSER_FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
                 '--disable-component-update', '--disable-sync']   # Playwright adds --headless and a new profile folder
DESKTOP = dict(width=1280, height=800)
TELEPHONE = dict(width=360, height=740)
TIMEOUT_MS = 120_000   # a busy machine
LONGEST_TAB = 200      # presses, after which there is no slider


def find_browser() -> str | None:
    "The path of a Chromium, or None."
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def open_browser():
    "A Chromium without a window. Raises `CourseError` where there is none, or no Playwright."
    path = find_browser()
    try: from playwright.sync_api import sync_playwright
    except ImportError: path = None
    if path is None: raise CourseError('A browser is needed here, and Playwright or Chromium is missing: make doctor says how to install them.')
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        try: yield browser
        finally: browser.close()


class QuietHandler(Handler):
    "Says nothing of what it sends."
    def log_message(self, *args): pass


class QuietServer(http.server.ThreadingHTTPServer):
    "A visitor that leaves before a page is whole is no error."
    def handle_error(self, request, client_address): pass


@contextmanager
def served(
    docs: Path,  # a built site
):
    "Gives the address under which the site is shown, as `make serve` does."
    server = QuietServer(('127.0.0.1', 0), functools.partial(QuietHandler, directory=str(docs)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()


def watch_requests(
    page,
    site: str,  # its address
) -> dict:      # kind → what was seen, a line each; it fills while the page is used
    "Requests that leave the site, errors of scripts, and files that are not there."
    seen = dict(outside=[], errors=[], missing=[])
    local = (site, 'data:', 'blob:')

    def on_request(request):
        if not request.url.startswith(local): seen['outside'].append(f'{page.url} asks for {request.url}')

    def on_response(response):
        if response.status >= 400: seen['missing'].append(f'{page.url}: {response.status} for {response.url}')

    page.on('pageerror', lambda error: seen['errors'].append(f'{page.url}: {error}'))
    page.on('request', on_request)
    page.on('response', on_response)
    return seen


# ---- time ----

FIRST_PAINT = """new Promise(done => new PerformanceObserver(list => done(list.getEntriesByName('first-contentful-paint')[0].startTime))
  .observe({type: 'paint', buffered: true}))"""


def first_paint_ms(
    browser,
    address: str,   # whole
    slowdown: int,  # of the processor
) -> float:
    "First contentful paint in a profile of its own, which has kept nothing."
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    context.new_cdp_session(page).send('Emulation.setCPUThrottlingRate', dict(rate=slowdown))
    page.goto(address)
    milliseconds = page.evaluate(FIRST_PAINT)
    context.close()
    return milliseconds


# From a slider's event to the frame after it.
DRAG = """async (figure, steps) => {
  const input = figure.querySelector('input'), times = [];
  const n = JSON.parse(figure.dataset.explorer).says.length;
  await figure.querySelector('img').decode();
  const frame = () => new Promise(requestAnimationFrame);
  const painted = () => new Promise(done => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });
  for (let i = 1; i <= steps; i++) {
    await frame();
    const start = performance.now();
    input.value = +input.min + i % n * input.step;
    input.dispatchEvent(new Event('input', {bubbles: true}));
    await frame();
    await painted();
    times.push(performance.now() - start);
  }
  return times;
}"""


def drag_ms(
    figure,          # of an explorer, a locator
    steps: int=30,
) -> list:
    "Milliseconds from each move of the slider to its paint."
    figure.scroll_into_view_if_needed()
    return figure.evaluate(DRAG, steps)


# ---- reach ----

AT_SLIDER = "document.activeElement.type === 'range' && !!document.activeElement.closest('figure.explorer')"


def presses_to_slider(
    page,  # just opened
) -> int | None:  # None: no slider was reached
    "Key presses from the top of a page to its first slider, by the skip link where there is one that is seen."
    for n in range(1, LONGEST_TAB + 1):
        page.keyboard.press('Tab')
        if page.evaluate(AT_SLIDER): return n
        if page.evaluate('document.activeElement.className') != 'skip-to-slider': continue
        if page.locator('.skip-to-slider').bounding_box()['y'] < 0: continue
        page.keyboard.press('Enter')
        return n + 1 if page.evaluate(AT_SLIDER) else None
    return None


def page_height(page) -> int: return page.evaluate('document.documentElement.scrollHeight')


def is_too_wide(page) -> bool: return page.evaluate('document.documentElement.scrollWidth > innerWidth')


# axe looks at every element, for a long time. One coloured word of each class says what the others in its theme would, and so do
# three blocks of code, plain paragraphs and rows of a kind. (Pictures, headings, links and labels all stay.)
THIN = """() => {
  const seen = {}, times = key => seen[key] = (seen[key] || 0) + 1, kind = o => o.tagName + o.className, main = document.querySelector('main');
  for (const o of main.querySelectorAll('pre')) if (times('pre' + kind(o) + kind(o.parentElement)) > 3) o.remove();
  for (const o of main.querySelectorAll('pre span')) if (!o.children.length && times(o.className) > 1) o.replaceWith(o.textContent);
  for (const o of main.querySelectorAll('p, li, td')) if (!o.children.length && times(kind(o) + kind(o.parentElement)) > 3) o.textContent = '';
}"""
GRAVE = 'serious', 'critical'


def axe_findings(page, rules: list | None=None) -> list:  # a line each
    "What axe finds serious on a page, or what these of its rules find. The page is thinned for it."
    page.evaluate(THIN)
    folder = Path(find_spec('axe_playwright_python').origin).parent
    if not page.evaluate('!!window.axe'): page.add_script_tag(path=next(folder.rglob('axe.min.js')))
    options = dict(resultTypes=['violations'])
    if rules: options['runOnly'] = rules
    lines = []
    for violation in page.evaluate('options => axe.run(options)', options)['violations']:
        if violation['impact'] not in GRAVE: continue
        for node in violation['nodes']: lines.append(f"{violation['id']}: {node['html'][:120]} ({node['failureSummary'][:200]})")
    return lines


IS_DARK = r"Math.max(...getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3)) < 80"


def dark_contrast_findings(page) -> list:  # a line each
    "The same of contrast in the dark theme, which the page's own switch turns on. The sheets change one after the other: a finding counts if it stays."
    toggle = page.locator('.quarto-color-scheme-toggle:visible')
    if toggle.count():
        toggle.first.click()
        page.mouse.move(0, 0)
    else: page.emulate_media(color_scheme='dark')
    page.wait_for_function(IS_DARK, timeout=10_000)
    lines = axe_findings(page, ['color-contrast'])
    if lines:
        page.wait_for_timeout(2000)
        lines = axe_findings(page, ['color-contrast'])
    page.evaluate('localStorage.clear()')
    page.emulate_media(color_scheme='light')
    return lines

"Drive a real JupyterLab in a real browser: open a notebook, run it, move its sliders. data_scripts/experiments/lab_server.py starts and stops it."
import json, re, secrets
from pathlib import Path

from data_scripts.experiments.lab_server import LabServer, wait_for

REPO = Path(__file__).resolve().parents[2]
class Lab(LabServer):
    "A JupyterLab of its own, on a copy of the notebooks, and what a hand does in it."
    def kernel(self, name):
        "The kernel of a notebook, as the server sees it, or None."
        return next((s['kernel'] for s in self.api('sessions') if s['path'] == name), None)

    def kernel_ready(self, name):
        k = self.kernel(name)
        return k and k['connections'] and k['execution_state'] == 'idle'

    def write(self, name, *cells):
        "Write a notebook of code cells."
        cell = lambda src: dict(cell_type='code', id=secrets.token_hex(4), metadata={}, source=src, outputs=[], execution_count=None)
        nb = dict(cells=[cell(c) for c in cells], nbformat=4, nbformat_minor=5,
                  metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')))
        (self.root/name).write_text(json.dumps(nb))

    def open_notebook(self, page, name):
        "Open a notebook and wait until its kernel can be used; Run All before that opens a 'Select Kernel' dialog."
        workspace = re.sub(r'\W', '-', name) + secrets.token_hex(3)
        page.goto(f'{self.url}/lab/workspaces/{workspace}/tree/{name}?reset&token={self.token}')
        page.wait_for_selector('.jp-Notebook .jp-Cell', timeout=60_000)
        wait_for(lambda: self.kernel_ready(name), 60, f'{name} has had no idle kernel for 60 s')

    def outcome(self, name):
        "(Have all code cells run?, text of the first error output or None), from the saved notebook."
        code = [c for c in json.loads((self.root/name).read_text())['cells'] if c['cell_type'] == 'code' and ''.join(c['source']).strip()]
        errors = [o for c in code for o in c['outputs'] if o['output_type'] == 'error']
        text = re.sub(r'\x1b\[[\d;]*m', '', '\n'.join(errors[0]['traceback']) or f"{errors[0]['ename']}: {errors[0]['evalue']}") if errors else None
        return all(c['execution_count'] for c in code), text

    def run_all(self, page, name, timeout_s=120):
        "Run -> Run All Cells; wait until all have run. Fails with the text of the first error output."
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        def finished():
            if dialog := page.query_selector('.jp-Dialog:has-text("Select Kernel")'): dialog.query_selector('.jp-mod-accept').click()
            if not self.kernel_ready(name): return False
            page.keyboard.press('Control+s')   # cells out of sight are not in the page: ask the file instead
            page.wait_for_timeout(300)
            try: done, error = self.outcome(name)
            except json.JSONDecodeError: return False   # it is being saved
            if error: raise AssertionError(f'{name} stopped at an error:\n{error}')
            return done
        wait_for(finished, timeout_s, f'{name} did not run to its end within {timeout_s} s', every_s=.3)

def drag(page, handle, dx):
    "Drag a slider's handle by `dx` pixels with the mouse."
    handle.scroll_into_view_if_needed()
    b = handle.bounding_box()
    x, y = b['x'] + b['width']/2, b['y'] + b['height']/2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y, steps=10)
    page.mouse.up()

def press(handle, key='ArrowRight'):
    "Press a key on a slider's handle."
    handle.focus()
    handle.press(key)

def readout(handle) -> str:
    "The value that stands beside the slider."
    return handle.locator('xpath=ancestor::*[contains(@class,"widget-slider")]').locator('.widget-readout').text_content().strip()   # inner_text is empty while JupyterLab does not draw the cell

# The clock starts with the key event that the handle gets, and stops at the frame after the first new picture is decoded.
_WATCH = """([handle, box]) => {
  const seen = () => [...box.querySelectorAll('img')].map(i => i.src).filter(s => s).pop();
  window.step = () => new Promise(resolve => {
    const before = seen();
    let t0 = null, done = false;
    handle.addEventListener('keydown', e => { t0 = e.timeStamp }, {capture: true, once: true});
    const watch = new MutationObserver(async () => {
      const img = [...box.querySelectorAll('img')].filter(i => i.src).pop();
      if (t0 === null || done || !img || img.src === before) return;
      try { await img.decode() } catch { return }   // replaced before it was decoded: the next one counts
      if (done) return;
      done = true;
      watch.disconnect();
      requestAnimationFrame(() => resolve(performance.now() - t0));
    });
    watch.observe(box, {subtree: true, childList: true, attributes: true, attributeFilter: ['src']});
  });
}"""

def time_steps(page, handle, box, n=30, warm=3) -> list:
    "Milliseconds from key press to new picture, for `n` steps to the right after `warm` unmeasured ones; `box` holds the picture."
    page.evaluate(_WATCH, [handle.element_handle(), box.element_handle()])
    handle.focus()
    times = []
    for _ in range(n + warm):
        page.evaluate('window.last = window.step(); null')
        page.keyboard.press('ArrowRight')
        times.append(page.evaluate('Promise.race([window.last, new Promise((_, no) => setTimeout(() => no(Error("no new picture within 10 s")), 10000))])'))
    return times[warm:]

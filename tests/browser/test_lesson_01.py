"Lesson 01 as a learner meets it: in JupyterLab, top to bottom, and then a hand on the slider."
import pytest

from .lab import drag, press, readout, wait_for

pytestmark = pytest.mark.browser
NAME = '01_augmentation.ipynb'


def test_lesson_01(lab, page):
    lab.open_notebook(page, NAME)
    lab.run_all(page, NAME, timeout_s=300)
    # JupyterLab draws only the cells near the window: walk down until the explorer is there.
    wait_for(lambda: page.locator('.explorer-live').count() or page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollBy(0, 400)"),
             60, 'the explorer of lesson 01 is nowhere to be seen')
    box = page.locator('.explorer-live').first
    master, img, says = box.locator('.noUi-handle').first, box.locator('img'), box.locator('.explorer-says')
    box.scroll_into_view_if_needed()
    wait_for(lambda: img.get_attribute('src') and readout(master), 20, 'the explorer stays empty')
    assert box.locator('.noUi-handle').count() == 8, 'one slider for all and one for each of seven operations'
    for move in (lambda: drag(page, master, 120), lambda: press(master), lambda: press(box.locator('.noUi-handle').nth(4))):
        before, p = img.get_attribute('src'), float(readout(master))
        said = says.text_content()
        for _ in range(8):  # near by, no coin may lie between two positions: then the next step shows one
            move()
            page.wait_for_timeout(300)
            if img.get_attribute('src') != before and says.text_content() != said: break
        assert img.get_attribute('src') != before
        assert says.text_content() != said
        assert float(readout(master)) >= p
    assert ' of 20 pictures are touched. Expected' in says.text_content()
    assert says.text_content() in img.get_attribute('title')

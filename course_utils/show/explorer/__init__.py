"""A picture, a sentence and sliders: live in JupyterLab, and still moving on a published page that has no kernel.

model     `Slider` and `Explorer`: what moves, and what is drawn at each position
live      the widgets of JupyterLab
sprite    all positions of a slider as one small WebP
page      the figure for a page without a kernel, out of page.html, explorer.css and explorer.js
"""
from course_utils.show.explorer.model import Explorer, Slider
from course_utils.show.explorer.sprite import PAGE_BYTES, RIM

__all__ = ['Explorer', 'Slider', 'PAGE_BYTES', 'RIM']

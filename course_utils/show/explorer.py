"""A picture, a sentence and sliders: live in JupyterLab, and still moving on a published page that has no kernel."""
import base64, html, io, json, math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2, ipywidgets as widgets, numpy as np, traitlets
from PIL import Image

from course_utils.config import CourseError


@dataclass
class Slider:
    "One thing to move. If `min`, `max`, `step` and `value` are all whole (`int`), so is what `draw` receives."
    name: str           # the keyword that `draw` receives
    label: str          # what the learner reads beside it
    min: float = 0.     # leftmost position
    max: float = 1.     # rightmost position
    step: float = .05   # distance between two positions
    value: float = 0.   # where it starts

    def __post_init__(self):
        if not self.min < self.max:
            raise CourseError(f"Slider '{self.name}' runs from {self.min} to {self.max}, but min must be less than max.")
        if not self.step > 0: raise CourseError(f"Slider '{self.name}' has step {self.step}, but a step must be greater than 0.")
        self.check(self.value)

    def check(self, value):
        "Return `value`, or raise `CourseError` where it is not within `min`..`max`."
        if not self.min <= value <= self.max:
            raise CourseError(f"Slider '{self.name}' is set to {value}, but must be from {self.min} to {self.max}.")
        return value

    @property
    def whole(self) -> bool:
        "Whether every position is an `int`."
        return all(isinstance(o, int) for o in (self.min, self.max, self.step, self.value))

    @property
    def digits(self) -> int:
        "Decimals needed to tell two positions apart."
        return 0 if self.whole else next((d for d in range(6) if math.isclose(round(self.step, d), self.step)), 6)

    def positions(self,
        most: int = 41  # where there are more positions than this, every second (third, ...) one is taken
    ) -> list:
        "The positions from left to right, evenly spaced. The start `value` is among them; so is `min`, unless that takes a far coarser grid."
        n, at = math.floor((self.max-self.min)/self.step + 1e-9), round((self.value-self.min)/self.step)
        each = max(1, math.ceil(n/(most-1)))
        each = next((k for k in range(each, 2*each) if at % k == 0), each)
        return [self.min + i*self.step if self.whole else round(self.min + i*self.step, 10)
                for i in range(at % each, n+1, each)]

    def show(self, value) -> str:
        "`value` as the learner reads it."
        return f'{value:.{self.digits}f}'


def _jpeg(picture, quality=85) -> bytes:
    return cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _checked(result):
    "What `draw` returned, if it is what it should be."
    try: picture, sentence = result
    except (TypeError, ValueError): raise CourseError("draw must return two things: a picture and a sentence.") from None
    if not (isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3):
        raise CourseError("draw must return its picture as a uint8 array of shape (H, W, 3).")
    return picture, str(sentence)


class _FloatSlider(widgets.FloatSlider): value = traitlets.CFloat(0.).tag(sync=True, echo_update=False)


class _IntSlider(widgets.IntSlider):     value = traitlets.CInt(0).tag(sync=True, echo_update=False)


class _Picture(widgets.Image): description = traitlets.Unicode('').tag(sync=True)

RIM = 4                 # pixels around every cell

PAGE_BYTES = 320_000    # of WebP; as base64 in the page it is a third more

_TRIES = [(1, 80), (1, 65), (1, 50), (1, 35), (.75, 50), (.75, 35), (.5, 50), (.5, 30)]  # (scale, WebP quality), best first


def _grid(n, h, w) -> int:
    "Columns that make `n` cells of h x w about square; WebP allows 16,383 pixels a side."
    return max(1, min(n, round(math.sqrt(n*h/w)), 16383//w))


def _sheet(frames):
    "Lay frames (n arrays of shape (H, W, 3)) in a grid; returns the sheet and its number of columns."
    cells = [np.pad(f, ((RIM, RIM), (RIM, RIM), (0, 0)), mode='edge') for f in frames]
    h, w = cells[0].shape[:2]
    cols = _grid(len(cells), h, w)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % cols)
    return np.vstack([np.hstack(cells[i:i+cols]) for i in range(0, len(cells), cols)]), cols


def _webp(sheet, quality) -> bytes:
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, 'WEBP', quality=quality, method=4)
    return out.getvalue()


def _sprite(frames, most=PAGE_BYTES):
    "All frames as one WebP of at most `most` bytes where that can be had: (bytes, columns, frame height, frame width)."
    shrink = min(1, 960/frames[0].shape[1], 1200/frames[0].shape[0])
    few = frames[::max(1, len(frames)//3)]   # a few tell whether it is worth coding them all
    for scale, quality in _TRIES:
        s = scale*shrink
        fit = (lambda f: f) if s == 1 else (lambda f: cv2.resize(f, None, fx=s, fy=s, interpolation=cv2.INTER_AREA))
        last = (scale, quality) == _TRIES[-1]
        if not last and len(_webp(_sheet([fit(f) for f in few])[0], quality))*len(frames)/len(few) > most: continue
        small = [fit(f) for f in frames]
        sheet, cols = _sheet(small)
        data = _webp(sheet, quality)
        if last or len(data) <= most: return data, cols, *small[0].shape[:2]

_SCRIPT = """
document.querySelectorAll('figure.explorer:not([data-awake])').forEach((fig, k) => {
  fig.dataset.awake = '1';
  let d = JSON.parse(fig.dataset.explorer);
  const find = s => fig.querySelector(s), rim = d.rim, alt = d.alt;
  const img = find('img'), range = find('input'), label = find('label'), out = find('output'), say = find('figcaption');
  range.id = 'explorer-' + Date.now().toString(36) + '-' + k + Math.random().toString(36).slice(2);
  label.htmlFor = range.id;
  const choose = find('select'), tracks = [d, ...(d.more || [])];
  Object.assign(d, {label: label.textContent, min: range.min, max: range.max, step: range.step, value: range.value, src: img.src});
  const show = () => {
    const i = Math.min(d.says.length - 1, Math.round((range.value - range.min) / range.step));
    img.style.left = -100 * ((i % d.cols) * (d.w + 2 * rim) + rim) / d.w + '%';
    img.style.top = -100 * (Math.floor(i / d.cols) * (d.h + 2 * rim) + rim) / d.h + '%';
    out.textContent = d.shown[i];
    say.textContent = d.says[i];
    img.alt = alt + ' ' + d.says[i];
  };
  range.addEventListener('input', show);
  if (choose) choose.addEventListener('change', () => {   // every other slider has frames of its own; those not chosen stand at their start
    d = tracks[choose.selectedIndex];
    label.textContent = d.label;
    for (const k of ['min', 'max', 'step', 'value']) range[k] = d[k];
    img.src = d.src;
    find('.explorer-window').style.aspectRatio = d.w + '/' + d.h;
    img.style.width = 100 * d.cols * (d.w + 2 * rim) / d.w + '%';
    show();
  });
  find('.explorer-controls').hidden = false;
  show();
});
"""

_CSS = """
figure.explorer{margin:1em 0;max-width:100%;color:inherit}
figure.explorer .explorer-title{font-weight:600;margin:0 0 .4em}
figure.explorer .explorer-controls{display:flex;flex-wrap:wrap;align-items:center;gap:.2em .8em;margin:0 0 .5em}
figure.explorer .explorer-controls[hidden]{display:none}
figure.explorer .explorer-which{padding:.1em .3em;max-width:100%;font:inherit;color:inherit;background:transparent;border:1px solid currentColor;border-radius:3px}
figure.explorer .explorer-which option{color:#222;background:#fff}
figure.explorer .explorer-which + label{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
figure.explorer .explorer-controls{position:relative}
figure.explorer input{flex:1 1 12em;min-width:0;max-width:30em;margin:.4em 0}
figure.explorer output{min-width:3em;font-variant-numeric:tabular-nums}
figure.explorer .explorer-window{position:relative;overflow:hidden;max-width:100%}
figure.explorer img{position:absolute;max-width:none;height:auto;margin:0;padding:0;border:0}
figure.explorer figcaption{margin:.5em 0 0;min-height:3em;text-align:left;color:inherit;font-size:1em}
"""


def _slider_widget(s: Slider, value, width):
    kind, form = (_IntSlider, 'd') if s.whole else (_FloatSlider, f'.{s.digits}f')
    return kind(value=value, min=s.min, max=s.max, step=s.step, description=s.label, readout_format=form, continuous_update=True,
                style=dict(description_width=width), layout=widgets.Layout(width='100%', max_width='560px', margin='2px 0'))


class _Live:
    "The widgets of one explorer, and what happens when one moves."
    def __init__(self, explorer):
        self.e, self.following = explorer, False
        e, shown = explorer, ([explorer.master] if explorer.master else []) + explorer.sliders
        width = f'{max(len(s.label) for s in shown)*.5 + 1:.1f}em'   # one width, so that all tracks begin at the same place
        self.sliders = {s.name: _slider_widget(s, e.values[s.name], width) for s in e.sliders}
        for name, w in self.sliders.items(): w.observe(lambda c, name=name: self.moved(name, c['new']), 'value')
        self.picture = _Picture(format='jpeg', layout=widgets.Layout(max_width='100%', height='auto', margin='6px 0 0'))
        self.sentence = widgets.HTML(layout=widgets.Layout(margin='4px 0 0', min_height='3em'))
        rows = list(self.sliders.values())
        if e.master:
            self.master = _slider_widget(e.master, e.master.value, width)
            self.master.observe(lambda c: self.moved_all(c['new']), 'value')
            self.master.layout.margin = '2px 0 10px'   # set apart from those it moves
            rows.insert(0, self.master)
        if e.title: rows.insert(0, widgets.HTML(f'<b>{html.escape(e.title)}</b>'))
        self.box = widgets.VBox([widgets.VBox(rows), self.picture, self.sentence], layout=widgets.Layout(max_width='100%'))
        self.box.add_class('explorer-live')
        self.show()

    def moved(self, name, value):
        if self.following: return
        self.e.values[name] = value
        self.show()

    def moved_all(self, value):
        self.e.values = self.e.all_at(value)
        self.show()
        self.following = True
        try:
            for name, w in self.sliders.items(): w.value = self.e.values[name]
        finally: self.following = False

    def show(self):
        try: jpeg, (h, w, _), says = self.e._jpeg(tuple(self.e.values.items()))
        except Exception as e:
            says = e if isinstance(e, CourseError) else f"This position could not be drawn: {type(e).__name__}: {e}"
            says = ' '.join(str(says).split())
        else:
            with self.picture.hold_sync():
                self.picture.value = jpeg
                self.picture.width, self.picture.height, self.picture.tooltip = str(w), str(h), f'{self.e.alt} {says}'.strip()
        self.sentence.value = f'<div class="explorer-says" role="status" aria-live="polite" style="line-height:1.5">{html.escape(says)}</div>'


def _track(e, s, most_places=41, most_bytes=PAGE_BYTES):
    "All positions of one slider, the others at their start: (what the page's script wants to know, the sprite as an address, width in pixels)."
    places = s.positions(most_places)
    drawn = [e.at(**(e.all_at(v) if s is e.master else {s.name: v})) for v in places]
    if len({p.shape for p, _ in drawn}) > 1: raise CourseError("draw must return pictures of one size at every position.")
    data, cols, h, w = _sprite([p for p, _ in drawn], most_bytes)
    step = places[1] - places[0]
    spec = dict(shown=[s.show(v) for v in places], says=[x for _, x in drawn], cols=cols, w=w, h=h, label=s.label, min=places[0], max=places[-1],
                step=step if s.whole else round(step, 10), value=min(places, key=lambda v: abs(v - (s.value if s is e.master else e.start[s.name]))))
    return spec, f'data:image/webp;base64,{base64.b64encode(data).decode()}', drawn[0][0].shape[1]


def _page(e) -> str:
    first, *others = ([e.master] if e.master else []) + e.sliders
    t, src, full_w = _track(e, first)
    more = [{**o, 'src': source} for o, source, _ in (_track(e, s, 13, PAGE_BYTES//6) for s in others)]
    esc = lambda o: html.escape(' '.join(str(o).split()))   # one line: see the end
    h, w, cols, says, i = t['h'], t['w'], t['cols'], t['says'], round((t['value'] - t['min'])/t['step'])
    left, top = (-100*((k*(size+2*RIM)+RIM)/size) for k, size in ((i % cols, w), (i//cols, h)))
    spec = dict(alt=e.alt, rim=RIM, **{k: t[k] for k in ('shown', 'says', 'cols', 'w', 'h')}, **(dict(more=more) if more else {}))
    which = ''.join(f'<option>{esc(o["label"])}</option>' for o in [t, *more])
    parts = [f'<figure class="explorer" data-explorer="{html.escape(json.dumps(spec))}">', f'<style>{_CSS}</style>',
        f'<p class="explorer-title">{esc(e.title)}</p>' if e.title else '',
        '<div class="explorer-controls" hidden>' + (f'<select class="explorer-which" aria-label="What the slider moves" autocomplete="off">{which}</select>' if more else ''),
        f'<label>{esc(t["label"])}</label><input type="range" autocomplete="off" min="{t["min"]}" max="{t["max"]}" '
        f'step="{t["step"]}" value="{t["value"]}"><output>{esc(t["shown"][i])}</output></div>',
        f'<div class="explorer-window" style="width:{full_w}px;aspect-ratio:{w}/{h}"><img alt="{esc(f"{e.alt} {says[i]}".strip())}" '
        f'src="{src}" style="width:{100*cols*(w+2*RIM)/w:.6f}%;left:{left:.6f}%;top:{top:.6f}%"></div>',
        f'<figcaption aria-live="polite">{esc(says[i])}</figcaption>', f'<script>{_SCRIPT}</script>', '</figure>']
    # No empty lines and no indented ones: in Markdown either would end the HTML.
    return '\n'.join(line.strip() for part in parts for line in part.split('\n') if line.strip())


class Explorer:
    "A picture and a sentence that follow sliders: live in JupyterLab, and as a figure that needs no kernel on a page."
    def __init__(self,
        draw,                           # called with a value for every slider; returns a picture (uint8 RGB, (H, W, 3)) and a sentence. Same values, same result
        sliders: list,                  # one `Slider` or more
        *,
        alt: str,                       # what the picture shows, for those who do not see it
        title: str = '',                # a line above
        master: Slider | None = None,   # a slider that moves all the others; its value is where all of them start
    ):
        if not sliders: raise CourseError("An explorer needs at least one slider.")
        names = [s.name for s in sliders]
        if len(set(names)) < len(names): raise CourseError(f"Every slider needs a name of its own, but these were given: {', '.join(names)}.")
        self.draw, self.sliders, self.alt, self.title, self.master = draw, list(sliders), alt, title, master
        self.start = self.all_at(master.value) if master else {s.name: s.value for s in sliders}
        self.values = dict(self.start)   # where the live sliders stand now
        self._jpeg = lru_cache(maxsize=64)(lambda values: self._encode(dict(values)))

    def all_at(self, value) -> dict:
        "Every slider at `value`, or as near as its own range allows."
        near = lambda s: min(max(value, s.min), s.max)
        return {s.name: round(near(s)) if s.whole else near(s) for s in self.sliders}

    def at(self, **values):
        "Picture and sentence at these values; sliders not named stay at their start."
        ranges = {s.name: s for s in self.sliders}
        for name, v in values.items():
            if name not in ranges: raise CourseError(f"There is no slider '{name}'; there are {', '.join(ranges)}.")
            ranges[name].check(v)
        return _checked(self.draw(**{**self.start, **values}))

    def _encode(self, values):
        picture, sentence = self.at(**values)
        return _jpeg(picture), picture.shape, sentence

    @cached_property
    def widget(self) -> widgets.VBox:
        "The live side."
        return self._live.box

    @cached_property
    def _live(self): return _Live(self)

    @cached_property
    def _html(self): return _page(self)

    def html(self) -> str:
        "The page side: a `<figure>` that needs no kernel, no library and no network. Drawn once."
        return self._html

    def __repr__(self): return f'{self.title}: {self.alt}' if self.title else self.alt

    def _repr_mimebundle_(self, **kwargs):
        live = {'version_major': 2, 'version_minor': 0, 'model_id': self.widget.model_id}
        return {'application/vnd.jupyter.widget-view+json': live, 'text/html': self.html(), 'text/plain': repr(self)}

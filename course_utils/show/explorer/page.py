"""The side of an explorer that a page without a kernel shows: one figure that brings its style, its script and all its pictures."""
import json
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from course_utils.config import CourseError
from course_utils.show.explorer.sprite import PAGE_BYTES, RIM, Sprite, make_sprite, wrap_columns
from course_utils.show.html import Markup, data_url, element, markup

FURTHER_POSITIONS = 13             # of every slider but the first
FURTHER_BYTES = PAGE_BYTES // 6    # of the sprite of each of those


def _asset(name: str) -> str:
    "The text of a file that lies beside this module."
    return files(__package__).joinpath(name).read_text('utf-8')


PAGE_TEMPLATE = Template(_asset('page.html'))
CSS = Markup(_asset('explorer.css'))
SCRIPT = Markup(_asset('explorer.js'))


@dataclass
class Track:
    "What one slider shows on a page: all its positions, while the others stay at their start."
    label: str
    positions: list
    step: float
    value: float      # the position it starts at
    shown: list       # a position as the learner reads it, one each
    sentences: list   # one each
    sprite: Sprite
    drawn_width: int  # pixels, before the sprite was made smaller
    columns: int      # in which its frames can be cut for a narrow screen

    @property
    def src(self) -> str: return data_url(self.sprite.data, 'image/webp')

    @property
    def start(self) -> int: return round((self.value - self.positions[0])/self.step)

    def frames_spec(self) -> dict:
        "Where explorer.js finds a frame, and what it says of it."
        _, columns, height, width = self.sprite
        return dict(shown=self.shown, says=self.sentences, cols=columns, w=width, h=height)

    def spec(self) -> dict:
        "All that explorer.js needs to take this slider in the place of the first."
        first = self.positions[0]
        last = self.positions[-1]
        slider = dict(label=self.label, min=first, max=last, step=self.step, value=self.value)
        return {**self.frames_spec(), **slider, 'src': self.src}


def make_track(explorer, slider, n_positions=41, max_bytes=PAGE_BYTES) -> Track:
    "Draws all positions of one slider, the others at their start. Raises `CourseError` where the pictures differ in size."
    is_master = slider is explorer.master
    positions = slider.positions(n_positions)
    drawn = []
    for position in positions:
        values = explorer.values_at(position) if is_master else {slider.name: position}
        drawn.append(explorer.draw_at(**values))
    pictures = [picture for picture, _ in drawn]
    if len({picture.shape for picture in pictures}) > 1: raise CourseError("draw must return pictures of one size at every position.")
    start = slider.value if is_master else explorer.start[slider.name]
    step = positions[1] - positions[0]
    return Track(
        label=slider.label,
        positions=positions,
        step=step if slider.is_integer else round(step, 10),
        value=min(positions, key=lambda position: abs(position - start)),
        shown=[slider.show(position) for position in positions],
        sentences=[sentence for _, sentence in drawn],
        sprite=make_sprite(pictures, max_bytes),
        drawn_width=pictures[0].shape[1],
        columns=wrap_columns(pictures),
    )


def _choice(tracks) -> Markup:
    "The list from which a learner chooses the slider that moves; nothing where there is only one."
    if len(tracks) == 1: return Markup()
    options = [element('option', _one_line(track.label)) for track in tracks]
    return element('select', *options, class_='explorer-which', aria_label='What the slider moves', autocomplete='off')


def _placement(track) -> dict:
    "How large the sheet is and where it lies, so that the window shows the frame at the start: percents of the window."
    _, columns, height, width = track.sprite
    row, column = divmod(track.start, columns)
    sheet_width = 100*columns*(width + 2*RIM)/width
    left = -100*((column*(width + 2*RIM) + RIM)/width)
    top = -100*((row*(height + 2*RIM) + RIM)/height)
    return dict(sheet_width=f'{sheet_width:.6f}', left=f'{left:.6f}', top=f'{top:.6f}')


def page(
    explorer,  # an `Explorer`
) -> str:
    "The figure as HTML: it needs no kernel, no library and no network."
    slider, *further_sliders = explorer.all_sliders
    track = make_track(explorer, slider)
    further = [make_track(explorer, slider, FURTHER_POSITIONS, FURTHER_BYTES) for slider in further_sliders]
    spec = dict(alt=explorer.alt, rim=RIM, columns=track.columns, **track.frames_spec())
    if further: spec['more'] = [track.spec() for track in further]
    sentence = track.sentences[track.start]
    fields = dict(
        spec=markup(json.dumps(spec)),  # as it is: two spaces in a sentence stay two
        css=CSS,
        script=SCRIPT,
        title=element('p', _one_line(explorer.title), class_='explorer-title') if explorer.title else '',
        choice=_choice([track, *further]),
        label=track.label,
        min=track.positions[0],
        max=track.positions[-1],
        step=track.step,
        value=track.value,
        shown=track.shown[track.start],
        drawn_width=track.drawn_width,
        width=track.sprite.width,
        height=track.sprite.height,
        alt=f'{explorer.alt} {sentence}'.strip(),
        src=track.src,
        says=sentence,
        **_placement(track),
    )
    escaped = {name: markup(_one_line(value)) for name, value in fields.items()}
    return _without_indents(PAGE_TEMPLATE.substitute(escaped))


def _one_line(value):
    "Text without line breaks; markup as it is."
    return value if isinstance(value, Markup) else ' '.join(str(value).split())


def _without_indents(text) -> str:
    "No empty lines and no indented ones: in Markdown either would end the HTML."
    lines = [line.strip() for line in text.split('\n')]
    return '\n'.join(line for line in lines if line)

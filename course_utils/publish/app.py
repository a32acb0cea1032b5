"""The app: somebody drops or photographs a picture, and sees what an exported file says of it. `python -m course_utils app MODEL.onnx`.

It needs Gradio, NumPy, Pillow and ONNX Runtime, and nothing of the course but `answer`: `write_space` copies it as it stands, and
it runs as that copy."""
import base64, ctypes, html, io, os, tempfile, threading, time
from contextlib import suppress

os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')  # Gradio reads it at import: nothing is told to anybody
os.environ.setdefault('HF_HUB_OFFLINE', '1')

import numpy as np
from PIL import Image

from course_utils.techniques.answer import MAX_BYTES, answer, open_model, read_picture, refused

MOST_CLASSES = 8  # that are shown
MOST_VISITORS = 64  # of whom Gradio remembers anything: its default, 10,000, would fill a gigabyte with what this app never uses
M_ARENA_MAX = -8  # glibc's number for what mallopt(3) sets
MOST_HEAPS = 2
KEPT_S = 60  # a file that was handed in, before it is deleted
STYLE = '''
.answer { font-size: 1.05rem; line-height: 1.5 }
.answer figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 100% }
.answer figure img { width: 224px; max-width: 100%; image-rendering: auto; display: block }
.answer .unknown { border-left: .3rem solid #d55e00; padding-left: .8rem; font-weight: 600 }
.answer table { border-collapse: collapse } .answer td { padding: .15rem .8rem .15rem 0 }
.answer meter { width: 9rem; max-width: 30vw }
'''
HEAT = np.array([[0, 32, 76], [60, 77, 110], [124, 123, 120], [187, 175, 113], [255, 234, 70]])  # cividis, dark blue to yellow


# ---- what is shown ----

def percent(share: float) -> str: return f'{share:.0%}' if .01 <= share <= .99 else f'{share:.1%}'


def map_over(
    image,     # `(size, size, 3)` uint8
    evidence,  # `(h, w)`, zero or more
) -> np.ndarray:  # `(size, size, 3)` uint8
    "The map over its picture in grey: dark blue where there is no evidence, yellow where there is most."
    size = image.shape[0]
    scaled = Image.fromarray(evidence.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    share = np.asarray(scaled) / max(float(evidence.max()), 1e-6)
    steps = np.linspace(0, 1, len(HEAT))
    heat = np.stack([np.interp(share, steps, channel) for channel in HEAT.T], axis=-1)
    grey = image.mean(2, keepdims=True)
    return (.45 * grey + .55 * heat).astype(np.uint8)


def data_address(image) -> str:
    "A picture as an address that holds it, so that no file is written."
    memory = io.BytesIO()
    Image.fromarray(image).save(memory, 'PNG')
    return 'data:image/png;base64,' + base64.b64encode(memory.getvalue()).decode()


def figure(image, words: str) -> str:
    return f'<figure><img src="{data_address(image)}" alt="{html.escape(words)}"><figcaption>{html.escape(words)}</figcaption></figure>'


def alarm_words(facts: dict) -> str:
    "How often the detector is wrong about pictures that it should know."
    unlike = facts['unlike']
    return f"Of {unlike['pictures']} held-out pictures that are like them, {percent(unlike['false_alarms'])} are called unlike, too."


def unknown_words(facts: dict) -> str:
    "What stands above an answer where a picture is unlike; empty where the file has no detector."
    if not facts.get('unlike'): return ''
    return f'I do not know: this picture is unlike those that the network was trained on. ({alarm_words(facts)}) What follows may mean nothing.'


def detector_words(facts: dict) -> str:
    "What the detector does, for the model card and the page."
    if not facts.get('unlike'): return 'It has no detector of pictures that are unlike its training pictures: it answers to anything.'
    return ('It says "I do not know" where a picture is farther from the pictures that the network was trained on than nearly all held-out '
            f'ones. {alarm_words(facts)}')


def agreement_words(told: dict) -> str:
    n, views = told['agree'], len(told['views'])
    if views < 2: return ''
    return f'{n} of {views} views of it (mirrored, turned) say the same.'


def answer_html(
    told: dict,   # by `answer`
    facts: dict,  # of the file
    image,        # that it was told of
) -> str:
    "The answer as HTML. Names of classes are text in it."
    unknown = unknown_words(facts) if told['is_unlike'] else ''
    labels = facts['labels']
    name = html.escape(labels[told['named']])
    best = percent(told['probs'][told['named']])
    parts = [f'<p class="unknown" role="alert">{html.escape(unknown)}</p>' if unknown else f'<p><b>{name}</b>, {best}.</p>']
    rows = []
    for label in told['probs'].argsort()[::-1][:MOST_CLASSES]:
        p = float(told['probs'][label])
        rows.append(f'<tr><td>{html.escape(labels[label])}</td><td><meter value="{p:.4f}" aria-label="probability"></meter></td>'
                    f'<td>{percent(p)}</td></tr>')
    parts += ['<table>', *rows, '</table>', f'<p>{agreement_words(told)}</p>', figure(image, 'What the network was shown')]
    if told['map'] is not None: parts.append(figure(map_over(image, told['map']), f'Evidence for {labels[told["named"]]}: yellow, most'))
    return f'<div class="answer">{"".join(parts)}</div>'


def sentence_html(words: str) -> str: return f'<div class="answer"><p class="unknown" role="alert">{html.escape(words)}</p></div>'


def answer_file(
    session, facts,  # see `open_model`
    path,            # of a picture that somebody handed in
) -> str:            # HTML
    "What the file says of a picture; where it cannot be read, one sentence."
    reason = refused(path)
    if reason: return sentence_html(reason)
    try: image, *_ = read_picture(path, facts['size'], facts.get('grey_range'))
    except Exception: return sentence_html('This picture is damaged: it begins like one and cannot be read to its end.')
    return answer_html(answer(session, facts, image), facts, image)


# ---- the app ----

def forget_uploads(
    folder: str,
    age_s: float=KEPT_S,  # seconds since a file was written
):
    "Deletes the files of a folder that are older. Not at once: Gradio names a file by its content, and two people may hand in the same."
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                if time.time() - os.path.getmtime(path) > age_s: os.remove(path)
            except FileNotFoundError: pass  # another thread was first


def keep_forgetting(folder: str):
    "Until the folder is gone."
    while os.path.isdir(folder):
        forget_uploads(folder)
        time.sleep(KEPT_S / 4)


def make_app(
    onnx_file,   # written by `export`
):               # a `gradio.Blocks`
    "The app. Raises `ImportError` where Gradio is not installed."
    import gradio as gr

    session, facts = open_model(onnx_file)

    class Picture(gr.Image):
        "Gradio would decode the whole picture before anybody could look at its size: this one hands on the file."
        is_template = True
        def preprocess(self, payload): return payload and payload.path

    def ask(path):
        "The place for a picture is empty again when it is answered, ready for the next."
        if not path: return gr.skip()
        return None, answer_file(session, facts, path)

    with gr.Blocks(title='A classifier', analytics_enabled=False) as app:
        names = ', '.join(facts['labels'][:MOST_CLASSES])
        gr.Markdown('# What is it?')
        gr.Markdown(html.escape(f'Drop, choose or photograph a picture. The network knows {len(facts["labels"])} classes: {names}. Pictures are deleted within two minutes.'))
        picture = Picture(type='filepath', image_mode=None, sources=['upload', 'webcam', 'clipboard'], label='Picture', height=260)
        told = gr.HTML(label='Answer')
        picture.change(ask, picture, [picture, told], show_progress='minimal', concurrency_limit=2, api_name='ask')
    return app


def share_heaps():
    """Has all threads of glibc share two heaps. With one a thread, memory grew by a third when twenty visitors came at once, and
    stayed. Another C library is left as it is."""
    with suppress(OSError, AttributeError, TypeError): ctypes.CDLL(None).mallopt(M_ARENA_MAX, MOST_HEAPS)


def launch_app(
    onnx_file,
    host: str='127.0.0.1',    # '0.0.0.0' lets others in
    port: int | None=None,    # None: the first free one from 7860 on
    **options                 # of Gradio's `launch`
):
    "Shows the app until Ctrl-C. What is uploaded lies in a temporary folder that is deleted."
    import gradio as gr
    share_heaps()
    with tempfile.TemporaryDirectory(prefix='app-') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        threading.Thread(target=keep_forgetting, args=[folder], daemon=True).start()
        system = ['system-ui', 'sans-serif']  # Gradio's own would be fetched from elsewhere
        theme = gr.themes.Default(font=system, font_mono=['monospace'])
        app = make_app(onnx_file)
        app.queue(max_size=100)
        settings = dict(server_name=host, server_port=port, max_file_size=MAX_BYTES, share=False, footer_links=[], run_history=False,
                        ssr_mode=False, state_session_capacity=MOST_VISITORS, theme=theme, css=STYLE)
        return app.launch(**settings | options)


if __name__ == '__main__':
    folder = os.path.dirname(os.path.abspath(__file__))
    port = os.environ.get('GRADIO_SERVER_PORT')
    launch_app(os.path.join(folder, 'model.onnx'), os.environ.get('GRADIO_SERVER_NAME', '127.0.0.1'), port and int(port))

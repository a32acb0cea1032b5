"""The helpers of the course, in the order in which a picture passes them. A room imports only from rooms above it.

config       profiles, folders, the error that a learner can mend
show         palette, pictures and figures, cards, the engine of the sliders
data         find the files, decode them, split them, hand them out in batches
models       any timm network by name, with its weights and its normalisation
training     a `Recipe` says how, `train` does it and gives a `Run`
techniques   one module a lesson: what it teaches
report       intervals, results/, cards at the top of a lesson, wrong pictures, case studies
explorers    the sliders of each lesson
advice       what `recommend` says of a folder of pictures
classroom    exercises and their checks, guesses, glossary
publish      a classifier that other people use: app, folder to host, page without a server
machine      the doctor, the prediction of minutes, the server of JupyterLab
"""
import os, warnings

# albumentations 2 asks a server for its newest version at import unless this is set.
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
# Waiting threads of OpenMP spin for long by default, and two trainings at once slow each other ten-fold. Spinning briefly
# costs one training alone nothing that can be measured. It must be set before torch is imported.
os.environ.setdefault('GOMP_SPINCOUNT', '2000')
# torch deprecates what torchvision still calls at import: nothing a learner can act on.
warnings.filterwarnings('ignore', message='.*torch.jit.script.*')

from course_utils.config import keep_memory  # noqa: E402

keep_memory(2**30)

__version__ = "0.1.0"

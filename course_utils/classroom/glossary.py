"""The words of the course, each in a few sentences, with the lesson that explains it. [The glossary](../glossary.ipynb) and the words at each lesson's end are written from here by `make tidy`."""
import difflib, re
from dataclasses import dataclass, replace

from course_utils.config import CourseError, root


@dataclass(frozen=True)
class Term:
    "A word of the course. In a notebook it shows itself as a short text with a link."
    name: str
    definition: str     # one to three sentences, Markdown
    formula: str=''     # TeX
    code: tuple=()      # where it is in a library: whole names, with the parameter meant in brackets
    also: tuple=()      # other names for it
    wordings: tuple=()  # how else its lesson says it; not shown
    lesson: str=''      # the number of the lesson that explains it

    @property
    def anchor(self) -> str:
        "As JupyterLab makes it from the heading."
        return self.name.replace(' ', '-')

    @property
    def names(self) -> tuple: return self.name, *self.also

    def notebook(self) -> str:
        "The file of its lesson."
        return next((path.name for path in (root()/'nbs').glob(f'{self.lesson}_*.ipynb')), 'index.ipynb')

    def body(self) -> str:
        "Definition, formula and names, in Markdown."
        code = ', '.join(f'`{name}`' for name in self.code)
        remarks = []
        if self.also: remarks.append(f"Also: {', '.join(self.also)}.")
        if self.code: remarks.append(f'In code: {code}.')
        formula = f'$${self.formula}$$' if self.formula else ''
        return '\n\n'.join(filter(None, [self.definition, formula, ' '.join(remarks)]))

    def __repr__(self): return f'{self.name}: {self.definition} Lesson {self.lesson}.'

    def _repr_markdown_(self):
        return f'**{self.name}**\n\n{self.body()}\n\nExplained in [lesson {self.lesson}]({self.notebook()}).'

TERMS = {}  # name → `Term`


def explained_in(
    lesson: str,   # `03`
    *terms: Term,
):
    "Adds terms to the glossary. Raises `CourseError` for one that is there already."
    for t in terms:
        known = terms_by_name()
        if any(plain_text(name) in known for name in t.names):
            raise CourseError(f"'{t.name}', or another name of it, is in the glossary already.")
        TERMS[t.name] = replace(t, lesson=lesson)


def plain_text(word: str) -> str:
    "Lower case, blanks for hyphens, no plural: how words are compared."
    one_case = re.sub(r'[-\s]+', ' ', word.strip().lower())
    return re.sub(r'(?<![siu])s$', '', one_case)


def terms_by_name() -> dict:  # name as plain text → `Term`
    "Every name of every term."
    return {plain_text(name): t for t in TERMS.values() for name in t.names}


def term(
    word: str,  # as the lessons write it; capitals, hyphens and a plural's s do not matter
) -> Term:
    "What a word means. Raises `CourseError`, which names the nearest words, where the glossary does not know it."
    terms = terms_by_name()
    wanted = plain_text(word)
    if wanted in terms: return terms[wanted]
    close = difflib.get_close_matches(wanted, terms, n=5, cutoff=0)
    nearest = list(dict.fromkeys(terms[name].name for name in close))[:3]
    raise CourseError(f"'{word}' is not in the glossary; the nearest words are {', '.join(nearest)}.")


def occurrences(
    t: Term,
    text: str,
    own_lesson: bool=True,  # the text is the lesson that explains the term, so `wordings` count: elsewhere they may mean another thing
) -> int:
    "How often a text uses a term. Capitals, hyphens and a plural's s do not matter."
    names = t.names + t.wordings if own_lesson else t.names
    pattern = '|'.join(map(_pattern, names))
    return len(re.findall(rf"(?<![\w-])(?:{pattern})(?:e?s)?(?![\w-])", text, re.IGNORECASE))


def _pattern(name) -> str:
    "A hyphen, a blank and a line break are the same."
    words = re.split(r'[-\s]+', name)
    return r'[-\s]+'.join(map(re.escape, words))

explained_in('00',
    Term(
        'accuracy',
        "The share of pictures that are named right. Read it beside the accuracy of always saying the most "
        "frequent class, and with an interval.",
        formula=r'\frac{\text{pictures}\ \text{named}\ \text{right}}{\text{all}\ \text{pictures}}',
        code=('course_utils.training.run.Run.accuracy',)),
    Term(
        'batch',
        "The pictures that the network sees before it takes one step. A batch is a small sample, so its "
        "loss and its gradient are noisy.",
        code=('course_utils.training.recipe.Recipe(bs)',)),
    Term(
        'epoch',
        "One pass over the training pictures.",
        code=('course_utils.training.recipe.Recipe(epochs)',)),
    Term(
        'generalisation gap',
        "How much better a network is on its training pictures than on pictures it has never seen. It is "
        "what over-fitting opens.",
        formula=r'\text{accuracy}_\text{train} - \text{accuracy}_\text{valid}',
        also=('gap',)),
    Term(
        'gradient',
        "For every parameter, how fast the loss rises as the parameter grows. A training step goes the "
        "other way.",
        code=('torch.Tensor.backward',)),
    Term(
        'loss',
        "The number that training makes smaller. Here it is cross-entropy: minus the logarithm of the "
        "probability given to the true class, averaged over the pictures. It counts how sure the network "
        "was, not only whether it was right.",
        formula=r'-\frac1N\sum_i \log p_{i,\,y_i}',
        code=('torch.nn.CrossEntropyLoss', 'course_utils.training.run.cross_entropy'),
        also=('cross-entropy', 'NLL')),
    Term(
        'majority class',
        "The class with the most training pictures. Always saying it is the score that any network must "
        "beat.",
        code=('course_utils.data.pictures.Pictures.majority',),
        also=('most frequent class',)),
    Term(
        'overfitting',
        "The network learns its training pictures by heart: it goes on getting better at them, and no "
        "better at new ones. The validation loss turns round first.",
        also=('over-fitting',),
        wordings=('by heart',)),
    Term(
        'random split',
        "Which pictures are held out is drawn at random, the same share of every class. It says how good a "
        "network is on more of the same, not on another kind of picture.",
        code=('course_utils.data.split.stratified_split',),
        also=('split',)),
    Term(
        'valid',
        "Pictures held out of training, by which one watches it and chooses. Every choice made by them "
        "makes them look a little better than new pictures would.",
        code=('course_utils.data.pictures.Pictures.valid',),
        also=('validation pictures', 'held-out pictures'),
        wordings=('held-out', 'validation')),
)

explained_in('01',
    Term(
        'augmentation',
        "Showing a picture a little changed each time, in a way that keeps its label. It makes the "
        "training task harder, so it closes the gap and asks for more epochs.",
        code=('course_utils.training.recipe.Recipe(augment)', 'albumentations.Compose')),
    Term(
        'operation',
        "One kind of change, such as a flip or a blur. Each is switched on with a probability of its own.",
        code=('course_utils.techniques.augment.SEVEN',)),
    Term(
        'pipeline',
        "Operations one after the other, a coin tossed for each.",
        code=('course_utils.techniques.augment.pipeline', 'albumentations.Compose')),
    Term(
        'probability p',
        "How often an operation is switched on, from 0 to 1. With several operations even a small p "
        "changes most pictures.",
        formula=r'P(\text{changed}) = 1 - \prod_i (1 - p_i)',
        code=('course_utils.techniques.augment.pipeline(p)', 'course_utils.techniques.augment.touched'),
        wordings=('the probability p', 'p')),
    Term(
        'repeats',
        "How many times each training picture is shown in an epoch. It makes the epoch longer, and no "
        "picture new.",
        code=('course_utils.training.recipe.Recipe(repeats)',),
        wordings=('repeats=2', 'repeated')),
    Term(
        'seed',
        "The number that a random generator starts from. The same seed gives the same weights, order and "
        "augmentations; another seed moves the result, often by more than a technique does.",
        code=('course_utils.training.recipe.Recipe(seed)', 'fastai.torch_core.set_seed')),
)

explained_in('02',
    Term(
        'BatchNorm',
        "A layer that shifts and scales each channel to a mean of zero and a variance of one. In "
        "training it uses the batch's own numbers and keeps running means of them; in `eval` mode it uses "
        "what it has kept.",
        formula=r'\hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}',
        code=('torch.nn.BatchNorm2d', 'course_utils.training.batchnorm.FreezeBatchNorm')),
    Term(
        'body',
        "The part of a classifier that turns a picture into a few hundred numbers, its features. What "
        "comes after it is the head.",
        code=('timm.create_model', 'course_utils.models.create_model'),
        also=('backbone',)),
    Term(
        'catastrophic forgetting',
        "A network that learns something new loses what it knew. A new head sends large, random gradients "
        "through a good body; so let the head settle first, or give the body a smaller rate.",
        code=('course_utils.training.recipe.Recipe(freeze_epochs)',),
        wordings=('thawing too fast',)),
    Term(
        'dropout',
        "A layer that sets a random part of its numbers to zero while training, so that no single one "
        "can be relied on.",
        code=('torch.nn.Dropout',)),
    Term(
        'feature map',
        "What a layer gives out: for every channel, a small picture of where it answers. Each halving "
        "leaves a quarter of the places. Under 4×4 there is little left to look at.",
        code=('course_utils.techniques.transfer.map_sizes', 'course_utils.techniques.transfer.map_words'),
        wordings=('map of features',)),
    Term(
        'features',
        "The numbers that a body makes of a picture. A frozen body makes the same ones every time, so they "
        "can be computed once.",
        code=('course_utils.techniques.transfer.frozen_features',)),
    Term(
        'fine-tuning',
        "Training all of a network that already knows other pictures, gently, on your own.",
        code=('fastai.learner.Learner.fine_tune', 'course_utils.training.recipe.Recipe(pretrained)'),
        also=('fine-tune', 'fine-tuned'),
        wordings=('set free',)),
    Term(
        'freeze',
        "To leave a part of the network out of training: no gradient, no step. BatchNorm's running means "
        "move all the same, unless they are frozen too.",
        code=(
            'fastai.learner.Learner.freeze',
            'fastai.learner.Learner.unfreeze',
            'course_utils.training.recipe.Recipe(freeze_epochs)',
        ),
        also=('frozen', 'freezing')),
    Term(
        'head',
        "The last part of a classifier, which turns features into classes. A body that comes from "
        "elsewhere gets a new one.",
        code=('course_utils.techniques.transfer.HEADS', 'course_utils.training.recipe.Recipe(head)')),
    Term(
        'ImageNet',
        "More than a million photographs in a thousand classes. Most published weights were trained on it."),
    Term(
        'normalisation',
        "Scaling pictures to the mean and spread that a body was trained with. With the wrong numbers it "
        "sees other pictures than it knows.",
        code=('course_utils.models.norm_of',)),
    Term(
        'parameters',
        "The numbers that training changes, also called weights.",
        code=('course_utils.models.count',),
        wordings=('weights',)),
    Term(
        'stage',
        "The layers of a body between two halvings of the picture.",
        code=('course_utils.techniques.transfer.map_sizes', 'course_utils.techniques.layer_groups.per_stage')),
    Term(
        'transfer learning',
        "Starting from a network that was trained on other pictures: keep its body, give it a new head, "
        "train. The fewer pictures you have, the more it brings.",
        code=('course_utils.models.create_model(pretrained)', 'fastai.vision.learner.vision_learner')),
)

explained_in('03',
    Term(
        'learning rate',
        "How far each step goes. Too small, and nothing happens; too large, and the loss explodes. It "
        "matters more than any other setting.",
        formula=r'\Delta w = -\eta\,\frac{\partial L}{\partial w}',
        code=('course_utils.training.recipe.Recipe(lr_max)',),
        also=('rate',)),
    Term(
        'LR finder',
        "One short training at a rising rate. The rate you want lies where the loss falls, and some curves "
        "have no answer.",
        code=('course_utils.techniques.lr_finder.lr_find', 'fastai.learner.Learner.lr_find'),
        also=('learning rate finder', 'finder')),
    Term(
        'valley',
        "A rule that reads a rate off the finder's curve: a point inside the longest falling stretch, past "
        "its middle.",
        code=('course_utils.techniques.lr_finder.valley', 'fastai.callback.schedule.valley')),
)

explained_in('04',
    Term(
        'cosine annealing',
        "Letting the learning rate fall from its peak to zero along half a cosine: slowly at both ends, "
        "fast between.",
        formula=r'\eta_t = \eta_{min} + \tfrac12 (\eta_{max} - \eta_{min}) \left(1 + \cos \frac{\pi\, T_{cur}}{T_i}\right)',
        code=('course_utils.techniques.schedules.cosine', 'torch.optim.lr_scheduler.CosineAnnealingLR')),
    Term(
        'cycle',
        "The stretch of a schedule from one peak to the next restart. Judge a network at a cycle's end, "
        "where the rate is low.",
        code=('course_utils.techniques.schedules.SGDR.cycles',)),
    Term(
        'early stopping',
        "Ending a training when the validation loss has not fallen for some epochs, and putting the best "
        "weights back. A short patience takes any hump of the loss for the end.",
        code=(
            'course_utils.techniques.schedules.EarlyStopping',
            'fastai.callback.tracker.EarlyStoppingCallback',
        )),
    Term(
        'one-cycle',
        "A schedule with a single climb to the highest rate and a long fall to zero.",
        code=(
            'fastai.learner.Learner.fit_one_cycle',
            'torch.optim.lr_scheduler.OneCycleLR',
            'course_utils.training.recipe.Recipe(schedule)',
        )),
    Term(
        'patience',
        "How many epochs in vain a rule waits before it stops a training or makes its rate smaller.",
        code=('course_utils.techniques.schedules.stops_after(patience)',)),
    Term(
        'plateau',
        "A stretch of epochs in which the validation loss no longer falls. A plateau rule then makes the "
        "rate smaller. In fastai the factor is a divisor.",
        code=(
            'course_utils.techniques.schedules.ReduceOnPlateau',
            'fastai.callback.tracker.ReduceLROnPlateau',
            'torch.optim.lr_scheduler.ReduceLROnPlateau',
        )),
    Term(
        'schedule',
        "How the learning rate changes while training goes on.",
        code=('course_utils.training.recipe.Recipe(schedule)', 'course_utils.techniques.schedules.Schedule')),
    Term(
        'SGDR',
        "Stochastic gradient descent with warm restarts: cosine annealing in cycles, each as long as the "
        "last or longer by a multiplier.",
        code=(
            'course_utils.techniques.schedules.SGDR',
            'fastai.learner.Learner.fit_sgdr',
            'torch.optim.lr_scheduler.CosineAnnealingWarmRestarts',
        )),
    Term(
        'snapshot ensemble',
        "The network is kept at the end of each cycle, and the answers of all are averaged: several "
        "networks for the price of one training.",
        code=('course_utils.techniques.schedules.Snapshots', 'course_utils.techniques.schedules.ensemble_of'),
        wordings=('snapshot',)),
    Term(
        'warm restart',
        "The learning rate jumps back to its peak and falls again. The weights stay as they are: that is "
        "why it is called warm.",
        code=('course_utils.techniques.schedules.SGDR', 'torch.optim.lr_scheduler.CosineAnnealingWarmRestarts'),
        wordings=('restart',)),
)

explained_in('05',
    Term(
        'AdamW',
        "An optimizer that divides each parameter's step by the usual size of its gradient, so that a step "
        "is about as large as the rate. Weight decay is taken off the weights themselves, apart from the "
        "gradient.",
        code=('torch.optim.AdamW',)),
    Term(
        'differential learning rates',
        "A rate of its own for each group of layers: small for the early ones, which know edges, large for "
        "the head, which knows nothing.",
        code=('course_utils.training.recipe.Recipe(lr_max)', 'course_utils.techniques.layer_groups.rates_of'),
        also=('differential rates', 'discriminative fine-tuning')),
    Term(
        'group',
        "A list of parameters with a rate of its own.",
        code=('torch.optim.Optimizer.add_param_group', 'course_utils.techniques.layer_groups.group_table'),
        also=('param group', 'parameter group')),
    Term(
        'layer-wise decay',
        "Each group gets a fixed share of the rate of the group above it. Near the head little is taken "
        "off, far from it much.",
        formula=r'\eta_g = \eta_{head}\, d^{\,G-1-g}',
        code=('course_utils.techniques.layer_groups.layer_decay_rates',)),
    Term(
        'optimizer',
        "What turns gradients into steps, and holds the rates. It is the only place that tells which rate "
        "is really used.",
        code=('torch.optim.AdamW', 'course_utils.techniques.layer_groups.rates_of'),
        also=('optimiser',)),
    Term(
        'splitter',
        "A function that takes a model and gives its groups of parameters, the head last.",
        code=(
            'course_utils.techniques.layer_groups.three_groups',
            'course_utils.training.recipe.Recipe(groups)',
        )),
    Term(
        'update-to-weight ratio',
        "How far a step moves the weights of a group, measured by their size. A rule of thumb says about "
        "one in a thousand.",
        formula=r'\frac{\|\Delta w\|}{\|w\|}',
        code=('course_utils.techniques.layer_groups.UpdateRatio',)),
)

explained_in('06',
    Term(
        'Brier score',
        "The squared distance between the probabilities and the truth, averaged over the pictures. It "
        "rewards being right, sure, and honest about it.",
        formula=r'\frac1N\sum_i\sum_c (p_{i,c} - y_{i,c})^2',
        code=('course_utils.techniques.calibration.brier', 'sklearn.metrics.brier_score_loss')),
    Term(
        'calibration',
        "A network is calibrated if it is right nine times in ten where it says 0.9.",
        code=('course_utils.techniques.calibration.reliability',),
        also=('calibrated',)),
    Term(
        'ECE',
        "Expected calibration error: sort the answers into bins by how sure they are, and take the mean "
        "distance between confidence and the share that is right. Few pictures alone make it more than "
        "zero.",
        formula=r'\sum_b \frac{n_b}{N}\,\left|\text{accuracy}_b - \text{confidence}_b\right|',
        code=('course_utils.techniques.calibration.ece', 'course_utils.techniques.calibration.ece_by_chance'),
        also=('expected calibration error',)),
    Term(
        'logits',
        "A network's raw answers, one for each class, before softmax makes probabilities of them.",
        code=('course_utils.techniques.tta.tta_logits',)),
    Term(
        'McNemar test',
        "Of the pictures that two networks judge differently, do about as many go one way as the other? "
        "The test says how likely so uneven a split is if nothing has changed.",
        code=('course_utils.techniques.tta.changes', 'scipy.stats.binomtest'),
        also=("McNemar's test", "McNemar's exact test")),
    Term(
        'softmax',
        "Turns logits into probabilities: all above zero, one in sum.",
        formula=r'p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}',
        code=('torch.softmax',)),
    Term(
        'spread of views',
        "How far a picture's probability moves over its views. Where it is large, have a person look.",
        code=('course_utils.techniques.tta.spread',),
        wordings=('spread',)),
    Term(
        'temperature scaling',
        "Dividing all logits by one number, fitted on held-out pictures, so that the network is as sure as "
        "it may be. No answer changes.",
        formula=r'p = \text{softmax}(z / T)',
        code=('course_utils.techniques.calibration.temperature', 'course_utils.techniques.calibration.temper'),
        also=('temperature',)),
    Term(
        'TTA',
        "Test-time augmentation: ask the network about several views of the same picture and average its "
        "answers. It costs one forward pass a view and no training.",
        formula=r'p = \frac1V \sum_v p(x_v)',
        code=('course_utils.techniques.tta.tta', 'fastai.learner.Learner.tta'),
        also=('test-time augmentation',)),
    Term(
        'view',
        "The same picture, shown otherwise: turned, mirrored, cropped. A view must keep the label, and the "
        "network must know its kind from training.",
        code=('course_utils.techniques.tta.symmetric_views', 'course_utils.techniques.tta.random_views')),
)

explained_in('07',
    Term(
        'CAM',
        "Class activation map: with average pooling and one linear layer behind the last maps, that "
        "layer's weights say how much each map counts for a class.",
        formula=r'\sum_k w_k^c A^k',
        also=('class activation map',)),
    Term(
        'channel',
        "One of the maps that a layer gives out. It answers to one kind of thing, all over the picture."),
    Term(
        'confusion matrix',
        "A table of true classes against predicted ones. What lies off the diagonal was taken for "
        "something else.",
        code=('course_utils.report.error_analysis.analyse', 'sklearn.metrics.confusion_matrix')),
    Term(
        'energy',
        "The share of a map's sum that lies inside a mask. It makes a number of where a network looks.",
        code=('course_utils.techniques.gradcam.energy',)),
    Term(
        'Grad-CAM',
        "A map of where the evidence for a class lies: a layer's channels, each weighted by how much the "
        "class's logit rises with it, added up, and what speaks against the class dropped.",
        formula=r'\text{ReLU}\Big(\sum_k \alpha_k A^k\Big),\quad \alpha_k = \frac{1}{hw}\sum_{i,j}\frac{\partial y}{\partial A^k_{ij}}',
        code=('course_utils.techniques.gradcam.gradcam', 'course_utils.techniques.gradcam.maps_of')),
    Term(
        'hook',
        "A function that PyTorch calls when a layer has run, with what went in and what came out.",
        code=('torch.nn.Module.register_forward_hook',)),
    Term(
        'pointing game',
        "A map wins if its highest place lies inside the mask.",
        code=('course_utils.techniques.gradcam.pointing',)),
    Term(
        'receptive field',
        "The part of the picture that one place of a map can see. In the last layers of a deep network it "
        "is nearly the whole picture.",
        wordings=('each see nearly the whole picture',)),
    Term(
        'shortcut',
        "Something easy that goes with a class in these pictures and not in the world: a stamp, a ruler, a "
        "background. Held-out pictures that share it cannot show it."),
    Term(
        'stride',
        "How many pixels of the picture one place of a map stands for.",
        code=('course_utils.techniques.transfer.map_sizes',)),
    Term(
        'target layer',
        "The layer whose maps Grad-CAM weighs. Late ones know classes and are coarse, early ones are fine "
        "and know edges. Choose it by a score.",
        code=('course_utils.techniques.gradcam.target_layer', 'course_utils.techniques.gradcam.layer_table'),
        wordings=('which layer',)),
)

explained_in('08',
    Term(
        'compound scaling',
        "Making a network deeper, wider, and its pictures larger all at once, a little of each.",
        code=('course_utils.techniques.scaling.axes_of',)),
    Term(
        'depth and width',
        "Depth is how many layers follow one another: the work grows in proportion. Width is how many "
        "channels they have: the work grows with its square.",
        wordings=('deeper', 'wider')),
    Term(
        'macs',
        "Multiply-adds: the work that a network does for one picture. They follow from the sizes of "
        "outputs and filters, and tell the time only roughly.",
        formula=r'\text{size}\ \text{of}\ \text{the}\ \text{output} \times \text{size}\ \text{of}\ \text{a}\ \text{filter}',
        code=('course_utils.techniques.scaling.macs',),
        also=('multiply-adds',)),
    Term(
        'residual',
        "A block that adds to what passes by, instead of replacing it. So a network still works when some "
        "are left away."),
)

explained_in('09',
    Term(
        'interval',
        "A range for a measured number, made so that it misses the truth about one time in twenty. An "
        "interval of a difference that holds zero says: not clear.",
        code=('course_utils.report.stats.interval', 'course_utils.report.intervals.proportion_interval',
              'course_utils.report.stats.difference')),
    Term(
        'not clear',
        "The interval of a difference holds zero: these seeds and pictures cannot say which of the two "
        "is better. That is a result, and not the same as no difference.",
        code=('course_utils.report.stats.verdict',)),
    Term(
        'paired bootstrap',
        "Compare two recipes on the same seeds and pictures, draw those again and again with replacement, "
        "and see how far the mean difference wanders. Its middle 95 % are the interval, made wider where "
        "seeds are few. With few pictures it promises too much, and the course takes other intervals.",
        code=('course_utils.report.stats.bootstrap_interval', 'course_utils.report.stats.gains'),
        also=('bootstrap', 'paired')),
    Term(
        'rung',
        "A step of the ladder: all that is below it, and one thing changed.",
        code=('course_utils.techniques.ladder.rungs', 'course_utils.techniques.ladder.climb'),
        also=('ladder',)),
)

explained_in('10',
    Term(
        'AUC',
        "The chance that a picture of the one kind gets a higher score than one of the other. One half is "
        "guessing.",
        code=('sklearn.metrics.roc_auc_score',)),
    Term(
        'average precision',
        "The area under the curve of precision against recall, over all thresholds. No choice of threshold "
        "changes it.",
        code=('sklearn.metrics.average_precision_score',)),
    Term(
        'balanced accuracy',
        "The mean recall of all classes. A class that is never named costs as much as any other.",
        formula=r'\frac1C\sum_c \text{recall}_c',
        code=('course_utils.techniques.imbalance.class_rates', 'sklearn.metrics.balanced_accuracy_score')),
    Term(
        'class imbalance',
        "Some classes have far fewer pictures than others. Accuracy hardly sees whether the rare ones are "
        "found.",
        code=('course_utils.techniques.imbalance.rarest', 'course_utils.data.pictures.Pictures.counts'),
        also=('rare class',)),
    Term(
        'class weights',
        "An error on a picture of a rare class counts more in the loss.",
        formula=r'w_c = \frac{N}{C\, n_c}',
        code=(
            'course_utils.techniques.imbalance.class_weights',
            'course_utils.techniques.imbalance.BalancedLoss',
        ),
        wordings=('weights',)),
    Term(
        'confidence',
        "The highest of a network's probabilities for a picture. A network can be sure and wrong."),
    Term(
        'dataset shift',
        "The pictures that come are not like the training pictures: another lamp, another camera, another "
        "kind. A random split cannot show it; hold out a whole kind.",
        code=('course_utils.techniques.dataset_shift.domains', 'course_utils.techniques.dataset_shift.relight')),
    Term(
        'focal loss',
        "A loss in which pictures that are right already count less.",
        formula=r'-(1 - p)^\gamma \log p',
        code=('course_utils.techniques.imbalance.focal_loss',)),
    Term(
        'precision',
        "Of the pictures that are named as a class, the share that belong to it.",
        formula=r'\frac{\text{named}\ \text{and}\ \text{there}}{\text{named}}',
        code=('course_utils.techniques.imbalance.class_rates', 'sklearn.metrics.precision_score')),
    Term(
        'recall',
        "Of the pictures of a class, the share that is found.",
        formula=r'\frac{\text{named}\ \text{and}\ \text{there}}{\text{there}}',
        code=('course_utils.techniques.imbalance.class_rates', 'sklearn.metrics.recall_score')),
    Term(
        'threshold',
        "The probability from which on a class is named. Moving it needs no training, and trades precision "
        "for recall.",
        code=('course_utils.techniques.imbalance.adjust', 'course_utils.techniques.imbalance.alarm_cost')),
    Term(
        'two-sample classifier',
        "A classifier that learns to tell training pictures from new ones. If it cannot, they are alike; "
        "if it can, a person has to look.",
        code=('course_utils.techniques.dataset_shift.told_apart',)),
)

explained_in('11',
    Term(
        'optimism',
        "How much better the best of many looks than it is, because it was chosen by the very pictures "
        "that judge it."),
    Term(
        'pruner',
        "A rule that ends a trial which falls behind. The median rule ends it where its best score is "
        "under the median of the others at that step.",
        code=('optuna.pruners.MedianPruner', 'course_utils.techniques.search.median_rule')),
    Term(
        'random search',
        "Drawing settings at random. Where few settings matter, it is hard to beat.",
        code=('course_utils.techniques.search.random_sampler',)),
    Term(
        'test pictures',
        "Pictures held out of both training and choosing. They are looked at once, at the end.",
        code=('course_utils.techniques.search.hold_out',),
        also=('test set',)),
    Term(
        'TPE',
        "Tree-structured Parzen estimator: a sampler that draws more settings where scores were good.",
        code=('course_utils.techniques.search.tpe_sampler', 'optuna.samplers.TPESampler')),
    Term(
        'trial',
        "One training of a search, with settings of its own and a score.",
        code=('optuna.trial.Trial', 'course_utils.techniques.search_trials.trials_table')),
    Term(
        'weight decay',
        "Every step makes the weights a little smaller, so that only what the pictures keep asking for "
        "stays large.",
        formula=r'w \to w\,(1 - \eta\lambda)',
        code=('course_utils.training.recipe.Recipe(wd)',)),
)

explained_in('12',
    Term(
        'difference hash',
        "A fingerprint of a picture: shrink it to a few grey values, and note for each whether its right "
        "neighbour is brighter. It stays nearly the same when the picture is scaled or saved again.",
        code=('course_utils.techniques.near_duplicates.dhash',),
        also=('dHash',)),
    Term(
        'Hamming distance',
        "In how many bits two fingerprints differ.",
        code=('course_utils.techniques.near_duplicates.distances',)),
    Term(
        'leakage',
        "Something of the held-out pictures is in the training pictures: a copy, a frame of the same film, "
        "the same thing photographed twice. Then the held-out accuracy can be too good, and nothing in it "
        "says so.",
        code=(
            'course_utils.techniques.near_duplicates.leaked',
            'course_utils.techniques.near_duplicates.near_pairs',
        )),
    Term(
        'ONNX',
        "A file format that holds a whole network, so that programs without the course's code can run it.",
        code=('course_utils.techniques.export.export', 'onnxruntime.InferenceSession')),
)

explained_in('13',
    Term(
        'CutMix',
        "A square of another picture is pasted over each training picture, and the label is mixed by the pixels that are seen.",
        code=('course_utils.techniques.newer_techniques.CutMix', 'timm.data.mixup.Mixup(cutmix_alpha)')),
    Term(
        'label smoothing',
        "Training labels that are not quite certain: a small share of each goes to all classes alike, so that being very sure never pays.",
        formula=r'y \to (1 - \epsilon)\,y + \epsilon / C',
        code=('course_utils.techniques.newer_techniques.LabelSmoothing', 'torch.nn.CrossEntropyLoss(label_smoothing)')),
    Term(
        'mixup',
        "Two training pictures are mixed pixel by pixel, and their labels in the same shares.",
        formula=r'\lambda x_1 + (1 - \lambda) x_2, \quad \lambda y_1 + (1 - \lambda) y_2',
        code=('course_utils.techniques.newer_techniques.Mixup', 'timm.data.mixup.Mixup(mixup_alpha)')),
    Term(
        'moving average of weights',
        "Beside the network that learns stands a second one with the mean of its weights over the last steps, and that one is judged.",
        formula=r'\bar w \to d\,\bar w + (1 - d)\,w',
        code=('course_utils.techniques.newer_techniques.AverageWeights', 'timm.utils.ModelEmaV3'),
        also=('EMA',), wordings=('averaged weights', 'average of the weights')),
    Term(
        'progressive resizing',
        "Training begins with small pictures and ends with full ones.",
        code=('course_utils.techniques.newer_techniques.GrowingPictures',),
        wordings=('growing pictures', 'pictures that grow')),
    Term(
        'TrivialAugment',
        "One change, drawn from fourteen, at a strength drawn at random, for each training picture: nothing to tune.",
        code=('course_utils.techniques.trivial_augment.TrivialAugment', 'torchvision.transforms.TrivialAugmentWide')),
)

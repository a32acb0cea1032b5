"""The page of the sources: what each of the four articles did and reported, where the course teaches it, and what came out here."""
from dataclasses import dataclass

from course_utils.report.cases import kept_case, share_in_words
from course_utils.report.headlines import headline_of
from course_utils.report.ladder_results import ladder_in_words, measured_ladder
from course_utils.techniques.transfer import map_sizes

ARTICLES_PAGE = 'articles'  # path below nbs/, without its ending
SHOWN_COUNTS = ('25', '400')  # photographs, of those that the case study tries
OPENING = """# The four articles

> What each of the course's sources did and reported, where you find it here, and what came out beside its number.

The third column is the articles' own numbers, on their data, with their networks. The last is what the course measured:
often with other pictures and a smaller network, on a processor. So the two say whether the same thing happens,
and do not race. Each number comes from the file in `results/` that its lesson or case study has written."""


@dataclass
class Claim:
    "A row: something that an article does."
    did: str
    reported: str  # '' where it gives no number
    page: str      # of the course, a path below nbs/ without its ending
    outcome: str = ''  # what came out here; '' takes the headline of the lesson


def lesson_outcome(page: str) -> str: return headline_of(page[:2])


def ladder_outcome(data: str) -> str: return ladder_in_words(measured_ladder(data))


def case_outcome(case: str) -> str:
    "The reproduction's and the course's accuracy of a case study, with their intervals."
    table = kept_case(case).get('table', {})
    rows = [f"{kind} {share_in_words(row)}, {row['what']}" for kind, row in table.items()]
    return '; '.join(reversed(rows))


def few_photographs() -> str:
    "What the course's recipe makes of few cats and dogs, where its case study measured it."
    by_count = kept_case('cats_dogs').get('by_count', {})
    rows = {n: by_count[n] for n in SHOWN_COUNTS if n in by_count}
    return ', '.join(f'{n} photographs {share_in_words(row)}' for n, row in rows.items())


def last_map_of_resnet(size: int) -> str:
    "The last feature map of the network that the article took."
    *_, height, width = map_sizes('resnet50', size)[-1]
    return f'{size} px end in {height}×{width}'


def articles() -> dict:  # title of an article → its `Claim`s
    "All claims, each with its outcome."
    return {
        'Generalizing your model: EfficientNetV2 on cats and dogs': [
            Claim('A network from scratch, 100 epochs', 'training accuracy near 100 %, validation stuck near 85 %', '00_overfitting'),
            Claim('Seven operations, each with the same probability p', 'p = 5 % stops the rise of the validation loss; more helps further, less and less',
                  '01_augmentation'),
            Claim('Networks of 5.9 to 118 million parameters', 'validation loss −45 %, accuracy 85 to 97 %', '08_scaling'),
            Claim('Grad-CAM of the same pictures for every size', 'small networks look at the background, large ones at snout and whiskers', '07_gradcam'),
            Claim('All of it together, on 20,000 photographs', '97 %', 'cases/cats_dogs',
                  '; '.join(filter(None, [ladder_outcome('cats_dogs') or case_outcome('cats_dogs'), few_photographs()]))),
        ],
        'Improving model accuracy: rock, paper, scissors': [
            Claim('Why own data fail: little variety, rare classes, other pictures in production', '85 to 90 % by a random split, as a rule of thumb',
                  '10_troubled_data'),
            Claim('A frozen ResNet-50 with a new head', '86.02 % after 6 epochs', 'cases/rock_paper_scissors', case_outcome('rock_paper_scissors')),
            Claim('A learning rate finder by the smoothed gradient', 'a rate of 6.31e-5', '03_lr_finder'),
            Claim('Early stopping with patience 2', 'stops at epoch 16 of 20, the best was 14', '04_sgdr'),
            Claim('How much picture is left at the end of the network', '256 px end in 8×8, 64 px in 1×1 or 2×2', '02_transfer_learning',
                  '; '.join(map(last_map_of_resnet, (256, 64)))),
            Claim('A search for settings, as the next step', '', '11_search'),
        ],
        'What breed is that dog? 120 breeds': [
            Claim('A pretrained ResNeXt-50, all techniques together', '92.6 % on 60 to 130 pictures a class', 'cases/dog_breeds', case_outcome('dog_breeds')),
            Claim('Cosine annealing with warm restarts', 'a significant improvement, in its words', '04_sgdr'),
            Claim('Three learning rates for three groups of layers', 'a smaller ratio for data like ImageNet', '05_differential_lrs'),
            Claim('Five views at test time, averaged', '', '06_tta'),
        ],
        'CIFAR-100 transfer learning with EfficientNet': [
            Claim('Flips, a grid that bends and an elastic one, on training pictures alone', '', '01_augmentation'),
            Claim('EfficientNet-B0 fine-tuned at 224 px, 15 epochs, plateau and early stopping', '81.79 % on the test pictures', 'cases/cifar100',
                  case_outcome('cifar100')),
            Claim('Pictures of 32 px made larger by a bicubic resize', '', '12_your_pictures'),
        ],
    }


def case_claims() -> dict:  # title of an article → its `Claim` that has a case study
    "The case studies."
    return {title: claim for title, claims in articles().items() for claim in claims if claim.page.startswith('cases/')}


def claim_row(claim: Claim) -> str:
    "A row of a Markdown table."
    number = claim.page[:2]
    is_lesson = number.isdigit()
    words = number if is_lesson else 'case'
    outcome = claim.outcome or lesson_outcome(claim.page)
    cells = [claim.did, claim.reported or '—', f'[{words}]({claim.page}.ipynb)', outcome or '—']
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def article_cell(title: str, claims: list) -> str:  # Markdown
    "An article as a section with its table."
    head = '| it did | it reported | lesson | what came out here |\n|---|---|---|---|'
    return '\n'.join([f'## {title}', '', head, *map(claim_row, claims)])


def articles_page() -> list:  # Markdown cells
    "The whole page."
    return [OPENING, *(article_cell(title, claims) for title, claims in articles().items())]

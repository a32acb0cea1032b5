"""The course's commands: `python -m course_utils NAME …`. `make NAME` calls them; every one says `--help`."""
import importlib, sys
from dataclasses import dataclass

from course_utils.config import CourseError


@dataclass(frozen=True)
class Command:
    "A command, and what is said where Ctrl-C ends it."
    module: str   # whose `main(arguments)` does it
    summary: str
    stopped: str = 'Stopped.'
    first: tuple = ()  # arguments that stand before the caller's
    part: str = 'lab'  # what it needs installed: a key of `machine.environment.EXTRAS`


COMMANDS = {
    'lab': Command('data_scripts.lab', 'opens JupyterLab at the course home'),
    'doctor': Command('data_scripts.lessons.doctor', 'checks this machine, and says how to put right what is wrong'),
    'check': Command('data_scripts.testing', 'the style and the fast tests: for every save', first=('check',), part='test'),
    'test': Command('data_scripts.testing', "runs everything the course's own checks run", first=('test',), part='test'),
    'test-offline': Command('data_scripts.testing', 'runs the tests with the network cut off by the kernel (Linux)',
                            first=('test-offline',), part='test'),
    'lessons': Command('data_scripts.lessons.command', 'runs lessons top to bottom',
                       'Stopped: nothing was written back for the lesson that was running.'),
    'data': Command('data_scripts.datasets.prepare', 'fetches a data set of the sources', 'Stopped: the same command goes on from there.'),
    'mirror': Command('data_scripts.datasets.classroom_mirror',
                      'writes a smaller version of a fetched data set for a classroom'),
    'measure': Command('data_scripts.experiments.measure', 'measures all that takes longer than a lesson',
                       'Stopped: what was finished is kept, and the same command goes on from there.'),
    'ladder': Command('data_scripts.experiments.measure', 'measures what each technique adds; goes on where it was',
                      'Stopped: what was finished is kept, and the same command goes on from there.', first=('ladder',)),
    'bench': Command('data_scripts.experiments.bench.command', 'sets the course beside its peers, in one run',
                     'Stopped: the rows that were finished are kept.', part='test'),
    'gpu-report': Command('data_scripts.experiments.gpu_report', 'what the GPU makes of it',
                          'Stopped: the parts that were finished are kept.', part='test'),
    'distributed': Command('data_scripts.experiments.distributed', 'one training shared by several processes'),
    'sweep': Command('data_scripts.experiments.sweep', 'one worker of a search', 'Stopped: start it again, and it goes on.'),
    'recommend': Command('course_utils.advice.command', 'says what is wrong with a folder of pictures, and writes a recipe; --run runs it to a page',
                         'Stopped: what the recipe has written so far is in the notebook.'),
    'app': Command('course_utils.publish.serve', 'shows an exported classifier as an app, for pictures that somebody drops',
                   'The app is no longer shown.'),
    'page': Command('course_utils.publish.page', 'writes an exported classifier as a page that runs in the browser, without a server'),
    'space': Command('course_utils.publish.space', 'writes an exported classifier as a folder that can be hosted'),
    'site': Command('data_scripts.site.build', 'builds the site into _docs/', first=('build',), part='test'),
    'serve': Command('data_scripts.site.build', 'shows the built site on 127.0.0.1',
                     'The site is no longer shown.', first=('serve',), part='test'),
    'readme': Command('data_scripts.site.readme', "writes the README's tables from results/"),
    'card': Command('data_scripts.site.card',
                    'draws the picture that other sites show where somebody links to the course'),
    'tidy': Command('data_scripts.site.tidy',
                    'exports the techniques, writes exercises and words into the lessons, cleans the notebooks', part='test'),
}


def usage(command: str='python -m course_utils NAME') -> str:
    "A line a command."
    lines = [f'  {name:12} {command.summary}' for name, command in COMMANDS.items()]
    return '\n'.join([f'{command}, with NAME one of', *lines])


def main(arguments: list | None=None):
    "Runs a command. What goes wrong is one sentence on stderr, and status 1."
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ('-h', '--help'):
        print(usage())
        return
    name, *rest = arguments
    if name not in COMMANDS: sys.exit(f"There is no command '{name}': there are {', '.join(COMMANDS)}.")
    command = COMMANDS[name]
    sys.argv[0] = f'python -m course_utils {name}'  # what --help names
    try: importlib.import_module(command.module).main([*command.first, *rest])
    except CourseError as error: sys.exit(str(error))
    except KeyboardInterrupt: sys.exit(command.stopped)


if __name__ == '__main__': main()

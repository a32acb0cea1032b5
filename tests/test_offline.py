"""The guard that cuts the network off bites, here and in children and kernels."""
import os, socket, subprocess, sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
ELSEWHERE = '192.0.2.1'  # an address kept for documentation: nobody answers there
TRY = f"""
import socket
for call in (lambda: socket.create_connection(({ELSEWHERE!r}, 80), timeout=2), lambda: socket.getaddrinfo('example.org', 80),
             lambda: socket.gethostbyname('example.org'), lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ({ELSEWHERE!r}, 53))):
    try: call()
    except ConnectionRefusedError as e: assert 'without a network' in str(e), e
    else: raise AssertionError('the network was reached')
"""


def test_here(): exec(TRY)


def test_in_a_child():
    r = subprocess.run([sys.executable, '-c', TRY], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def test_without_the_guard_the_probe_fails():
    "The probe above is able to fail."
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    assert subprocess.run([sys.executable, '-c', TRY], capture_output=True, env=env).returncode != 0


@pytest.mark.slow
def test_in_a_kernel():
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TRY)])
    NotebookClient(nb, kernel_name='python3', timeout=60).execute()


def test_this_machine_can_be_reached():
    with socket.create_server(('127.0.0.1', 0)) as s, socket.create_connection(s.getsockname(), timeout=5): pass
    assert socket.getaddrinfo('localhost', 80)


ASKED = """
import os, socket
asked = []
def refuse(*address, **options):
    asked.append(address)
    raise ConnectionRefusedError('the test has no network')
socket.getaddrinfo = socket.socket.connect = refuse
import course_utils.techniques.augment
from course_utils.models import create_model
create_model('tf_efficientnet_lite0', 2)
print(asked, os.environ.get('NO_ALBUMENTATIONS_UPDATE'))
"""


@pytest.mark.slow
def test_importing_the_course_asks_nobody():
    "In a process that inherits none of the settings which the tests make: albumentations would ask for its newest version."
    env = {k: v for k, v in os.environ.items() if k not in ('HF_HUB_OFFLINE', 'NO_ALBUMENTATIONS_UPDATE')}
    r = subprocess.run([sys.executable, '-c', ASKED], cwd=ROOT, capture_output=True, text=True, env=env)
    assert r.returncode == 0, r.stderr
    assert r.stdout.split() == ['[]', '1']


@pytest.mark.slow
def test_albumentations_alone_would_ask():
    "The test above is able to fail: without the course's setting it does ask."
    env = {k: v for k, v in os.environ.items() if k != 'NO_ALBUMENTATIONS_UPDATE'}
    code = ASKED.replace('import course_utils.techniques.augment\nfrom course_utils.models import create_model\n', 'import albumentations\n')
    r = subprocess.run([sys.executable, '-c', code.replace("create_model('tf_efficientnet_lite0', 2)\n", '')], cwd=ROOT, capture_output=True, text=True, env=env)
    assert r.returncode == 0, r.stderr
    assert not r.stdout.startswith('[] ')

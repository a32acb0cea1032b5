"""The guard that cuts the network off bites, here and in children and kernels."""
import os, socket, subprocess, sys

import nbformat
import pytest
from nbclient import NotebookClient

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


def test_in_a_kernel():
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TRY)])
    NotebookClient(nb, kernel_name='python3', timeout=60).execute()


def test_this_machine_can_be_reached():
    with socket.create_server(('127.0.0.1', 0)) as s, socket.create_connection(s.getsockname(), timeout=5): pass
    assert socket.getaddrinfo('localhost', 80)


@pytest.mark.parametrize('name', ['HF_HUB_OFFLINE', 'NO_ALBUMENTATIONS_UPDATE'])
def test_libraries_are_told(name): assert os.environ[name] == '1'

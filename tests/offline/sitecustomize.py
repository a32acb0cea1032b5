"""Refuses every network connection but to this machine itself, in each Python process that has this folder on PYTHONPATH.

An audit hook sees what any Python code does with sockets and cannot be taken out again. Programs in other languages are
not covered: `make test-offline` cuts those off too."""
import ipaddress, sys

LOCAL = ('localhost', 'ip6-localhost', '', None)
EVENTS = {'socket.connect': 1, 'socket.sendto': 1, 'socket.sendmsg': 1, 'socket.getaddrinfo': 0, 'socket.gethostbyname': 0, 'socket.gethostbyaddr': 0}


def is_local(host):
    if isinstance(host, bytes): host = host.decode()
    if host in LOCAL: return True
    try: return (ip := ipaddress.ip_address(host)).is_loopback or ip.is_unspecified
    except ValueError: return False


def guard(event, args):
    i = EVENTS.get(event)
    if i is None: return
    where = args[i]
    # Unix sockets have a path or None instead of (host, port).
    if event.startswith(('socket.connect', 'socket.send')):
        if not isinstance(where, tuple): return
        where = where[0]
    if not is_local(where): raise ConnectionRefusedError(f'The tests run without a network: no connection to {where}.')


sys.addaudithook(guard)

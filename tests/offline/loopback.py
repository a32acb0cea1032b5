"""Brings the loopback device up in a new network namespace, where `ip` may not be installed, and then runs the command that follows."""
import fcntl, os, socket, struct, sys

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', IFF_UP))
if sys.argv[1:]: os.execv(sys.argv[1], sys.argv[1:])

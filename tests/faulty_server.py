"""A server of archives with scripted faults, for tests of downloads.

A step serves one request: it gets the handler and the whole content. Steps that need a number are made by functions."""
import re, socketserver, threading, time
from http.server import BaseHTTPRequestHandler

from tests.tiny_archives import manifest


class Server(socketserver.ThreadingTCPServer):
    "Serves `files`. Each request for a name takes the first step out of `script[name]`, or is served well when none is left."
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 50

    def __init__(self, files):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files = {**files, 'manifest.json': manifest(files)}
        self.script = {}             # name → steps to come
        self.log = []                # for each request: name, first byte asked for, bytes served
        self.end = threading.Event()  # lets go of steps that wait
        self.address = f'http://127.0.0.1:{self.server_address[1]}'

    def asked(self, name): return [record for record in self.log if record[0] == name]

    def handle_error(self, request, client): pass  # the client may be killed


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass

    def do_GET(self):
        name = self.path.rsplit('/', 1)[-1]
        match = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        self.begin = int(match[1]) if match else 0
        self.record = [name, self.begin, 0]
        self.server.log.append(self.record)
        steps = self.server.script.get(name, [])
        step = steps.pop(0) if steps else serve
        step(self, self.server.files[name])
        self.close_connection = True

    def head(self, code, length=None, **headers):
        self.send_response(code)
        if length is not None: self.send_header('Content-Length', str(length))
        for name, value in headers.items(): self.send_header(name.replace('_', '-'), value)
        self.end_headers()

    def body(self, data):
        self.wfile.write(data)
        self.wfile.flush()
        self.record[2] += len(data)


# ---- as it should be ----

def serve(handler, content, stop=None):
    "All of it from the byte that was asked for, or up to byte `stop`."
    begin, length = handler.begin, len(content)
    if begin and begin >= length: return handler.head(416, 0, Content_Range=f'bytes */{length}')
    if begin: handler.head(206, length - begin, Content_Range=f'bytes {begin}-{length - 1}/{length}')
    else: handler.head(200, length)
    handler.body(content[begin:length if stop is None else stop])


def no_ranges(handler, content):
    handler.head(200, len(content))
    handler.body(content)


def no_length(handler, content):
    handler.head(200)
    handler.body(content)


def slowly(handler, content):
    handler.head(200, len(content))
    for i in range(0, len(content), 2000):
        handler.body(content[i:i + 2000])
        time.sleep(.01)


def in_quarters(handler, content):
    handler.head(200, len(content))
    ends = [len(content) * i // 4 for i in range(5)]
    for begin, end in zip(ends, ends[1:]):
        handler.body(content[begin:end])
        time.sleep(.12)


# ---- cut, slow, refused ----

def cut(stop): return lambda handler, content: serve(handler, content, stop)


def status(code): return lambda handler, content: handler.head(code, 0)


def redirect(address): return lambda handler, content: handler.head(302, 0, Location=address)


def no_ranges_cut(handler, content):
    handler.head(200, len(content))
    handler.body(content[:len(content) // 2])


def stall(handler, content):
    handler.head(200, len(content))
    handler.body(content[:100])
    handler.server.end.wait(20)


def trickle(handler, content):
    handler.head(200, len(content))
    for i in range(60):
        handler.body(content[i:i + 1])
        if handler.server.end.wait(.05): return


# ---- another file ----

def endless(handler, content):
    handler.head(200)
    handler.body(content + b'more')


def huge(handler, content):
    handler.head(200)
    handler.body(b'x' * 2_000_000)


def longer(handler, content):
    handler.head(200, len(content) + 7)
    handler.body(content + b'x' * 7)


def shorter(handler, content):
    handler.head(200, len(content) - 7)
    handler.body(content[:-7])


def other_range(handler, content):
    handler.head(206, len(content), Content_Range=f'bytes 0-{len(content) - 1}/{len(content)}')
    handler.body(content)


def other_bytes(handler, content): serve(handler, bytes(len(content)))


def page(handler, content):
    text = b'<html>Please log in</html>'
    handler.head(200, len(text))
    handler.body(text)

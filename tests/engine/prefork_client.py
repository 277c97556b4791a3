"""Asks the server of `prefork.py` for a process, passes signals on to it, and ends as it does.

Usage: prefork_client.py SOCKET (path|module) WHAT [ARGUMENT…]. It imports little, for it is started hundreds of times.
"""

import json
import os
import signal
import socket
import sys

parent = os.getppid()  # read first: it may die while this process is still starting
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.connect(sys.argv[1])
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda received, _: connection.sendall(bytes([received])))
request = {sys.argv[2]: sys.argv[3], "arguments": sys.argv[4:], "directory": os.getcwd(), "environment": dict(os.environ)}
data = json.dumps(request).encode() + b"\n"
sent = socket.send_fds(connection, [data], [0, 1, 2])
connection.sendall(data[sent:])
# The process has these streams now, and whoever reads them must see their end when it ends.
nothing = os.open(os.devnull, os.O_RDWR)
for stream in (0, 1, 2):
    os.dup2(nothing, stream)
# A killed engine sends no signal, but its plugins must still end.
connection.settimeout(0.5)
answer = b""
while not answer:
    try:
        answer = connection.recv(16) or b"1"
    except TimeoutError:
        if os.getppid() != parent:
            os._exit(1)
code = int(answer)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)

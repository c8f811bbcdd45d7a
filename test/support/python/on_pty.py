"""Runs a command on a terminal of its own and follows a script of steps.

argv[1] is JSON: {"rows", "columns", "stty": [arguments of stty], "command": [...], "steps": [step, ...], "deadline": seconds}.
A step may hold "expect" (regular expression that what came since the step before must match), "send" (text to type),
"resize" ([rows, columns]) and "signal" (number sent to the command). All the command says goes to stdout; its exit status is ours.
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

plan = json.loads(sys.argv[1])
end = time.monotonic() + plan.get("deadline", 60)


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


pid, master = pty.fork()
if pid == 0:
    resize(0, plan["rows"], plan["columns"])
    if plan.get("stty"):
        subprocess.run(["stty", *plan["stty"]], check=True)
    os.execvp(plan["command"][0], plan["command"])

heard = b""


def read_some():
    """One read, or None at the end of the terminal."""
    global heard
    left = end - time.monotonic()
    if left <= 0:
        sys.stderr.write("pty: too late; heard since the last step: %r\n" % heard)
        os.kill(pid, signal.SIGKILL)
        sys.exit(124)
    ready, _, _ = select.select([master], [], [], left)
    if not ready:
        return b""
    try:
        chunk = os.read(master, 65536)
    except OSError:
        return None
    if not chunk:
        return None
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    heard += chunk
    return chunk


for step in plan["steps"]:
    if "expect" in step:
        pattern = re.compile(step["expect"].encode(), re.S)
        while True:
            found = pattern.search(heard)
            if found:
                heard = heard[found.end():]
                break
            if read_some() is None:
                sys.stderr.write("pty: ended before %s; heard %r\n" % (step["expect"], heard))
                os.waitpid(pid, 0)
                sys.exit(125)
    if "resize" in step:
        resize(master, *step["resize"])
        os.kill(pid, signal.SIGWINCH)
    if "signal" in step:
        os.kill(pid, step["signal"])
    if "send" in step:
        os.write(master, step["send"].encode())

while read_some() is not None:
    pass
_, status = os.waitpid(pid, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))

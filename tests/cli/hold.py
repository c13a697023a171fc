"""Starts a program whose first thread can be held while its other threads go on.

    python3 hold.py PROGRAM ARGUMENTS…

Each line on standard input holds the thread, or lets it go, and is answered. At the end of the input the program is killed.
"""

import ctypes
import os
import subprocess
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)


def ptrace(request):
    if libc.ptrace(request, program.pid, None, None) == -1:
        program.kill()
        sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))


is_held = False
while sys.stdin.readline():
    if is_held:
        ptrace(DETACH)
    else:
        ptrace(SEIZE)
        ptrace(INTERRUPT)
        os.waitpid(program.pid, 0)
    is_held = not is_held
    print("held" if is_held else "free", flush=True)
program.kill()

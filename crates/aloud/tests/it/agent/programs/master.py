#!/usr/bin/env python3
"""A queue's master, as there are many: it resolves where it is when it starts,
starts its worker by a relative path, again whenever that ends, and says on its
output that it runs. `master.py PID_FILE`."""
import os, signal, subprocess, sys, time

os.chdir(os.path.realpath("."))
worker = None


def stop(*_):
    if worker:
        worker.kill()
        worker.wait()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
worker = subprocess.Popen([sys.executable, "worker.py"], stdin=subprocess.DEVNULL)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    print("running", flush=True)
    if worker.poll() is not None:
        worker = subprocess.Popen([sys.executable, "worker.py"], stdin=subprocess.DEVNULL)
    time.sleep(0.05)

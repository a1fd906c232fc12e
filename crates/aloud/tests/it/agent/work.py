#!/usr/bin/env python3
"""A worker: takes jobs over HTTP, and writes down which version did which."""
import json, os, signal, sys, time, urllib.error, urllib.request

stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
version = open("VERSION").read().strip()
url = os.environ["ALOUD_URL"]
headers = {
    "Authorization": "Bearer " + open(os.environ["ALOUD_TOKEN_FILE"]).read().strip(),
    "Content-Type": "application/json",
    "Aloud-Worker": os.environ["ALOUD_WORKER"],
    "Aloud-Release": os.environ["ALOUD_RELEASE"],
}
queues = os.environ.get("ALOUD_QUEUES", "default").split(",")
book = os.open(os.environ["BOOK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def call(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


print("version", version, "works", flush=True)
done = []
while True:
    wish = {"acks": done}
    if not stopping:
        wish["lease"] = {"queues": queues, "worker": "py", "limit": 5, "wait": "500ms", "for": "20s"}
    elif not done:
        break
    try:
        answer = call("/v1/finish", wish)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        time.sleep(0.1)
        continue
    done = []
    stopping = stopping or answer.get("quiet", False)
    for job in answer["jobs"]:
        os.write(book, f"{job['id']} {version} {time.time()}\n".encode())
        done.append({"id": job["id"], "lease": job["lease"]})

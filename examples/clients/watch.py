"""Watches live what happens, breaks off, and goes on from there without a gap.

README.md says which variables are to be set.
"""

import json
import os
import ssl
from contextlib import contextmanager

import requests
from websockets.sync.client import connect

url = os.environ["EMX_URL"]
http = requests.Session()
http.verify = os.environ["EMX_CA_FILE"]
http.trust_env = False  # else REQUESTS_CA_BUNDLE, where it is set, wins over what was just said
tls = ssl.create_default_context(cafile=os.environ["EMX_CA_FILE"])

who = {"tenant": os.environ["EMX_TENANT"], "email": os.environ["EMX_EMAIL"], "password": os.environ["EMX_PASSWORD"]}
token = http.post(f"{url}/api/v1/auth/login", json=who).json()["access_token"]
http.headers["Authorization"] = f"Bearer {token}"


def run(command):
    http.post(f"{url}/api/v1/executions", json={"command": command}).raise_for_status()


@contextmanager
def watch(from_seq=None):
    """An open subscription; a ticket is good once and for 30 seconds."""
    ticket = http.post(f"{url}/api/v1/ws/ticket").json()["ticket"]
    address = f"{url.replace('https', 'wss')}/api/v1/ws?ticket={ticket}"
    wish = {"type": "subscribe", "id": "all", "topics": ["metrics_update"]}
    if from_seq is not None:
        wish["from_seq"] = from_seq
    with connect(address, ssl=tls, origin=url, subprotocols=["emx.v1"]) as socket:
        socket.send(json.dumps(wish))
        told = json.loads(socket.recv(timeout=30))
        print(told["type"], "from", told["data"]["seq"])
        yield socket


def next_update(socket):
    """Prints what an update tells, and gives the seq wanted next."""
    update = json.loads(socket.recv(timeout=30))["data"]
    for execution in update["executions"]:
        print("seq", execution["seq"], execution["command"])
    return update["last_seq"] + 1


with watch() as socket:
    run("while watching")
    wanted = next_update(socket)
run("while away")
with watch(from_seq=wanted) as socket:
    next_update(socket)

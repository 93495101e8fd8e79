"""Signs in, sends a run, sends it again without harm, asks about it, and reads an error.

README.md says which variables are to be set.
"""

import os
import uuid

import requests

url = os.environ["EMX_URL"]
http = requests.Session()
http.verify = os.environ["EMX_CA_FILE"]
http.trust_env = False  # else REQUESTS_CA_BUNDLE, where it is set, wins over what was just said

# An access token is good for a quarter of an hour; its refresh token gets the next one, once.
who = {"tenant": os.environ["EMX_TENANT"], "email": os.environ["EMX_EMAIL"], "password": os.environ["EMX_PASSWORD"]}
signed_in = http.post(f"{url}/api/v1/auth/login", json=who)
signed_in.raise_for_status()
refreshed = http.post(f"{url}/api/v1/auth/refresh", json={"refresh_token": signed_in.json()["refresh_token"]})
refreshed.raise_for_status()
http.headers["Authorization"] = f"Bearer {refreshed.json()['access_token']}"
print("user", http.get(f"{url}/api/v1/auth/me").json()["user"]["email"])

# Whoever gets no answer sends the same again under the same key: it is stored once.
run = {"command": "cargo test", "duration_ms": 193200, "exit_code": 101, "labels": {"branch": "main"}}
key = {"Idempotency-Key": str(uuid.uuid4())}
first = http.post(f"{url}/api/v1/executions", json=run, headers=key)
first.raise_for_status()
again = http.post(f"{url}/api/v1/executions", json=run, headers=key)
print("stored", first.status_code, "the same answer again:", again.json() == first.json())

question = {"group_by": ["command", "status"], "metrics": ["count", "p95(duration_ms)"]}
answer = http.post(f"{url}/api/v1/query", json=question).json()
print("columns", *(column["name"] for column in answer["columns"]))
for row in answer["rows"]:
    print("row", *row)

# Every error is an RFC 9457 problem: `code` is for programs, `detail` for people.
refused = http.post(f"{url}/api/v1/executions", json={"command": "", "duration_ms": -1})
problem = refused.json()
print("refused", refused.status_code, refused.headers["Content-Type"], problem["code"])
for error in problem["errors"]:
    print("wrong", error["pointer"], error["code"])

http.post(f"{url}/api/v1/auth/logout").raise_for_status()
print("signed out", http.get(f"{url}/api/v1/auth/me").status_code)

"""An agent as people write them: httpx, one client, kept-alive connections. Prints what it saw as one line of JSON."""

import json
import sys

import httpx

gate, direct = sys.argv[1], sys.argv[2]
seen = {}

# Set by whoever answers last, or the gate's own.
DIFFERS = {"date", "connection", "keep-alive", "burngate-call", "burngate-verdict", "burngate-budget"}


def essence(response):
    headers = sorted((name.lower(), value) for name, value in response.headers.multi_items() if name.lower() not in DIFFERS)
    return [response.status_code, headers, response.text]


with httpx.Client(base_url=gate, headers={"Burngate-Run": "python"}) as through, httpx.Client(base_url=direct) as around:
    for path in ["/posts", "/posts/1", "/posts?_sort=id&_order=desc", "/posts/999"]:
        seen[path] = essence(through.get("/blog" + path)) == essence(around.get(path))
    created = through.post("/blog/posts", json={"id": 2, "title": "straße", "rank": 1.0})
    seen["created"] = [created.status_code, created.json()]
    large = through.post("/blog/posts", json={"id": 3, "title": "x" * 90_000})
    seen["large"] = [large.status_code, len(large.json()["title"])]
    denied = through.put("/blog/posts/1", json={"id": 1, "title": "forbidden"})
    seen["denied"] = [denied.status_code, denied.json()["type"], denied.headers["burngate-verdict"]]
    unlisted = through.patch("/blog/posts/1", json={"title": "y"})
    seen["unlisted"] = [unlisted.status_code, unlisted.json()["type"]]
    held = through.delete("/blog/posts/2")
    seen["held"] = [held.status_code, held.json()["type"], held.json()["detail"].startswith("NOT EXECUTED")]
    approval = held.json()["approval"]
    print(json.dumps({"approval": approval}), flush=True)
    # Whoever started this agent approves now, and says so by sending a line.
    sys.stdin.readline()
    state = through.get(f"/.burngate/approvals/{approval}?wait=10").json()
    seen["approved"] = state["state"]
    repeated = through.delete("/blog/posts/2", headers={"Burngate-Approval": approval})
    seen["repeated"] = [repeated.status_code, repeated.headers["burngate-verdict"]]
    seen["gone"] = through.get("/blog/posts/2").status_code
    finished = through.post("/.burngate/runs/python/finish", json={"status": "completed"})
    seen["finished"] = finished.status_code
print(json.dumps(seen), flush=True)

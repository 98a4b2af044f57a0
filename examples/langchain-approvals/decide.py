#!/usr/bin/env python3
"""Takes a person's decision on a human-in-the-loop request, in LangChain's own shape, to the gate.

    decide.py http://127.0.0.1:9901 TOKEN_FILE '{"type": "approve"}' < request.json
    decide.py http://127.0.0.1:9901 TOKEN_FILE '{"type": "edit", "edited_action": {"name": "refund", "args": {"order": "A-1", "amount": 60}}}' < request.json
    decide.py http://127.0.0.1:9901 TOKEN_FILE '{"type": "reject", "message": "the order never existed", "wrong": true}' < request.json

The request is what agent.py printed; what is printed here is what to answer it with, once the gate has the decision. Runs where the person is, with the person's
token (role reviewer), and never beside the agent. `wrong` says that the call should not have been asked for at all: it counts against the workflow, and stands
for the same call for 24 hours. Needs nothing but Python.
"""

import json
import sys
import urllib.error
import urllib.request


def post(url, token, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"the gate did not take it: {problem.get('detail', problem.get('title'))}")


def main():
    admin, token_file, decision = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with open(token_file) as file:
        token = file.read().strip()
    request = json.loads(sys.stdin.readline())
    approval = f"{admin}/v1/approvals/{request['approval']}"
    action = request["action_requests"][0]
    match decision["type"]:
        case "approve":
            post(f"{approval}/approve", token, {})
        case "edit":
            edited = decision["edited_action"]
            if edited["name"] != action["name"]:
                sys.exit("an edit changes arguments, and not the tool: reject it, and say what to do instead")
            post(f"{approval}/approve", token, {"edit": edited["args"]})
        case "reject":
            verdict = "wrong" if decision.get("wrong") else "not_now"
            post(f"{approval}/deny", token, {"verdict": verdict, "reason": decision.get("message") or "rejected in the chat"})
        case kind:
            sys.exit(f"no such decision: {kind}")
    print(json.dumps({"decisions": [decision]}))


if __name__ == "__main__":
    main()

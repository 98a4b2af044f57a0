#!/usr/bin/env python3
"""A Slack bot that puts held calls into a channel, and takes what people decide there to the gate: each in their own name, with their own token.

    SLACK_BOT_TOKEN=xoxb-... SLACK_SIGNING_SECRET=... BURNGATE_ADMIN=http://127.0.0.1:9901 BURNGATE_TOKEN=... \\
        bot.py --channel C0123456789 --people people.json --listen 127.0.0.1:3001

people.json says who is who: {"U0123456789": "path/of/a/token/file", ...}, from Slack's ids of people to files with reviewers' tokens. BURNGATE_TOKEN is the bot's own: a
viewer's is enough, because the bot decides nothing. Whoever is not in people.json is told so; whoever comes second is told what was decided. Slack sends
interactions to the address of --listen (path /slack/events), signed; what is not signed by Slack is refused.

The bot keeps nothing: started again, it shows what is pending again. Needs slack_bolt.
"""

import argparse
import json
import os
import pathlib
import threading
import urllib.error
import urllib.parse
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient

SHOWN = 2900  # Slack cuts a block of text off at 3,000 characters.


class Gate:
    """The admin API."""

    def __init__(self, admin):
        self.admin = admin

    def ask(self, method, path, token, body=None):
        """The status, and the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.admin + path, data, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_):
        pass


def plain(text):
    """Text that Slack shows as it is: no mention, no link, no formatting that a call's arguments could bring along."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


def around(context):
    """How the workflow stands, what the run did so far, what else touched the object, and how the last calls like it were decided and turned out."""
    workflow, run = context["workflow"], context["run"]
    lines = [f"{plain(workflow['workflow'])} is {workflow['posture']}, at level {plain(workflow['level']['effective'])}: {plain(workflow['why'])}"]
    if run["calls"]:
        done = ", ".join(f"{plain(call['tool'])} ({call['verdict']})" for call in run["calls"][-5:])
        lines.append(f"Its run so far, the newest of {len(run['calls']) + run['left_out']} calls: {done}")
    for touch in context["lately"][:2]:
        lines.append(f"The same object: run {plain(touch['run'])} of {plain(touch['workflow'])}, {touch['outcome']}")
    for one in context["alike"][:3]:
        said = "; ".join(f"{plain(each['reviewer'])}: {each['decision'].replace('_', ' ')}" for each in one["decisions"])
        about = "the same object" if one["same_subject"] else f"{plain(one['subject'] or 'no object')}"
        came_to = f"its run was {one['outcome']}" if one["outcome"] else ("sent" if one["sent"] else "not sent")
        lines.append(f"Before, about {about}: {said}; {came_to}")
    rule = context["rule"]
    if rule and rule["approved"]:
        went = f"{rule['held']} calls held, {rule['approved']} approved, {rule['turned_bad']} of those that went as asked turned out bad"
        lines.append(f"The rule {plain(rule['rule'])} in 30 days: {went}")
    return "\n".join(lines)[:SHOWN]


def blocks(approval):
    """One held call, with a button for each decision."""
    sent = approval.get("args", approval.get("body", "no body"))
    args = plain(approval["target"]) + "\n" + plain(json.dumps(sent, indent=2, ensure_ascii=True))
    if len(args) > SHOWN:
        args = args[:SHOWN] + f"\n(cut off; `burngate approvals show {approval['id']}` has all of it)"
    head = f"*{plain(approval['agent'])}* wants to call *{plain(approval['tool'])}* (risk {approval['risk']}) in *{plain(approval['workflow'])}*"
    why = f"{plain(approval['reason'])}. Until {approval['expires_at']}; needs {approval['needed']}."

    def button(text, action, style=None):
        button = {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": action, "value": approval["id"]}
        return {**button, "style": style} if style else button

    surroundings = [{"type": "context", "elements": [{"type": "mrkdwn", "text": around(approval["context"])}]}] if approval.get("context") else []
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": head}},
        {"type": "section", "text": {"type": "mrkdwn", "text": f"```{args}```"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": why}]},
        *surroundings,
        {
            "type": "actions",
            "elements": [button("Approve", "approve", "primary"), button("Not now", "deny_not_now"), button("It is wrong", "deny_wrong", "danger")],
        },
    ]


def outcome(approval):
    """What became of it, in a sentence."""
    said = [f"{plain(one['reviewer'])}: {one['decision'].replace('_', ' ')}" for one in approval["decisions"]]
    return f"{plain(approval['tool'])} is {approval['state']} ({'; '.join(said) or 'nobody decided'})"


def serve(app, gate, people):
    """Takes decisions."""

    def decide(ack, body, respond, path, said):
        ack()
        person, approval = body["user"]["id"], urllib.parse.quote(body["actions"][0]["value"], safe="")
        if person not in people:
            respond(text="You are no reviewer here: ask for a token, and for a line in people.json.", replace_original=False, response_type="ephemeral")
            return
        token = pathlib.Path(people[person]).read_text().strip()
        status, answer = gate.ask("POST", f"/v1/approvals/{approval}/{path}", token, said)
        if status == 200 and answer["state"] != "pending":
            respond(text=outcome(answer), replace_original=True)
        elif status == 200:
            respond(text=f"{outcome(answer)}; {answer['needed']} are needed", replace_original=False)
        else:
            respond(text=f"The gate did not take it: {plain(answer['detail'])}", replace_original=False, response_type="ephemeral")

    reason = {"reason": "decided in Slack"}
    app.action("approve")(lambda ack, body, respond: decide(ack, body, respond, "approve", reason))
    app.action("deny_not_now")(lambda ack, body, respond: decide(ack, body, respond, "deny", {**reason, "verdict": "not_now"}))
    app.action("deny_wrong")(lambda ack, body, respond: decide(ack, body, respond, "deny", {**reason, "verdict": "wrong"}))


def tell(app, gate, channel, stop, every):
    """Puts every held call into the channel once, and what became of it where nobody here decided."""
    token, told = os.environ["BURNGATE_TOKEN"], {}
    while True:
        status, answer = gate.ask("GET", "/v1/approvals?state=pending", token)
        pending = {approval["id"]: approval for approval in answer["approvals"]} if status == 200 else {}
        for approval in pending.values():
            if approval["id"] not in told:
                found, full = gate.ask("GET", f"/v1/approvals/{approval['id']}?context=true", token)
                approval = full if found == 200 else approval
                sent = app.client.chat_postMessage(channel=channel, text=f"A call of {plain(approval['tool'])} is held", blocks=blocks(approval))
                told[approval["id"]] = sent["ts"]
        for gone in [known for known in told if status == 200 and known not in pending]:
            status, approval = gate.ask("GET", f"/v1/approvals/{gone}", token)
            text = outcome(approval) if status == 200 else "The approval is gone"
            app.client.chat_update(channel=channel, ts=told.pop(gone), text=text, blocks=[])
        if stop.wait(every):
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channel", required=True)
    parser.add_argument("--people", required=True, type=pathlib.Path)
    parser.add_argument("--listen", default="127.0.0.1:3001")
    parser.add_argument("--every", type=float, default=2, help="seconds between looks at the gate")
    asked = parser.parse_args()
    people = json.loads(asked.people.read_text())
    # SLACK_API_URL is for a proxy on the way to Slack.
    client = WebClient(token=os.environ.pop("SLACK_BOT_TOKEN"), base_url=os.environ.get("SLACK_API_URL", WebClient.BASE_URL))
    app = App(signing_secret=os.environ["SLACK_SIGNING_SECRET"], client=client)
    gate = Gate(os.environ["BURNGATE_ADMIN"])
    serve(app, gate, people)
    stop = threading.Event()
    threading.Thread(target=tell, args=(app, gate, asked.channel, stop, asked.every), daemon=True).start()
    host, port = asked.listen.rsplit(":", 1)
    with make_server(host, int(port), SlackRequestHandler(app, path="/slack/events"), handler_class=Quiet) as server:
        print(f"listening http://{host}:{server.server_port}/slack/events", flush=True)
        try:
            server.serve_forever()
        finally:
            stop.set()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A LangChain agent whose tool API is behind burngate: what the gate holds becomes a human-in-the-loop request, in LangChain's own shape.

    agent.py http://127.0.0.1:8080 "refund order A-1001: 90"

Where a call is held, a line of JSON on standard output asks for decisions ({"action_requests": [...], "review_configs": [...], "approval": "apr_..."}), as
HumanInTheLoopMiddleware does, so that whatever shows such requests to people shows these. One line on standard input answers it
({"decisions": [{"type": "approve"}]}, or edit, or reject). The last line has the agent's answer.

The decision that counts is the one that the gate has: decide.py makes it, with the token of a person. This program has no such token; an answer that it is told and
the gate was not opens nothing, because the repeated call is held again.

MODEL=anthropic:claude-sonnet-4-5 (or any other that langchain's init_chat_model knows) has a real model decide what to call. Without it a small script does, which
takes the order and the amount from the prompt. Needs langchain and httpx.
"""

import json
import os
import re
import sys
import uuid

import httpx
from langchain.agents import create_agent
from langchain.agents.middleware.human_in_the_loop import HITLRequest
from langchain.chat_models import init_chat_model
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task
from langgraph.types import Command, interrupt

GATE, PROMPT = sys.argv[1:3]
# A piece of work is a run, and the same one after a person decided.
RUN = os.environ.get("RUN", f"chat-{uuid.uuid4()}")
HELD = "urn:burngate:problem:held"


@task
def send(order: str, amount: float) -> dict:
    """Calls the tool API through the gate. A task is done once: when the agent goes on after an interrupt, its result is remembered."""
    answer = httpx.post(f"{GATE}/payments/refunds", json={"order": order, "amount": amount}, headers={"Burngate-Run": RUN}, timeout=30)
    return {"ok": answer.is_success, "body": answer.json()}


@tool
def refund(order: str, amount: float) -> str:
    """Refunds an amount of an order."""
    answer = send(order, amount).result()
    if answer["body"].get("type") == HELD:
        problem = answer["body"]
        request = HITLRequest(
            action_requests=[{"name": "refund", "args": {"order": order, "amount": amount}, "description": problem["detail"]}],
            review_configs=[{"action_name": "refund", "allowed_decisions": ["approve", "edit", "reject"]}],
        )
        decision = interrupt({**request, "approval": problem["approval"]})["decisions"][0]
        if decision["type"] == "reject":
            return f"A person rejected this refund: {decision.get('message', 'no reason given')}. Nothing was refunded. Do not try it again."
        # Exactly the same call, also where it was edited: the gate sends what the person approved.
        answer = send(order, amount).result()
    if not answer["ok"]:
        return f"Nothing was refunded. {answer['body']['detail']}"
    return f"Refunded: {json.dumps(answer['body'])}"


class Script(FakeMessagesListChatModel):
    """Calls the tool once with what the prompt says, then repeats what the tool said."""

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        last = messages[-1]
        if last.type == "tool":
            self.responses = [AIMessage(last.content)]
        else:
            order, amount = re.search(r"order (\S+): ([\d.]+)", last.content).groups()
            call = {"name": "refund", "args": {"order": order, "amount": float(amount)}, "id": "call-1"}
            self.responses = [AIMessage("", tool_calls=[call])]
        self.i = 0
        return super()._generate(messages, stop, run_manager, **kwargs)


def main():
    model = init_chat_model(os.environ["MODEL"]) if "MODEL" in os.environ else Script(responses=[])
    agent = create_agent(model, [refund], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": RUN}}
    state = agent.invoke({"messages": [("user", PROMPT)]}, thread)
    while "__interrupt__" in state:
        print(json.dumps(state["__interrupt__"][0].value), flush=True)
        state = agent.invoke(Command(resume=json.loads(sys.stdin.readline())), thread)
    print(json.dumps({"answer": state["messages"][-1].content}), flush=True)
    # The outcome is known as far as the agent knows it; a run that nobody finishes ends by its lease.
    httpx.post(f"{GATE}/.burngate/runs/{RUN}/finish", json={"status": "completed"})


if __name__ == "__main__":
    main()

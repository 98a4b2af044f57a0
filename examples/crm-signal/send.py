#!/usr/bin/env python3
"""Tells a gate that a person reversed a refund, as a CRM would: signed as Standard Webhooks (https://www.standardwebhooks.com), with nothing but Python.

    send.py ADMIN SECRET_FILE ORDER REVERSAL [REASON]
    send.py http://127.0.0.1:9901 policies/refund-reversed.secret A-1001 REV-17 "the customer had been refunded already"
"""
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request


def signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = delivery.encode() + b"." + timestamp.encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def main(admin: str, secret_file: str, order: str, reversal: str, reason: str = "no reason given") -> int:
    with open(secret_file, encoding="ascii") as file:
        secret = file.readline().strip()
    event = {"event": "refund.reversed", "order": order, "reversal": reversal, "reason": reason, "by": {"kind": "person", "name": "dana"}}
    body = json.dumps(event).encode()
    # The same delivery must have the same id each time that it is sent.
    delivery, timestamp = f"msg_{reversal}", str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, delivery, timestamp, body),
    }
    request = urllib.request.Request(f"{admin}/v1/signals/refund-reversed", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(answer.read().decode())
            return 0
    except urllib.error.HTTPError as refused:
        print(refused.read().decode(), file=sys.stderr)
        return 1


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

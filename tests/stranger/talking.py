"""How a session talks to the process that started it."""

import json
import sys


def ask(question):
    """Asks the process that started this one, and waits until it is done."""
    print(json.dumps(question), flush=True)
    answer = json.loads(sys.stdin.readline())
    check(answer == {"done": True}, "the question was answered", question, answer)


def check(condition, what, *seen):
    """Stops the session when something is not as it should be."""
    if not condition:
        raise SystemExit(f"expected: {what}; seen: {seen}")

"""A test double of the `fillbook` command: `record` as the protocol says, and `positions`, told by files beside the book.

`<db>.told` gets every line that is recorded, once. `<db>.orders` says how it behaves: `{"hang_s": 60}`, `{"die_at": "sent"}`
(before it records the event; `"die_after"`: after that, before it answers), `{"fail": "locked"}`, `{"refuse": "signal"}`,
`{"start": "no"}`, `{"gate": [...]}`, `{"positions": [...]}`. It is read before every line.
"""

import contextlib
import json
import os
import sys
import time


def orders(db):
    try:
        with open(f"{db}.orders", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def undecided(db):
    """As the real one has it: intents of which nothing, or nothing certain, is known."""
    try:
        with open(f"{db}.told", encoding="utf-8") as file:
            told = [json.loads(line) for line in file]
    except FileNotFoundError:
        return []
    ends = {line["client_order_id"]: line["result"] for line in told if line["event"] == "sent"}
    ids = [line["client_order_id"] for line in told if line["event"] == "intent"]
    open_ids = [each for each in ids if ends.get(each, "pending") in ("pending", "unknown")]
    return [{"kind": "undecided_intent", "text": f"entry order {each}: its outcome is open", "client_order_id": each} for each in open_ids]


def answer(db, account, event, behave):
    name = event.get("event")
    if name == "gate":
        reasons = behave.get("gate", undecided(db))
        return {"outcome": "answered", "allowed": not reasons, "reasons": reasons}
    if "fail" in behave:
        return {"outcome": "failed", "error": {"class": behave["fail"], "problem": "not now"}}
    if behave.get("refuse") == name or name not in (
        "signal", "skip", "intent", "sent", "order", "trade", "cancel", "closed", "entry_event", "label",
    ):  # fmt: skip
        return {"outcome": "refused", "error": {"field": "event", "problem": "unknown", "advice": "none"}}
    told = {"account": account, **event}
    if name == "intent":
        told.setdefault("client_order_id", "composed:1")
    line = json.dumps(told, sort_keys=True)
    try:
        with open(f"{db}.told", encoding="utf-8") as file:
            known = line in file.read().splitlines()
    except FileNotFoundError:
        known = False
    if not known:
        with open(f"{db}.told", "a", encoding="utf-8") as file:
            file.write(line + "\n")
    given = {key: told[key] for key in ("client_order_id", "signal_id") if key in told}
    return {"outcome": "already_recorded" if known else "recorded", **given}


def record(db, account):
    if orders(db).get("start") == "no":
        sys.exit("the book is damaged")
    print(json.dumps({"fillbook": "0", "protocol": orders(db).get("protocol", 1), "account": account}), flush=True)
    with open(f"{db}.pids", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    number = 0
    for line in sys.stdin:
        if not line.strip():
            continue
        number += 1
        event = json.loads(line)
        behave = orders(db)
        until = time.monotonic() + behave.get("hang_s", 0)
        while time.monotonic() < until and "hang_s" in orders(db):
            time.sleep(0.01)
        if behave.get("die_at") == event["event"]:
            os._exit(9)
        said = answer(db, account, event, behave)
        if behave.get("die_after") == event["event"]:
            # Once: the next life of the process answers.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{db}.orders")
            os._exit(9)
        print(json.dumps({"line": number, **said}), flush=True)


def main():
    words = sys.argv[1:]
    db, account = words[words.index("--db") + 1], words[words.index("--account") + 1]
    if "record" in words:
        return record(db, account)
    if "positions" in words:
        for row in orders(db).get("positions", []):
            print(json.dumps({"schema": "fillbook.list.position/1", **row}))
        return None
    if "init" in words:
        with open(db, "a", encoding="utf-8"):
            return None
    sys.exit(f"not known: {words}")


if __name__ == "__main__":
    main()

"""Chats over a daemon's socket, whole or streamed, for the swarm tests that have one with Python."""
import http.client, json, socket


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def request(path, body):
    """The status, and the answer as it came."""
    c = Unix(path)
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    return r.status, r.read().decode()


def post(path, body):
    """The message, its end, and the object `shoal`."""
    status, data = request(path, body)
    assert status == 200, (status, data)
    if not body.get("stream"):
        o = json.loads(data)
        return o["choices"][0]["message"], o["choices"][0]["finish_reason"], o.get("shoal")
    events = [l[6:] for l in data.split("\n") if l.startswith("data: ")]
    assert events[-1] == "[DONE]", events
    message, finish, shoal = {"role": "assistant", "content": "", "tool_calls": []}, None, None
    for e in map(json.loads, events[:-1]):
        shoal = e.get("shoal", shoal)
        for choice in e["choices"]:
            finish = choice["finish_reason"] or finish
            message["content"] += choice["delta"].get("content") or ""
            for d in choice["delta"].get("tool_calls", []):
                if d["index"] == len(message["tool_calls"]):
                    assert d["id"] and d["type"] == "function" and d["function"]["name"], d
                    message["tool_calls"].append(d)
                else:
                    message["tool_calls"][d["index"]]["function"]["arguments"] += d["function"]["arguments"]
    if not message["tool_calls"]:
        del message["tool_calls"]
    return message, finish, shoal

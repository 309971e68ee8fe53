#!/usr/bin/env python3
"""A cloud for tests: an OpenAI-compatible server on loopback that answers, charges and fails as the first part of the
path says, and writes down every byte that it receives. What is no chat is a plain prompt, answered by texts.

    cloud_server.py RECORDS [--tls good|other-name|self-signed] [--ca FILE]

It prints `port N`, and serves until its standard input ends. Each connection's bytes (within TLS, when there is TLS) go
to RECORDS/0000, 0001, ... in the order of connections; one that never sent a byte leaves an empty file. When
the connection is over there is a file 0000.end as well.

The path is /FAULTS/...; FAULTS is `ok`, or words joined by `~`, each with a number behind `-` where it needs one:

    delay-MS      before the head             stall-N    after N bytes of the body nothing more comes
    cut-N         the connection ends there   short-N    the same, with a Content-Length of the whole
    drip-MS       between pieces of piece-N bytes (1)
    status-N      with an error's body        retry-S    Retry-After; retryms-MS; retrydate-S as a date
    whole         one JSON text               text-N     pieces of text (5); size-N bytes each
    nousage       says no usage               usage-N    completion tokens (as many as pieces); costs-N micro-units
    nodone, nofinish, crlf, comments          error      an error event after the first piece
    badjson, badevent, badhead, empty, toolcall, null    nonsense of several kinds
    chunked       byte by byte
    close         reads and answers nothing   mute       reads and never answers
    heads-N       bytes of header lines       redirect   to /ok/elsewhere
    echo          the error's text repeats the Authorization header and the body
    stops         the text ends by itself, not because it is long enough
    repeats       the text begins with the last message of the request, if that is an assistant's
    agent         a model with tools: it calls the first one with the user's words and tells what came of a call;
                  in pieces of 3 bytes. twice: two calls; calls-N; unoffered: of another function; noindex, object, noid: as some endpoints
                  write them; asks: whatever it is told, it asks for the items of some numbers
    supervise     a supervisor of document mode: plans, then answers from the findings with their quotes and a
                  false one; again: wants another round each time; code: writes a program instead of a plan
"""
import email.utils
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time


def faults_of(path):
    out = {}
    for word in path.split("/")[1].split("~"):
        name, _, number = word.partition("-")
        out[name] = int(number) if number else 1
    return out


class Connection:
    def __init__(self, sock, record):
        self.sock, self.record = sock, record

    def recv(self):
        data = self.sock.recv(65536)
        self.record.write(data)
        self.record.flush()
        return data

    def request(self):
        """The head and the body; None when the client went away first."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.recv()
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next(int(l.split(":")[1]) for l in lines if l.lower().startswith("content-length:"))
        while len(body) < length:
            more = self.recv()
            if not more:
                return None
            body += more
        return lines, body

    def wait_for_end(self):
        """Until the client closes: also bytes that should not come are recorded."""
        while self.recv():
            pass


def usage(f, pieces):
    u = {"prompt_tokens": 7, "completion_tokens": f.get("usage", pieces), "total_tokens": 7 + f.get("usage", pieces)}
    if "costs" in f:
        u["cost"] = f["costs"] / 1e6
    return u


def pieces_of(f):
    return [("%d " % i).rjust(f.get("size", 1), "x") for i in range(f.get("text", 5))]


def supervisor(f, body):
    """What a supervisor says to this body, in pieces."""
    user = json.loads(body)["messages"][-1]["content"]
    if "code" in f:
        return ["import os\n", "os.system('touch /tmp/pwned')"]
    if "Findings of" not in user or "again" in f:
        said = {"jobs": [{"instruction": user.split("Question: ")[1].split("\n")[0], "parts": "all"}]}
    else:
        findings = json.loads(user[user.index("\n[") + 1:])
        quotes = [q for x in findings for q in x["quotes"]]
        said = {"answer": "The parts say: " + "; ".join(x["answer"] for x in findings),
                "quotes": quotes + ["this stands nowhere in it"]}
    text = json.dumps(said)
    return [text[i:i + 7] for i in range(0, len(text), 7)]


def agent(f, body):
    """What it says and the calls that it makes."""
    request = json.loads(body)
    last = request["messages"][-1]
    if "asks" in f:
        last["content"] = "[EMAIL_1] [EMAIL_2] [KEY_1]"
    if last["role"] != "user" or "tools" not in request:
        return ("" if "asks" in f else "It says: ") + (last["content"] or ""), []
    made = {"name": "rm" if "unoffered" in f else request["tools"][0]["function"]["name"],
            "arguments": {"about": last["content"]} if "object" in f else json.dumps({"about": last["content"]})}
    n = 2 if "twice" in f else f.get("calls", 1)
    return "I look.", [{"index": i, "id": "cloud-%d-%d" % (len(request["messages"]), i), "type": "function",
                        "function": made} for i in range(n)]


def agent_deltas(f, body):
    text, calls = agent(f, body)
    deltas = [{"content": text[i:i + 3]} for i in range(0, len(text), 3)]
    for c in calls:
        arguments = c["function"]["arguments"]
        if "noid" in f:
            del c["id"]
        if "noindex" in f:
            del c["index"]
        if "object" in f:
            deltas.append({"tool_calls": [c]})
            continue
        deltas.append({"tool_calls": [{**c, "function": {"name": c["function"]["name"], "arguments": ""}}]})
        deltas += [{"tool_calls": [{**({"index": c["index"]} if "index" in c else {}),
                                    "function": {"arguments": arguments[i:i + 3]}}]}
                   for i in range(0, len(arguments), 3)]
    return deltas, "tool_calls" if calls else "stop"


def whole(f, body):
    pieces = pieces_of(f)
    if "agent" in f:
        text, calls = agent(f, body)
        message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
        return json.dumps({"choices": [{"index": 0, "message": message,
                                        "finish_reason": "tool_calls" if calls else "stop"}],
                           "usage": usage(f, 9)}).encode()
    if "messages" not in json.loads(body):
        return json.dumps({"id": "x", "object": "text_completion", "usage": usage(f, len(pieces)), "choices": [
            {"index": 0, "text": "".join(pieces), "finish_reason": "stop"}]}).encode()
    message = {"role": "assistant", "content": None if "null" in f else "".join(pieces)}
    if "toolcall" in f:
        message["tool_calls"] = [{"id": "1", "type": "function", "function": {"name": "rm", "arguments": "{}"}}]
    o = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    if "nousage" not in f:
        o["usage"] = usage(f, len(pieces))
    return json.dumps(o).encode()


def stream(f, body):
    pieces = supervisor(f, body) if "supervise" in f else pieces_of(f)
    plain = b'"messages"' not in body
    last = json.loads(body)["messages"][-1] if "repeats" in f and not plain else {}
    if last.get("role") == "assistant":
        pieces = [last["content"][:9], last["content"][9:] + pieces[0]] + pieces[1:]

    def chunk(delta, finish=None, **more):
        said = {"text": delta.get("content", "")} if plain else {"delta": delta}
        o = {"id": "x", "object": "text_completion" if plain else "chat.completion.chunk",
             "choices": [{"index": 0, **said, "finish_reason": finish}], **more}
        return "data: " + json.dumps(o)
    events = [chunk({"role": "assistant", "content": ""})]
    finish = "stop" if "supervise" in f or "stops" in f else "length"
    if "agent" in f:
        deltas, finish = agent_deltas(f, body)
        events += [chunk(d) for d in deltas]
        pieces = []
    for i, piece in enumerate(pieces):
        events.append(chunk({"content": piece}))
        if i == 0 and "error" in f:
            events.append('data: {"error": {"message": "overloaded"}}')
        if i == 0 and "badevent" in f:
            events.append("data: {nonsense")
        if i == 0 and "toolcall" in f:
            events.append(chunk({"tool_calls": [{"index": 0}]}))
        if "comments" in f:
            events += [": a comment", "event: message\nid: 3\nretry: 5"]
    if "nofinish" not in f:
        events.append(chunk({}, finish))
    if "nousage" not in f:
        events.append("data: " + json.dumps({"choices": [], "usage": usage(f, 9 if "agent" in f else len(pieces))}))
    if "nodone" not in f:
        events.append("data: [DONE]")
    text = "".join(e + "\n\n" for e in events)
    return text.replace("\n", "\r\n").encode() if "crlf" in f else text.encode()


def answer(f, lines, body):
    """The head's lines and the body."""
    status = f.get("status", 302 if "redirect" in f else 200)
    head = ["HTTP/1.1 %d X" % status, "Connection: close"]
    if status != 200:
        said = "it said no"
        if "echo" in f:
            said = next((l for l in lines if l.startswith("Authorization")), "") + body.decode()
        out, kind = json.dumps({"error": {"message": said, "type": "some_error"}}).encode(), "application/json"
    elif "whole" in f or b'"stream"' not in body.replace(b" ", b"").replace(b'"stream":false', b""):
        out, kind = whole(f, body), "application/json"
    else:
        out, kind = stream(f, body), "text/event-stream; charset=utf-8"
    if "badjson" in f:
        out, kind = b"<html>no</html>", "application/json"
    if "empty" in f:
        out = b""
    head.append("Content-Type: " + kind)
    if "retry" in f:
        head.append("Retry-After: %d" % f["retry"])
    if "retryms" in f:
        head.append("retry-after-ms: %d" % f["retryms"])
    if "retrydate" in f:
        head.append("Retry-After: " + email.utils.formatdate(time.time() + f["retrydate"], usegmt=True))
    if "redirect" in f:
        head.append("Location: /ok/elsewhere")
    if "chunked" in f:
        head.append("Transfer-Encoding: chunked")
        out = b"".join(b"1\r\n%c\r\n" % c for c in out) + b"0\r\n\r\n"
    elif "cut" not in f:
        head.append("Content-Length: %d" % len(out))
    for i in range(f.get("heads", 0) // 100):
        head.append("X-%05d: %s" % (i, "y" * 91))
    return ("\r\n".join(head) + "\r\n\r\n").encode(), out


def serve(connection):
    sock = connection.sock
    request = connection.request()
    if request is None:
        return
    lines, body = request
    f = faults_of(lines[0].split(" ")[1])
    if "mute" in f:
        connection.wait_for_end()
    if "mute" in f or "close" in f:
        return
    time.sleep(f.get("delay", 0) / 1000)
    if "badhead" in f:
        sock.sendall(b"hello, and so on\r\n\r\n")
        return
    head, out = answer(f, lines, body)
    out = out[:f.get("cut", f.get("short", f.get("stall", len(out))))]
    sock.sendall(head)
    piece = f.get("piece", 1) if "drip" in f or "piece" in f else max(len(out), 1)
    for at in range(0, len(out), piece):
        sock.sendall(out[at:at + piece])
        if "drip" in f:
            time.sleep(f["drip"] / 1000)
    if "stall" in f:
        connection.wait_for_end()


def handle(sock, context, record):
    try:
        with open(record, "wb") as r, sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            with sock:
                serve(Connection(sock, r))
    except OSError:
        pass  # the client went away, or did not like the certificate
    open(record + ".end", "wb").close()


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)


def make_context(kind, ca):
    """A certificate for 127.0.0.1 signed by an authority of its own, which goes to the file `ca`."""
    with tempfile.TemporaryDirectory() as d:
        key, request, cert, ca_key = d + "/key", d + "/request", d + "/cert", d + "/ca-key"
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *ec, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=test authority")
        name = "DNS:other.example" if kind == "other-name" else "IP:127.0.0.1"
        if kind == "self-signed":
            openssl("req", "-x509", *ec, "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=x",
                    "-addext", "subjectAltName=" + name)
        else:
            openssl("req", *ec, "-keyout", key, "-out", request, "-subj", "/CN=x")
            with open(d + "/ext", "w") as e:
                e.write("subjectAltName=" + name + "\n")
            openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
                    "-extfile", d + "/ext", "-out", cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context


def main():
    args = sys.argv[1:]
    tls = args[args.index("--tls") + 1] if "--tls" in args else None
    context = make_context(tls, args[args.index("--ca") + 1]) if tls else None
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print("port", listener.getsockname()[1], flush=True)

    def accept():
        number = 0
        while True:
            sock, _ = listener.accept()
            record = os.path.join(args[0], "%04d" % number)
            number += 1
            threading.Thread(target=handle, args=(sock, context, record), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

"""A client that checks what it gets: its answer comes once, whole, and is the one that is known."""
import http.client
import json
import threading
import time

from lab import UnixConnection


class Request(threading.Thread):
    """One greedy completion. After join(): text, tokens, arrivals (unix times of its pieces), and
    what was wrong with the way it came (`wrong`, a list of words)."""

    def __init__(self, daemon, prompt, n, stream=True, limit=120):
        super().__init__(daemon=True)  # a thread that ends with the process
        self.path, self.limit, self.stream = daemon.socket, limit, stream
        self.body = {"prompt": prompt, "max_tokens": n, "temperature": 0, "ignore_eos": True,
                     "stream": stream, "return_tokens": True}
        self.text, self.tokens, self.arrivals, self.wrong = "", None, [], []
        self.broken = False  # the connection ended before the answer did
        self.begun = None

    def run(self):
        c = UnixConnection(self.path, self.limit)
        try:
            self.begun = time.time()
            c.request("POST", "/v1/completions", body=json.dumps(self.body))
            r = c.getresponse()
            if r.status != 200:
                self.wrong.append("status %d: %s" % (r.status, r.read()[:300]))
            elif self.stream:
                self.read_stream(r)
            else:
                self.read_whole(json.loads(r.read()))
        except (OSError, http.client.HTTPException, ValueError) as e:
            self.broken = True
            self.wrong.append("the connection broke: %s" % (e or type(e).__name__))
        finally:
            c.close()

    def read_whole(self, o):
        self.text, self.tokens = o["choices"][0]["text"], o.get("tokens")
        self.arrivals.append(time.time())

    def read_stream(self, r):
        ends = dones = 0
        for line in iter(r.readline, b""):
            if not line.startswith(b"data: "):
                continue
            if line.startswith(b"data: [DONE]"):
                dones += 1
                continue
            o = json.loads(line[6:])
            if "error" in o:
                self.wrong.append("error: %s" % o["error"].get("message"))
                return
            choice = o["choices"][0]
            if dones or ends:
                self.wrong.append("text after the end")
            if choice.get("text"):
                self.text += choice["text"]
                self.arrivals.append(time.time())
            ends += choice.get("finish_reason") is not None
            self.tokens = o.get("tokens", self.tokens)
        if (ends, dones) != (1, 1):
            self.broken = ends == 0
            self.wrong.append("the stream has %d ends and %d [DONE]" % (ends, dones))

    def verdict(self, known):
        """What is wrong with the answer, in words; None: nothing."""
        if self.is_alive():
            return "no answer within %g s" % self.limit
        if self.wrong:
            return self.wrong[0]
        if self.text != known.text or self.tokens != known.tokens:
            same = next((i for i, (a, b) in enumerate(zip(self.tokens or [], known.tokens))
                         if a != b), min(len(self.tokens or []), len(known.tokens)))
            return "another text from token %d of %d on" % (same, len(known.tokens))
        return None


def known_answer(daemon, prompt, n, **fields):
    """The answer of an undisturbed swarm; more fields of the request by name."""
    r = Request(daemon, prompt, n, stream=False)
    r.body.update(fields)
    r.run()
    if r.wrong or len(r.tokens) != n:
        raise RuntimeError("no undisturbed answer: %s" % (r.wrong or r.tokens))
    return r

"""A receiver of Shared Signals in another language: it makes two streams, one pushed and one polled, and must hear every event of
CAEP by both, although its place and the server fall over in between. Starts the built server, and a software phone that plays the
person. SETs are read with jwcrypto, which knows nothing of Countersign."""

import base64, hashlib, json, os, pathlib, re, secrets, shutil, signal, socket, subprocess, sys, tempfile, threading, time
import urllib.error, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jwcrypto import jwk, jws

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
EVENTS = {"session-revoked", "token-claims-change", "credential-change", "assurance-level-change", "device-compliance-change",
          "session-established", "session-presented", "risk-level-change"}
TOKENS = {"pushed": "a token only for tests, pushed", "polled": "a token only for tests, polled"}
HEADER = "Bearer into the ear"
passed = failed = 0


def check(what, good, seen=None):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"not so: {what}" + (f"; seen: {seen}" if seen is not None else ""), file=sys.stderr)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Ear(BaseHTTPRequestHandler):
    """Where events are pushed to (RFC 8935)."""
    deaf = False
    came = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if Ear.deaf:
            self.send_response(503)
        elif self.headers["content-type"] != "application/secevent+jwt" or self.headers["authorization"] != HEADER:
            self.send_response(400)
        else:
            Ear.came.append(body.decode())
            self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server:
    """The real program, on a free port, with a directory of its own."""

    def __init__(self, ear):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="countersign-signals-"))
        self.issuer = f"http://localhost:{free_port()}"
        digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        receivers = "".join(
            f'[[signals.receivers]]\nid = "{name}"\naudience = "https://{name}.example"\ndanger_token_hash = "{digest(token)}"\n'
            f'push_endpoints = ["{ear}"]\n' for name, token in TOKENS.items())
        self.file = self.dir / "countersign.toml"
        self.file.write_text(
            f'issuer = "{self.issuer}"\nlisten = "127.0.0.1:{self.issuer.rsplit(":", 1)[1]}"\ndatabase = "sqlite:{self.dir}/c.db"\n'
            f'seal_key_file = "{self.dir}/seal"\norganisation = "Harbour Books"\n'
            f'[[clients]]\nid = "till"\nname = "Till"\nredirect_uris = ["http://127.0.0.1/cb"]\nscopes = ["profile"]\n{receivers}')
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("COUNTERSIGN_")}
        self.start()

    def start(self):
        self.said = open(self.dir / "said", "a+b")
        command = [BUILT / "countersign", "serve", "--config", self.file]
        self.running = subprocess.Popen(command, cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)
        until = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.issuer}/readyz") as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.running.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server did not start:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        return (self.dir / "said").read_text()

    def fall(self):
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()

    def command(self, *words):
        done = subprocess.run([BUILT / "countersign", *words, "--json", "--config", self.file], cwd=self.dir, env=self.env,
                              capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise SystemExit(f"countersign {words}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def phone(self, *words):
        env = {**self.env, "COUNTERSIGN_DEVICE_STATE": str(self.dir / "phone")}
        done = subprocess.run([BUILT / "countersign-device", *words], env=env, capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise SystemExit(f"countersign-device {words}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def ask(self, who, method, path, body=None):
        headers = {"authorization": f"Bearer {TOKENS[who]}"}
        if body is not None:
            headers["content-type"] = "application/json"
        url = path if path.startswith("http") else self.issuer + path
        request = urllib.request.Request(url, method=method, headers=headers, data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def sign_in(self, *flags, **more):
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": "till", "redirect_uri": "http://127.0.0.1/cb", "response_type": "code", "scope": "openid profile", "state": "s",
                 "code_challenge": challenge, "code_challenge_method": "S256", **more}
        back = self.phone("play", "authorize", f"{self.issuer}/authorize?{urllib.parse.urlencode(asked)}", "--browser", str(self.dir / "browser"), *flags)
        check(f"a sign-in {more or ''} gives a code", "code=" in back, back)


def read(server, who, text, keys):
    """What a SET says, judged by a library."""
    token = jws.JWS()
    token.deserialize(text)
    header = token.jose_header
    check("typed, by RS256", header["typ"] == "secevent+jwt" and header["alg"] == "RS256", header)
    token.allowed_algs = ["RS256"]
    token.verify(keys.get_key(header["kid"]))
    claims = json.loads(token.payload)
    check("from this issuer, for this receiver", claims["iss"] == server.issuer and claims["aud"] == f"https://{who}.example", claims)
    check("one event, a subject, a cause, no sub and exp",
          len(claims["events"]) == 1 and "format" in claims["sub_id"] and claims["txn"] and not {"sub", "exp"} & claims.keys(), claims)
    return claims


def kinds(sets):
    return {next(iter(c["events"])).removeprefix(CAEP) for c in sets.values()}


def main():
    ear = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{ear.server_address[1]}/events"
    server = Server(place)
    try:
        link = re.search(r"https?://\S+/enrol#[\w-]+", server.log())[0]
        with urllib.request.urlopen(f"{server.issuer}/.well-known/ssf-configuration") as answer:
            metadata = json.load(answer)
        with urllib.request.urlopen(metadata["jwks_uri"]) as answer:
            keys = jwk.JWKSet.from_json(answer.read().decode())
        push = {"method": "urn:ietf:rfc:8935", "endpoint_url": place, "authorization_header": HEADER}
        status, pushed = server.ask("pushed", "POST", metadata["configuration_endpoint"], {"delivery": push})
        check("a stream by push", status == 201 and set(pushed["events_delivered"]) == {CAEP + e for e in EVENTS}, pushed)
        status, polled = server.ask("polled", "POST", metadata["configuration_endpoint"], {})
        check("a stream by poll", status == 201 and polled["delivery"]["method"] == "urn:ietf:rfc:8936", polled)

        # Before the fall: a phone, a sign-in, the session again, the session raised.
        server.phone("enrol", link, "--name", "Software phone")
        server.sign_in()
        server.sign_in()
        server.sign_in("--passkey", acr_values="phr")
        until = time.monotonic() + 60
        while len(Ear.came) < 5 and time.monotonic() < until:
            time.sleep(0.05)
        check("the first events were pushed", len(Ear.came) >= 5, len(Ear.came))
        first = server.ask("polled", "POST", polled["delivery"]["endpoint_url"], {"returnImmediately": True})[1]["sets"]
        half = dict(list(first.items())[::2])

        # Both fall; what happens meanwhile must be heard afterwards.
        Ear.deaf = True
        device = server.command("device", "list", "admin")[0]["id"]
        server.command("signal", "raise", "device.noncompliant", device)
        time.sleep(1)
        server.fall()
        server.start()
        server.command("signal", "clear", "device.noncompliant", device)
        server.command("signal", "raise", "device.compromised", device)
        Ear.deaf = False

        want, heard, fetched, ack = None, {}, dict(half), list(half)
        until = time.monotonic() + 180
        while time.monotonic() < until and not (kinds(heard_raw(server, heard, keys)) >= EVENTS and want == len(fetched)):
            answer = server.ask("polled", "POST", polled["delivery"]["endpoint_url"], {"returnImmediately": True, "ack": ack})[1]
            ack = list(answer["sets"])
            for jti, text in answer["sets"].items():
                check("a name comes with the same bytes", fetched.setdefault(jti, text) == text, jti)
            if not answer["sets"]:
                want = len(fetched)
            time.sleep(0.2)
        by_poll = {jti: read(server, "polled", text, keys) for jti, text in fetched.items()}
        by_push = heard_raw(server, heard, keys)
        check("every event of CAEP came by push", kinds(by_push) >= EVENTS, EVENTS - kinds(by_push))
        check("every event of CAEP came by poll", kinds(by_poll) >= EVENTS, EVENTS - kinds(by_poll))
        tell = lambda sets: sorted((c["txn"], c["iat"], json.dumps(c["sub_id"]), json.dumps(c["events"])) for c in sets.values())
        check("both ways told the same", tell(by_push) == tell(by_poll), (len(by_push), len(by_poll)))
        check("no two streams share a name", not by_push.keys() & by_poll.keys())
        ended = [c for c in by_push.values() if CAEP + "session-revoked" in c["events"]]
        cause = [c for c in by_push.values() if c["events"].get(CAEP + "risk-level-change", {}).get("principal") == "DEVICE"]
        check("what ended has the cause that ended it", ended and cause and ended[-1]["txn"] in {c["txn"] for c in cause}, (ended, cause))
        check("administrators hear why", all(c["events"][CAEP + "session-revoked"]["reason_admin"]["en"] for c in ended))
    finally:
        server.fall()
        if failed:
            print(server.log(), file=sys.stderr)
        shutil.rmtree(server.dir, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def heard_raw(server, known, keys):
    """What was pushed, each name once; a copy must be the same to the last byte."""
    for text in list(Ear.came):
        claims = read(server, "pushed", text, keys) if text not in known else None
        if claims:
            known[text] = claims
    by_name = {}
    for text, claims in known.items():
        check("one name, one SET", by_name.setdefault(claims["jti"], claims) == claims, claims["jti"])
    return by_name


if __name__ == "__main__":
    sys.exit(main())

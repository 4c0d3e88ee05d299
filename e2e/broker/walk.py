"""A broker in front (SATOSA): an application that knows nothing of Countersign gets its sign-ins from a broker that gets them from
Countersign. Where the broker is told to hand on what binds a sign-in, the application can ask whether it still holds; where it is not,
the application has nothing to ask with, and refuses. Started by `e2e/broker.mjs`. Needs
  ISSUER, SECRET      where Countersign is; the secret of the clients `broker` and `desk`
  PLAY, STATE         the program that plays the person, and where its phone is kept
  PORTS               two free ports, for a broker that hands on and one that does not
"""
import base64
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from satosa.proxy_server import make_app
from satosa.satosa_config import SATOSAConfig

logging.disable(logging.WARNING)
ISSUER, SECRET, PLAY = os.environ["ISSUER"], os.environ["SECRET"], os.environ["PLAY"]
APP = "http://127.0.0.1/app"
passed = failed = 0


def check(what, good, seen=None):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"not so: {what}; seen: {seen}", file=sys.stderr)


class Quiet(WSGIRequestHandler):
    def log_message(self, *words):
        pass


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *words):
        return None


opener = urllib.request.build_opener(Stay)


def ask(url, form=None, headers=None):
    """Status, headers and body; redirections are answers."""
    data = None if form is None else urllib.parse.urlencode(form).encode() if isinstance(form, dict) else form
    url = near(url)
    try:
        answer = opener.open(urllib.request.Request(url, data, headers or {}), timeout=120)
    except urllib.error.HTTPError as e:
        answer = e
    return answer.status, answer.headers, answer.read()


def basic(name):
    return "Basic " + base64.b64encode(f"{name}:{urllib.parse.quote_plus(SECRET)}".encode()).decode()


# What binds a sign-in: how it was approved, when, how near, in which session. The broker's library takes no number by the name `auth_time`.
BINDING = {
    "acr": ["acr"], "auth_time": ["cs_auth_time", "auth_time"], "sid": ["sid"], "channel": ["cs_channel", "cs.channel"],
    "near": ["cs_near", "cs.near"],
}


def name_of(port):
    """A broker of this kind must have an https name; nobody but this script calls it."""
    return f"https://broker-{port}.example"


def near(url):
    """Where that name is."""
    return re.sub(r"^https://broker-(\d+)\.example", r"http://127.0.0.1:\1", url)


def broker(port, hands_on, directory):
    """A broker; `hands_on` says whether it is told to hand on what binds a sign-in."""
    base = name_of(port)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keyfile = os.path.join(directory, f"key-{port}.pem")
    form = serialization.PrivateFormat.TraditionalOpenSSL
    with open(keyfile, "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    clients = os.path.join(directory, f"clients-{port}.json")
    with open(clients, "w") as f:
        json.dump({"app": {
            "client_id": "app", "client_secret": "app secret", "redirect_uris": [APP], "response_types": ["code"], "subject_type": "public",
            "token_endpoint_auth_method": "client_secret_post",
        }}, f)
    attributes = {"name": {"openid": ["name"]}, **({name: {"openid": told} for name, told in BINDING.items()} if hands_on else {})}
    told = [told[0] for told in BINDING.values()] if hands_on else []
    front = {"module": "satosa.frontends.openid_connect.OpenIDConnectFrontend", "name": "front", "config": {
        "signing_key_path": keyfile, "client_db_path": clients, "provider": {
            "client_registration_supported": False, "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile"], "extra_id_token_claims": {"app": told},
        },
    }}
    callback = f"{base}/back/callback"
    back = {"module": "satosa.backends.openid_connect.OpenIDConnectBackend", "name": "back", "config": {
        # Found by hand: its library finds nothing without https.
        "provider_metadata": json.loads(ask(f"{ISSUER}/.well-known/openid-configuration")[2]),
        "client": {
            "auth_req_params": {"scope": "openid profile", "response_type": "code"},
            "client_metadata": {
                "client_id": "broker", "client_secret": SECRET, "redirect_uris": [callback], "application_type": "web",
                "token_endpoint_auth_method": "client_secret_basic", "id_token_signed_response_alg": "ES256",
            },
        },
    }}
    config = SATOSAConfig({
        "BASE": base, "COOKIE_STATE_NAME": "state", "STATE_ENCRYPTION_KEY": "only for tests", "BACKEND_MODULES": [back], "FRONTEND_MODULES": [front],
        "INTERNAL_ATTRIBUTES": {"attributes": attributes}, "CONTEXT_STATE_DELETE": True,
    })
    server = make_server("127.0.0.1", port, make_app(config), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return base


def play(*words):
    env = {**os.environ, "COUNTERSIGN_DEVICE_STATE": os.environ["STATE"]}
    done = subprocess.run([PLAY, *words], env=env, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout.strip().split("\n")[-1]


def signs_in(base):
    """What the application's ID token says."""
    front = json.loads(ask(f"{base}/.well-known/openid-configuration")[2])
    asked = urllib.parse.urlencode({
        "client_id": "app", "response_type": "code", "scope": "openid profile", "redirect_uri": APP, "state": "s", "nonce": "n",
    })
    status, headers, body = ask(f"{front['authorization_endpoint']}?{asked}")
    cookie = "; ".join(c.split(";")[0] for c in headers.get_all("Set-Cookie") or [])
    back = play("play", "authorize", headers["Location"])
    status, headers, body = ask(back, headers={"Cookie": cookie})
    code = urllib.parse.parse_qs(urllib.parse.urlparse(headers["Location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": APP, "client_id": "app", "client_secret": "app secret"}
    tokens = json.loads(ask(front["token_endpoint"], form)[2])
    middle = tokens["id_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def plain(said, name):
    """SATOSA makes lists of values."""
    value = said.get(name)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def lets_in(said):
    """What an application behind a broker has to do: no binding, no session; and as long as it holds, no longer."""
    if not all(plain(said, name) for name in ("sid", "acr", "cs_channel", "cs_near")):
        return "the broker dropped what binds this sign-in"
    thing = {
        "subject": {"type": "session", "id": plain(said, "sid")}, "action": {"name": "continue"}, "resource": {"type": "client", "id": "broker"},
    }
    headers = {"Content-Type": "application/json", "Authorization": basic("desk")}
    status, _, body = ask(f"{ISSUER}/access/v1/evaluation", json.dumps(thing).encode(), headers)
    return "yes" if status == 200 and json.loads(body)["decision"] else f"not any more: {body}"


with tempfile.TemporaryDirectory() as directory:
    keeps, drops = (int(port) for port in os.environ["PORTS"].split())
    said = signs_in(broker(keeps, True, directory))
    check("the application hears by which broker", said["iss"] == name_of(keeps), said)
    check("the class of the sign-in is handed on", plain(said, "acr") == "urn:countersign:acr:xd2", said)
    check("and how it came", (plain(said, "cs_channel"), plain(said, "cs_near")) == ("frame", "weak"), said)
    check("and when", abs(int(plain(said, "cs_auth_time")) - time.time()) < 60, said)
    check("as long as the session lives, it counts", lets_in(said) == "yes", lets_in(said))
    forged = {**said, "sid": "00000000-0000-7000-8000-000000000000"}
    check("another session does not", lets_in(forged).startswith("not any more"), lets_in(forged))
    ended = json.loads(play("--json", "list"))
    for session in ended["sessions"]:
        play("end", session["id"])
    check("what the phone ended, ends behind the broker", lets_in(said).startswith("not any more"), lets_in(said))
    said = signs_in(broker(drops, False, directory))
    check("a broker that drops the binding is refused", lets_in(said) == "the broker dropped what binds this sign-in", said)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)

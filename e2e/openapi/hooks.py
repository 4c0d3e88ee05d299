"""What Schemathesis cannot know: each call comes from a network of its own, so that no budget hides what is behind it, and calls of
the device carry a proof by its key (docs/protocol.md §6)."""

import base64
import hashlib
import itertools
import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
import schemathesis
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

# An event is a token: a text (RFC 8935 §2.1).
schemathesis.serializer.alias("application/secevent+jwt", "text/plain")

ISSUER = os.environ["ISSUER"]
KEY = serialization.load_der_private_key(Path(os.environ["STATE"], "device.key").read_bytes(), None)
# A proof is taken once, and a nonce for a minute.
NONCE_S = 30

calls = itertools.count()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: dict, claims: dict) -> str:
    text = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    r, s = utils.decode_dss_signature(KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Proof(requests.auth.AuthBase):
    """A proof over the very body that goes out."""

    def __init__(self):
        point = KEY.public_key().public_numbers()
        x, y = (b64(n.to_bytes(32, "big")) for n in (point.x, point.y))
        self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        self.nonce, self.taken = None, 0.0

    def sign(self, method: str, url: str, body: bytes) -> str:
        place = urlsplit(url)
        claims = {
            "jti": b64(os.urandom(16)),
            "htm": method,
            "htu": f"{ISSUER}{place.path}",
            "iat": int(time.time()),
            "bd": b64(hashlib.sha256(body).digest()),
        }
        if self.nonce:
            claims["nonce"] = self.nonce
        return compact({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk}, claims)

    def __call__(self, request):
        if time.monotonic() - self.taken > NONCE_S:
            url = f"{ISSUER}/device/pending"
            self.nonce = None
            told = requests.get(url, headers={"DPoP": self.sign("GET", url, b"")}, timeout=60)
            self.nonce, self.taken = told.headers["DPoP-Nonce"], time.monotonic()
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        request.headers["DPoP"] = self.sign(request.method, request.url, body)
        return request


# An enrolled key is as good as any where a device is not enrolled yet, or where a terminal or a client shows one. A decision is its
# own proof.
SHOWN = "^/(device/(?!ceremonies/[^/]+/decision)|enrolments/|rebind/|recovery/|ceremonies|sign-in/.+/|session/end|par|token)"
schemathesis.auth.set_from_requests(Proof()).apply_to(path_regex=SHOWN)

schemathesis.auth.set_from_requests(requests.auth.HTTPBasicAuth("api", os.environ["API_SECRET"])).apply_to(path_regex="^/(introspect$|access/)")



class Bearer(requests.auth.AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {os.environ['API_SECRET']}"
        return request


schemathesis.auth.set_from_requests(Bearer()).apply_to(path_regex="^/ssf/")

# What this one server knows, so that requests get past the first question.
KNOWN = {
    "client_id": "till",
    "redirect_uri": "http://127.0.0.1/cb",
    "response_type": "code",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
    "grant_type": "authorization_code",
    "request": "",
    "request_uri": "",
    "client_secret": "",
    "client_assertion": "",
    "purpose": "enrol-device",
    # A poll that waits would wait for nothing.
    "returnImmediately": True,
}


def put(schema, name):
    if name in KNOWN:
        schema["examples"] = [KNOWN[name]]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for shape in raw_schema["components"]["schemas"].values():
        for name, schema in shape.get("properties", {}).items():
            if isinstance(schema, dict):
                put(schema, name)
    for door in raw_schema["paths"].values():
        for operation in door.values():
            for parameter in operation.get("parameters", []):
                put(parameter["schema"], parameter["name"])


@schemathesis.hook
def before_call(context, case, kwargs):
    n = next(calls)
    if case.path == "/introspect" and isinstance(case.body, dict):
        # Who asks stands in the header.
        case.body.pop("client_id", None)
    case.headers["X-Forwarded-For"] = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"

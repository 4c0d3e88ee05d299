"""The list that openid-client walks (`../oidc`), with Authlib, another library that knows nothing of Countersign. It signs in by
`private_key_jwt` with PKCE, renews, asks about tokens and gives them back, pays, raises its session and signs out.

Authlib has no DPoP and no pushed requests. So this client is registered for bearer tokens (60 s, nothing privileged), and pushes by its
own HTTP session, which authenticates as at any other endpoint.

Needs what `../oidc/signin.mjs` needs, and
  CLIENT_KEY  a private JWK (ES256) whose public half the client `authlib` is registered with, danger_allow_bearer = true
  HEARS       port of this machine where its `backchannel_logout_uri` leads, path /ended
  BROWSER     folder for the browser that keeps the session
"""

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc9207
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc import rpinitiated
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry

ISSUER, PLAY, STATE = (os.environ[name] for name in ("ISSUER", "PLAY", "STATE"))
CLIENT_KEY, HEARS, BROWSER = (os.environ[name] for name in ("CLIENT_KEY", "HEARS", "BROWSER"))
CLIENT = os.environ.get("CLIENT", "authlib")
REDIRECT = os.environ.get("REDIRECT", "http://127.0.0.1/cb")
BYE = os.environ.get("BYE", "http://127.0.0.1/bye")
DETAILS = [{"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"}]
passed = failed = 0


def check(what, good, seen=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"not so: {what}; seen: {seen}", file=sys.stderr)


def play(*words):
    env = {**os.environ, "COUNTERSIGN_DEVICE_STATE": STATE}
    done = subprocess.run([PLAY, "play", *words], env=env, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip().split("\n")[-1]


key = ECKey.import_key(json.loads(CLIENT_KEY))
client = OAuth2Session(
    CLIENT,
    key,
    token_endpoint_auth_method="private_key_jwt",
    revocation_endpoint_auth_method="private_key_jwt",
    scope="openid profile",
    redirect_uri=REDIRECT,
    code_challenge_method="S256",
)
client.register_client_auth_method(PrivateKeyJWT(alg="ES256"))
server = OpenIDProviderMetadata(client.get(f"{ISSUER}/.well-known/openid-configuration", withhold_token=True).json())
client.metadata["token_endpoint"] = server["token_endpoint"]


def verified(text, **claims):
    """Claims of what the server signed, by the keys that it publishes."""
    keys = KeySet.import_key_set(client.get(server["jwks_uri"], withhold_token=True).json())
    registry = JWSRegistry(algorithms=server["id_token_signing_alg_values_supported"], strict_check_header=False)
    token = jwt.decode(text, key=keys, registry=registry)
    jwt.JWTClaimsRegistry(**{name: {"essential": True, "value": value} for name, value in claims.items()}).validate(token.claims)
    return token


def payload(text):
    return verified(text).claims


def tokens(*flags, pushed=False, **asked):
    """One authorization, from the request to verified tokens."""
    verifier, nonce = generate_token(48), generate_token(20)
    asked = {"nonce": nonce, **asked}
    url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, **asked)
    if pushed:
        form = dict(pair for pair in ((n, v[0]) for n, v in parse_qs(urlsplit(url).query).items()))
        auth = client.client_auth("private_key_jwt")
        answer = client.post(server["pushed_authorization_request_endpoint"], data=form, auth=auth, withhold_token=True)
        told = answer.json()
        if answer.status_code != 201:
            raise OAuthError(told["error"], told.get("error_description"))
        url = f"{server['authorization_endpoint']}?{urlencode({'client_id': CLIENT, 'request_uri': told['request_uri']})}"
    back = play("authorize", url, "--browser", BROWSER, *flags)
    query = parse_qs(urlsplit(back).query)
    if "error" in query:
        raise OAuthError(query["error"][0], query.get("error_description", [""])[0])
    check("the answer names its issuer", query["iss"] == [ISSUER], back)
    got = client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
    read = verified(got["id_token"])
    options = {"iss": {"essential": True, "values": [ISSUER]}, "aud": {"essential": True, "value": CLIENT}}
    params = {"nonce": nonce, "client_id": CLIENT, "access_token": got["access_token"]}
    about = CodeIDToken(read.claims, read.header, options, params)
    about.validate(leeway=5)
    return got, about


def error(work, *args, **more):
    try:
        work(*args, **more)
    except OAuthError as e:
        return e.error
    return "nothing"


def active(token):
    return client.introspect_token(server["introspection_endpoint"], token=token).json()


def sign_in():
    server.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata, rpinitiated.OpenIDProviderMetadata])
    got, about = tokens()
    check("a bearer token, for a minute at most", got["token_type"] == "Bearer" and got["expires_in"] <= 60, got)
    check("acr says what a scan earns and no more", about["acr"] == "urn:countersign:acr:xd2", about["acr"])
    info = client.get(server["userinfo_endpoint"]).json()
    check("userinfo is about the same person, with a name", info["sub"] == about["sub"] and info.get("name"), info)
    first = got["refresh_token"]
    renewed = client.refresh_token(refresh_token=first)
    check("a renewal gives other tokens", renewed["refresh_token"] != first and renewed["access_token"] != got["access_token"])
    check("the same session", payload(renewed["access_token"])["sid"] == about["sid"])
    seen = active(renewed["access_token"])
    check("the client may look at its own", seen["active"] and seen["client_id"] == CLIENT and seen["token_type"] == "Bearer", seen)
    check("and at what renews it", active(renewed["refresh_token"])["active"])
    given = client.revoke_token(server["revocation_endpoint"], token=renewed["refresh_token"], token_type_hint="refresh_token")
    check("it can be given back", given.status_code == 200, given.status_code)
    check("with everything it came with", active(renewed["access_token"]) == {"active": False})
    check("and nothing is renewed", error(client.refresh_token, refresh_token=renewed["refresh_token"]) == "invalid_grant")
    old = PrivateKeyJWT(alg="ES256", claims={"jti": "once"})
    client.register_client_auth_method(("once", old))
    once = [client.introspect_token(server["introspection_endpoint"], token="x", auth=client.client_auth("once")) for _ in "ab"]
    check("asking uses no assertion up", [o.status_code for o in once] == [200, 200], [o.text for o in once])
    other = OAuth2Session(CLIENT, ECKey.generate_key("P-256"), token_endpoint_auth_method="private_key_jwt")
    other.register_client_auth_method(PrivateKeyJWT(alg="ES256"))
    wrong = error(other.fetch_token, server["token_endpoint"], grant_type="authorization_code", code="x", redirect_uri=REDIRECT)
    check("another key is another client", wrong == "invalid_client", wrong)


def payment():
    got, about = tokens(pushed=True, authorization_details=json.dumps(DETAILS))
    check("the answer carries the payment as it was asked for", got["authorization_details"] == DETAILS, got)
    check("so does the access token", payload(got["access_token"])["authorization_details"] == DETAILS)
    check("and introspection", active(got["access_token"])["authorization_details"] == DETAILS)
    for wrong in ({**DETAILS[0], "amount": 1.5}, {"type": "door"}):
        no = error(tokens, pushed=True, authorization_details=json.dumps([wrong]))
        check("what does not fit goes back", no == "invalid_authorization_details", no)


def raised():
    _, first = tokens(pushed=True)
    _, silent = tokens(prompt="none")
    check("the session that is there answers", silent["sid"] == first["sid"] and silent["auth_time"] == first["auth_time"], silent)
    time.sleep(1.1)
    _, again = tokens(max_age=0)
    check("the same session, a later time", again["sid"] == first["sid"] and again["auth_time"] > first["auth_time"], again)
    got, high = tokens("--passkey", acr_values="phr")
    check("a passkey on the screen raises it", high["sid"] == first["sid"] and high["acr"] == "phr", high)
    check("the tokens say so", active(got["access_token"])["acr"] == "phr")
    none = error(tokens, acr_values="gold")
    check("a class that is not offered is an error", none == "unmet_authentication_requirements", none)
    return got, high


def ended(got, about):
    heard = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            heard.append((self.path, parse_qs(text)["logout_token"][0]))
            self.send_response(200)
            self.send_header("cache-control", "no-store")
            self.end_headers()

        def log_message(self, *_):
            pass

    ear = HTTPServer(("127.0.0.1", int(HEARS)), Ear)
    listening = threading.Thread(target=ear.serve_forever)
    listening.start()
    try:
        form = {"id_token_hint": got["id_token"], "post_logout_redirect_uri": BYE, "state": "left"}
        gone = play("sign-out", f"{server['end_session_endpoint']}?{urlencode(form)}", "--browser", BROWSER)
        check("the page leads back to the client", gone == f"{BYE}?state=left", gone)
        check("with the session its tokens end", active(got["access_token"]) == {"active": False})
        until = time.monotonic() + 60
        while not heard and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        ear.shutdown()
        listening.join()
        ear.server_close()
    check("the client is told once, where it said", [path for path, _ in heard] == ["/ended"], heard)
    told = verified(heard[0][1], iss=ISSUER, aud=CLIENT, sid=about["sid"], sub=about["sub"])
    check("by a text of its own kind", told.header["typ"] == "logout+jwt" and "nonce" not in told.claims, told.header)
    check("that a session ended", "http://schemas.openid.net/event/backchannel-logout" in told.claims["events"], told.claims)
    silent = error(tokens, prompt="none")
    check("nobody answers silently any more", silent == "login_required", silent)


for part in (sign_in, payment, lambda: ended(*raised())):
    try:
        part()
    except Exception:
        failed += 1
        traceback.print_exc()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)

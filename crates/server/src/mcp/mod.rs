//! `countersign mcp-gate`: stands before an MCP server (Streamable HTTP) and asks the decision point about each message
//! (docs/agents.md). A program of its own: it has no store, no keys of the server's, and decides nothing.
//!
//! 1. A message must come with a token and, where the token is bound, a proof: neither goes any further.
//! 2. [`message`] reads it and says what is asked about it. Its headers must say the same, and the session that it names
//!    must be its caller's: then [`ask`] asks.
//! 3. Where a person has to say yes, the call waits for them for a while.
//! 4. [`pass`] sends what was judged, written anew, to the server, and its answer back.
//!
//! Out of order means closed: what cannot be read, mapped or asked does not go on.

mod ask;
pub mod message;
mod pass;
pub mod settings;

use crate::chance;
use crate::serve::StartFault;
use ask::{Decider, Told};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_wire::{Secret, b64, mac};
use message::{DENIED, MESSAGE_BYTES, MISMATCH, Message, Repeated, UNANSWERED, UNMAPPED, Unasked};
use pass::{PARAMETER, Passage};
use serde_json::{Map, Value, json};
use settings::Settings;
use std::sync::Arc;
use std::time::Duration;

/// A body is waited for no longer.
const BODY: Duration = Duration::from_secs(10);
/// Longest token, bytes.
const TOKEN_BYTES: usize = 8 * 1024;
/// The session of older revisions of MCP.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const VERSION: &str = "mcp-protocol-version";
/// From this revision on, a message must say in headers what it is.
const SAYS: &str = "2026-07-28";
/// Algorithms of proofs.
const ALGS: &str = "ES256 EdDSA";

/// A gate.
pub struct Gate {
    settings: Settings,
    audience: String,
    metadata: String,
    decider: Decider,
    passage: Passage,
    /// Names of sessions are sealed with it; a gate that starts again knows none of them.
    k: Secret,
}

/// Who called, as far as the token says.
struct Caller<'a> {
    token: &'a str,
    proof: Option<&'a str>,
    subject: String,
    client: String,
}

/// The router of a gate.
pub fn router(settings: Settings) -> Result<Router, StartFault> {
    let fault = |e: String| StartFault(format!("gate: {e}"));
    let (path, metadata) = settings.metadata();
    let own = settings.resource.path().to_owned();
    let gate = Gate {
        audience: settings.audience(),
        metadata,
        decider: Decider::new(&settings).map_err(fault)?,
        passage: Passage::new(&settings).map_err(fault)?,
        k: Secret::new(chance::bytes::<32>(&chance::System::default()).to_vec()),
        settings,
    };
    Ok(Router::new()
        .route(&own, any(message))
        .route(&path, get(of_itself))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Arc::new(gate)))
}

/// `GET /.well-known/oauth-protected-resource…` (RFC 9728 §3).
async fn of_itself(State(gate): State<Arc<Gate>>) -> Json<Value> {
    let mut said = json!({
        "resource": gate.audience,
        "authorization_servers": [gate.settings.issuer.as_str().trim_end_matches('/')],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ALGS.split(' ').collect::<Vec<_>>(),
    });
    if let (false, Some(map)) = (gate.settings.scopes.is_empty(), said.as_object_mut()) {
        map.insert("scopes_supported".into(), json!(gate.settings.scopes));
    }
    Json(said)
}

/// One message.
async fn message(State(gate): State<Arc<Gate>>, request: Request<Body>) -> Response {
    gate.serve(request).await.unwrap_or_else(|refused| refused)
}

fn bare(status: StatusCode) -> Response {
    status.into_response()
}

/// An error of JSON-RPC; of a notification it names nothing.
fn error(status: StatusCode, id: Option<&Value>, code: i64, message: &str, data: Option<Value>) -> Response {
    let mut what = json!({ "code": code, "message": message });
    if let (Some(data), Some(map)) = (data, what.as_object_mut()) {
        map.insert("data".into(), data);
    }
    let id = id.cloned().unwrap_or(Value::Null);
    (status, Json(json!({ "jsonrpc": "2.0", "id": id, "error": what }))).into_response()
}

/// A header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        _ => Err(()),
    }
}

/// A header's text, out of Base64 where it says so (MCP 2026-07-28, "Value Encoding").
fn decoded(text: &str) -> Option<String> {
    match text.strip_prefix("=?base64?").and_then(|t| t.strip_suffix("?=")) {
        Some(coded) => String::from_utf8(STANDARD.decode(coded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// A header that does not say what the body says (MCP 2026-07-28, "Server Validation"): whoever reads headers alone, on
/// the way to the tool, would take it for another call than the one that was judged.
fn odd<'a>(headers: &'a HeaderMap, message: &Message) -> Option<&'a str> {
    let says = |name: &str, text: Option<String>| text.is_some() && one(headers, name).map(|shown| shown.map(decoded)) == Ok(Some(text));
    // Revisions are dates. What the server behind would refuse for a header that is missing need not be asked about.
    let must = !matches!(one(headers, VERSION), Ok(revision) if revision.is_none_or(|r| r < SAYS));
    let fixed = [(METHOD, Some(message.method.as_str())), (NAME, message.name())];
    let read = |name: &str, said: Option<&str>| headers.contains_key(name) || must && said.is_some();
    let fixed = fixed.into_iter().filter(|(name, said)| read(name, *said)).find(|(name, said)| !says(name, said.map(str::to_owned)));
    let repeats = |name: &str| match message.repeated(name.strip_prefix(PARAMETER)?) {
        Repeated::Nothing => None,
        Repeated::Text(text) => Some(says(name, Some(text))),
        Repeated::Never => Some(false),
    };
    fixed.map(|(name, _)| name).or_else(|| headers.keys().map(HeaderName::as_str).find(|name| repeats(name) == Some(false)))
}

impl Gate {
    async fn serve(&self, request: Request<Body>) -> Result<Response, Response> {
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        // No page of a browser has anything to do here.
        if headers.contains_key(header::ORIGIN) {
            return Err(bare(StatusCode::FORBIDDEN));
        }
        let caller = self.caller(headers)?;
        if head.method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response());
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(bare(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = match tokio::time::timeout(BODY, to_bytes(body, MESSAGE_BYTES)).await {
            Err(_) => return Err(bare(StatusCode::REQUEST_TIMEOUT)),
            Ok(Err(_)) => return Err(bare(StatusCode::PAYLOAD_TOO_LARGE)),
            Ok(Ok(body)) => body,
        };
        let message = Message::parse(&body).map_err(|code| error(StatusCode::BAD_REQUEST, None, code, "not one JSON-RPC request", None))?;
        let id = message.id.as_ref();
        if let Some(name) = odd(headers, &message) {
            return Err(error(StatusCode::BAD_REQUEST, id, MISMATCH, &format!("`{name}` does not say what the body says"), None));
        }
        // First what costs nobody anything: a person's yes is spent by the call that it lets go on.
        let session = match one(headers, SESSION.as_str()) {
            Ok(None) => None,
            Ok(Some(sealed)) => Some(self.opened(&caller, sealed).ok_or_else(|| bare(StatusCode::NOT_FOUND))?),
            Err(()) => return Err(bare(StatusCode::BAD_REQUEST)),
        };
        self.judge(&caller, &message).await?;
        let answer = self.passage.send(headers, session.as_deref(), &message).await;
        let mut answer = answer.map_err(|why| error(StatusCode::BAD_GATEWAY, id, UNANSWERED, why, None))?;
        if let Some(name) = answer.headers_mut().remove(SESSION) {
            let sealed = name.to_str().ok().map(|name| self.sealed(&caller, name)).and_then(|text| HeaderValue::from_str(&text).ok());
            let sealed = sealed.ok_or_else(|| error(StatusCode::BAD_GATEWAY, id, UNANSWERED, "a session that cannot be named", None))?;
            answer.headers_mut().insert(SESSION, sealed);
        }
        Ok(answer)
    }

    /// Whether it may go on.
    async fn judge(&self, caller: &Caller<'_>, message: &Message) -> Result<(), Response> {
        let id = message.id.as_ref();
        let question = message.question().map_err(|why| match why {
            Unasked::Unknown => self.denied(id, "a method that nobody may use", json!({ "reason": "denied" })),
            Unasked::Unmapped(what) => error(StatusCode::BAD_REQUEST, id, UNMAPPED, &format!("mapping error: {what}"), None),
        })?;
        let name = question.id.as_deref().unwrap_or(&self.audience);
        let asks = question.kind == "tool" && self.settings.ask.iter().any(|tool| tool == name);
        let mut properties = json!({ "token": caller.token });
        if let (Some(proof), Some(map)) = (caller.proof, properties.as_object_mut()) {
            map.extend(Map::from_iter([("dpop".to_owned(), proof.into()), ("url".to_owned(), self.audience.clone().into())]));
        }
        let asked = json!({
            "subject": { "type": "identity", "id": caller.subject, "properties": properties },
            "action": { "name": question.action },
            "resource": { "type": question.kind, "id": name, "properties": {
                "server": self.audience, "arguments": question.arguments, "ask": asks, "unseen": question.unseen,
            } },
            "context": { "agent": caller.client, "wait_s": self.settings.wait_s },
        });
        match self.decider.ask(&asked).await {
            Told::Yes => Ok(()),
            Told::Unmapped => Err(error(StatusCode::BAD_REQUEST, id, UNMAPPED, "mapping error: it cannot be asked about", None)),
            Told::Nothing => Err(error(StatusCode::SERVICE_UNAVAILABLE, id, UNANSWERED, "nobody decides", None)),
            Told::No(context) => Err(self.refused(id, context)),
        }
    }

    /// A no in the words of MCP: about the token with 401, about the call as an answer.
    fn refused(&self, id: Option<&Value>, context: Map<String, Value>) -> Response {
        let text = |name: &str| context.get(name).and_then(Value::as_str).unwrap_or_default();
        let (scheme, what) = match text("reason") {
            "use_dpop_nonce" => ("DPoP", "use_dpop_nonce"),
            "bad_proof" => ("DPoP", "invalid_dpop_proof"),
            "gone" => ("Bearer", "invalid_token"),
            reason => {
                let told: Map<String, Value> = ["reason", "ref", "approval"].iter().filter_map(|n| Some(((*n).to_owned(), context.get(*n)?.clone()))).collect();
                return self.denied(id, &format!("not allowed: {reason}"), Value::Object(told));
            }
        };
        let mut response = self.challenge(Some((scheme, what)));
        if let Ok(nonce) = HeaderValue::from_str(text("dpop_nonce"))
            && !nonce.is_empty()
        {
            response.headers_mut().insert("dpop-nonce", nonce);
        }
        response
    }

    fn denied(&self, id: Option<&Value>, message: &str, data: Value) -> Response {
        // A notification has no answer that could say it.
        let status = if id.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
        error(status, id, DENIED, message, Some(data))
    }

    /// 401, with where to get a token (RFC 9728 §5.1; RFC 9449 §7.1).
    fn challenge(&self, what: Option<(&str, &str)>) -> Response {
        let mut response = bare(StatusCode::UNAUTHORIZED);
        for scheme in ["Bearer", "DPoP"] {
            let mut text = format!("{scheme} resource_metadata=\"{}\"", self.metadata);
            if scheme == "DPoP" {
                text.push_str(&format!(", algs=\"{ALGS}\""));
            }
            if let Some((_, error)) = what.filter(|(of, _)| *of == scheme) {
                text.push_str(&format!(", error=\"{error}\""));
            }
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, value);
            }
        }
        response
    }

    /// The token that was shown, by one header, and its proof. What the token says is judged by who signed it.
    fn caller<'a>(&self, headers: &'a HeaderMap) -> Result<Caller<'a>, Response> {
        let shown = one(headers, "authorization").map_err(|()| self.challenge(Some(("Bearer", "invalid_token"))))?;
        let Some((scheme, token)) = shown.and_then(|s| s.split_once(' ')) else { return Err(self.challenge(None)) };
        let known = ["bearer", "dpop"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) && token.len() <= TOKEN_BYTES;
        let claims = token.split('.').nth(1).and_then(|part| b64::decode(part).ok()).and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
        let claims = claims.filter(|_| known).ok_or_else(|| self.challenge(Some(("Bearer", "invalid_token"))))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let proof = one(headers, "dpop").map_err(|()| self.challenge(Some(("DPoP", "invalid_dpop_proof"))))?;
        Ok(Caller { token, proof, subject: text("sub"), client: text("client_id") })
    }

    fn mark(&self, caller: &Caller<'_>, name: &str) -> String {
        b64::encode(&mac::m(self.k.expose(), "countersign/mcp-session", &[caller.subject.as_bytes(), caller.client.as_bytes(), name.as_bytes()]))
    }
    /// A session's name for whoever began it, and for nobody else.
    fn sealed(&self, caller: &Caller<'_>, name: &str) -> String {
        format!("{}.{}", self.mark(caller, name), b64::encode(name.as_bytes()))
    }
    fn opened(&self, caller: &Caller<'_>, sealed: &str) -> Option<String> {
        let (mark, name) = sealed.split_once('.')?;
        let name = String::from_utf8(b64::decode(name).ok()?).ok()?;
        countersign_wire::secret::same(mark.as_bytes(), self.mark(caller, &name).as_bytes()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_where_the_message_has_none_is_odd_whether_it_can_be_read_or_not() {
        let message = Message::parse(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).unwrap();
        let with = |name: &str| HeaderMap::from_iter([(METHOD, "tools/list"), (NAME, name)].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())));
        for name in ["add", "=?base64?YWRk?=", "=?base64?!?=", "=?base64?/w==?=", ""] {
            assert_eq!(odd(&with(name), &message), Some(NAME), "{name}");
        }
    }
}

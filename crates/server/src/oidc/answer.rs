//! What programs hear: JSON that nobody keeps, and the errors of RFC 6749 §5.2.

use super::client_auth::{self, Known};
use super::documents;
pub use super::client_auth::Party;
use super::params::Params;
use super::record;
use crate::app::{App, Fault};
use crate::http::answer::put_nonce_for;
use crate::http::request::Incoming;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::client::{Client, ClientAuth};
use countersign_wire::dpop::Proof;
use serde_json::json;

/// An error of RFC 6749 §5.2 or RFC 9449.
pub struct No {
    /// Its name.
    pub error: &'static str,
    /// What is written down.
    pub fault: Fault,
}

/// One with a word for the log.
pub fn no(error: &'static str, refusal: Refusal, because: &'static str) -> No {
    No { error, fault: Fault::because(refusal, because) }
}

/// Faults without an error of their own.
impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        let error = match fault.refusal {
            Refusal::Malformed => "invalid_request",
            Refusal::UseDpopNonce => "use_dpop_nonce",
            Refusal::BadProof => "invalid_dpop_proof",
            Refusal::Unavailable | Refusal::Clock | Refusal::TooMany => "temporarily_unavailable",
            // The session lives: what was given is not spent, its person has to come back to the screen.
            Refusal::StepUp | Refusal::Locked => "interaction_required",
            _ => "invalid_grant",
        };
        No { error, fault }
    }
}

/// The parameters of a form.
pub fn form(r: &Incoming, body: &[u8]) -> Result<Params, Fault> {
    Params::of_form(&r.headers, body).map_err(|why| Fault::because(Refusal::Malformed, why))
}

/// The client that sent it. A workload is none, whatever it shows.
pub async fn client(app: &App, r: &Incoming, params: &Params) -> Result<Known, No> {
    match party(app, r, params, false).await? {
        Party::Client(known) => Ok(known),
        Party::Workload(_) => Err(no("unauthorized_client", Refusal::Denied, "a workload where people are served")),
    }
}

/// The client or workload that sent it; workloads are looked for first where they are expected.
pub async fn party(app: &App, r: &Incoming, params: &Params, workload: bool) -> Result<Party, No> {
    let unknown = |fault: Fault| match fault.refusal {
        Refusal::BadProof => No { error: "invalid_client", fault },
        _ => No::from(fault),
    };
    let shown = client_auth::shown(&r.headers, params).map_err(unknown)?;
    documents::again(app, r, shown.id()).await.map_err(|fault| match fault.refusal {
        // Whose document cannot be read, or says nothing that counts, is nobody now.
        Refusal::Malformed => No { error: "invalid_client", fault },
        _ => No::from(fault),
    })?;
    let party = client_auth::party(app, &shown, r.ctx.now, workload).await.map_err(unknown)?;
    match &party {
        Party::Client(known) if known.stored.client.auth == ClientAuth::None => {}
        Party::Client(known) => r.ctx.known_as("client", known.stored.client.id.as_str()),
        Party::Workload(known) => r.ctx.known_as("client", known.stored.workload.client.as_str()),
    }
    Ok(party)
}

/// The proof that came along, if one did.
pub fn any_proof(app: &App, r: &Incoming) -> Result<Option<Proof>, Fault> {
    r.headers.contains_key("dpop").then(|| r.terminal_proof(app)).transpose()
}

/// The same, fresh enough for its client.
pub fn proof(app: &App, r: &Incoming, client: &Client) -> Result<Option<Proof>, Fault> {
    recent(any_proof(app, r)?, r, client)
}

/// The same with whatever nonce: it is judged once it is known that trust holds.
pub fn proof_to_be_judged(app: &App, r: &Incoming, client: &Client) -> Result<Option<Proof>, Fault> {
    recent(r.headers.contains_key("dpop").then(|| r.proof_to_be_judged(app)).transpose()?, r, client)
}

fn recent(proof: Option<Proof>, r: &Incoming, client: &Client) -> Result<Option<Proof>, Fault> {
    if proof.as_ref().is_some_and(|p| !client.takes_proof(p.made.seconds(), r.ctx.now)) {
        return Err(Fault::because(Refusal::BadProof, "a proof older than this client's may be"));
    }
    Ok(proof)
}

/// A refusal, written down.
pub async fn refused(app: &App, r: &Incoming, step: &str, no: No) -> Response {
    let No { mut error, fault } = no;
    let instead = record(app, &r.ctx, step, &fault).await.err();
    if instead.is_some() {
        error = "temporarily_unavailable";
    }
    let status = match error {
        _ if instead.unwrap_or(fault.refusal) == Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
        "invalid_client" => StatusCode::UNAUTHORIZED,
        _ if fault.refusal == Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let told = json!({ "error": error, "error_description": format!("see {}", r.ctx.reference) });
    let mut response = (status, Json(told)).into_response();
    if status == StatusCode::UNAUTHORIZED && r.headers.contains_key(header::AUTHORIZATION) {
        let challenge = HeaderValue::from_static("Basic realm=\"countersign\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if matches!(error, "use_dpop_nonce" | "invalid_dpop_proof") {
        put_nonce_for(app, r, &mut response);
    }
    kept_by_nobody(response)
}

/// RFC 6749 §5.1.
pub fn kept_by_nobody(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

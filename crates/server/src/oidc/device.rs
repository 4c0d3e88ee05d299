//! `/device_authorization` (RFC 8628 §3.1): a client without a browser asks for a code that a person
//! types on their own device.
//!
//! 1. The client shows who it is, by the method it registered, and its key (RFC 9449): only that key
//!    collects. Without a key only where the client is registered so.
//! 2. What it asks for is judged here, once and for all, as `/authorize` would, and is what the person
//!    reads. Nothing that comes later changes it.
//! 3. The address it shows to the person does nothing by itself: `/code` is a page, the same for all.

use super::answer::{self, No, kept_by_nobody, no, refused};
use super::client_auth::{Known, Used};
use super::params::Params;
use super::token::{collected, refuse_repetition};
use super::jar::Signed;
use super::{authorize, ciba, jwt};
use crate::app::ceremony::Around;
use crate::app::ceremony::collect::{self, Asking, Begun};
use crate::app::noise::{self, What};
use crate::app::{App, Fault};
use crate::http::answer::put_nonce;
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_trust::acr::Earned;
use countersign_trust::ceremony::collect::{ClientGrant, Collector, Collects};
use countersign_trust::client::ClientAuth;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::statement::Asked;
use countersign_wire::{b64, limits as protocol, mac};
use serde_json::{Value, json};
use std::sync::Arc;

/// `POST /device_authorization`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match begin(&app, &r, &body).await {
        Ok(told) => {
            let mut response = Json(told).into_response();
            put_nonce(&app, &mut response);
            kept_by_nobody(response)
        }
        Err(no) => refused(&app, &r, "device_authorization", no).await,
    }
}

async fn begin(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    app.in_order()?;
    let params = answer::form(r, body)?;
    let known = answer::client(app, r, &params).await?;
    let client = &known.stored.client;
    if client.auth == ClientAuth::None {
        noise::admit(app, &r.ctx, What::Request, "request")?;
    }
    collected::may(client, ClientGrant::DeviceCode)?;
    if params.one("request").or(params.one("request_uri")).is_some() {
        return Err(no("invalid_request", Refusal::Malformed, "a request object where none is read"));
    }
    let proof = proof(app, r, &known)?;
    let (asked, acr_values) = wanted(app, &params, &known, Earned::CrossDevice)?;
    jwt::ensure(app, client.id_token_alg).await?;
    let resource = &authorize::resource(&params, client).map_err(|n| no(n.0, Refusal::Malformed, n.1))?;
    let asking = Asking {
        client: &known.stored,
        asked,
        acr_values,
        collects: Collects {
            by: Collector { grant: ClientGrant::DeviceCode, bound: proof.is_some() },
            life_s: protocol::USER_CODE_S,
            resource: resource.clone(),
            context: None,
            ping: None,
            binding: None,
        },
        proof: proof.as_ref(),
        offer: None,
        ping: None,
        digits: None,
        address: r.ctx.address.to_string(),
        kind: "application",
    };
    let Begun { code, user_code } = begun(app, r, &known, &asking, None).await.map_err(refused_begin)?;
    let page = format!("{}/code", app.config.issuer);
    let mut told = json!({
        "device_code": code,
        "user_code": user_code,
        "verification_uri": page,
        "expires_in": protocol::USER_CODE_S,
        "interval": limits::POLL_S,
    });
    if let (true, Some(map)) = (client.verification_uri_complete, told.as_object_mut()) {
        // Behind `#`: it reaches no server, log or preview.
        map.insert("verification_uri_complete".into(), format!("{page}#{user_code}").into());
    }
    Ok(told)
}

/// Opens it, judged anew where a race was lost; assertion and signed request are used up along with it.
pub(super) async fn begun(app: &App, r: &Incoming, known: &Known, asking: &Asking<'_>, signed: Option<&Signed>) -> Result<Begun, Fault> {
    let client = &known.stored.client;
    let writes = &known.assertion.as_ref().map(Used::burn).into_iter().chain(signed.map(|s| ciba::used(client, s))).collect::<Vec<_>>();
    let begun = app.judged_anew(|n| async move {
        if n > 0 {
            refuse_repetition(app, asking.proof, known.assertion.as_ref()).await?;
            if let Some(signed) = signed {
                ciba::refuse_again(app, client, signed).await?;
            }
        }
        collect::begin(app, &r.ctx, asking.clone(), Around { writes: writes.clone(), ..Around::default() }).await
    });
    let begun = begun.await;
    // Where the same request took the place a moment ago, that is why.
    if let (Err(_), Some(signed)) = (&begun, signed) {
        ciba::refuse_again(app, client, signed).await?;
    }
    begun
}

/// What a client hears whom rules do not let begin.
pub(super) fn refused_begin(fault: Fault) -> No {
    if fault.refusal == Refusal::Denied { No { error: "access_denied", fault } } else { fault.into() }
}

/// The key that will collect.
pub(super) fn proof(app: &App, r: &Incoming, known: &Known) -> Result<Option<Proof>, No> {
    let client = &known.stored.client;
    let proof = answer::proof(app, r, client)?;
    if proof.is_none() && !client.danger_allow_unbound_collector {
        return Err(no("invalid_dpop_proof", Refusal::BadProof, "no proof"));
    }
    Ok(proof)
}

/// What is asked for, with a digest of all of it, and the classes of which one must be earned; at most
/// `best` can be.
pub(super) fn wanted(app: &App, params: &Params, known: &Known, best: Earned) -> Result<(Asked, Vec<String>), No> {
    let client = &known.stored.client;
    let read = |no: authorize::No| answer::no(no.0, Refusal::Malformed, no.1);
    let acr_values = authorize::known_classes(params.list("acr_values")).map_err(read)?;
    if !best.satisfies(&acr_values) {
        return Err(no("unmet_authentication_requirements", Refusal::Denied, "a class that cannot be earned in this way"));
    }
    let asked = Asked {
        hash: b64::encode(&mac::h(params.asked().as_bytes())),
        scopes: authorize::scopes(params, client).map_err(read)?,
        details: authorize::details(params, client, &app.details).map_err(read)?,
        message: None,
    };
    Ok((asked, acr_values))
}

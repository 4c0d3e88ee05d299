//! Refusals in the words of the framework and of RFC 6750: the one place of this part that makes a status
//! of them. A stream that is somebody else's and one that is nobody's get the same bytes.

use crate::app::{App, Context, Fault};
use crate::oidc::userinfo;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_wire::Malformed;
use serde_json::json;

/// A refusal with the word that others know it by.
pub struct No {
    error: &'static str,
    status: StatusCode,
    fault: Box<Fault>,
    nonce: Option<String>,
}

fn no(status: StatusCode, error: &'static str, refusal: Refusal, because: &'static str) -> No {
    No { error, status, fault: Box::new(Fault::because(refusal, because)), nonce: None }
}

impl No {
    /// Not of the form it must have (400).
    pub fn malformed(because: &'static str) -> No {
        no(StatusCode::BAD_REQUEST, "invalid_request", Refusal::Malformed, because)
    }
    /// Nobody known (RFC 6750 §3.1).
    pub fn stranger(because: &'static str) -> No {
        no(StatusCode::UNAUTHORIZED, "invalid_token", Refusal::BadProof, because)
    }
    /// Known, with a token for less (RFC 6750 §3.1).
    pub fn poor() -> No {
        no(StatusCode::FORBIDDEN, "insufficient_scope", Refusal::Denied, "a token without the scope")
    }
    /// Known, and not allowed this (403).
    pub fn denied(because: &'static str) -> No {
        no(StatusCode::FORBIDDEN, "access_denied", Refusal::Denied, because)
    }
    /// No such stream of this receiver (404).
    pub fn unknown() -> No {
        no(StatusCode::NOT_FOUND, "not_found", Refusal::NoSuchThing, "no such stream of this receiver")
    }
    /// As many streams as it may have (409).
    pub fn full() -> No {
        no(StatusCode::CONFLICT, "too_many_streams", Refusal::TooMany, "as many streams as it may have")
    }
    /// Too often (429).
    pub fn often(because: &'static str) -> No {
        no(StatusCode::TOO_MANY_REQUESTS, "too_many", Refusal::TooMany, because)
    }

    /// With a nonce for the key of whoever asked.
    pub fn with_nonce(self, nonce: String) -> No {
        No { nonce: Some(nonce), ..self }
    }

    /// As an answer, recorded.
    pub async fn told(self, app: &App, ctx: &Context, step: &str) -> Response {
        let instead = crate::oidc::record(app, ctx, step, &self.fault).await.err();
        let (status, error) = match instead.unwrap_or(self.fault.refusal) {
            Refusal::Unavailable | Refusal::Clock => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Refusal::TooMany if self.status != StatusCode::CONFLICT => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            _ => (self.status, self.error),
        };
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        let challenge = match status {
            StatusCode::UNAUTHORIZED if error == "use_dpop_nonce" => Some("DPoP error=\"use_dpop_nonce\""),
            StatusCode::UNAUTHORIZED => Some("Bearer realm=\"ssf\", error=\"invalid_token\""),
            StatusCode::FORBIDDEN if error == "insufficient_scope" => Some("Bearer realm=\"ssf\", error=\"insufficient_scope\", scope=\"ssf.manage\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(nonce) = self.nonce.and_then(|n| HeaderValue::from_str(&n).ok()) {
            response.headers_mut().insert("dpop-nonce", nonce);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

/// About a token that is bound to a key: always 401, but for what [`No::told`] makes of its cause.
impl From<userinfo::No> for No {
    fn from(no: userinfo::No) -> No {
        No { error: no.error.unwrap_or("invalid_token"), status: StatusCode::UNAUTHORIZED, fault: no.fault, nonce: None }
    }
}
impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        let (status, error) = match fault.refusal {
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "invalid_request"),
            Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            Refusal::Denied => (StatusCode::FORBIDDEN, "access_denied"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        };
        No { error, status, fault: Box::new(fault), nonce: None }
    }
}
impl From<countersign_store::StoreError> for No {
    fn from(error: countersign_store::StoreError) -> No {
        Fault::from(error).into()
    }
}
impl From<Malformed> for No {
    fn from(Malformed(because): Malformed) -> No {
        No::malformed(because)
    }
}

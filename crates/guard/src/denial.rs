//! What whoever is kept out hears: status and challenge (RFC 6750 §3, RFC 9449 §7.1 and §9, RFC 9470 §3).

use countersign_wire::dpop;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// A nonce is taken for so long, at most, seconds.
pub const NONCE_S: i64 = countersign_wire::limits::NONCE_S;

/// Why somebody is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was shown.
    Nothing,
    /// Headers that cannot be read.
    InvalidRequest(&'static str),
    /// The token counts for nothing here.
    InvalidToken(&'static str),
    /// The proof is wrong, or was used before.
    InvalidProof(&'static str),
    /// Take the nonce that goes along and try again.
    UseNonce,
    /// A scope is missing.
    InsufficientScope {
        /// Those that are needed.
        scopes: Vec<String>,
    },
    /// The person has to approve anew.
    StepUp {
        /// Classes, one of which is needed.
        acr_values: Vec<String>,
        /// How long ago the approval may be, seconds.
        max_age_s: Option<i64>,
    },
    /// Nobody can be asked, or too much is going on: closed.
    Unavailable,
}

/// Somebody is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub why: Why,
    /// A nonce for the next proof; only while trust holds.
    pub nonce: Option<String>,
}

impl From<Why> for Denial {
    fn from(why: Why) -> Denial {
        Denial { why, nonce: None }
    }
}

impl Denial {
    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self.why {
            Why::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Why::InsufficientScope { .. } => StatusCode::FORBIDDEN,
            Why::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// Headers of the answer.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut put = |name: header::HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        if self.why == Why::Unavailable {
            put(header::RETRY_AFTER, "1".to_owned());
            return headers;
        }
        put(header::WWW_AUTHENTICATE, self.challenge());
        if let Some(nonce) = &self.nonce {
            put(header::HeaderName::from_static("dpop-nonce"), nonce.clone());
        }
        headers
    }

    /// The challenge; without an error where nothing was shown (RFC 6750 §3.1).
    fn challenge(&self) -> String {
        let algs = dpop::ALGS.map(|a| a.as_str()).join(" ");
        let (error, said) = match &self.why {
            Why::Nothing | Why::Unavailable => return format!("DPoP algs=\"{algs}\""),
            Why::InvalidRequest(said) => ("invalid_request", *said),
            Why::InvalidToken(said) => ("invalid_token", *said),
            Why::InvalidProof(said) => ("invalid_dpop_proof", *said),
            Why::UseNonce => ("use_dpop_nonce", "a proof with the nonce that goes along"),
            Why::InsufficientScope { .. } => ("insufficient_scope", "a scope is missing"),
            Why::StepUp { .. } => ("insufficient_user_authentication", "the person has to approve anew"),
        };
        let mut text = format!("DPoP error=\"{error}\", error_description=\"{said}\"");
        match &self.why {
            Why::InsufficientScope { scopes } => text.push_str(&format!(", scope=\"{}\"", plain(&scopes.join(" ")))),
            Why::StepUp { acr_values, max_age_s } => {
                if !acr_values.is_empty() {
                    text.push_str(&format!(", acr_values=\"{}\"", plain(&acr_values.join(" "))));
                }
                if let Some(seconds) = max_age_s {
                    text.push_str(&format!(", max_age={seconds}"));
                }
            }
            _ => {}
        }
        text.push_str(&format!(", algs=\"{algs}\""));
        text
    }
}

/// What can stand between quotation marks.
fn plain(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && *c != '"' && *c != '\\').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(why: Why) -> (u16, String) {
        let denial = Denial::from(why);
        let headers = denial.headers();
        let text = headers.get(header::WWW_AUTHENTICATE).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        (denial.status().as_u16(), text)
    }

    #[test]
    fn challenges_are_those_of_the_standards() {
        assert_eq!(heard(Why::Nothing), (401, "DPoP algs=\"ES256 EdDSA PS256\"".to_owned()), "no error where nothing was shown");
        assert_eq!(heard(Why::InvalidRequest("x")).0, 400);
        for (why, error) in [
            (Why::InvalidToken("x"), "invalid_token"), (Why::InvalidProof("x"), "invalid_dpop_proof"), (Why::UseNonce, "use_dpop_nonce"),
        ] {
            let (status, text) = heard(why);
            assert!(status == 401 && text.starts_with(&format!("DPoP error=\"{error}\"")), "{text}");
        }
        let (status, text) = heard(Why::InsufficientScope { scopes: vec!["read".into(), "wr\"ite".into()] });
        assert!(status == 403 && text.contains("scope=\"read write\""), "{text}");
        let (status, text) = heard(Why::StepUp { acr_values: vec!["phr".into()], max_age_s: Some(60) });
        assert!(status == 401 && text.contains("error=\"insufficient_user_authentication\"") && text.contains("acr_values=\"phr\", max_age=60"), "{text}");
        assert_eq!(heard(Why::Unavailable), (503, String::new()));
    }
}

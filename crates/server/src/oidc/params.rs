//! Parameters of OAuth requests, read strictly (RFC 6749 §3.1): each at most once, an empty one is
//! as if it were not there, nothing that cannot be text.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

/// Longest query or form, bytes: a request with a signed hint stays far below.
const FORM_BYTES: usize = 24 * 1024;
/// Most parameters of one request.
const PARAMETERS: usize = 64;
/// Longest value that is not a token, bytes.
pub const VALUE_BYTES: usize = 2048;
/// Values that are tokens, bounded by their own parser.
const TOKENS: [&str; 6] = ["id_token_hint", "client_assertion", "request", "subject_token", "actor_token", "login_hint_token"];
/// Parameters that show who sends a request, and are no part of it.
const SHOWING: [&str; 4] = ["client_secret", "client_assertion", "client_assertion_type", "user_code"];

/// The parameters of one request.
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or form; the fault is a word for the log.
    pub fn parse(text: &[u8]) -> Result<Params, &'static str> {
        if text.len() > FORM_BYTES {
            return Err("a request that is too long");
        }
        Params::of(form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())))
    }

    fn of(pairs: impl Iterator<Item = (String, String)>) -> Result<Params, &'static str> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            let odd = |t: &str| t.chars().any(|c| c.is_control() || c == '\u{fffd}');
            if odd(&name) || odd(&value) {
                return Err("a parameter that is not plain text");
            }
            if value.len() > VALUE_BYTES && !TOKENS.contains(&name.as_ref()) {
                return Err("a parameter that is too long");
            }
            if all.iter().any(|(n, _)| *n == name) {
                return Err("a parameter that comes twice");
            }
            all.push((name, value));
            if all.len() > PARAMETERS {
                return Err("too many parameters");
            }
        }
        all.retain(|(_, value)| !value.is_empty());
        Ok(Params(all))
    }

    /// Reads the members of a request object (RFC 9101 §4): text as it stands, anything else as JSON.
    pub fn of_members(members: Map<String, Value>) -> Result<Params, &'static str> {
        let plain = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let there = members.into_iter().filter(|(_, value)| !value.is_null());
        Params::of(there.map(|(name, value)| (name, plain(value))))
    }

    /// Everything that is asked, as a form: without what shows who asks, or that somebody may.
    pub fn asked(&self) -> String {
        let asked = self.0.iter().filter(|(name, _)| !SHOWING.contains(&name.as_str()));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish()
    }

    /// Reads a form body of the one content type that forms have.
    pub fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Params, &'static str> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err("content type application/x-www-form-urlencoded");
        }
        Params::parse(body)
    }

    /// A parameter, if it is there.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// The parts of a list that spaces separate.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.one(name).map(|v| v.split(' ').filter(|p| !p.is_empty()).map(str::to_owned).collect()).unwrap_or_default()
    }
    /// All of them.
    pub fn all(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
    /// Those of these names that are there, in this order.
    pub fn only(&self, names: &[&str]) -> Vec<(String, String)> {
        names.iter().filter_map(|n| self.one(n).map(|v| ((*n).to_owned(), v.to_owned()))).collect()
    }
}

/// `base` with parameters added to whatever query it has.
pub fn with_query(base: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() {
        return base.to_owned();
    }
    let join = match base.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{base}{join}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_once_and_an_empty_one_is_not_there() {
        let p = Params::parse(b"a=1&b=&c=x+y").unwrap();
        assert_eq!((p.one("a"), p.one("b")), (Some("1"), None));
        assert_eq!(p.list("c"), ["x", "y"]);
        for bad in ["a=1&a=2", "a=1&a=", "a=%00", "a=%0d%0a", "a=%ff"] {
            assert!(Params::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Params::parse(format!("a={}", "x".repeat(VALUE_BYTES + 1)).as_bytes()).is_err());
        assert!(Params::parse("x=1&".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn parameters_join_whatever_query_there_is() {
        assert_eq!(with_query("https://a/cb", &[("x", "a b&c")]), "https://a/cb?x=a+b%26c");
        assert_eq!(with_query("https://a/cb?y=1", &[("x", "2")]), "https://a/cb?y=1&x=2");
        assert_eq!(with_query("https://a/cb?", &[("x", "2")]), "https://a/cb?x=2");
        assert_eq!(with_query("https://a/cb", &[]), "https://a/cb");
    }
}

//! Everything that can go wrong, in words for people, each with one stable exit code.

use countersign_wire::glass::Why;
use countersign_wire::message::Refused;
use serde_json::Value;
use std::fmt;

/// A refusal as the server spoke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable code, e.g. `code_not_live`; for OAuth errors their `error`.
    pub code: String,
    /// `R-481-720-936`; empty where the server gave none.
    pub reference: String,
    /// The deciding policy's sentence, or an OAuth `error_description`.
    pub say: Option<String>,
    /// Tries left, with `wrong_code`.
    pub left: Option<u8>,
    /// Seconds to wait, with `too_many`.
    pub retry_after_s: Option<u64>,
}

/// Why a step did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refused. Exit code 1.
    Refused(Refusal),
    /// The command makes no sense as given. Exit code 2.
    Usage(String),
    /// No server, or none that speaks this protocol. Exit code 3.
    Unreachable(String),
    /// Key files or state of this machine. Exit code 4.
    Local(String),
    /// A person refused, here or on the other side. Exit code 5.
    Person(String),
    /// What arrived does not hold together, so nothing was signed. Exit code 6.
    Unsigned(&'static str),
    /// Nothing is opened without the line, or not so. Exit code 6.
    Glass(Why),
}

impl Fault {
    /// The exit code of a command that ends with this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Fault::Refused(_) => 1,
            Fault::Usage(_) => 2,
            Fault::Unreachable(_) => 3,
            Fault::Local(_) => 4,
            Fault::Person(_) => 5,
            Fault::Unsigned(_) | Fault::Glass(_) => 6,
        }
    }

    /// The stable code: the server's for a refusal, else a word of this program.
    pub fn code(&self) -> &str {
        match self {
            Fault::Refused(r) => &r.code,
            Fault::Usage(_) => "usage",
            Fault::Unreachable(_) => "unreachable",
            Fault::Local(_) => "local",
            Fault::Person(_) => "person_refused",
            Fault::Unsigned(_) => "not_signed",
            Fault::Glass(why) => why.code(),
        }
    }

    /// Whether the server refused with `code`.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Fault::Refused(r) if r.code == code)
    }

    /// A refusal that this program pronounces in the server's words, e.g. a ceremony that ended.
    pub fn ended(code: &str) -> Fault {
        Fault::Refused(Refusal {
            status: 0,
            code: code.to_owned(),
            reference: String::new(),
            say: None,
            left: None,
            retry_after_s: None,
        })
    }

    /// The fault as JSON, for `--json`.
    pub fn json(&self) -> Value {
        let mut out = serde_json::Map::new();
        out.insert("code".into(), self.code().into());
        match self {
            Fault::Refused(r) => {
                if !r.reference.is_empty() {
                    out.insert("ref".into(), r.reference.clone().into());
                }
                if let Some(say) = &r.say {
                    out.insert("say".into(), say.clone().into());
                }
                if let Some(left) = r.left {
                    out.insert("left".into(), left.into());
                }
                if let Some(s) = r.retry_after_s {
                    out.insert("retry_after_s".into(), s.into());
                }
            }
            other => {
                out.insert("message".into(), other.to_string().into());
            }
        }
        Value::Object(out)
    }
}

impl Refusal {
    /// Reads a body of `status` ≥ 400: ours, OAuth's (RFC 6749 §5.2), or neither.
    pub fn read(status: u16, body: &[u8], retry_after_s: Option<u64>) -> Refusal {
        let plain = |code: String, say: Option<String>| Refusal {
            status,
            code,
            reference: String::new(),
            say,
            left: None,
            retry_after_s,
        };
        if let Ok(ours) = serde_json::from_slice::<Refused>(body) {
            return Refusal {
                status,
                code: ours.code,
                reference: ours.r#ref,
                say: ours.say,
                left: ours.left,
                retry_after_s,
            };
        }
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("error").or_else(|| text("code")) {
            Some(code) => plain(code, text("error_description")),
            None if status == 429 => plain("too_many".into(), None),
            None => plain(format!("http_{status}"), None),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(r) => {
                write!(f, "refused: `{}`", r.code)?;
                if let Some(say) = &r.say {
                    write!(f, ", {say}")?;
                }
                if let Some(left) = r.left {
                    write!(f, ", {left} tries left")?;
                }
                if let Some(s) = r.retry_after_s {
                    write!(f, ", wait {s} s")?;
                }
                if !r.reference.is_empty() {
                    write!(f, " ({})", r.reference)?;
                }
                Ok(())
            }
            Fault::Usage(text) | Fault::Unreachable(text) | Fault::Local(text) | Fault::Person(text) => {
                f.write_str(text)
            }
            Fault::Unsigned(what) => write!(f, "nothing was signed: {what}"),
            Fault::Glass(why) => write!(f, "nothing was opened: {}", why.say()),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Why> for Fault {
    fn from(why: Why) -> Fault {
        Fault::Glass(why)
    }
}

/// A fault and everything behind it, without saying the same twice.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = inner.source();
    }
    text
}

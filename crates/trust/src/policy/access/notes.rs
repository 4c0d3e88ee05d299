//! What a rule says of itself in annotations: its name, its reason, and what goes along with it.

use serde_json::{Map, Value};

/// What an enforcement point must do along with a decision (AuthZEN Profile for Obligations).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Have the person sign in anew, so that this class is reached.
    StepUp {
        /// The class.
        acr: String,
    },
    /// Tell somebody.
    Notify {
        /// Whom.
        to: String,
        /// What.
        body: String,
    },
    /// End every session of the subject.
    EndSessions,
    /// Something that the operator and the enforcement point agreed upon.
    Custom(Map<String, Value>),
}

/// How access that was denied could be asked for (AuthZEN Access Request and Approval Profile).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requestable {
    /// Which kind of approval.
    pub template: String,
    /// Where a person can ask.
    pub form_url: Option<String>,
    /// The right of a session that would help, where somebody else may approve it here.
    pub right: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub id: String,
    pub code: Option<String>,
    pub say: Option<String>,
    pub duties: Vec<Duty>,
    pub request: Option<Requestable>,
}

impl Notes {
    /// Reads them. A misspelt one is a mistake, not a remark.
    pub(super) fn read<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Notes, String> {
        let mut all: std::collections::BTreeMap<&str, &str> = annotations.collect();
        let id = all.remove("id").filter(|id| is_word(id)).ok_or("a policy without an `@id` of letters, digits, `-`, `_` and `.`")?;
        let wrong = |what: &str| format!("`{id}`: {what}");
        let mut notes = Notes { id: id.to_owned(), ..Notes::default() };
        let (mut notify, mut body, mut form, mut right) = (None, None, None, None);
        for (name, text) in all {
            match name {
                "code" if is_word(text) => notes.code = Some(text.to_owned()),
                "say" => notes.say = Some(text.to_owned()),
                "step_up" if !text.is_empty() => notes.duties.push(Duty::StepUp { acr: text.to_owned() }),
                "notify" if !text.is_empty() => notify = Some(text.to_owned()),
                "notify_text" => body = Some(text.to_owned()),
                "end_sessions" if text.is_empty() => notes.duties.push(Duty::EndSessions),
                "duty" => {
                    let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong("`@duty` is no JSON object"))?;
                    if members.contains_key("type") || members.contains_key("id") {
                        return Err(wrong("`@duty` has neither `type` nor `id`"));
                    }
                    notes.duties.push(Duty::Custom(members));
                }
                "request" if is_word(text) => notes.request = Some(Requestable { template: text.to_owned(), form_url: None, right: None }),
                "request_form" if text.starts_with("https://") => form = Some(text.to_owned()),
                "request_right" if !text.is_empty() => right = Some(text.to_owned()),
                other => return Err(wrong(&format!("the annotation `@{other}`"))),
            }
        }
        match (notify, body) {
            (Some(to), body) => notes.duties.push(Duty::Notify { to, body: body.unwrap_or_else(|| format!("decided by {id}")) }),
            (None, Some(_)) => return Err(wrong("`@notify_text` without `@notify`")),
            (None, None) => {}
        }
        match (&mut notes.request, right) {
            (Some(request), right) => request.right = right,
            (None, Some(_)) => return Err(wrong("`@request_right` without `@request`")),
            (None, None) => {}
        }
        match (&mut notes.request, form) {
            (Some(request), form) => request.form_url = form,
            (None, Some(_)) => return Err(wrong("`@request_form` without `@request`")),
            (None, None) => {}
        }
        Ok(notes)
    }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

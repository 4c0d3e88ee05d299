//! The three searches (Authorization API 1.0 §8): who may, what may be done, to what. They walk through
//! what is stored in the order of names, a bounded way for each answer, and judge each name as a question
//! about it would be.

use super::decide::{client_of, verdict, verdict_on};
use super::live;
use super::question::{Open, Question};
use crate::app::{App, Fault};
use countersign_store::sql::Listed;
use countersign_trust::client::Client;
use countersign_trust::policy::access::AccessSet;
use countersign_trust::{Refusal, limits};
use countersign_wire::secret::same;
use countersign_wire::{Time, b64, mac};
use serde_json::{Map, Value, json};

/// Names that one answer looks at, at most.
const LOOKED_AT: usize = 500;

/// Where a walk goes on: in the operator's names, or in ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    stored: bool,
    after: String,
}

/// One page of answers.
struct Page {
    limit: usize,
    from: Place,
}

/// What a walk is bound to: its place serves this caller and this question alone.
fn bound(caller: &Client, open: Open, body: &Map<String, Value>) -> Vec<u8> {
    let asked: Map<String, Value> = body.iter().filter(|(k, _)| *k != "page").map(|(k, v)| (k.clone(), v.clone())).collect();
    let text = format!("{}/{open:?}/{}", caller.id, Value::Object(asked));
    mac::h(text.as_bytes()).to_vec()
}

fn tag(key: &[u8], bound: &[u8], place: &[u8]) -> [u8; 16] {
    let whole = mac::m(key, "search", &[bound, place]);
    let mut out = [0; 16];
    out.iter_mut().zip(whole).for_each(|(o, b)| *o = b);
    out
}

fn token(app: &App, bound: &[u8], place: &Place) -> String {
    let text = format!("{}{}", if place.stored { 's' } else { 'o' }, place.after);
    let (_, k) = app.keys.k();
    b64::encode(&[&tag(k.expose(), bound, text.as_bytes())[..], text.as_bytes()].concat())
}

fn place(app: &App, bound: &[u8], token: &str) -> Option<Place> {
    let bytes = b64::decode(token).ok()?;
    let (shown, text) = bytes.split_at_checked(16)?;
    app.keys.k_live().iter().find(|k| same(&tag(k.expose(), bound, text), shown))?;
    let text = std::str::from_utf8(text).ok()?;
    let (kind, after) = text.split_at_checked(1)?;
    Some(Place { stored: kind == "s", after: after.to_owned() })
}

fn page(app: &App, bound: &[u8], body: &Map<String, Value>) -> Result<Page, String> {
    let most = usize::try_from(limits::LIST).unwrap_or(100);
    let mut page = Page { limit: most, from: Place { stored: false, after: String::new() } };
    match body.get("page") {
        None => {}
        Some(Value::Object(asked)) => {
            if let Some(limit) = asked.get("limit") {
                let limit = limit.as_u64().filter(|l| *l > 0).ok_or("`page.limit` is not a number above zero")?;
                page.limit = usize::try_from(limit).unwrap_or(most).min(most);
            }
            match asked.get("token") {
                None => {}
                Some(Value::String(text)) if text.is_empty() => {}
                Some(Value::String(text)) => page.from = place(app, bound, text).ok_or("`page.token` is not of this search")?,
                Some(_) => return Err("`page.token` is not a text".to_owned()),
            }
        }
        Some(_) => return Err("`page` is not an object".to_owned()),
    }
    Ok(page)
}

/// The next names of a type, with where each leaves the walk, and whether the walk is over.
async fn names(app: &App, set: &AccessSet, kind: &str, from: &Place) -> Result<(Vec<Place>, bool), Fault> {
    let mut found: Vec<Place> = Vec::new();
    let mut after = from.after.clone();
    if !from.stored {
        found.extend(set.names_after(kind, &after).take(LOOKED_AT).map(|id| Place { stored: false, after: id.to_owned() }));
        after.clear();
    }
    let Some(listed) = Listed::of(kind) else { return Ok((found, true)) };
    let left = LOOKED_AT - found.len();
    if left == 0 {
        return Ok((found, false));
    }
    let ids = app.store.names_after(listed, &after, i64::try_from(left).unwrap_or(1)).await?;
    let over = ids.len() < left;
    found.extend(ids.into_iter().filter(|id| !set.knows(kind, id)).map(|id| Place { stored: true, after: id }));
    Ok((found, over))
}

/// The answer to a search.
pub async fn search(app: &App, set: &AccessSet, caller: &Client, open: Open, body: &Map<String, Value>, q: Question, now: Time) -> Result<Value, Fault> {
    let malformed = |message: String| Fault::because(Refusal::Malformed, "a page").saying(Some(message));
    let bound = bound(caller, open, body);
    let page = page(app, &bound, body).map_err(malformed)?;
    if open == Open::Action {
        return actions(app, set, caller, q, now).await;
    }
    let kind = if open == Open::Subject { q.subject.kind.clone() } else { q.resource.kind.clone() };
    let (walk, over) = names(app, set, &kind, &page.from).await?;
    let subject = match open {
        Open::Subject => None,
        _ => Some(live::look(app, set, caller, &q.subject, client_of(&q.resource).as_ref(), now).await?),
    };
    let (mut results, mut q, mut next) = (Vec::new(), q, None);
    let mut walk = walk.into_iter().peekable();
    while let Some(at) = walk.next() {
        let one = if open == Open::Subject { &mut q.subject } else { &mut q.resource };
        one.id.clone_from(&at.after);
        let verdict = match &subject {
            Some(known) => verdict_on(app, set, caller, &q, known, now).await?,
            None => verdict(app, set, caller, &q, now).await?,
        };
        if verdict.allowed {
            results.push(json!({ "type": kind, "id": at.after }));
        }
        let last = walk.peek().is_none();
        let stops = if last { !over } else { results.len() >= page.limit };
        if stops {
            next = Some(at);
            break;
        }
    }
    let next = next.map(|at| token(app, &bound, &at)).unwrap_or_default();
    Ok(json!({ "page": { "next_token": next, "count": results.len() }, "results": results }))
}

/// What a subject may do to a resource: every action there is between their types, in one answer.
async fn actions(app: &App, set: &AccessSet, caller: &Client, q: Question, now: Time) -> Result<Value, Fault> {
    let names: Vec<String> = set.actions_between(&q.subject.kind, &q.resource.kind).take(LOOKED_AT).map(str::to_owned).collect();
    let subject = live::look(app, set, caller, &q.subject, client_of(&q.resource).as_ref(), now).await?;
    let (mut results, mut q) = (Vec::new(), q);
    for name in names {
        q.action = name;
        if verdict_on(app, set, caller, &q, &subject, now).await?.allowed {
            results.push(json!({ "name": q.action }));
        }
    }
    Ok(json!({ "page": { "next_token": "", "count": results.len() }, "results": results }))
}

//! The `claims` parameter (OpenID Connect Core §5.5): claims asked for one by one.
//!
//! - A claim about the person is given only as far as the scope that stands for it: that scope is
//!   added to the request, so that the person sees it and policy judges it.
//! - `acr` that is essential must be earned, like `acr_values`; one that is voluntary asks for nothing.
//! - `sub` with a value restricts the request to that person.
//! - Everything else is in the tokens anyway, or unknown and passed over.

use super::authorize::No;
use crate::app::{App, Fault};
use countersign_wire::PersonId;
use serde_json::{Map, Value};

/// The scope that stands for [`ABOUT_PERSON`].
pub const SCOPE: &str = "profile";
/// Claims about a person that there are (OpenID Connect Core §5.1).
pub const ABOUT_PERSON: [&str; 2] = ["name", "preferred_username"];

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Claims about the person for the ID token.
    pub in_id_token: Vec<String>,
    /// Whether any claim about the person is asked for, wherever it shall be.
    pub about_person: bool,
    /// Classes of which one must be earned.
    pub acr: Option<Vec<String>>,
    /// The only person it is for.
    pub person: Option<PersonId>,
}

/// Reads the parameter.
pub fn read(text: Option<&str>) -> Result<Wanted, No> {
    let bad = No("invalid_request", "claims: an object of objects");
    let Some(text) = text else { return Ok(Wanted::default()) };
    let Ok(Value::Object(all)) = serde_json::from_str(text) else { return Err(bad) };
    let part = |name: &str| match all.get(name) {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(map)) => Some(map.clone()),
        Some(_) => None,
    };
    let (Some(id), Some(info)) = (part("id_token"), part("userinfo")) else { return Err(bad) };
    let names = |map: &Map<String, Value>| -> Vec<String> {
        ABOUT_PERSON.iter().filter(|n| map.contains_key(**n)).map(|n| (*n).to_owned()).collect()
    };
    let in_id_token = names(&id);
    let about_person = !in_id_token.is_empty() || !names(&info).is_empty();
    let mut person = None;
    for value in [&id, &info].into_iter().filter_map(|map| map.get("sub")?.get("value")) {
        let named: PersonId = value
            .as_str()
            .and_then(|v| v.parse().ok())
            .ok_or(No("login_required", "claims: `sub` is nobody here"))?;
        if person.replace(named.clone()).is_some_and(|p| p != named) {
            return Err(No("login_required", "claims: two persons"));
        }
    }
    Ok(Wanted { in_id_token, about_person, acr: id.get("acr").and_then(essential), person })
}

/// The values of a claim that must be one of them.
fn essential(claim: &Value) -> Option<Vec<String>> {
    if claim.get("essential") != Some(&Value::Bool(true)) {
        return None;
    }
    let one = claim.get("value").into_iter();
    let several = claim.get("values").and_then(Value::as_array).into_iter().flatten();
    let all: Vec<String> = one.chain(several).filter_map(Value::as_str).map(str::to_owned).collect();
    (!all.is_empty()).then_some(all)
}

/// Puts claims about a person into `told`.
pub async fn add(app: &App, person: &PersonId, names: &[impl AsRef<str>], told: &mut Value) -> Result<(), Fault> {
    let Some(named) = app.store.named(person).await? else { return Ok(()) };
    if let Some(map) = told.as_object_mut() {
        for name in names {
            let value = match name.as_ref() {
                "name" => &named.name,
                "preferred_username" => &named.login,
                _ => continue,
            };
            map.insert(name.as_ref().to_owned(), value.as_str().into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<Wanted, &'static str> {
        read(Some(text)).map_err(|No(error, _)| error)
    }

    #[test]
    fn what_is_known_is_read_and_the_rest_passed_over() {
        let person = "01890000-0000-7000-8000-000000000000";
        let w = judge(&format!(
            r#"{{"id_token":{{"name":null,"acr":{{"essential":true,"values":["phr","x"]}},"sub":{{"value":"{person}"}},"auth_time":{{"essential":true}}}},
                "userinfo":{{"preferred_username":{{"essential":true}},"picture":null}},"other":1}}"#
        ))
        .unwrap();
        assert_eq!((w.in_id_token, w.about_person), (vec!["name".to_owned()], true));
        assert_eq!(w.acr.unwrap(), ["phr", "x"]);
        assert_eq!(w.person.unwrap().as_str(), person);
        let voluntary = judge(r#"{"id_token":{"acr":{"values":["phr"]},"email":null}}"#).unwrap();
        assert!(voluntary.acr.is_none() && !voluntary.about_person && voluntary.person.is_none());
        assert_eq!(judge(r#"{"id_token":{"acr":{"essential":true,"value":"phr"}}}"#).unwrap().acr.unwrap(), ["phr"]);
        assert!(judge(r#"{"userinfo":{"name":null}}"#).unwrap().in_id_token.is_empty());
    }

    #[test]
    fn what_is_no_object_or_nobody_is_refused() {
        for text in ["", "[]", "1", "{", r#"{"id_token":1}"#, r#"{"userinfo":[]}"#] {
            assert_eq!(judge(text).unwrap_err(), "invalid_request", "{text}");
        }
        let (a, b) = ("01890000-0000-7000-8000-000000000000", "01890000-0000-7000-8000-000000000001");
        for text in [
            r#"{"id_token":{"sub":{"value":"ana"}}}"#.to_owned(),
            r#"{"id_token":{"sub":{"value":1}}}"#.to_owned(),
            format!(r#"{{"id_token":{{"sub":{{"value":"{a}"}}}},"userinfo":{{"sub":{{"value":"{b}"}}}}}}"#),
        ] {
            assert_eq!(judge(&text).unwrap_err(), "login_required", "{text}");
        }
    }
}

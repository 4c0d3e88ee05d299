//! What the till remembers, in memory: sign-ins under way and open sessions.

use countersign_device::oidc::{CodeFlow, LogoutClaims};
use countersign_device::{Fault, machine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The till's own session, seconds: half a shift's hour, whatever the server allows.
pub const SESSION_S: i64 = 1800;
/// A sign-in may be under way for this long, seconds.
const BEGUN_S: i64 = 600;
/// Sign-ins and sessions kept at once; a shop has a handful.
const KEPT: usize = 1000;

/// An open session.
#[derive(Clone)]
pub struct Open {
    /// Name of the person.
    pub name: String,
    /// Subject.
    pub sub: String,
    /// The server's session.
    pub sid: Option<String>,
    /// Shown to the server at sign-out.
    pub id_token: String,
    /// Ends at, seconds.
    pub until_s: i64,
}

#[derive(Default)]
struct Inside {
    begun: BTreeMap<String, (CodeFlow, i64)>,
    open: BTreeMap<String, Open>,
    told: BTreeSet<String>,
}

/// All of it.
pub struct Sessions {
    inside: Mutex<Inside>,
    changed: watch::Sender<()>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { inside: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Sessions {
    /// Remembers a sign-in under way; answers its name for the cookie.
    pub fn begin(&self, flow: CodeFlow, now_s: i64) -> Result<String, Fault> {
        let id = machine::name()?;
        let mut inside = self.lock();
        inside.begun.retain(|_, (_, until)| *until > now_s);
        if inside.begun.len() >= KEPT {
            return Err(Fault::Local("too many sign-ins are under way".into()));
        }
        inside.begun.insert(id.clone(), (flow, now_s.saturating_add(BEGUN_S)));
        Ok(id)
    }

    /// Takes the sign-in out: it is answered once.
    pub fn begun(&self, id: &str, now_s: i64) -> Option<CodeFlow> {
        self.lock().begun.remove(id).filter(|(_, until)| *until > now_s).map(|(flow, _)| flow)
    }

    /// Opens a session; answers its name for the cookie.
    pub fn let_in(&self, open: Open) -> Result<String, Fault> {
        let id = machine::name()?;
        let mut inside = self.lock();
        if inside.open.len() >= KEPT {
            return Err(Fault::Local("too many sessions are open".into()));
        }
        inside.open.insert(id.clone(), open);
        Ok(id)
    }

    /// The session of that name, if it is open.
    pub fn open(&self, id: &str, now_s: i64) -> Option<Open> {
        let mut inside = self.lock();
        inside.open.retain(|_, open| open.until_s > now_s);
        inside.open.get(id).cloned()
    }

    /// Ends one session.
    pub fn close(&self, id: &str) -> Option<Open> {
        let ended = self.lock().open.remove(id);
        self.changed.send_replace(());
        ended
    }

    /// Ends what a verified logout token names: one session of the server, or all of a person. A
    /// token told twice changes nothing.
    pub fn end_told(&self, claims: &LogoutClaims) {
        let mut inside = self.lock();
        if inside.told.len() >= KEPT {
            inside.told.clear();
        }
        if inside.told.insert(claims.jti.clone()) {
            inside.open.retain(|_, open| match (&claims.sid, &claims.sub) {
                (Some(sid), _) => open.sid.as_ref() != Some(sid),
                (None, Some(sub)) => open.sub != *sub,
                (None, None) => true,
            });
        }
        drop(inside);
        self.changed.send_replace(());
    }

    /// Wakes whenever something ended.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn open(sub: &str, sid: &str) -> Open {
        Open { name: "Ana".into(), sub: sub.into(), sid: Some(sid.into()), id_token: String::new(), until_s: 100 }
    }
    fn told(sub: Option<&str>, sid: Option<&str>, jti: &str) -> LogoutClaims {
        serde_json::from_value(serde_json::json!({"sub": sub, "sid": sid, "jti": jti})).unwrap()
    }

    #[test]
    fn a_logout_token_ends_the_session_it_names_and_no_other() {
        let sessions = Sessions::default();
        let (a, b) = (sessions.let_in(open("p", "1")).unwrap(), sessions.let_in(open("p", "2")).unwrap());
        sessions.end_told(&told(Some("p"), Some("1"), "j1"));
        assert!(sessions.open(&a, 0).is_none() && sessions.open(&b, 0).is_some());
        sessions.end_told(&told(Some("p"), None, "j1"));
        assert!(sessions.open(&b, 0).is_some(), "a token told twice changes nothing");
        sessions.end_told(&told(Some("p"), None, "j2"));
        assert!(sessions.open(&b, 0).is_none());
    }

    #[test]
    fn a_session_ends_by_itself_and_a_sign_in_is_answered_once() {
        let sessions = Sessions::default();
        let id = sessions.let_in(open("p", "1")).unwrap();
        assert!(sessions.open(&id, 99).is_some());
        assert!(sessions.open(&id, 100).is_none());
        let flow = CodeFlow::new("till", "http://localhost/cb", "openid").unwrap();
        let id = sessions.begin(flow, 0).unwrap();
        assert!(sessions.begun(&id, 0).is_some());
        assert!(sessions.begun(&id, 0).is_none());
    }
}

//! The players of one test, and what they find in the log afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::raw::Raw;
use super::{PLACES, REDIRECT, Stage};
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Discovery, Tokens};
use countersign_device::phone::Checked;
use countersign_device::terminal::{Arrival, Ceremony};
use countersign_device::passkey::Wanted;
use countersign_device::{Fault, Http, Passkey, Phone, Refusal, Terminal, Transport};
use countersign_store::{Engine, Query, Statement};
use countersign_wire::message::{Invite, NewCredential, RedeemedReply};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use url::Url;

/// One test's view of a stage.
pub struct Scene<'a> {
    /// The server.
    pub stage: &'a Stage,
    /// Connections of this test.
    pub transport: Transport,
    /// The first administrator's phone.
    pub administrator: Phone,
    /// What the server says about itself.
    pub discovery: Discovery,
    /// The server's store, read beside it.
    pub engine: Engine,
}

/// A sign-in under way at one screen.
pub struct Attempt {
    /// The screen.
    pub terminal: Terminal,
    /// The client's request.
    pub flow: CodeFlow,
    /// The sign-in page.
    pub page: String,
    /// What is open on the screen.
    pub ceremony: Ceremony,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number, once it has one.
    pub seq: Option<i64>,
    /// Its cause.
    pub txn: String,
    /// What happened.
    pub kind: String,
    /// Its text, read.
    pub body: Value,
    /// Its text.
    pub text: String,
}

impl Scene<'_> {
    /// A browser or program at `place`.
    pub fn http(&self, place: &str) -> Http {
        Http::new(self.transport.clone()).with_header("x-forwarded-for", place)
    }

    /// An invitation for a new person. Login names are made unique here.
    pub async fn invitation(&self, name: &str) -> (String, String) {
        let login = format!("{}-{}", name.to_lowercase().replace(' ', "."), PLACES.fetch_add(1, Ordering::SeqCst));
        let invite = Invite { name: name.to_owned(), login: login.clone(), role: None };
        (self.administrator.invite(&invite).await.unwrap().link, login)
    }

    /// A new person with an enrolled phone at `place`.
    pub async fn phone(&self, name: &str, place: &str) -> Phone {
        let (link, _) = self.invitation(name).await;
        Phone::enrol(self.http(place), &link, &format!("{name}'s phone"), None).await.unwrap()
    }

    /// A new person whose phone has a synced passkey, and whose login name is wanted.
    pub async fn synced_phone(&self, name: &str, place: &str) -> (Phone, String) {
        let (link, login) = self.invitation(name).await;
        (Phone::enrol_synced(self.http(place), &link, &format!("{name}'s phone"), None).await.unwrap(), login)
    }

    /// A second phone of the person of `phone`, let in by it.
    pub async fn second_phone(&self, phone: &Phone, place: &str) -> Phone {
        self.second(phone, place, Passkey::create).await
    }

    /// The same with a synced passkey.
    pub async fn second_synced_phone(&self, phone: &Phone, place: &str) -> Phone {
        self.second(phone, place, Passkey::create_synced).await
    }

    async fn second(&self, phone: &Phone, place: &str, make: impl Fn(&Wanted, &str) -> Result<(Passkey, NewCredential), Fault>) -> Phone {
        let terminal = Terminal::new(self.http(place), &self.stage.issuer).unwrap();
        let ceremony = terminal.open_enrolment("Second phone").await.unwrap();
        let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
        terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
        phone.approve(&checked).await.unwrap();
        let ticket = terminal.redeem(&ceremony).await.unwrap().ticket.unwrap();
        let (http, key) = terminal.into_parts();
        let invite = countersign_device::phone::InviteLink { issuer: self.stage.issuer.clone(), token: ticket };
        Phone::enrol_making(http, &invite, key, "Second phone", None, make).await.unwrap()
    }

    /// A screen at `place` with a fresh browser.
    pub fn terminal(&self, place: &str) -> Terminal {
        Terminal::new(self.http(place), &self.stage.issuer).unwrap()
    }

    /// Brings `terminal` to the sign-in page of `client`.
    pub async fn arrive(&self, terminal: &Terminal, client: &str, scope: &str) -> (CodeFlow, String) {
        let flow = CodeFlow::new(client, REDIRECT, scope).unwrap();
        let url = flow.url(&self.discovery, &terminal.tk().public().thumbprint());
        match terminal.arrive(&url).await.unwrap() {
            Arrival::Flow(page) => (flow, page),
            Arrival::Away(url) => panic!("sent away to {url}"),
        }
    }

    /// Opens a sign-in for `client` on a fresh screen at `place`.
    pub async fn open(&self, client: &str, scope: &str, place: &str) -> Attempt {
        let terminal = self.terminal(place);
        let (flow, page) = self.arrive(&terminal, client, scope).await;
        let ceremony = terminal.open(&page).await.unwrap();
        Attempt { terminal, flow, page, ceremony }
    }

    /// Opens one for the till.
    pub async fn open_till(&self, place: &str) -> Attempt {
        self.open("till", "openid profile", place).await
    }

    /// Scans, carries the digits and approves, as the person in front of the screen would.
    pub async fn approve(&self, phone: &Phone, attempt: &Attempt) -> Checked {
        let checked = self.confirm(phone, attempt).await;
        assert_eq!(phone.approve(&checked).await.unwrap().state, "approved");
        checked
    }

    /// Scans and carries the digits.
    pub async fn confirm(&self, phone: &Phone, attempt: &Attempt) -> Checked {
        let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
        if let Some(digits) = checked.digits() {
            attempt.terminal.confirm(&attempt.ceremony, digits).await.unwrap();
        }
        checked
    }

    /// Approves, redeems and answers the greeting: the redirect that the client gets.
    pub async fn sign_in(&self, phone: &Phone, attempt: &Attempt) -> Url {
        self.approve(phone, attempt).await;
        let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
        self.redirect(attempt, reply).await
    }

    /// Where the browser is sent after `reply`.
    pub async fn redirect(&self, attempt: &Attempt, reply: RedeemedReply) -> Url {
        let next = match reply.next {
            Some(next) => next,
            None => attempt.terminal.proceed(&attempt.ceremony).await.unwrap().next,
        };
        Url::parse(&next).unwrap()
    }

    /// The client's tokens for the code in `redirect`.
    pub async fn tokens(&self, attempt: &Attempt, redirect: &Url) -> Result<Tokens, Fault> {
        let code = attempt.flow.code(&self.discovery, redirect)?;
        attempt.flow.exchange(&attempt.terminal.http, &self.discovery, attempt.terminal.tk(), &code).await
    }

    /// Whether an access token works at the server.
    pub async fn works(&self, attempt: &Attempt, tokens: &Tokens) -> bool {
        let url = self.discovery.userinfo_endpoint.clone().unwrap();
        let prover = Prover { key: attempt.terminal.tk(), body: false, token: Some(&tokens.access_token) };
        attempt.terminal.http.call(&Call::fetch(url).proved(prover)).await.is_ok()
    }

    /// The whole log, in order, read in parts: a store answers no question with more rows than any list may have.
    pub async fn log(&self) -> Vec<Line> {
        const PART: i64 = 5_000;
        let mut lines = Vec::new();
        loop {
            let sql = "SELECT seq, txn, kind, body FROM event ORDER BY written_at, place, id LIMIT $1 OFFSET $2";
            let from = i64::try_from(lines.len()).unwrap();
            let rows = self.engine.query(Query::new(sql, [PART.into(), from.into()]).long()).await.unwrap();
            let full = i64::try_from(rows.len()).unwrap() == PART;
            lines.extend(rows.iter().map(|row| Line {
                seq: row.opt_int(0).unwrap(),
                txn: row.text(1).unwrap().to_owned(),
                kind: row.text(2).unwrap().to_owned(),
                body: serde_json::from_str(row.text(3).unwrap()).unwrap(),
                text: row.text(3).unwrap().to_owned(),
            }));
            if !full {
                return lines;
            }
        }
    }

    /// The log of one ceremony.
    pub async fn log_of(&self, cid: &str) -> Vec<Line> {
        self.log().await.into_iter().filter(|l| l.body["ceremony"] == cid).collect()
    }

    /// Makes sure that `fault` is the refusal `code` and stands in the log under its reference.
    pub async fn refused<T>(&self, result: Result<T, Fault>, code: &str) -> Refusal {
        let refusal = match result {
            Err(Fault::Refused(refusal)) => refusal,
            Err(other) => panic!("expected the refusal `{code}`, not: {other}"),
            Ok(_) => panic!("expected the refusal `{code}`, but it was allowed"),
        };
        assert_eq!(refusal.code, code, "{refusal:?}");
        self.recorded(&refusal.reference, code).await;
        refusal
    }

    /// Makes sure that the log has the refusal with this reference.
    pub async fn recorded(&self, reference: &str, code: &str) {
        assert!(reference.starts_with("R-"), "no reference with `{code}`: `{reference}`");
        let query = Query::new("SELECT body FROM event WHERE body LIKE $1", [format!("%{reference}%").into()]).long();
        let rows = self.engine.query(query).await.unwrap();
        let found = rows.iter().any(|row| {
            let body: Value = serde_json::from_str(row.text(0).unwrap()).unwrap();
            body["code"] == code && body["facts"]["ref"] == reference
        });
        assert!(found, "`{code}` with {reference} is not in the log");
    }

    /// Clients by documents at these addresses, as `like` is one, which nobody used.
    pub async fn crowd(&self, like: &str, names: &[String]) {
        let sql = "INSERT INTO client (id, version, source, body) SELECT $1, 1, source, replace(body, $2, $1) FROM client WHERE id = $2";
        let rows = names.iter().map(|name| Statement::one(sql, [name.as_str().into(), like.into()])).collect();
        self.engine.upkeep(rows).await.unwrap();
    }
    /// Somebody holds a grant of each client.
    pub async fn crowd_in_use(&self) {
        let sql = "INSERT INTO oauth_grant (id, version, session, client, code, expires_at, access_after, renewed_at, k, body) \
                   SELECT 'crowd ' || id, 1, 'nobody', id, 'none', 4102444800000000, 0, 0, 0, '{}' FROM client";
        self.engine.upkeep(vec![Statement::any(sql, [])]).await.unwrap();
    }

    /// How many rows each table holds that a refusal must not change. Times of last sight, budgets
    /// and the log itself may change.
    pub async fn counts(&self) -> BTreeMap<&'static str, i64> {
        let mut out = BTreeMap::new();
        for (table, sql) in [
            ("person", "SELECT COUNT(*) FROM person"),
            ("device", "SELECT COUNT(*) FROM device"),
            ("device versions", "SELECT COALESCE(SUM(version), 0) FROM device"),
            ("credential", "SELECT COUNT(*) FROM credential"),
            ("client", "SELECT COALESCE(SUM(version), 0) FROM client"),
            ("request", "SELECT COUNT(*) FROM request"),
            ("ceremony", "SELECT COUNT(*) FROM ceremony"),
            ("ceremony versions", "SELECT COALESCE(SUM(version), 0) FROM ceremony"),
            ("session", "SELECT COUNT(*) FROM session"),
            ("session versions", "SELECT COALESCE(SUM(version), 0) FROM session"),
            ("code", "SELECT COUNT(*) FROM code"),
            ("grant", "SELECT COUNT(*) FROM oauth_grant"),
            ("grant versions", "SELECT COALESCE(SUM(version), 0) FROM oauth_grant"),
            ("invitation", "SELECT COUNT(*) FROM invitation"),
            ("invitation versions", "SELECT COALESCE(SUM(version), 0) FROM invitation"),
            ("terminal", "SELECT COALESCE(SUM(version), 0) FROM terminal"),
            ("workload", "SELECT COALESCE(SUM(version), 0) FROM workload"),
            ("notice", "SELECT COUNT(*) FROM notice"),
            ("glass", "SELECT COALESCE(SUM(version), 0) FROM glass"),
            ("glass use", "SELECT COALESCE(SUM(version), 0) FROM glass_use"),
            ("quarantine", "SELECT COUNT(*) FROM quarantine"),
            ("challenge", "SELECT COUNT(*) FROM challenge"),
            ("logout", "SELECT COUNT(*) FROM logout"),
            ("push_subscription", "SELECT COUNT(*) FROM push_subscription"),
            ("push_owed", "SELECT COUNT(*) FROM push_owed"),
        ] {
            let rows = self.engine.query(Query::new(sql, [])).await.unwrap();
            out.insert(table, rows[0].int(0).unwrap());
        }
        out
    }

    /// A caller that follows no rule.
    pub fn raw(&self, place: &str) -> Raw {
        self.stage.raw(place)
    }
}

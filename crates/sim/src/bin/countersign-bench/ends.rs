//! How soon what ended is refused, how soon everything is judged that rests on one device, and how soon silence ends.

use super::process::ms;
use countersign_device::Phone;
use countersign_device::posture::Looking;
use countersign_guard::{Ask, Guard, Needs, Settings as Guarded, Shown, Why};
use countersign_sim::stage::{Attempt, Mouth, Receiver, SECRET, Scene, Settings, Stage, claims, place};
use countersign_store::{Query, Statement, Value};
use countersign_trust::shared::caep::EventType;
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::posture::Why as Report;
use countersign_wire::{b64, mac};
use serde_json::json;
use std::time::{Duration, Instant};

/// Interval of a device's words, seconds, and how many may be missed.
const EVERY_S: u64 = 2;
const MISSES: u64 = 2;

/// An application behind a guard: where it is, and who tells the server news.
struct House {
    stage: Stage,
    address: String,
    idp: Mouth,
}

/// A token with its key.
struct Holder {
    attempt: Attempt,
    token: String,
}

impl House {
    async fn build(core: Option<usize>) -> (House, tokio::net::TcpListener) {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://localhost:{}", socket.local_addr().unwrap().port());
        let hash = b64::encode(&mac::h(SECRET.as_bytes()));
        let idp = Mouth::new("idp");
        let clients = format!(
            "heartbeat_s = {EVERY_S}\nheartbeat_misses = {MISSES}\n\
             [[clients]]\nid = \"records\"\nname = \"Records\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\naudience = \"{address}\"\n\
             [[clients]]\nid = \"keeper\"\nname = \"Keeper\"\nredirect_uris = []\nauth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\nintrospects = [\"{address}\"]\n"
        );
        let news = idp.lines("may = [\"session-revoked\", \"device-compliance-change\"]\npeople = \"login\"\nsessions = true\ndevices = \"managed\"");
        let more = clients + &Receiver::lines("records", &[&format!("{address}/events")]) + &news;
        let stage = Stage::set(Settings { more, core, ..Settings::default() }).await;
        stage.enrol_administrator().await;
        (House { stage, address, idp }, socket)
    }

    fn guard(&self, ask: Ask) -> Guard {
        let issuer = self.stage.issuer.origin().ascii_serialization();
        let mut settings = Guarded::new(&issuer, &self.address, &self.address, "keeper", SECRET);
        (settings.danger_allow_http, settings.ask) = (true, ask);
        settings.events_audience = Some("https://records.example".to_owned());
        Guard::new(settings).unwrap()
    }

    async fn holder(&self, scene: &Scene<'_>, phone: &mut Phone) -> Holder {
        let here = place();
        phone.http = scene.http(&here);
        let attempt = scene.open("records", "openid", &here).await;
        let redirect = scene.sign_in(phone, &attempt).await;
        let token = scene.tokens(&attempt, &redirect).await.unwrap().access_token;
        Holder { attempt, token }
    }

    /// One request at a door; `Err` with the nonce where that is what is missing.
    async fn knock(&self, guard: &Guard, holder: &Holder, nonce: Option<&str>) -> Result<(), Option<String>> {
        let key = &holder.attempt.terminal.key;
        let proof = ProofClaims {
            jti: countersign_device::machine::name().unwrap(),
            htm: "GET".to_owned(),
            htu: format!("{}/all", self.address),
            iat: NumericDate(countersign_device::machine::now().seconds()),
            nonce: nonce.map(str::to_owned),
            ath: Some(b64::encode(&mac::h(holder.token.as_bytes()))),
            bd: None,
        };
        let proof = dpop::make(&proof, key.public(), key).unwrap();
        let (shown, proofs) = (format!("DPoP {}", holder.token), [proof.as_str()]);
        let shown = Shown { method: "GET", path: "/all", authorization: &[&shown], dpop: &proofs };
        match guard.judge(&shown, &Needs::nothing()).await {
            Ok(_) => Ok(()),
            Err(denial) if denial.why == Why::UseNonce => Err(denial.nonce),
            Err(_) => Err(None),
        }
    }

    /// Times from the moment at which the end of a session was accepted until the door refuses it, sorted.
    async fn refusals(&self, scene: &Scene<'_>, guard: &Guard, phone: &mut Phone, rounds: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let holder = self.holder(scene, phone).await;
            let nonce = self.knock(guard, &holder, None).await.unwrap_err().unwrap();
            self.knock(guard, &holder, Some(&nonce)).await.unwrap();
            let session = json!({"format": "opaque", "id": claims(&holder.token)["sid"]});
            self.idp.say(&self.stage, &place(), EventType::SessionRevoked, session, json!({})).await;
            let accepted = Instant::now();
            while self.knock(guard, &holder, Some(&nonce)).await.is_ok() {
                assert!(accepted.elapsed() < Duration::from_secs(20), "never refused");
            }
            times.push(accepted.elapsed());
        }
        times.sort_unstable();
        times
    }
}

fn parts(times: &[Duration]) -> String {
    let at = |part: usize| ms(times[(times.len() * part / 100).min(times.len() - 1)]);
    format!("p50 {} ms, p99 {} ms", at(50), at(99))
}

/// Everything of this page; each as a row.
pub async fn measure(core: Option<usize>, rounds: usize, sessions: i64) -> Vec<(String, String)> {
    let (house, socket) = House::build(core).await;
    let scene = house.stage.scene().await;
    let mut rows = Vec::new();
    let mut phone = scene.phone("Ende", &place()).await;
    let asking = house.refusals(&scene, &house.guard(Ask::EveryRequest), &mut phone, rounds).await;
    rows.push(("end of a session accepted → refused at a guarded door that asks".to_owned(), parts(&asking)));
    // Before anybody is told of it: each event that is pushed costs a signature more (RS256).
    rows.extend(fall(&house, &scene, &mut scene.phone("Fall", &place()).await, sessions).await);
    let guard = house.guard(Ask::WithNonces);
    let hearing = guard.clone();
    let hear = move |body: String| {
        let guard = hearing.clone();
        async move { guard.hear(&body).await.map_or(axum::http::StatusCode::BAD_REQUEST, |_| axum::http::StatusCode::ACCEPTED) }
    };
    let app = axum::Router::new().route("/events", axum::routing::post(hear));
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    Receiver::new(&house.stage, "records", &place()).stream(Some(&format!("{}/events", house.address))).await;
    let pushed = house.refusals(&scene, &guard, &mut phone, rounds).await;
    rows.push(("the same, refused because the event was pushed to it".to_owned(), parts(&pushed)));
    rows.push(silence(&house, &scene).await);
    rows
}

const SESSIONS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
    INSERT INTO session (id, version, cookie_hash, person, device, jkt, idle_until, until, body) \
    SELECT printf('01900000-0000-7000-8009-%012x', n.i), 1, hex(randomblob(21)), s.person, s.device, s.jkt, s.idle_until, s.until, \
    replace(s.body, s.id, printf('01900000-0000-7000-8009-%012x', n.i)) FROM n, session s WHERE s.id = $2";
const GRANTS: &str = "INSERT INTO oauth_grant (id, version, session, client, code, expires_at, access_after, renewed_at, k, body) \
    SELECT replace(s.id, '-8009-', '-800a-'), 1, s.id, 'records', hex(randomblob(21)), s.until, 0, 0, 0, '{}' FROM session s WHERE s.id LIKE '01900000-0000-7000-8009-%'";

/// One device holds many sessions: it does not meet its manager's rules any more, and then it falls.
async fn fall(house: &House, scene: &Scene<'_>, phone: &mut Phone, sessions: i64) -> Vec<(String, String)> {
    let holder = house.holder(scene, phone).await;
    let id = claims(&holder.token)["sid"].as_str().unwrap().to_owned();
    let copy: [Value; 2] = [(sessions - 1).into(), id.into()];
    for (sql, values) in [(SESSIONS, copy.to_vec()), (GRANTS, Vec::new())] {
        scene.engine.upkeep(vec![Statement::any(sql, values)]).await.unwrap();
    }
    let device = phone.kept().device_id.to_string();
    house.stage.command(&["device", "managed", &device, "--by", "idp", "--as", "MDM-1"]).unwrap();
    let subject = json!({"format": "complex", "device": {"format": "iss_sub", "iss": "https://idp.example", "sub": "MDM-1"}});
    let state = json!({"previous_status": "compliant", "current_status": "not-compliant"});
    house.idp.say(&house.stage, &place(), EventType::DeviceComplianceChange, subject, state).await;
    let rest = judged(scene, "ended IS NULL AND standing IS NOT NULL", sessions).await;
    house.stage.command(&["signal", "raise", "device.compromised", &device]).unwrap();
    let end = judged(scene, "ended IS NOT NULL", sessions).await;
    let row = |what: &str, took: Duration| (format!("{what}, until each of its {sessions} sessions is judged and written down"), format!("{} ms", ms(took)));
    vec![row("a device is out of order: they rest", rest), row("a device is compromised: they end", end)]
}

/// Time until nothing waits to be judged any more, and then so many sessions are as they should be.
async fn judged(scene: &Scene<'_>, are: &str, sessions: i64) -> Duration {
    let begun = Instant::now();
    let count = async |sql: &'static str| scene.engine.query(Query::new(sql, []).long()).await.unwrap()[0].int(0).unwrap();
    while count("SELECT COUNT(*) FROM judgement").await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "never judged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    let many = match are {
        "ended IS NOT NULL" => count("SELECT COUNT(*) FROM session WHERE id LIKE '01900000-0000-7000-8009-%' AND ended IS NOT NULL").await,
        _ => count("SELECT COUNT(*) FROM session WHERE id LIKE '01900000-0000-7000-8009-%' AND ended IS NULL AND standing IS NOT NULL").await,
    };
    assert_eq!(many, sessions - 1, "{are}");
    took
}

/// A device's program spoke once, promised to go on, and fell.
async fn silence(house: &House, scene: &Scene<'_>) -> (String, String) {
    let mut phone = scene.phone("Stille", &place()).await;
    let holder = house.holder(scene, &mut phone).await;
    let nonce = phone.posture().await.unwrap().nonce;
    let facts = Looking::here(Vec::new(), None).facts();
    phone.report(&facts, Report::Start, true, &nonce).await.unwrap();
    let last = Instant::now();
    let guard = house.guard(Ask::EveryRequest);
    let session = claims(&holder.token)["sid"].as_str().unwrap().to_owned();
    // Resting first; gone is what counts.
    loop {
        let rows = scene.engine.query(Query::new("SELECT ended FROM session WHERE id = $1", [session.as_str().into()])).await.unwrap();
        if rows[0].opt_text(0).unwrap().is_some() {
            break;
        }
        assert!(last.elapsed() < Duration::from_secs(30), "never ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = last.elapsed();
    assert!(house.knock(&guard, &holder, None).await.is_err_and(|nonce| nonce.is_none()));
    (format!("last word of a device's program → its session has ended; {MISSES} intervals of {EVERY_S} s"), format!("{} ms", ms(took)))
}

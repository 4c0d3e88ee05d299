//! What a client without a browser asks for and waits for: codes that are typed (RFC 8628), people who are named (CIBA).

use super::process::{Cost, cost, together};
use base64::Engine as _;
use countersign_device::http::{Call, Http, Prover};
use countersign_device::{Phone, SoftwareKey};
use countersign_sim::stage::{CIBA, DEVICE, SECRET, Scene, place};
use countersign_wire::{b64, mac};
use serde_json::Value;
use std::fmt::Write as _;
use std::rc::Rc;

/// Clients of each kind: each may open so much in a minute.
const CLIENTS: usize = 30;
/// Requests from one network before the next is taken: each may open so much in a minute.
const FROM_ONE: usize = 25;
/// Requests that wait for one person, each of another client.
const FOR_ONE: usize = 3;

/// What a grant costs: asking for it, and hearing that nobody has decided. Each as it is and with a key.
pub struct Costs {
    pub start: Cost,
    pub poll: Cost,
    pub start_with_key: Cost,
    pub poll_with_key: Cost,
}

/// Lines of the configuration: clients that may do without a key, as the peer's do.
pub fn lines() -> String {
    let hash = b64::encode(&mac::h(SECRET.as_bytes()));
    let mut lines = String::new();
    for n in 0..CLIENTS {
        let loose = "scopes = [\"profile\"]\ndanger_allow_unbound_collector = true\ndanger_allow_bearer = true";
        let _ = writeln!(lines, "[[clients]]\nid = \"type-{n}\"\nname = \"Type {n}\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\ndevice_grant = true\n{loose}");
        let _ = writeln!(
            lines,
            "[[clients]]\nid = \"ring-{n}\"\nname = \"Ring {n}\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\nauth = \"client_secret_basic\"\n\
             secret_hash = \"{hash}\"\nfar = \"unproven\"\nciba = {{}}\n{loose}"
        );
    }
    lines
}

/// One that asks.
struct Asker {
    http: Rc<Http>,
    client: String,
    key: Option<Rc<SoftwareKey>>,
}

impl Asker {
    async fn post(&self, scene: &Scene<'_>, path: &str, pairs: &[(&str, &str)]) -> Result<Value, countersign_device::Fault> {
        let secret = self.client.starts_with("ring");
        let named: Vec<(&str, &str)> = pairs.iter().copied().chain((!secret).then_some(("client_id", self.client.as_str()))).collect();
        let mut call = Call::form(scene.stage.issuer.join(path).unwrap(), &named);
        if secret {
            let pair = format!("{}:{}", self.client, SECRET.replace(' ', "+"));
            call = call.with("authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
        }
        if let Some(key) = &self.key {
            call = call.proved(Prover::terminal(&**key));
        }
        self.http.ask(&call).await
    }
}

/// Starts `each` times in each of `lanes`, then asks once for each: nobody is told to slow down.
async fn round(scene: &Scene<'_>, kind: &str, people: &[String], (lanes, each): (usize, usize), with_key: bool) -> (Cost, Cost) {
    let (path, grant, name) = if kind == "type" { ("/device_authorization", DEVICE, "device_code") } else { ("/bc-authorize", CIBA, "auth_req_id") };
    let pid = scene.stage.pid().unwrap();
    let starting = (0..lanes).map(|lane| async move {
        let mut begun = Vec::new();
        let key = with_key.then(|| Rc::new(SoftwareKey::generate().unwrap()));
        let mut http = Rc::new(scene.http(&place()));
        for i in 0..each {
            let n = lane * each + i;
            if i % FROM_ONE == FROM_ONE - 1 {
                http = Rc::new(scene.http(&place()));
            }
            // Whoever is asked is asked by as many clients.
            let asker = Asker { http: http.clone(), client: format!("{kind}-{}", n % CLIENTS), key: key.clone() };
            let mut pairs = vec![("scope", "openid profile")];
            pairs.extend(people.get(n / FOR_ONE).map(|login| ("login_hint", login.as_str())));
            let told = asker.post(scene, path, &pairs).await.unwrap();
            begun.push((asker, told[name].as_str().unwrap().to_owned()));
        }
        begun
    });
    let (start, begun) = cost(pid, lanes * each, together(starting.collect())).await;
    let asking = begun.iter().map(|lane| async move {
        for (asker, code) in lane {
            let fault = asker.post(scene, "/token", &[("grant_type", grant), (name, code)]).await.unwrap_err();
            assert!(fault.is("authorization_pending"), "{fault}");
        }
    });
    let (poll, _) = cost(pid, lanes * each, together(asking.collect::<Vec<_>>())).await;
    (start, poll)
}

async fn both(scene: &Scene<'_>, kind: &str, people: &[Vec<String>; 4], size: (usize, usize)) -> Costs {
    let warm = (size.0, size.1 / 10);
    round(scene, kind, &people[0], warm, false).await;
    let (start, poll) = round(scene, kind, &people[1], size, false).await;
    round(scene, kind, &people[2], warm, true).await;
    let (start_with_key, poll_with_key) = round(scene, kind, &people[3], size, true).await;
    Costs { start, poll, start_with_key, poll_with_key }
}

/// The device grant, in `lanes` at once, `each` times in each.
pub async fn device(scene: &Scene<'_>, lanes: usize, each: usize) -> Costs {
    both(scene, "type", &[const { Vec::new() }; 4], (lanes, each)).await
}

/// CIBA: everybody who is asked has a phone, and is asked so often that no request is kept from them.
pub async fn ciba(scene: &Scene<'_>, lanes: usize, each: usize) -> Costs {
    let mut people = [const { Vec::new() }; 4];
    for (n, of) in people.iter_mut().enumerate() {
        let count = if n % 2 == 0 { each / 10 } else { each } * lanes;
        for _ in 0..count.div_ceil(FOR_ONE) {
            let (link, login) = scene.invitation("Gerufen").await;
            Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
            of.push(login);
        }
    }
    both(scene, "ring", &people, (lanes, each)).await
}

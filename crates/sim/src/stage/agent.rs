//! Agents as tests play them: a workload on a device of its owner, that calls tools through a gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::raw::{Raw, Reply};
use super::robot::{Robot, STOCK, claims};
use super::{SECRET, Scene};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_device::posture::Facts;
use countersign_device::{Phone, SoftwareKey};
use countersign_wire::posture::Why;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

/// A device says that it is there.
pub async fn health(device: &Phone) {
    let nonce = device.posture().await.unwrap().nonce;
    device.report(&Facts::default(), Why::Asked, false, &nonce).await.unwrap();
    // Last words are written down four times a second.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
}

/// An agent with its owner's devices.
pub struct Agent {
    /// The program.
    pub robot: Robot,
    /// The phone on which its owner is asked.
    pub phone: Phone,
    /// What it runs on.
    pub laptop: Phone,
    /// Login name of its owner.
    pub owner: String,
}

impl Agent {
    /// One that may use `stock.read`, and `refund` if its owner lets it each time.
    pub async fn new(scene: &Scene<'_>, place: &str) -> Agent {
        let (link, owner) = scene.invitation("Halterin").await;
        let phone = Phone::enrol(scene.http(place), &link, "Phone", None).await.unwrap();
        let laptop = scene.second_phone(&phone, place).await;
        health(&laptop).await;
        let robot = Robot::new();
        let agent = Agent { robot, phone, laptop, owner };
        agent.robot.register(scene.stage, &agent.owner, agent.facts(&["stock.read", "refund"])).unwrap();
        agent
    }

    /// What makes it an agent.
    pub fn facts(&self, tools: &[&str]) -> Value {
        runs_on(&self.laptop, tools)
    }

    /// A question about a call, with a proof by `key` for `url`.
    pub async fn question(&self, raw: &Raw, key: &SoftwareKey, token: &str, url: &str, tool: &str, arguments: &Value) -> Value {
        question(raw, key, token, url, ("tools/call", "tool", tool), arguments).await
    }

    /// The decision about one call.
    pub async fn call(&self, raw: &Raw, token: &str, tool: &str, arguments: &Value) -> Value {
        let question = self.question(raw, &self.robot.dpop, token, STOCK, tool, arguments).await;
        decided(raw, "gate", &question).await.json()
    }

    /// The decision about another method, on one thing.
    pub async fn does(&self, raw: &Raw, token: &str, method: &str, on: (&str, &str)) -> Value {
        let question = question(raw, &self.robot.dpop, token, STOCK, (method, on.0, on.1), &json!({})).await;
        decided(raw, "gate", &question).await.json()
    }
}

/// What makes a workload an agent that runs on `device`; for `refund` its owner is asked each time.
pub fn runs_on(device: &Phone, tools: &[&str]) -> Value {
    let ask: Vec<&&str> = tools.iter().filter(|t| **t == "refund").collect();
    json!({"agent": {"device": device.kept().device_id, "tools": tools, "ask": ask}})
}

/// A question about a method (`method`, type and id of what it is done to) at [`STOCK`], as a gate puts it, with a
/// proof by `key` for `url`.
pub async fn question(raw: &Raw, key: &SoftwareKey, token: &str, url: &str, what: (&str, &str, &str), arguments: &Value) -> Value {
    let nonce = raw.nonce().await;
    let proof = raw.proof(key, "POST", "/", b"", |c| {
        (c.htu, c.nonce, c.bd) = (url.to_owned(), Some(nonce), None);
        c.ath = Some(b64::encode(&mac::h(token.as_bytes())));
    });
    let (method, kind, id) = what;
    let said = claims(token);
    json!({
        "subject": {"type": "identity", "id": said["sub"], "properties": {"token": token, "dpop": proof, "url": url}},
        "action": {"name": method},
        "resource": {"type": kind, "id": id, "properties": {"server": STOCK, "arguments": arguments}},
        "context": {"agent": said["client_id"]},
    })
}

/// What the decision point tells an asker; its secret is [`SECRET`].
pub async fn decided(raw: &Raw, asker: &str, question: &Value) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(format!("{asker}:{SECRET}")));
    let headers = [("authorization", basic), ("content-type", "application/json".to_owned())];
    raw.send("POST", "/access/v1/evaluation", &headers, question.to_string().into_bytes()).await
}

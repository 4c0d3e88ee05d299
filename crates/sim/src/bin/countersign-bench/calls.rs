//! Whether an agent may call a tool: its token, its proof, its device's health and the rules, at each call.

use super::process::{Cost, cost, together};
use base64::Engine as _;
use countersign_device::http::Call;
use countersign_sim::stage::{Agent, SECRET, STOCK, Scene, claims, health, place};
use countersign_wire::{b64, mac};
use serde_json::json;

/// Calls with one nonce: it lives for a minute at least.
const PER_NONCE: usize = 500;

/// What a decision about a call costs, asked by the gate before the tool, with a proof that serves once.
pub async fn measure(scene: &Scene<'_>, agents: usize, each: usize) -> Cost {
    let mut all = Vec::new();
    for _ in 0..agents {
        let here = place();
        let raw = scene.raw(&here);
        let agent = Agent::new(scene, &here).await;
        let token = agent.robot.token(&raw, "read").await;
        all.push((agent, raw, token, scene.http(&here)));
    }
    let basic = &format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("gate:{}", SECRET.replace(' ', "+"))));
    let url = &scene.stage.issuer.join("/access/v1/evaluation").unwrap();
    let round = async |each: usize| {
        let lanes = all.iter().map(|(agent, raw, token, http)| async move {
            let (said, ath) = (claims(token), b64::encode(&mac::h(token.as_bytes())));
            let mut nonce = raw.nonce().await;
            for n in 0..each {
                if n % PER_NONCE == PER_NONCE - 1 {
                    nonce = raw.nonce().await;
                    health(&agent.laptop).await;
                }
                let proof = raw.proof(&agent.robot.dpop, "POST", "/", b"", |c| {
                    (c.htu, c.nonce, c.bd, c.ath) = (STOCK.to_owned(), Some(nonce.clone()), None, Some(ath.clone()));
                });
                let question = json!({
                    "subject": {"type": "identity", "id": said["sub"], "properties": {"token": token, "dpop": proof, "url": STOCK}},
                    "action": {"name": "tools/call"},
                    "resource": {"type": "tool", "id": "stock.read", "properties": {"server": STOCK, "arguments": {"shelf": format!("A-{n}")}}},
                    "context": {"agent": said["client_id"]},
                });
                let told: serde_json::Value = http.ask(&Call::post(url.clone(), &question).unwrap().with("authorization", basic)).await.unwrap();
                assert_eq!(told["decision"], true, "{told}");
            }
        });
        together(lanes.collect::<Vec<_>>()).await;
    };
    round(each / 10).await;
    cost(scene.stage.pid().unwrap(), agents * each, round(each)).await.0
}

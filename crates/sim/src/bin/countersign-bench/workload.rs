//! Tokens for programs, without and with a proof by the key that they are bound to.

use super::process::{Cost, cost, together};
use countersign_device::Phone;
use countersign_device::http::{Call, Prover};
use countersign_sim::stage::{Robot, STOCK, Scene, place};
use serde_json::json;

/// What a token costs: bound to nothing, and bound to a key. Each workload shows an assertion by its own key.
pub async fn measure(scene: &Scene<'_>, robots: usize, each: usize) -> (Cost, Cost) {
    let (link, login) = scene.invitation("Halter").await;
    Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..robots {
        let robot = Robot::new();
        robot.register(scene.stage, &login, json!({"danger_allow_bearer": true})).unwrap();
        all.push((robot, scene.http(&place())));
    }
    let raw = &scene.raw(&place());
    let url = &scene.discovery.token_endpoint;
    let round = async |bound: bool, each: usize| {
        let lanes = all.iter().map(|(robot, http)| async move {
            for _ in 0..each {
                let assertion = robot.assertion(raw, &robot.key, |_| ());
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let mut pairs = vec![("grant_type", "client_credentials"), ("scope", "read"), ("resource", STOCK)];
                pairs.extend([("client_assertion_type", kind), ("client_assertion", assertion.as_str())]);
                let mut call = Call::form(url.clone(), &pairs);
                if bound {
                    call = call.proved(Prover::terminal(&robot.dpop));
                }
                let told: serde_json::Value = http.ask(&call).await.unwrap();
                assert_eq!(told["token_type"], if bound { "DPoP" } else { "Bearer" }, "{told}");
            }
        });
        together(lanes.collect::<Vec<_>>()).await;
    };
    let pid = scene.stage.pid().unwrap();
    round(false, each / 10).await;
    let (bare, ()) = cost(pid, robots * each, round(false, each)).await;
    round(true, each / 10).await;
    let (bound, ()) = cost(pid, robots * each, round(true, each)).await;
    (bare, bound)
}

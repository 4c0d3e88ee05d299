//! Workloads that act for people, and platforms that vouch for workloads (RFC 8693): A4, T7.

use super::stage;
use countersign_device::{Phone, SoftwareKey};
use countersign_device::oidc::Tokens;
use countersign_sim::stage::{ACCESS_TOKEN, EXCHANGE, Attempt, Reply, Robot, STOCK, Scene, Settings, Stage, claims, introspected, place, post};
use countersign_wire::b64;
use countersign_wire::jose::jws;
use serde_json::{Map, Value, json};

async fn owner(scene: &Scene<'_>) -> String {
    let (link, login) = scene.invitation("Halterin").await;
    Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
    login
}

async fn refused(scene: &Scene<'_>, reply: &Reply, error: &str, code: &str) {
    assert_eq!(reply.code(), error, "{}", reply.json());
    let said = reply.json()["error_description"].as_str().unwrap().to_owned();
    scene.recorded(said.strip_prefix("see ").unwrap(), code).await;
}

/// Somebody signs in at the shop, with these scopes.
async fn at_shop(scene: &Scene<'_>, phone: &Phone, scope: &str, here: &str) -> (Attempt, Tokens) {
    let attempt = scene.open("shop", scope, here).await;
    let redirect = scene.sign_in(phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    (attempt, tokens)
}

fn token(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a4_a_workload_acts_for_a_person_only_by_their_token_and_within_it() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let login = owner(&scene).await;
    let (helper, second, stranger) = (Robot::named("helper-a"), Robot::named("helper-b"), Robot::new());
    let more = json!({"audiences": [STOCK, "https://other.example", raw.origin()], "scopes": ["read", "write"]});
    let id = helper.register(scene.stage, &login, json!({"token_s": 120, "audiences": more["audiences"]})).unwrap();
    let second_id = second.register(scene.stage, &login, more.clone()).unwrap();
    stranger.register(scene.stage, &login, more).unwrap();
    let phone = scene.phone("Kundin", &here).await;
    let (attempt, tokens) = at_shop(&scene, &phone, "openid profile read", &here).await;
    let own = claims(&tokens.access_token);
    // It says for whom, by whom and where from; it is bound to the workload's key and ends sooner.
    let reply = helper.exchange(&raw, &tokens.access_token, &[("scope", "read")]).await;
    let told = reply.json();
    assert_eq!((&told["issued_token_type"], &told["token_type"], &told["scope"]), (&json!(ACCESS_TOKEN), &json!("DPoP"), &json!("read")), "{told}");
    assert!(told.get("refresh_token").is_none() && told.get("id_token").is_none());
    let handed = token(&reply);
    let said = claims(&handed);
    assert_eq!(said["act"], json!({"sub": id, "client_id": "helper-a"}));
    assert_eq!((&said["sub"], &said["sid"], &said["aud"], &said["client_id"]), (&own["sub"], &own["sid"], &json!(STOCK), &json!("helper-a")));
    assert_eq!((&said["scope"], &said["chain"]), (&json!("read"), &json!([own["jti"]])));
    assert_eq!(said["cnf"]["jkt"], helper.dpop.public().thumbprint().as_str());
    assert!(said.get("workload").is_none());
    let exp = |c: &Value| c["exp"].as_i64().unwrap();
    assert!(exp(&said) <= exp(&own) && exp(&said) - said["iat"].as_i64().unwrap() <= 120, "{said}");
    let heard = introspected(&raw, "watch", &handed).await;
    assert_eq!((&heard["active"], &heard["act"]["sub"], &heard["scope"]), (&json!(true), &json!(id), &json!("read")));
    // What is not asked for by name is not handed on.
    let bare = helper.exchange(&raw, &tokens.access_token, &[]).await;
    assert_eq!(claims(&token(&bare))["scope"], "");
    // One more through whose hands it goes: nested, never wider, never longer.
    let further = token(&second.exchange(&raw, &handed, &[("scope", "read"), ("audience", STOCK)]).await);
    let said = claims(&further);
    assert_eq!(said["act"], json!({"sub": second_id, "client_id": "helper-b", "act": {"sub": id, "client_id": "helper-a"}}));
    assert_eq!(said["chain"], json!([own["jti"], claims(&handed)["jti"]]));
    assert!(exp(&said) <= exp(&claims(&handed)));
    assert_eq!(introspected(&raw, "watch", &further).await["active"], true);
    refused(&scene, &second.exchange(&raw, &token(&bare), &[("scope", "read")]).await, "invalid_scope", "denied").await;
    // Wider in no way.
    let subject = tokens.access_token.as_str();
    for (pairs, error, code) in [
        (vec![("scope", "write")], "invalid_scope", "denied"),
        (vec![("scope", "openid")], "invalid_scope", "denied"),
        (vec![("resource", "https://other.example")], "invalid_target", "denied"),
        (vec![("resource", &*raw.origin())], "invalid_target", "denied"),
        (vec![("resource", STOCK), ("audience", "https://other.example")], "invalid_target", "denied"),
        (vec![("authorization_details", "[{\"type\":\"payment\"}]")], "invalid_authorization_details", "denied"),
        (vec![("requested_token_type", "urn:ietf:params:oauth:token-type:id_token")], "invalid_request", "malformed"),
        (vec![("actor_token", "x"), ("actor_token_type", ACCESS_TOKEN)], "invalid_request", "bad_proof"),
        (vec![("actor_token", subject), ("actor_token_type", ACCESS_TOKEN)], "invalid_request", "bad_proof"),
    ] {
        refused(&scene, &helper.exchange(&raw, subject, &pairs).await, error, code).await;
    }
    // Nobody whom the shop does not name, nothing without a key, no actor but oneself.
    refused(&scene, &stranger.exchange(&raw, subject, &[]).await, "unauthorized_client", "denied").await;
    let form = helper.form(&raw, &[("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)]);
    refused(&scene, &post(&raw, "/token", None, form).await, "invalid_dpop_proof", "bad_proof").await;
    let reply = second.ask(&raw, &[("resource", STOCK)]).await;
    let of_second = token(&reply);
    let actor = |t: &'static str| [("actor_token_type", ACCESS_TOKEN), ("scope", t)];
    let pairs = [&[("actor_token", of_second.as_str())][..], &actor("read")].concat();
    refused(&scene, &helper.exchange(&raw, subject, &pairs).await, "invalid_request", "bad_proof").await;
    assert_eq!(second.exchange(&raw, subject, &pairs).await.status, 200, "its own may come along");
    // Not even where it is bound to the key that is proved.
    let body = second.form(&raw, &[("grant_type", "client_credentials"), ("resource", STOCK)]);
    let lent = token(&post(&raw, "/token", Some(&helper.dpop), body).await);
    let pairs = [&[("actor_token", lent.as_str())][..], &actor("read")].concat();
    refused(&scene, &helper.exchange(&raw, subject, &pairs).await, "invalid_request", "bad_proof").await;
    // It opens nothing of the server's own.
    let nonce = raw.nonce().await;
    let proof = raw.proof(&helper.dpop, "GET", "/userinfo", b"", |c| {
        (c.bd, c.ath, c.nonce) = (None, Some(countersign_wire::b64::encode(&countersign_wire::mac::h(handed.as_bytes()))), Some(nonce));
    });
    let headers = [("dpop", proof), ("authorization", format!("DPoP {handed}"))];
    assert_eq!(raw.send("GET", "/userinfo", &headers, vec![]).await.status, 401);
    // One chain in the log, from the sign-in on.
    let log = scene.log().await;
    let line = log.iter().find(|l| l.kind == "tokens.exchanged" && l.body["facts"]["token"] == claims(&further)["jti"]).unwrap();
    let first = log.iter().find(|l| l.kind == "tokens.issued" && l.body["facts"]["token"] == own["jti"]).unwrap();
    assert_eq!(line.txn, first.txn);
    assert_eq!((&line.body["person"], &line.body["facts"]["workload"], &line.body["facts"]["depth"]), (&own["sub"], &json!(second_id), &json!(2)));
    assert!(line.body["device"].is_string() && line.body["session"] == own["sid"], "{}", line.text);
    // The session is not over, and its own token works as before.
    assert!(scene.works(&attempt, &tokens).await);
}

#[tokio::test]
async fn a4_what_was_handed_on_ends_with_whatever_it_came_from() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let login = owner(&scene).await;
    let (helper, second) = (Robot::named("helper-c"), Robot::named("helper-d"));
    helper.register(scene.stage, &login, json!({})).unwrap();
    second.register(scene.stage, &login, json!({})).unwrap();
    let phone = scene.phone("Kunde", &here).await;
    let counts = async |t: &str| introspected(&raw, "watch", t).await["active"] == true;
    let chain = async |subject: &str| {
        let one = token(&helper.exchange(&raw, subject, &[("scope", "read")]).await);
        let two = token(&second.exchange(&raw, &one, &[("scope", "read")]).await);
        assert!(counts(&one).await && counts(&two).await);
        (one, two)
    };
    let (attempt, tokens) = at_shop(&scene, &phone, "openid read", &here).await;
    // The middle one is given back: what came of it ends, what it came from does not.
    let (one, two) = chain(&tokens.access_token).await;
    let second_cannot = post(&raw, "/revoke", None, second.form(&raw, &[("token", &one)])).await;
    assert_eq!(second_cannot.status, 200);
    assert!(counts(&one).await, "it is not the second's to give back");
    assert_eq!(post(&raw, "/revoke", None, helper.form(&raw, &[("token", &one)])).await.status, 200);
    assert!(!counts(&one).await && !counts(&two).await && counts(&tokens.access_token).await);
    refused(&scene, &second.exchange(&raw, &one, &[]).await, "invalid_request", "gone").await;
    // A key of the first goes: its tokens and what came of them.
    let (one, two) = chain(&tokens.access_token).await;
    let anew = Robot::named("helper-c");
    anew.register(scene.stage, &login, json!({})).unwrap();
    assert!(!counts(&one).await && !counts(&two).await);
    let helper = anew;
    let one = token(&helper.exchange(&raw, &tokens.access_token, &[("scope", "read")]).await);
    let two = token(&second.exchange(&raw, &one, &[("scope", "read")]).await);
    // Its owner is stopped, and may act again.
    scene.stage.command(&["person", "lock", &login]).unwrap();
    assert!(!counts(&one).await && !counts(&two).await && counts(&tokens.access_token).await);
    refused(&scene, &helper.exchange(&raw, &tokens.access_token, &[]).await, "unauthorized_client", "denied").await;
    scene.stage.command(&["person", "unlock", &login]).unwrap();
    assert!(counts(&one).await && counts(&two).await);
    // The person's own is given back: everything that came of it, made before or after.
    assert_eq!(post(&raw, "/revoke", None, format!("client_id=shop&token={}", tokens.access_token).into_bytes()).await.status, 200);
    assert!(!counts(&one).await && !counts(&two).await);
    refused(&scene, &helper.exchange(&raw, &tokens.access_token, &[]).await, "invalid_request", "gone").await;
    drop(attempt);
    // The session ends on the phone.
    let (_, tokens) = at_shop(&scene, &phone, "openid read", &here).await;
    let one = token(&helper.exchange(&raw, &tokens.access_token, &[("scope", "read")]).await);
    phone.end_all().await.unwrap();
    assert!(!counts(&one).await);
    refused(&scene, &helper.exchange(&raw, &tokens.access_token, &[]).await, "invalid_request", "gone").await;
    // The phone is lost, between the handing on and the next question.
    let (_, tokens) = at_shop(&scene, &phone, "openid read", &here).await;
    let one = token(&helper.exchange(&raw, &tokens.access_token, &[("scope", "read")]).await);
    scene.stage.command(&["device", "revoke", phone.kept().device_id.as_str()]).unwrap();
    assert!(!counts(&one).await);
    let late = helper.exchange(&raw, &tokens.access_token, &[]).await;
    assert_eq!(late.code(), "invalid_request", "{}", late.json());
}

/// A cluster that signs tokens for what it runs.
struct Cluster {
    key: SoftwareKey,
}

const CLUSTER: &str = "https://cluster.example";

impl Cluster {
    fn says(&self, by: &SoftwareKey, spoil: impl FnOnce(&mut Value), raw: &str) -> String {
        let now = countersign_device::machine::now().seconds();
        let mut claims = json!({
            "iss": CLUSTER, "aud": raw, "sub": "system:serviceaccount:shop:sync", "iat": now, "exp": now + 600,
            "kubernetes.io": {"namespace": "shop"}, "jti": countersign_device::machine::name().unwrap(),
        });
        spoil(&mut claims);
        jws::encode(Map::new(), claims.to_string().as_bytes(), by).unwrap()
    }
}

/// The order of P-256 (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9,
    0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same JWS with n − s for s, which whoever sees it can make.
fn twin(jws: &str) -> String {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let mut signature = b64::decode(signature).unwrap();
    let mut borrow = 0;
    for (s, n) in signature[32..].iter_mut().zip(ORDER).rev() {
        let left = i16::from(n) - i16::from(*s) - borrow;
        (*s, borrow) = (left.rem_euclid(256) as u8, i16::from(left < 0));
    }
    format!("{signed}.{}", b64::encode(&signature))
}

#[tokio::test]
async fn t7_a_platform_vouches_for_its_own_workload_and_one_key_alone() {
    let cluster = Cluster { key: SoftwareKey::generate().unwrap() };
    let keys = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(keys.path(), json!({"keys": [cluster.key.public().members()]}).to_string()).unwrap();
    let more = format!(
        "[[platforms]]\nid = \"cluster\"\nissuer = \"{CLUSTER}\"\njwks_file = \"{}\"\nalgs = [\"ES256\"]\n\
         [[platforms.workloads]]\nworkload = \"sync\"\nclaims = {{ sub = \"system:serviceaccount:shop:sync\", \"/kubernetes.io/namespace\" = \"shop\" }}\n\
         [[platforms.workloads]]\nworkload = \"keyed\"\nclaims = {{ sub = \"system:serviceaccount:shop:keyed\" }}\n",
        keys.path().display()
    );
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let login = owner(&scene).await;
    let (sync, keyed) = (Robot::named("sync"), Robot::named("keyed"));
    sync.register(&stage, &login, json!({"keys": [], "platform": "cluster"})).unwrap();
    keyed.register(&stage, &login, json!({})).unwrap();
    assert!(Robot::new().register(&stage, &login, json!({"keys": []})).is_err(), "neither key nor platform");
    let form = |subject: &str, pairs: &[(&str, &str)]| {
        let all = [("grant_type", EXCHANGE), ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), ("subject_token", subject)];
        let mut url = url::Url::parse("x:/").unwrap();
        url.query_pairs_mut().extend_pairs(all.iter().chain(pairs));
        url.query().unwrap().as_bytes().to_vec()
    };
    let origin = raw.origin();
    let good = cluster.says(&cluster.key, |_| (), &origin);
    let reply = post(&raw, "/token", Some(&sync.dpop), form(&good, &[("scope", "read"), ("resource", STOCK)])).await;
    let said = claims(&token(&reply));
    assert_eq!((&said["client_id"], &said["aud"], &said["scope"]), (&json!("sync"), &json!(STOCK), &json!("read")));
    assert_eq!(said["cnf"]["jkt"], sync.dpop.public().thumbprint().as_str());
    assert!(said["workload"].is_object() && said.get("sid").is_none() && said.get("act").is_none());
    // As often as it lives, by the same key; never by another, not even after a restart.
    assert_eq!(post(&raw, "/token", Some(&sync.dpop), form(&good, &[])).await.status, 200);
    stage.restart().await;
    let thief = SoftwareKey::generate().unwrap();
    refused(&scene, &post(&raw, "/token", Some(&thief), form(&good, &[])).await, "invalid_request", "bad_proof").await;
    assert_eq!(post(&raw, "/token", Some(&sync.dpop), form(&good, &[])).await.status, 200);
    // A signature of ES256 has a twin that is as good: it makes no other token of it.
    let twin = twin(&good);
    assert_ne!(twin, good);
    refused(&scene, &post(&raw, "/token", Some(&thief), form(&twin, &[])).await, "invalid_request", "bad_proof").await;
    assert_eq!(post(&raw, "/token", Some(&sync.dpop), form(&twin, &[])).await.status, 200, "it is as good, by the key of its twin");
    refused(&scene, &post(&raw, "/token", None, form(&cluster.says(&cluster.key, |_| (), &origin), &[])).await, "invalid_dpop_proof", "bad_proof").await;
    // At one moment, one key wins.
    let raced = cluster.says(&cluster.key, |_| (), &origin);
    let (a, b) = (SoftwareKey::generate().unwrap(), SoftwareKey::generate().unwrap());
    let (a, b) = tokio::join!(post(&raw, "/token", Some(&a), form(&raced, &[])), post(&raw, "/token", Some(&b), form(&raced, &[])));
    assert_eq!([a.status, b.status].iter().filter(|s| **s == 200).count(), 1, "{} {}", a.json(), b.json());
    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil, &str, &str); 11] = [
        ("another account", |c| c["sub"] = json!("system:serviceaccount:shop:other"), "invalid_request", "denied"),
        ("another namespace", |c| c["kubernetes.io"]["namespace"] = json!("x"), "invalid_request", "denied"),
        ("a workload that does not name the platform", |c| c["sub"] = json!("system:serviceaccount:shop:keyed"), "invalid_request", "denied"),
        ("for somebody else", |c| c["aud"] = json!("https://other.example"), "invalid_request", "bad_proof"),
        ("for others, too", |c| c["aud"] = json!([c["aud"], "https://other.example"]), "invalid_request", "bad_proof"),
        ("another issuer", |c| c["iss"] = json!("https://other.example"), "invalid_request", "bad_proof"),
        ("ours as issuer", |c| c["iss"] = c["aud"].clone(), "invalid_request", "bad_proof"),
        ("run out", |c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 1), "invalid_request", "bad_proof"),
        ("for a year", |c| c["exp"] = json!(c["iat"].as_i64().unwrap() + 31_000_000), "invalid_request", "bad_proof"),
        ("from the future", |c| c["nbf"] = json!(c["iat"].as_i64().unwrap() + 600), "invalid_request", "bad_proof"),
        ("no end", |c| drop(c.as_object_mut().unwrap().remove("exp")), "invalid_request", "bad_proof"),
    ];
    for (what, spoil, error, code) in spoils {
        let reply = post(&raw, "/token", Some(&sync.dpop), form(&cluster.says(&cluster.key, spoil, &origin), &[])).await;
        assert_eq!(reply.code(), error, "{what}");
        refused(&scene, &reply, error, code).await;
    }
    let forged = cluster.says(&thief, |_| (), &origin);
    refused(&scene, &post(&raw, "/token", Some(&sync.dpop), form(&forged, &[])).await, "invalid_request", "bad_proof").await;
    let fresh = || cluster.says(&cluster.key, |_| (), &origin);
    refused(&scene, &post(&raw, "/token", Some(&sync.dpop), form(&fresh(), &[("client_id", "keyed")])).await, "invalid_request", "denied").await;
    refused(&scene, &post(&raw, "/token", Some(&sync.dpop), form(&fresh(), &[("scope", "other")])).await, "invalid_scope", "denied").await;
    refused(&scene, &post(&raw, "/token", Some(&sync.dpop), form(&fresh(), &[("client_secret", "x")])).await, "invalid_request", "malformed").await;
    // By no other way, since it has no key; and not once it ended.
    refused(&scene, &sync.ask(&raw, &[]).await, "invalid_client", "bad_proof").await;
    stage.command(&["workload", "end", "sync"]).unwrap();
    refused(&scene, &post(&raw, "/token", Some(&sync.dpop), form(&good, &[])).await, "invalid_request", "denied").await;
}

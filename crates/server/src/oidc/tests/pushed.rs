//! Requests that a client pushes or signs, and answers that are signed or sent as a form.

use super::text;
use super::world::{Answer, CB, CHALLENGE, ISSUER, Key, T0, World, client, form};
use crate::app::sessions;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_wire::jose::{Signer as _, jws};
use countersign_wire::{b64, mac};
use serde_json::{Map, Value, json};

async fn world(signer: &Key) -> World {
    let keys = json!([signer.public().members()]);
    let secret = json!({"auth": "client_secret_basic", "secret_hash": b64::encode(&mac::h(b"secret"))});
    World::new(vec![
        client("till", json!({"keys": keys.clone()})),
        client("other", json!({"keys": keys})),
        client("pushes", json!({"require_pushed_authorization_requests": true})),
        client("signs", json!({"require_signed_request_object": true, "keys": [signer.public().members()]})),
        client("secret", secret),
    ])
    .await
}
fn wanted<'a>(client: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("client_id", client),
        ("redirect_uri", CB),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "s 1"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    all.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
    all.extend(more);
    all
}
async fn push(w: &World, client: &str, more: &[(&str, &str)]) -> Answer {
    w.send("POST", "/par", &[], &form(&wanted(client, more))).await
}
async fn authorize(w: &World, pairs: &[(&str, &str)]) -> Answer {
    w.send("GET", &format!("/authorize?{}", form(pairs)), &[], "").await
}
async fn bring(w: &World, client: &str, uri: &str) -> Answer {
    authorize(w, &[("client_id", client), ("request_uri", uri)]).await
}
fn flow(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("location").strip_prefix("/sign-in/").unwrap_or_else(|| panic!("{}", answer.header("location"))).to_owned()
}
fn error(answer: &Answer) -> Option<String> {
    let to = answer.header("location");
    let (_, query) = to.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == "error").map(|(_, v)| v.into_owned())
}

#[tokio::test]
async fn a_pushed_request_has_a_name_that_works_once_for_its_client() {
    let w = world(&Key::new()).await;
    let answer = push(&w, "till", &[]).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    assert_eq!(told["expires_in"].as_i64(), Some(60));
    let uri = text(&told, "request_uri");
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"));
    // Another client, another secret, another name: nothing, and it stays.
    let guess = format!("{}{}", &uri[..uri.len() - 43], "A".repeat(43));
    for (who, name) in [("other", uri.clone()), ("till", guess), ("till", "urn:x".into()), ("till", "https://till.example/r".into())] {
        let refused = bring(&w, who, &name).await;
        assert_eq!((refused.status.as_u16(), refused.header("location").as_str()), (400, ""), "{who} {name}");
    }
    // What stands beside the name does not count.
    let beside = [("client_id", "till"), ("request_uri", &uri), ("scope", "admin"), ("redirect_uri", "https://evil.example"), ("state", "x")];
    let kept = w.request(&flow(&authorize(&w, &beside).await)).await;
    assert_eq!((kept.state.as_str(), kept.facts.state.as_deref()), ("open", Some("s 1")));
    assert_eq!((kept.facts.redirect_uri.as_str(), &kept.facts.scopes[..]), (CB, &["openid".to_owned(), "profile".to_owned()][..]));
    assert_eq!(bring(&w, "till", &uri).await.status, 400, "a name works once");
    let log = w.log().await;
    assert!(log.contains(&Kind::RequestPushed.as_str().to_owned()) && log.contains(&Kind::RequestAccepted.as_str().to_owned()));
}

#[tokio::test]
async fn a_name_dies_after_a_minute_and_of_two_browsers_one_has_it() {
    let w = world(&Key::new()).await;
    let late = text(&push(&w, "till", &[]).await.json(), "request_uri");
    w.later(60);
    assert_eq!(bring(&w, "till", &late).await.status, 400);
    let uri = text(&push(&w, "till", &[]).await.json(), "request_uri");
    let all = futures_util::future::join_all((0..10).map(|_| bring(&w, "till", &uri))).await;
    assert_eq!(all.iter().filter(|a| a.status == 303).count(), 1);
}

#[tokio::test]
async fn a_name_that_its_own_browser_brings_again_leads_to_the_same_page_until_it_is_answered() {
    let w = world(&Key::new()).await;
    let uri = text(&push(&w, "till", &[]).await.json(), "request_uri");
    let first = bring(&w, "till", &uri).await;
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let events = w.log().await.len();
    let again = async |client: &str, cookie: &str| {
        let query = form(&[("client_id", client), ("request_uri", &uri)]);
        w.send("GET", &format!("/authorize?{query}"), &[("cookie", cookie)], "").await
    };
    assert_eq!(flow(&again("till", &cookie).await), flow(&first));
    assert_eq!(w.log().await.len(), events, "a reload changes nothing");
    assert_eq!(again("other", &cookie).await.status, 400);
    assert_eq!(again("till", "__Host-cs_b=another").await.status, 400);
    w.later(countersign_trust::limits::BROWSER_S);
    assert_eq!(again("till", &cookie).await.status, 400);
}

#[tokio::test]
async fn what_is_wrong_with_a_pushed_request_is_said_to_the_client_itself() {
    let w = world(&Key::new()).await;
    for (more, status, error) in [
        (&[("redirect_uri", "https://till.example/other")][..], 400, "invalid_request"),
        (&[("request_uri", "urn:ietf:params:oauth:request_uri:x")], 400, "invalid_request"),
        (&[("request", "e30.e30.")], 400, "invalid_request_object"),
        (&[("response_type", "token")], 400, "unsupported_response_type"),
        (&[("code_challenge_method", "plain")], 400, "invalid_request"),
        (&[("scope", "\"")], 400, "invalid_scope"),
        (&[("client_id", "nobody")], 401, "invalid_client"),
        (&[("client_id", "secret")], 401, "invalid_client"),
        (&[("client_id", "signs")], 400, "invalid_request"),
    ] {
        let answer = push(&w, "till", more).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, error), "{more:?}");
    }
    let basic = format!("Basic {}", "c2VjcmV0OnNlY3JldA==");
    let answer = w.send("POST", "/par", &[("authorization", &basic)], &form(&wanted("secret", &[]))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(push(&w, "pushes", &[]).await.status, 201);
    let plain = authorize(&w, &wanted("pushes", &[])).await;
    assert_eq!(error_of(&plain), "invalid_request");
    let everywhere = World::with(vec![client("till", json!({}))], "require_pushed_authorization_requests = true").await;
    assert_eq!(error_of(&authorize(&everywhere, &wanted("till", &[])).await), "invalid_request");
    let document = everywhere.send("GET", "/.well-known/openid-configuration", &[], "").await.json();
    assert_eq!(document["require_pushed_authorization_requests"].as_bool(), Some(true));
}
fn error_of(answer: &Answer) -> String {
    error(answer).unwrap_or_else(|| panic!("{} {}", answer.status, answer.text))
}

#[tokio::test]
async fn a_key_shown_with_a_pushed_request_is_the_one_its_code_serves() {
    let (w, key) = (world(&Key::new()).await, Key::new());
    let jkt = key.public().thumbprint();
    let proof = w.proof(&key, "POST", "/par", None);
    let body = form(&wanted("till", &[]));
    let pushed = w.send("POST", "/par", &[("dpop", &proof)], &body).await;
    assert!(pushed.status == 201 && !pushed.header("dpop-nonce").is_empty(), "{}", pushed.text);
    let kept = w.request(&flow(&bring(&w, "till", &text(&pushed.json(), "request_uri")).await)).await;
    assert_eq!(kept.facts.dpop_jkt.as_deref(), Some(jkt.as_str()));
    assert_eq!(w.send("POST", "/par", &[("dpop", &proof)], &body).await.error(), "invalid_dpop_proof", "a proof works once");
    let stale = w.proof_with(&key, "POST", "/par", None, None);
    assert_eq!(w.send("POST", "/par", &[("dpop", &stale)], &body).await.error(), "use_dpop_nonce");
    let elsewhere = w.proof(&key, "POST", "/token", None);
    assert_eq!(w.send("POST", "/par", &[("dpop", &elsewhere)], &body).await.error(), "invalid_dpop_proof");
    let named = Key::new().public().thumbprint();
    let two = w.post("/par", &key, &wanted("till", &[("dpop_jkt", named.as_str())])).await;
    assert_eq!(two.error(), "invalid_dpop_proof", "two keys");
}

/// A request object, spoilt by `change`.
fn object(key: &Key, change: impl FnOnce(&mut Map<String, Value>, &mut Map<String, Value>)) -> String {
    let mut claims: Map<String, Value> = wanted("till", &[]).into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
    claims.extend([
        ("iss".to_owned(), json!("till")),
        ("aud".to_owned(), json!(ISSUER)),
        ("exp".to_owned(), json!(T0.seconds() + 300)),
        ("nbf".to_owned(), json!(T0.seconds())),
        ("max_age".to_owned(), json!(60)),
        ("login_hint".to_owned(), Value::Null),
    ]);
    let mut header = Map::new();
    header.insert("typ".into(), "oauth-authz-req+jwt".into());
    change(&mut header, &mut claims);
    jws::encode(header, Value::Object(claims).to_string().as_bytes(), key).unwrap()
}

#[tokio::test]
async fn a_signed_request_counts_alone_and_only_whole() {
    let key = Key::new();
    let w = world(&key).await;
    let good = object(&key, |_, _| ());
    // Pushed, and in the address; with other parameters beside it.
    let beside = [("client_id", "till"), ("request", &good), ("scope", "openid"), ("state", "other"), ("redirect_uri", "https://evil.example")];
    let pushed = w.send("POST", "/par", &[], &form(&beside)).await;
    let by_name = flow(&bring(&w, "till", &text(&pushed.json(), "request_uri")).await);
    let by_address = flow(&authorize(&w, &beside).await);
    for id in [by_name, by_address] {
        let f = w.request(&id).await.facts;
        assert_eq!((f.state.as_deref(), f.redirect_uri.as_str(), f.max_age_s), (Some("s 1"), CB, Some(60)));
        assert_eq!(f.scopes, ["openid", "profile"]);
    }
    type Spoil = fn(&mut Map<String, Value>, &mut Map<String, Value>);
    let spoils: Vec<(&str, Spoil)> = vec![
        ("another issuer", |_, c| drop(c.insert("iss".into(), json!("other")))),
        ("another client", |_, c| drop(c.insert("client_id".into(), json!("other")))),
        ("no client", |_, c| drop(c.remove("client_id"))),
        ("another audience", |_, c| drop(c.insert("aud".into(), json!("https://elsewhere.example")))),
        ("no audience", |_, c| drop(c.remove("aud"))),
        ("expired", |_, c| drop(c.insert("exp".into(), json!(T0.seconds())))),
        ("no expiry", |_, c| drop(c.remove("exp"))),
        ("too long a life", |_, c| drop(c.insert("exp".into(), json!(T0.seconds() + 3_601)))),
        ("from the future", |_, c| drop(c.insert("nbf".into(), json!(T0.seconds() + 11)))),
        ("a subject", |_, c| drop(c.insert("sub".into(), json!("till")))),
        ("one inside", |_, c| drop(c.insert("request".into(), json!("e30.e30.")))),
        ("a name inside", |_, c| drop(c.insert("request_uri".into(), json!("urn:x")))),
        ("another kind", |h, _| drop(h.insert("typ".into(), json!("dpop+jwt")))),
        ("critical", |h, _| drop(h.insert("crit".into(), json!(["x"])))),
    ];
    let mut bad: Vec<(&str, String)> = spoils.into_iter().map(|(what, spoil)| (what, object(&key, spoil))).collect();
    bad.push(("another key", object(&Key::new(), |_, _| ())));
    let parts: Vec<&str> = good.split('.').collect();
    let none = b64::encode(br#"{"alg":"none"}"#);
    bad.push(("unsigned", format!("{none}.{}.", parts[1])));
    let wider = b64::encode(&String::from_utf8(b64::decode(parts[1]).unwrap()).unwrap().replace("openid profile", "openid admin").into_bytes());
    bad.push(("changed", format!("{}.{wider}.{}", parts[0], parts[2])));
    for (what, object) in bad {
        let pairs = [("client_id", "till"), ("request", object.as_str())];
        let pushed = w.send("POST", "/par", &[], &form(&pairs)).await;
        assert_eq!((pushed.status.as_u16(), pushed.error().as_str()), (400, "invalid_request_object"), "{what}");
        let asked = authorize(&w, &pairs).await;
        assert_eq!((asked.status.as_u16(), asked.header("location").as_str()), (400, ""), "{what}");
    }
    // Where a client must sign, plain parameters are not enough.
    assert_eq!(error_of(&authorize(&w, &wanted("signs", &[])).await), "invalid_request");
    let signed = object(&key, |_, c| c.extend([("iss".into(), json!("signs")), ("client_id".into(), json!("signs"))]));
    flow(&authorize(&w, &[("client_id", "signs"), ("request", &signed)]).await);
    assert_eq!(key.alg().as_str(), "ES256");
}

/// What a browser takes back for a request, after a sign-in and after a cancellation.
async fn answers(w: &World, mode: &str) -> (String, String) {
    let mut out = Vec::new();
    for cancel in [false, true] {
        let arrived = authorize(w, &wanted("till", &[("response_mode", mode)])).await;
        let cookie = arrived.header("set-cookie")["__Host-cs_b=".len()..][..43].to_owned();
        let request = w.request(&flow(&arrived)).await;
        let (app, now) = (&w.app, w.app.now());
        out.push(if cancel {
            let ctx = crate::app::Context::new(app, [127, 0, 0, 1].into(), "test".into());
            sessions::cancel(app, &ctx, request.facts.id.as_str(), &cookie).await.unwrap().next
        } else {
            let vetoes = crate::app::issue::Vetoes::of(app, &w.live().await, Some(&request.facts.client), now).await.unwrap();
            let (next, writes, event) = sessions::code(app, &request, None, &vetoes, now).unwrap();
            let mut commit = Commit::new(event);
            commit.writes(writes);
            app.commit(commit).await.unwrap();
            next
        });
    }
    (out.remove(0), out.remove(0))
}
fn fields(text: &str) -> Map<String, Value> {
    form_urlencoded::parse(text.as_bytes()).map(|(n, v)| (n.into_owned(), v.into_owned().into())).collect()
}

#[tokio::test]
async fn an_answer_goes_back_as_it_was_asked_for() {
    let w = world(&Key::new()).await;
    for mode in ["query", "form_post", "jwt", "query.jwt", "form_post.jwt"] {
        let (code, cancelled) = answers(&w, mode).await;
        for (url, name) in [(code, "code"), (cancelled, "error")] {
            let as_form = mode.starts_with("form_post");
            let sent = match as_form {
                true => {
                    let (page, sent) = url.split_once('#').unwrap();
                    let page = page.strip_prefix(ISSUER).unwrap();
                    let shown = w.send("GET", page, &[], "").await;
                    assert!(shown.status == 200 && shown.text.contains(&format!("action=\"{CB}\"")), "{}", shown.text);
                    let policy = shown.header("content-security-policy");
                    assert!(policy.contains(&format!("form-action {CB};")) && policy.contains("script-src 'self'"), "{policy}");
                    assert!(!shown.text.contains("<script>"));
                    sent
                }
                false => url.strip_prefix(&format!("{CB}?")).unwrap(),
            };
            let mut all = fields(sent);
            if mode.ends_with("jwt") {
                assert_eq!(all.len(), 1);
                all = super::verified(&w, all["response"].as_str().unwrap()).as_object().unwrap().clone();
                assert_eq!((all["aud"].as_str(), all["exp"].as_i64()), (Some("till"), Some(T0.seconds() + 120)));
            }
            assert_eq!((all["iss"].as_str(), all["state"].as_str()), (Some(ISSUER), Some("s 1")), "{mode}");
            assert!(all.contains_key(name), "{mode} {all:?}");
        }
    }
    // A request that is refused at once is answered in the same way.
    let refused = authorize(&w, &wanted("till", &[("response_mode", "form_post"), ("response_type", "token")])).await;
    assert_eq!(refused.status, 200);
    for part in ["value=\"unsupported_response_type\"", "name=\"state\" value=\"s 1\"", "name=\"iss\""] {
        assert!(refused.text.contains(part), "{part} in {}", refused.text);
    }
    let signed = authorize(&w, &wanted("till", &[("response_mode", "jwt"), ("response_type", "token")])).await;
    let response = fields(signed.header("location").split_once('?').unwrap().1);
    let claims = super::verified(&w, response["response"].as_str().unwrap());
    assert_eq!(text(&claims, "error"), "unsupported_response_type");
    // A signed answer is no ID token and no access token.
    let as_hint = w.send("GET", &format!("/logout?id_token_hint={}", response["response"].as_str().unwrap()), &[], "").await;
    assert_eq!(as_hint.status, 400);
    // The page of a request that is answered otherwise does not exist.
    let plain = w.request(&flow(&authorize(&w, &wanted("till", &[])).await)).await.facts.id;
    for path in [format!("/answer/{plain}"), "/answer/x".into(), format!("/answer/{}", w.session.id)] {
        assert_eq!(w.send("GET", &path, &[], "").await.status, 404);
    }
}

#[tokio::test]
async fn too_many_pushed_requests_are_refused() {
    let w = world(&Key::new()).await;
    let count = countersign_store::sql::Counter::new("par/client", "till", 60, 1_000_000, w.app.now());
    let mut commit = Commit::new(w.app.event(Kind::RequestPushed, &w.app.txn(T0), T0));
    commit.writes((0..600).map(|_| Write::tallied(&count)));
    w.app.commit(commit).await.unwrap();
    assert_eq!(push(&w, "till", &[]).await.status, 429);
    assert_eq!(push(&w, "other", &[]).await.status, 201);
}

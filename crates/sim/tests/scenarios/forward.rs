//! T5 and T9 for an application that knows nothing of us: nginx asks about every request, by the very file
//! that `deploy/` ships.

use countersign_device::SoftwareKey;
use countersign_device::terminal::Arrival;
use countersign_sim::stage::{Raw, Reply, Scene, Settings, Stage, place, until};
use countersign_wire::{b64, mac};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use url::Url;

const SHIPPED: &str = include_str!("../../../../deploy/forward-auth.conf");

/// Debian keeps it where only administrators look.
fn nginx() -> Option<&'static str> {
    ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|p| Path::new(p).is_file())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A house: Countersign, an application that tells who it was called as, and nginx in front of it.
struct House {
    stage: Stage,
    address: String,
    nginx: Child,
    _dir: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

impl House {
    async fn build() -> Option<House> {
        let Some(program) = nginx() else {
            use std::io::Write as _;
            let _ = std::io::stderr().write_all(b"skipped: forward-auth behind nginx: nginx is not installed\n");
            return None;
        };
        let port = free_port();
        let address = format!("http://localhost:{port}");
        let client = format!(
            "[[clients]]\nid = \"records\"\nname = \"Records\"\nredirect_uris = [\"{address}/forward-auth/arrived\", \"http://127.0.0.1/cb\"]\n\
             audience = \"{address}\"\nscopes = [\"profile\", \"refund\"]\n\
             [[clients]]\nid = \"elsewhere\"\nname = \"Elsewhere\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\naudience = \"https://elsewhere.example\"\n"
        );
        let stage = Stage::set(Settings { more: client, ..Settings::default() }).await;
        stage.enrol_administrator().await;
        // The application: it says whom it was told that it serves.
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = socket.local_addr().unwrap();
        let tell = |headers: axum::http::HeaderMap| async move {
            let said = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
            format!("{}|{}|{}|{}", said("countersign-subject"), said("countersign-client"), said("countersign-scopes"), said("countersign-acr"))
        };
        tokio::spawn(async move { axum::serve(socket, axum::Router::new().fallback(tell)).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let text = SHIPPED
            .replace("listen 443 ssl http2;", &format!("listen 127.0.0.1:{port};"))
            .replace("server_name records.example.org;", "server_name localhost;")
            .replace("https://records.example.org", &address)
            .replace("127.0.0.1:7310", &format!("127.0.0.1:{}", stage.issuer.port().unwrap()))
            .replace("127.0.0.1:8080", &behind.to_string())
            // Players stand at places of their own, which this proxy believes as nobody should.
            .replace("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for");
        let kept: String = text.lines().filter(|l| !l.trim_start().starts_with("ssl_")).map(|l| format!("{l}\n")).collect();
        let at = dir.path().display();
        let places: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].iter().map(|n| format!("{n}_temp_path {at}/{n};\n")).collect();
        let whole = format!("pid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{kept}}}\n");
        std::fs::write(dir.path().join("nginx.conf"), whole).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf")).args(["-e", "stderr", "-g", "daemon off; master_process off;"]);
        let nginx = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // It ends with its house, whether it listens or not.
        let house = House { stage, address, nginx, _dir: dir };
        until("nginx", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        Some(house)
    }

    async fn get(&self, place: &str, path: &str, headers: &[(&str, String)]) -> Reply {
        let mut raw = self.stage.raw(place);
        raw.move_to(Url::parse(&self.address).unwrap());
        raw.send("GET", path, headers, vec![]).await
    }
}

fn location(reply: &Reply) -> String {
    reply.headers["location"].to_str().unwrap().to_owned()
}

/// The value of a cookie that was set.
fn cookie(reply: &Reply, name: &str) -> String {
    let lines = reply.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap());
    let line = lines.into_iter().find(|l| l.starts_with(&format!("{name}="))).unwrap_or_else(|| panic!("no {name}: {:?}", reply.headers));
    assert!(line.contains("HttpOnly") && line.contains("Secure") && line.contains("SameSite=Lax") && line.contains("Path=/"), "{line}");
    line.split(['=', ';']).nth(1).unwrap().to_owned()
}

/// A browser that wants `path` goes the whole way, with this phone: its pass, and where it was sent back to.
async fn enter(house: &House, scene: &Scene<'_>, phone: &countersign_device::Phone, here: &str, path: &str) -> (String, String, String) {
    let kept_out = house.get(here, path, &[]).await;
    assert_eq!(kept_out.status, 302, "{:?}", kept_out.headers);
    let to = location(&kept_out);
    assert_eq!(to, format!("{}/forward-auth/enter?to={path}", house.address));
    let entered = house.get(here, to.strip_prefix(&house.address).unwrap(), &[]).await;
    assert_eq!(entered.status, 303, "{}", String::from_utf8_lossy(&entered.body));
    let verifier = cookie(&entered, "__Host-cs_v");
    let terminal = scene.terminal(here);
    let Arrival::Flow(page) = terminal.arrive(&Url::parse(&location(&entered)).unwrap()).await.unwrap() else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    if let Some(digits) = checked.digits() {
        terminal.confirm(&ceremony, digits).await.unwrap();
    }
    phone.approve(&checked).await.unwrap();
    let reply = terminal.redeem(&ceremony).await.unwrap();
    let next = match reply.next {
        Some(next) => next,
        None => terminal.proceed(&ceremony).await.unwrap().next,
    };
    let back = next.strip_prefix(&house.address).unwrap().to_owned();
    // Without the browser's own verifier the code is worth nothing, and with it it is worth something once.
    let thief = house.get(here, &back, &[("cookie", format!("__Host-cs_v={}", "a".repeat(43)))]).await;
    assert_eq!(thief.status, 400);
    assert!(thief.headers.get("set-cookie").is_none());
    let arrived = house.get(here, &back, &[("cookie", format!("__Host-cs_v={verifier}"))]).await;
    assert_eq!(arrived.status, 303, "{}", String::from_utf8_lossy(&arrived.body));
    assert_eq!(house.get(here, &back, &[("cookie", format!("__Host-cs_v={verifier}"))]).await.status, 400, "a code serves once");
    (cookie(&arrived, "__Host-cs_p"), location(&arrived), verifier)
}

fn with_pass(pass: &str) -> Vec<(&'static str, String)> {
    vec![("cookie", format!("__Host-cs_p={pass}")), ("countersign-subject", "an administrator, honestly".to_owned())]
}

#[tokio::test]
async fn t5_a_pass_is_worth_nothing_on_another_network_or_for_another_application() {
    let Some(house) = House::build().await else { return };
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Archiv", &here).await;
    let (pass, back, verifier) = enter(&house, &scene, &phone, &here, "/all?page=2&sort=up").await;
    assert_eq!(back, "/all?page=2&sort=up");
    let served = house.get(&here, &back, &with_pass(&pass)).await;
    assert_eq!(served.status, 200);
    let told = String::from_utf8(served.body.clone()).unwrap();
    let person = phone.overview().await.unwrap();
    let parts: Vec<&str> = told.split('|').collect();
    assert_eq!((parts.len(), parts[1], parts[2], parts[3]), (4, "records", "openid", "urn:countersign:acr:xd2"), "{told}");
    assert!(parts[0].len() == 36 && !told.contains("honestly"), "{told}");
    drop(person);
    // Somewhere else, changed, cut, or shown for another client: nobody.
    let mut changed = pass.clone().into_bytes();
    changed[30] = if changed[30] == b'A' { b'B' } else { b'A' };
    for (what, at, cookie) in [
        ("another network", place(), pass.clone()), ("changed", here.clone(), String::from_utf8(changed).unwrap()),
        ("cut", here.clone(), pass[..40].to_owned()), ("empty", here.clone(), String::new()), ("the verifier", here.clone(), verifier),
    ] {
        assert_eq!(house.get(&at, "/all", &with_pass(&cookie)).await.status, 302, "{what}");
    }
    let twice = [("cookie", format!("__Host-cs_p={pass}; __Host-cs_p={pass}"))];
    assert_eq!(house.get(&here, "/all", &twice).await.status, 302, "a planted second cookie");
    let raw = scene.raw(&here);
    let ask = async |client: &str| {
        let headers = [("cookie", format!("__Host-cs_p={pass}")), ("x-original-url", format!("{}/all", house.address))];
        raw.send("GET", &format!("/forward-auth?client={client}"), &headers, vec![]).await.status
    };
    assert_eq!((ask("records").await, ask("till").await, ask("elsewhere").await), (200, 401, 401));
    // The session's own cookie, without its key, opens nothing: a sign-in page is all that there is.
    let stolen = [("cookie", format!("__Host-cs_s={}", "a".repeat(43)))];
    assert_eq!(house.get(&here, "/all", &stolen).await.status, 302);
    // Hosts that are not registered, and paths of others, lead nowhere.
    let headers = [("x-original-url", "https://evil.example/".to_owned())];
    assert_eq!(raw.send("GET", "/forward-auth/enter?client=records&to=/", &headers, vec![]).await.status, 400);
    let entered = house.get(&here, "/forward-auth/enter?to=//evil.example", &[]).await;
    assert!(location(&entered).contains("state=%2F&") || location(&entered).ends_with("state=%2F"), "{}", location(&entered));
    // It ends with the session, at the next request.
    phone.end_all().await.unwrap();
    assert_eq!(house.get(&here, "/all", &with_pass(&pass)).await.status, 302);
}

/// Asks with a token and a proof for `url`.
async fn shown(house: &House, raw: &Raw, here: &str, token: &str, key: &SoftwareKey, url: &str, nonce: Option<String>) -> (Reply, String) {
    let proof = raw.proof(key, "GET", "/", b"", |c| {
        c.htu = url.to_owned();
        (c.nonce, c.ath, c.bd) = (nonce, Some(b64::encode(&mac::h(token.as_bytes()))), None);
    });
    let headers = [("authorization", format!("DPoP {token}")), ("dpop", proof.clone())];
    (house.get(here, "/all?page=2", &headers).await, proof)
}

#[tokio::test]
async fn t5_a_token_opens_an_application_behind_nginx_by_its_key_once_and_there_alone() {
    let Some(house) = House::build().await else { return };
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Programm", &here).await;
    let attempt = scene.open("records", "openid", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let token = scene.tokens(&attempt, &redirect).await.unwrap().access_token;
    let (raw, key) = (scene.raw(&here), &attempt.terminal.key);
    let url = format!("{}/all", house.address);
    // A nonce is asked for, given while trust holds, and then it is good.
    let (asked, _) = shown(&house, &raw, &here, &token, key, &url, None).await;
    assert_eq!(asked.status, 401);
    assert!(asked.headers["www-authenticate"].to_str().unwrap().contains("use_dpop_nonce"), "{:?}", asked.headers);
    let nonce = asked.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let (served, proof) = shown(&house, &raw, &here, &token, key, &url, Some(nonce.clone())).await;
    assert_eq!(served.status, 200, "{:?}", served.headers);
    assert!(String::from_utf8_lossy(&served.body).contains("|records|openid|"));
    // Not again, not elsewhere, not by another key, not for another method, not without a proof.
    let again = [("authorization", format!("DPoP {token}")), ("dpop", proof)];
    let heard = house.get(&here, "/all?page=2", &again).await;
    assert_eq!(heard.status, 401);
    assert!(heard.headers["www-authenticate"].to_str().unwrap().contains("invalid_dpop_proof"));
    let thief = SoftwareKey::generate().unwrap();
    for (what, key, url) in [("another place", key, "https://evil.example/all".to_owned()), ("another path", key, format!("{}/other", house.address)), ("another key", &thief, url.clone())] {
        let (heard, _) = shown(&house, &raw, &here, &token, key, &url, Some(nonce.clone())).await;
        assert_eq!(heard.status, 401, "{what}");
        assert!(heard.headers.get("dpop-nonce").is_none(), "{what}: no nonce for who cannot use it");
    }
    for bare in [vec![("authorization", format!("DPoP {token}"))], vec![("authorization", format!("Bearer {token}"))], vec![("authorization", "Basic eDp5".to_owned())]] {
        assert_eq!(house.get(&here, "/all", &bare).await.status, 401);
    }
    // Not straight to the server by somebody who is no proxy of ours would be 403; a proxy that says nothing, too.
    assert_eq!(raw.send("GET", "/forward-auth?client=records", &[], vec![]).await.status, 403);
    // A scope that is missing is 403, a class that was not earned asks for a step up.
    let ask = async |more: &str| {
        let proof = raw.proof(key, "GET", "/", b"", |c| {
            c.htu.clone_from(&url);
            (c.nonce, c.ath, c.bd) = (Some(nonce.clone()), Some(b64::encode(&mac::h(token.as_bytes()))), None);
        });
        let headers = [("authorization", format!("DPoP {token}")), ("dpop", proof), ("x-original-url", url.clone()), ("x-original-method", "GET".into())];
        let reply = raw.send("GET", &format!("/forward-auth?audience={}{more}", house.address), &headers, vec![]).await;
        (reply.status, reply.headers.get("www-authenticate").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default())
    };
    assert_eq!(ask("").await.0, 200);
    let (status, why) = ask("&scope=refund").await;
    assert!(status == 403 && why.contains("insufficient_scope"), "{status} {why}");
    let (status, why) = ask("&acr=phr").await;
    assert!(status == 401 && why.contains("insufficient_user_authentication"), "{status} {why}");
    // When the session ends, there is neither a way through nor a nonce.
    phone.end_all().await.unwrap();
    for nonce in [Some(nonce), None] {
        let (heard, _) = shown(&house, &raw, &here, &token, key, &url, nonce).await;
        assert_eq!(heard.status, 401);
        assert!(heard.headers.get("dpop-nonce").is_none());
        assert!(heard.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    }
}

//! What a decision costs the server: its CPU time for one question over HTTP, one caller, with as many policies as asked for.
//!
//! The policies are of the shape that grows in practice: nearly all name a team and a folder, ten name nothing. Eleven
//! can apply to a question: the ten, and the one of its folder.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the monotonic clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::stage::{SECRET, Settings, Stage};
use countersign_device::keys::Folder;
use countersign_device::{Phone, Transport};
use countersign_trust::policy::access::{AccessSet, Ask, Sources, Thing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was measured with one number of policies.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Policies.
    pub policies: usize,
    /// CPU of the server for a question whose properties come along and are checked, µs.
    pub told_us: f64,
    /// The same where everything is stored.
    pub stored_us: f64,
    /// The same for an enrolled device of ours, live.
    pub live_us: f64,
    /// Wall time of a stored one, µs.
    pub wall_us: f64,
    /// The same question as `told_us` without HTTP, µs of this process.
    pub bare_us: f64,
    /// And with every policy evaluated, as Cedar alone would.
    pub plain_us: f64,
}

const SCHEMA: &str = "entity team; entity user in [team] = { grade: Long, live?: Countersign::Person };
    entity folder; entity paper in [folder] = { owner: user, level: Long, open: Bool };
    action view, edit appliesTo { principal: user, resource: paper, context: { hour?: Long } };";

fn rules(policies: usize) -> String {
    let mut text = String::from("@id(\"own\") permit (principal is user, action, resource is paper) when { resource.owner == principal };\n");
    for n in 0..9 {
        let _ = writeln!(text, "@id(\"night-{n}\") forbid (principal is user, action == Action::\"view\", resource is paper) when {{ context has hour && context.hour == {} && resource.level > {n} }};", 24 + n);
    }
    for n in 10..policies {
        let _ = writeln!(text, "@id(\"folder-{n}\") permit (principal in team::\"t{n}\", action == Action::\"view\", resource in folder::\"f{n}\") when {{ principal.grade >= resource.level || resource.open }};");
    }
    text
}

fn entities(policies: usize) -> String {
    let mut all = Vec::new();
    for n in 10..policies {
        all.push(json!({"type": "team", "id": format!("t{n}")}));
        all.push(json!({"type": "folder", "id": format!("f{n}")}));
        let parent = |kind: &str| json!([{"type": kind, "id": format!("{}{n}", &kind[..1])}]);
        all.push(json!({"type": "user", "id": format!("u{n}"), "properties": {"grade": 3}, "parents": parent("team")}));
        all.push(json!({"type": "paper", "id": format!("p{n}"), "properties": {"owner": {"type": "user", "id": "u10"}, "level": 2, "open": false}, "parents": parent("folder")}));
    }
    Value::Array(all).to_string()
}

/// User and kernel time of a process.
fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn ask(client: &reqwest::Client, stage: &Stage, body: &str) -> Value {
    let url = stage.issuer.join("/access/v1/evaluation").unwrap();
    let pair = STANDARD.encode(format!("desk:{SECRET}"));
    let request = client.post(url).header("authorization", format!("Basic {pair}")).header("content-type", "application/json");
    request.body(body.to_owned()).send().await.unwrap().json().await.unwrap()
}

/// CPU and wall time of one question, µs.
pub async fn cost(client: &reqwest::Client, stage: &Stage, body: &Value, expected: bool, questions: usize) -> (f64, f64) {
    let body = body.to_string();
    for _ in 0..questions / 10 {
        assert_eq!(ask(client, stage, &body).await["decision"], expected);
    }
    let (before, begun) = (cpu(stage.pid().unwrap()), Instant::now());
    for _ in 0..questions {
        ask(client, stage, &body).await;
    }
    let per = |time: Duration| time.as_secs_f64() * 1e6 / questions as f64;
    (per(cpu(stage.pid().unwrap()) - before), per(begun.elapsed()))
}

/// What the same question costs this process without a server: with candidates chosen, and with every policy evaluated.
fn alone(policies: usize, questions: usize) -> (f64, f64) {
    let file = |name: &str, text: String| vec![(name.to_owned(), text)];
    let sources = Sources { schemas: file("s", SCHEMA.to_owned()), policies: file("p", rules(policies)), entities: file("e", entities(policies)) };
    let set = AccessSet::compile(&sources).unwrap();
    let map = |value: Value| value.as_object().unwrap().clone();
    let (subject, resource, none) = (map(told()["subject"]["properties"].clone()), map(told()["resource"]["properties"].clone()), serde_json::Map::new());
    let context = map(json!({"hour": 9}));
    let thing = |kind, properties| Thing { kind, id: "new", properties, live: None };
    let ask = Ask { subject: thing("user", &subject), action: "view", action_properties: &none, resource: thing("paper", &resource), context: &context };
    let time = |decide: &dyn Fn() -> bool| {
        let own = std::process::id();
        assert!(decide());
        let before = cpu(own);
        for _ in 0..questions {
            decide();
        }
        (cpu(own) - before).as_secs_f64() * 1e6 / questions as f64
    };
    (time(&|| set.decide(&ask).allowed), time(&|| set.decide_by_all(&ask).allowed))
}

fn question(subject: Value, resource: Value) -> Value {
    json!({"subject": subject, "action": {"name": "view"}, "resource": resource, "context": {"hour": 9}})
}

/// About things that nobody wrote down: what is known of them comes along.
fn told() -> Value {
    question(
        json!({"type": "user", "id": "new", "properties": {"grade": 3, "unknown": "x"}}),
        json!({"type": "paper", "id": "new", "properties": {"owner": {"type": "user", "id": "new"}, "level": 2, "open": false}}),
    )
}

/// About an enrolled device of ours, judged by the rules for sessions.
pub fn live(device: &str) -> Value {
    json!({"subject": {"type": "device", "id": device}, "action": {"name": "continue"}, "resource": {"type": "client", "id": "till"}})
}

/// Measures a server of its own, on one core where one is named.
pub async fn measure(policies: usize, questions: usize, core: Option<usize>) -> Figures {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(Path::new(dir.path()).join(name), text).unwrap();
    put("a.cedarschema", SCHEMA);
    put("a.cedar", &rules(policies));
    put("a.json", &entities(policies));
    let stage = Stage::set(Settings { more: format!("access_policies = \"{}\"\n", dir.path().display()), core, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let stored = question(json!({"type": "user", "id": "u17"}), json!({"type": "paper", "id": "p17"}));
    // The administrator's own phone: what is measured may be of another day than this program, and its store not readable here.
    let folder = Folder::open(&stage.dir().join("administrator")).unwrap();
    let device = Phone::load(folder, Transport::new(false)).unwrap().kept().device_id.to_string();
    let (told_us, _) = cost(&client, &stage, &told(), true, questions).await;
    let (stored_us, wall_us) = cost(&client, &stage, &stored, true, questions).await;
    let (live_us, _) = cost(&client, &stage, &live(&device), true, questions).await;
    let (bare_us, plain_us) = alone(policies, questions);
    Figures { policies, told_us, stored_us, live_us, wall_us, bare_us, plain_us }
}

/// Measures with few and many policies, and prints a table.
pub async fn print(questions: usize) {
    println!("| decision over HTTP, CPU of the server | 20 policies | 1,000 | 10,000 |");
    println!("|---|---|---|---|");
    let mut all = Vec::new();
    for policies in [20, 1_000, 10_000] {
        all.push(measure(policies, questions, None).await);
    }
    let row = |what: &str, of: fn(&Figures) -> f64| println!("| {what} | {} |", all.iter().map(|f| format!("{:.0} µs", of(f))).collect::<Vec<_>>().join(" | "));
    row("properties come along, checked against the schema", |f| f.told_us);
    row("everything stored", |f| f.stored_us);
    row("an enrolled device, live, judged by the rules for sessions", |f| f.live_us);
    row("the first without HTTP", |f| f.bare_us);
    row("the first without HTTP, every policy evaluated", |f| f.plain_us);
    row("wall time of a stored one, one caller", |f| f.wall_us);
}

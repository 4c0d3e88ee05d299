//! What a device says of its own health, and its silence: A8, T1, T3, T6. The device program watches a
//! made-up machine here; the server is the real one.

use countersign_device::keys::Folder;
use countersign_device::oidc::Tokens;
use countersign_device::posture::Looking;
use countersign_device::posture::watch::{News, watch};
use countersign_device::{Fault, Phone};
use countersign_sim::stage::{Attempt, Scene, Settings, Stage, place, until};
use countersign_wire::dpop::NumericDate;
use countersign_wire::posture::{Confidence, Name, Report, Said, Why};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Two intervals of three seconds: short for a test, long for a busy machine.
const EVERY_S: u64 = 3;
const BOUND: Duration = Duration::from_secs(EVERY_S * 2 + 1);
/// What a busy machine may add, to the judging and to the asking.
const LATE: Duration = Duration::from_secs(5);

static STAGE: OnceLock<Stage> = OnceLock::new();

fn quick() -> Settings {
    Settings { more: format!("heartbeat_s = {EVERY_S}\npage_heartbeat_s = {EVERY_S}\nheartbeat_misses = 2\n"), ..Settings::default() }
}

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, quick)
}

/// A machine that does not exist.
struct Machine(tempfile::TempDir);

impl Machine {
    fn sound() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.put("proc/sys/kernel/osrelease", "6.1.0\n");
        machine.put("proc/sys/kernel/tainted", "0\n");
        machine.put("sys/class/tpm/tpm0/tpm_version_major", "2\n");
        machine
    }
    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    fn looking(&self) -> Looking {
        Looking { root: self.0.path().to_owned(), agents: Vec::new(), ask: |_| None, tpm: None }
    }
}

/// The watching program, in a task of this test.
struct Watching {
    task: tokio::task::JoinHandle<Result<(), Fault>>,
    news: Arc<Mutex<Vec<News>>>,
}

impl Watching {
    fn begin(phone: &Arc<Phone>, machine: &Machine) -> Watching {
        let (phone, looking) = (phone.clone(), machine.looking());
        let news: Arc<Mutex<Vec<News>>> = Arc::default();
        let heard = news.clone();
        let task = tokio::spawn(async move { watch(&phone, &looking, |n| heard.lock().unwrap().push(n)).await });
        Watching { task, news }
    }
    async fn until(&self, what: &str, found: impl Fn(&[News]) -> bool) {
        until(what, async || found(&self.news.lock().unwrap()).then_some(())).await;
    }
    async fn started(&self) {
        self.until("the first report", |n| n.iter().any(|n| matches!(n, News::Taken { why: Why::Start, .. }))).await;
    }
    fn stop(&self) -> Instant {
        self.task.abort();
        Instant::now()
    }
}

async fn phone(scene: &Scene<'_>, name: &str, here: &str) -> Arc<Phone> {
    Arc::new(scene.phone(name, here).await)
}

async fn ended_after(phone: &Phone, since: Instant) -> Duration {
    until("the end of its sessions", async || phone.overview().await.unwrap().sessions.is_empty().then(|| since.elapsed())).await
}

fn said(value: &str) -> Said {
    Said { value: value.into(), source: "test".into(), confidence: Confidence::Measured }
}

async fn report(phone: &Phone, n: i64) -> Report {
    let kept = phone.kept();
    Report {
        iss: kept.device_id,
        aud: kept.issuer,
        n,
        nonce: phone.posture().await.unwrap().nonce,
        iat: NumericDate(1),
        why: Why::Asked,
        beats: false,
        facts: [(Name::Os, said("linux"))].into(),
        evidence: Vec::new(),
    }
}

/// A person whose device reports, and a till they opened with it.
struct Watched {
    phone: Arc<Phone>,
    machine: Machine,
    watching: Watching,
    open: Attempt,
    tokens: Tokens,
}

async fn watched(scene: &Scene<'_>, name: &str, here: &str) -> Watched {
    let (phone, machine) = (phone(scene, name, here).await, Machine::sound());
    let watching = Watching::begin(&phone, &machine);
    watching.started().await;
    let open = scene.open_till(here).await;
    let redirect = scene.sign_in(&phone, &open).await;
    let tokens = scene.tokens(&open, &redirect).await.unwrap();
    Watched { phone, machine, watching, open, tokens }
}

async fn logged(scene: &Scene<'_>, like: impl Fn(&Value, &str) -> bool) -> Value {
    until("a line of the log", async || scene.log().await.into_iter().find(|l| like(&l.body, &l.kind))).await.body
}

#[tokio::test]
async fn a8_what_a_device_reports_is_kept_with_source_and_confidence_and_changes_are_in_the_log() {
    let scene = stage().scene().await;
    let phone = phone(&scene, "Bericht", &place()).await;
    let machine = Machine::sound();
    let nonce = phone.posture().await.unwrap().nonce;
    assert!(phone.report(&machine.looking().facts(), Why::Asked, false, &nonce).await.unwrap().changed);
    let view = phone.posture().await.unwrap();
    let fact = |name: &str| view.facts.iter().find(|f| f.name == name).map(|f| (f.value.as_str(), f.source.as_str(), f.confidence.as_str()));
    assert_eq!(fact("kernel"), Some(("6.1.0", "device", "measured")));
    assert_eq!(fact("tpm"), Some(("yes", "device", "measured")));
    assert_eq!(fact("rooted"), Some(("no", "device", "claimed")));
    assert_eq!(fact("disk_encrypted"), None, "unknown is not a fact");
    assert_eq!((view.n, view.beats), (1, false));
    // The same again changes nothing; a changed machine does, and is one line of the log.
    assert!(!phone.report(&machine.looking().facts(), Why::Asked, false, &view.nonce).await.unwrap().changed);
    machine.put("proc/sys/kernel/osrelease", "6.1.1\n");
    let nonce = phone.posture().await.unwrap().nonce;
    assert!(phone.report(&machine.looking().facts(), Why::Asked, false, &nonce).await.unwrap().changed);
    let device = phone.kept().device_id.to_string();
    let lines: Vec<_> = scene.log().await.into_iter().filter(|l| l.kind == "posture.changed" && l.body["device"] == device.as_str()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].body["facts"]["facts"], serde_json::json!(["kernel"]));
    assert!(!lines[1].text.contains("6.1.1"), "values stay out of the log");
}

#[tokio::test]
async fn t1_a_machine_whose_protections_were_removed_loses_what_it_opened_at_once() {
    let scene = stage().scene().await;
    let here = place();
    let Watched { phone, machine, watching, open, tokens } = watched(&scene, "Wurzel", &here).await;
    let pending = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &pending).await;
    machine.put("etc/ld.so.preload", "/usr/lib/hide.so\n");
    watching.until("the change", |n| n.iter().any(|n| matches!(n, News::Taken { why: Why::Change, changed: true, .. }))).await;
    assert!(!scene.works(&open, &tokens).await);
    ended_after(&phone, Instant::now()).await;
    scene.refused(phone.approve(&checked).await, "gone").await;
    watching.stop();
}

#[tokio::test]
async fn t3_access_ends_within_the_bound_after_the_last_word_and_not_before() {
    let scene = stage().scene().await;
    let here = place();
    let Watched { phone, machine, watching, open, tokens } = watched(&scene, "Stille", &here).await;
    // As long as it speaks nothing ends, for longer than the bound.
    let begun = Instant::now();
    while begun.elapsed() < BOUND + Duration::from_secs(1) {
        assert!(scene.works(&open, &tokens).await, "ended although it spoke");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let last = watching.stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(scene.works(&open, &tokens).await, "ended at once");
    let after = ended_after(&phone, last).await;
    eprintln!("ended {} ms after the program was stopped; the bound is {} ms after its last word", after.as_millis(), BOUND.as_millis());
    assert!(after <= BOUND + LATE, "{after:?}");
    assert!(after >= Duration::from_secs(EVERY_S), "an interval may pass between two words: {after:?}");
    assert!(!scene.works(&open, &tokens).await);
    let device = phone.kept().device_id.to_string();
    let ended = logged(&scene, |l, kind| kind == "session.ended" && l["device"] == device.as_str()).await;
    assert_eq!(ended["facts"]["why"], "gone-device");
    // Lowered before: it rested first.
    logged(&scene, |l, kind| kind == "signal.raised" && l["device"] == device.as_str() && l["facts"]["signal"] == "device.silent").await;
    // Nothing begins while it is silent; when it speaks, it does.
    let again = scene.open_till(&here).await;
    scene.refused(phone.scan(&[again.ceremony.frame()]).await, "denied").await;
    let watching = Watching::begin(&phone, &machine);
    watching.started().await;
    assert!(phone.posture().await.unwrap().signals.is_empty());
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
    watching.stop();
}

#[tokio::test]
async fn t3_whoever_promised_nothing_is_never_silent() {
    let scene = stage().scene().await;
    let here = place();
    let phone = phone(&scene, "Browser", &here).await;
    let nonce = phone.posture().await.unwrap().nonce;
    phone.report(&Machine::sound().looking().facts(), Why::Asked, false, &nonce).await.unwrap();
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
    tokio::time::sleep(BOUND + Duration::from_secs(1)).await;
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
}

#[tokio::test]
async fn t3_a_restart_of_the_server_and_a_wrong_clock_end_nothing_that_speaks() {
    let stage = Stage::set(quick()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (speaks, falls) = (phone(&scene, "Spricht", &here).await, phone(&scene, "Schweigt", &here).await);
    let machine = Machine::sound();
    let (watching, other) = (Watching::begin(&speaks, &machine), Watching::begin(&falls, &machine));
    watching.started().await;
    other.started().await;
    scene.sign_in(&speaks, &scene.open_till(&here).await).await;
    scene.sign_in(&falls, &scene.open_till(&here).await).await;
    // A clock a day ahead on the device means nothing: only the server's counts.
    let mut ahead = report(&speaks, speaks.next_report().unwrap()).await;
    ahead.iat = NumericDate(countersign_device::machine::now().seconds() + 86_400);
    ahead.facts = machine.looking().facts();
    speaks.send_report(&ahead).await.unwrap();
    // Down for longer than the whole span, while one goes silent for good.
    stage.kill();
    other.stop();
    tokio::time::sleep(BOUND + Duration::from_secs(1)).await;
    stage.restart().await;
    let back = Instant::now();
    let scene = stage.scene().await;
    let stays = async {
        while back.elapsed() < BOUND + Duration::from_secs(2) {
            assert_eq!(speaks.overview().await.unwrap().sessions.len(), 1, "a restart ended what speaks, after {:?}", back.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (after, ()) = tokio::join!(ended_after(&falls, back), stays);
    // One interval and a second to be heard again, and a second to act.
    assert!(after <= Duration::from_secs(EVERY_S + 2) + LATE, "{after:?}");
    assert!(after >= Duration::from_secs(EVERY_S), "{after:?}");
    watching.until("word after the restart", |n| n.iter().any(|n| matches!(n, News::Waiting { .. }))).await;
    assert!(scene.log().await.iter().all(|l| l.kind != "session.ended" || l.body["device"] != speaks.kept().device_id.as_str()));
    watching.stop();
}

#[tokio::test]
async fn t3_a_visible_page_that_vanishes_takes_its_session_with_it_and_one_that_goes_does_not() {
    let scene = stage().scene().await;
    let here = place();
    let phone = phone(&scene, "Seite", &here).await;
    let (vanishes, goes) = (scene.open_till(&here).await, scene.open_till(&here).await);
    scene.sign_in(&phone, &vanishes).await;
    scene.sign_in(&phone, &goes).await;
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 2);
    let first = vanishes.terminal.beat(true).await.unwrap();
    assert_eq!((first.every_s.unsigned_abs(), first.standing), (EVERY_S, None));
    goes.terminal.beat(true).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(EVERY_S)).await;
        vanishes.terminal.beat(true).await.unwrap();
        goes.terminal.beat(true).await.unwrap();
    }
    goes.terminal.beat(false).await.unwrap();
    let last = Instant::now();
    while phone.overview().await.unwrap().sessions.len() == 2 {
        assert!(last.elapsed() <= BOUND + LATE, "the session of a page that vanished goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(BOUND).await;
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1, "the one that said good-bye ended, too");
    let ended = logged(&scene, |l, kind| kind == "session.ended" && l["device"] == phone.kept().device_id.as_str()).await;
    assert_eq!(ended["facts"]["why"], "nobody-at-the-screen");
    assert!(vanishes.terminal.beat(true).await.is_err_and(|f| f.is("no_session")), "nobody speaks for what has ended");
}

#[tokio::test]
async fn t6_two_programs_with_one_key_are_noticed_and_neither_is_believed() {
    let scene = stage().scene().await;
    let here = place();
    let (link, _) = scene.invitation("Doppelt").await;
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(&dir.path().join("one")).unwrap();
    let one = Phone::enrol(scene.http(&here), &link, "One", Some(folder)).await.unwrap();
    copy(&dir.path().join("one"), &dir.path().join("two"));
    let mut two = Phone::load(Folder::open(&dir.path().join("two")).unwrap(), scene.transport.clone()).unwrap();
    two.http = scene.http(&here);
    let machine = Machine::sound();
    let send = async |phone: &Phone| {
        let nonce = phone.posture().await.unwrap().nonce;
        phone.report(&machine.looking().facts(), Why::Asked, false, &nonce).await
    };
    send(&one).await.unwrap();
    let session = scene.open_till(&here).await;
    scene.sign_in(&one, &session).await;
    scene.refused(send(&two).await, "posture_old").await;
    ended_after(&one, Instant::now()).await;
    let device = one.kept().device_id.to_string();
    let raised = logged(&scene, |l, kind| kind == "signal.raised" && l["device"] == device.as_str()).await;
    assert_eq!(raised["facts"]["signal"], "device.cloned");
    for phone in [&one, &two] {
        let open = scene.open_till(&here).await;
        scene.refused(phone.scan(&[open.ceremony.frame()]).await, "denied").await;
    }
}

fn copy(from: &Path, to: &Path) {
    Folder::open(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_report_that_is_not_the_newest_or_not_this_devices_is_refused_and_in_the_log() {
    let scene = stage().scene().await;
    let here = place();
    let (mine, theirs) = (phone(&scene, "Mein", &here).await, phone(&scene, "Dein", &here).await);
    let first = report(&mine, 5).await;
    let sent = countersign_wire::posture::make(&first, mine.key.public(), &mine.key).unwrap();
    let body = serde_json::json!({"report": sent});
    mine.post::<_, Value>("/device/posture", &body).await.unwrap();
    // The same again, by the device itself and by somebody who heard it. That alone is no second device.
    scene.refused(mine.post::<_, Value>("/device/posture", &body).await, "posture_old").await;
    assert!(mine.posture().await.unwrap().signals.is_empty());
    scene.refused(theirs.post::<_, Value>("/device/posture", &body).await, "bad_proof").await;
    let with = async |change: &dyn Fn(&mut Report)| {
        let mut report = report(&theirs, theirs.next_report().unwrap()).await;
        change(&mut report);
        theirs.send_report(&report).await
    };
    with(&|_| ()).await.unwrap();
    let other = mine.kept().device_id;
    scene.refused(with(&|r| r.iss = other.clone()).await, "bad_proof").await;
    scene.refused(with(&|r| r.aud = "https://other.example".into()).await, "bad_proof").await;
    scene.refused(with(&|r| r.nonce = "AAAA".into()).await, "posture_old").await;
    scene.refused(with(&|r| drop(r.facts.insert(Name::Managed, said("yes")))).await, "malformed").await;
    scene.refused(with(&|r| r.facts.values_mut().for_each(|s| s.confidence = Confidence::Attested)).await, "malformed").await;
    // Below the last, never seen: late or set back. Nothing is raised for it.
    with(&|r| r.n = 100).await.unwrap();
    scene.refused(with(&|r| r.n = 99).await, "posture_old").await;
    assert!(theirs.posture().await.unwrap().signals.is_empty());
    // Evidence that nobody's root stands behind.
    let chain = vec!["AAAA".to_owned()];
    let piece = countersign_wire::evidence::Evidence::AndroidKey(countersign_wire::evidence::AndroidKey { chain });
    scene.refused(with(&|r| (r.n, r.evidence) = (200, vec![piece.clone()])).await, "bad_evidence").await;
}

//! What a TPM signs, with Debian's swtpm and tpm2-tools: A3, A8. Without them the tests say that they were skipped.

use crate::terminals;
use countersign_device::http::{Call, Prover};
use countersign_device::keys::{Folder, Prove, TpmKey};
use countersign_device::posture::tpm::Tpm;
use countersign_device::terminal::Registered;
use countersign_device::{Fault, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Settings, Stage, place, program};
use countersign_wire::b64;
use countersign_wire::dpop::NumericDate;
use countersign_wire::evidence::{Evidence, TpmQuote};
use countersign_wire::message::{RegisterTerminal, TerminalTpm};
use countersign_wire::posture::{Report, Why};
use countersign_wire::statement::Near;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A software TPM whose endorsement key a small authority of its own certifies.
struct Soft {
    process: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Soft {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two ports one behind the other: swtpm's clients expect the second there.
fn ports() -> u16 {
    loop {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < 65_000 && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn missing() -> bool {
    let there = |program: &str| ["/usr/bin", "/usr/local/bin", "/bin"].iter().any(|d| Path::new(d).join(program).is_file());
    let gone = ["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_quote"].into_iter().find(|p| !there(p));
    if let Some(program) = gone {
        skip(&format!("TPM quotes: `{program}` is not installed (Debian: swtpm, swtpm-tools, tpm2-tools)"));
    }
    gone.is_some()
}

/// Said where it is counted: what a test prints otherwise is kept from whoever reads.
fn skip(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

impl Soft {
    fn begin() -> Soft {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["state", "ca"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(at("ca.conf"), format!("statedir = {0}\nsigningkey = {0}/key.pem\nissuercert = {0}/cert.pem\ncertserial = {0}/serial\n", at("ca"))).unwrap();
        std::fs::write(at("ca.options"), "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n").unwrap();
        let tool = "create_certs_tool = /usr/bin/swtpm_localca";
        std::fs::write(at("setup.conf"), format!("{tool}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n", at("ca.conf"), at("ca.options"))).unwrap();
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--pcr-banks", "sha256", "--tpm-state", &at("state"), "--config", &at("setup.conf")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let port = ports();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear"])
            .arg("--tpmstate").arg(format!("dir={}", at("state")))
            .arg("--server").arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl").arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        Soft { process, dir, port }
    }
    fn authority(&self) -> PathBuf {
        self.dir.path().join("ca/cert.pem")
    }
    fn tpm(&self) -> Tpm {
        Tpm { tcti: Some(format!("swtpm:host=127.0.0.1,port={}", self.port)), above: Vec::new() }
    }
    /// Register 7 of a TPM that nothing was measured into.
    fn settings(&self) -> Settings {
        let more = format!("[evidence]\ntpm_roots = \"{}\"\nsecure_boot = [\"{}\"]\n", self.authority().display(), "00".repeat(32));
        Settings { more, ..Settings::default() }
    }
}

/// Puts another character at `at`.
fn changed(text: &mut String, at: usize) {
    let other = if text[at..=at] == *"_" { "-" } else { "_" };
    text.replace_range(at..=at, other);
}

async fn send(phone: &Phone, nonce: &str, evidence: Evidence) -> Result<(), countersign_device::Fault> {
    let kept = phone.kept();
    let report = Report {
        iss: kept.device_id,
        aud: kept.issuer,
        n: phone.next_report().unwrap(),
        nonce: nonce.to_owned(),
        iat: NumericDate(0),
        why: Why::Asked,
        beats: false,
        facts: Default::default(),
        evidence: vec![evidence],
    };
    phone.send_report(&report).await.map(|_| ())
}

#[tokio::test]
async fn a8_a_tpms_quote_attests_a_device_and_no_part_of_it_can_be_changed_or_lent() {
    if missing() {
        return;
    }
    let soft = Soft::begin();
    let stage = Stage::set(soft.settings()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (phone, other) = (scene.phone("Chip", &here).await, scene.phone("Ohne", &here).await);
    let nonce = phone.posture().await.unwrap().nonce;
    let Evidence::TpmQuote(good) = soft.tpm().quote(&phone, &nonce).await.unwrap() else { panic!() };
    // Another device, another nonce, any part of another form.
    scene.refused(send(&other, &nonce, Evidence::TpmQuote(good.clone())).await, "bad_evidence").await;
    let later = loop {
        let later = phone.posture().await.unwrap().nonce;
        if later != nonce {
            break later;
        }
    };
    scene.refused(send(&phone, &later, Evidence::TpmQuote(good.clone())).await, "bad_evidence").await;
    type Spoil = fn(&mut TpmQuote);
    let spoils: [(&str, Spoil); 6] = [
        ("secret", |q| q.secret = "A".repeat(43)),
        ("attest", |q| changed(&mut q.attest, 20)),
        ("signature", |q| changed(&mut q.signature, 30)),
        ("registers", |q| drop(q.pcrs.insert(7, "B".repeat(42) + "A"))),
        ("fewer registers", |q| drop(q.pcrs.remove(&7))),
        ("endorsement", |q| q.ek.clear()),
    ];
    for (what, spoil) in spoils {
        let mut bad = good.clone();
        spoil(&mut bad);
        let sent = send(&phone, &nonce, Evidence::TpmQuote(bad)).await;
        assert!(sent.as_ref().is_err_and(|f| f.is("bad_evidence")), "{what}: {sent:?}");
    }
    // As it is.
    send(&phone, &nonce, Evidence::TpmQuote(good)).await.unwrap();
    let view = phone.posture().await.unwrap();
    let fact = |name: &str| view.facts.iter().find(|f| f.name == name).map(|f| (f.value.as_str(), f.source.as_str(), f.confidence.as_str()));
    assert_eq!(fact("tpm"), Some(("yes", "tpm", "attested")));
    assert_eq!(fact("secure_boot"), Some(("yes", "tpm", "attested")));
}

#[tokio::test]
async fn a8_a_tpm_whose_maker_is_not_listed_attests_nothing() {
    if missing() {
        return;
    }
    let (listed, other) = (Soft::begin(), Soft::begin());
    let stage = Stage::set(listed.settings()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let phone = scene.phone("Fremd", &place()).await;
    let nonce = phone.posture().await.unwrap().nonce;
    scene.refused(other.tpm().quote(&phone, &nonce).await, "bad_evidence").await;
}

#[tokio::test]
async fn a3_a_kiosk_whose_key_a_tpm_keeps_may_begin_where_others_may_not_and_a_copy_of_its_files_is_worth_nothing() {
    if missing() {
        return;
    }
    let (soft, elsewhere) = (Soft::begin(), Soft::begin());
    let more = format!("{}{}", terminals::settings().more, soft.settings().more);
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = terminals::market();
    let phone = scene.phone("Chip", &here).await;
    let invite = ["terminal", "invite", "--name", "Kiosk 1", "--place", "Foyer", "--class", "kiosk", "--site", "market", "--json"];
    let made: Value = serde_json::from_str(&stage.command(&invite).unwrap()).unwrap();
    let link = made["link"].as_str().unwrap();
    let token = link.split_once('#').unwrap().1.to_owned();
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| Folder::open(&dir.path().join(name)).unwrap();

    // Nothing passes for a TPM's key that is not: the link stays good throughout.
    let http = scene.http(&here);
    let nonce = phone.posture().await.unwrap().nonce;
    let Evidence::TpmQuote(quoted) = soft.tpm().quote(&phone, &nonce).await.unwrap() else { panic!() };
    let key = TpmKey::create(soft.tpm(), &folder("tried")).unwrap();
    let shown = |ek: &[String], area: &[u8], secret: Option<String>| TerminalTpm { ek: ek.to_vec(), public: b64::encode(area), nonce: nonce.clone(), secret };
    let send = async |tpm: TerminalTpm, by: &dyn Prove| -> Result<Value, Fault> {
        let url = stage.issuer.join("terminals/register").unwrap();
        let body = RegisterTerminal { token: token.clone(), tpm: Some(tpm) };
        http.ask(&Call::post(url, &body)?.proved(Prover::device(by))).await
    };
    let software = SoftwareKey::generate().unwrap();
    let wrong = b64::encode(&[7; 32]);
    scene.refused(send(shown(&quoted.ek, key.area(), Some(wrong.clone())), &software).await, "bad_evidence").await;
    scene.refused(send(shown(&quoted.ek, key.area(), Some(wrong.clone())), &key).await, "bad_evidence").await;
    scene.refused(send(shown(&quoted.ek, key.area(), None), &key).await, "bad_evidence").await;
    scene.refused(send(shown(&[], key.area(), Some(wrong.clone())), &key).await, "bad_evidence").await;
    // An attestation key signs the TPM's own words and none of ours.
    scene.refused(send(shown(&quoted.ek, &b64::decode(&quoted.ak).unwrap(), Some(wrong)), &software).await, "bad_evidence").await;
    // A TPM that nobody listed.
    let unlisted = Registered::join(&http, link, folder("unlisted"), Some(elsewhere.tpm())).await;
    scene.refused(unlisted.map(|_| ()), "bad_evidence").await;

    let registered = Registered::join(&http, link, folder("kiosk"), Some(soft.tpm())).await.unwrap();
    assert!(registered.kept().plate.attested);
    assert!(stage.command(&["terminal", "list"]).unwrap().contains("tpm"));
    let terminal = Terminal::of(scene.http(&here), registered).unwrap();
    let (_, page) = scene.arrive(&terminal, "office", "openid profile").await;
    let ceremony = terminal.open(&page).await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    assert!(checked.statement.terminal.plate.as_ref().is_some_and(|p| p.attested) && checked.statement.near.contains(&Near::AttestedSite));
    phone.approve(&checked).await.unwrap();
    terminal.redeem(&ceremony).await.unwrap();
    let lines = scene.log().await;
    assert!(lines.iter().any(|l| l.kind == "ceremony.redeemed" && l.text.contains("attested_terminal")));

    // Its files on another machine, at the same site: with another TPM, without one, with a key of the thief's.
    terminals::copied(&dir.path().join("kiosk"), &dir.path().join("copy"));
    let copy = Terminal::of(scene.http(&here), Registered::load(folder("copy"), Some(elsewhere.tpm())).unwrap()).unwrap();
    let (_, page) = scene.arrive(&copy, "office", "openid").await;
    assert!(matches!(copy.open(&page).await, Err(Fault::Local(_))), "the other TPM does not even load it");
    assert!(Registered::load(folder("copy"), None).is_err());
    folder("copy").write("terminal.key", software.pkcs8().expose()).unwrap();
    let thief = Terminal::of(scene.http(&here), Registered::load(folder("copy"), None).unwrap()).unwrap();
    let (_, page) = scene.arrive(&thief, "office", "openid").await;
    scene.refused(thief.open(&page).await.map(|_| ()), "bad_proof").await;
    // The same files at the same path of another machine, which is namespaces of its own here: only its TPM says no.
    let invite = ["terminal", "invite", "--name", "Kiosk 2", "--place", "Anywhere", "--class", "kiosk", "--json"];
    let made: Value = serde_json::from_str(&stage.command(&invite).unwrap()).unwrap();
    Registered::join(&http, made["link"].as_str().unwrap(), folder("anywhere"), Some(soft.tpm())).await.unwrap();
    let home = dir.path().join("anywhere");
    let kept = dir.path().join("kept");
    terminals::copied(&home, &kept);
    let machine = |tpm: &Soft| {
        let device = program().with_file_name("countersign-device");
        let as_there = r#"mount --bind "$1" "$2" && hostname elsewhere && shift 2 && exec "$@""#;
        let unshared = ["--user", "--map-root-user", "--mount", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", as_there, "sh"];
        let mut command = Command::new("unshare");
        command.args(unshared).arg(&kept).arg(&home).arg(&device).arg("--state").arg(&home).args(["remote-control", "no"]);
        command.env("TPM2TOOLS_TCTI", tpm.tpm().tcti.unwrap()).output().unwrap()
    };
    let at_home = machine(&soft);
    if String::from_utf8_lossy(&at_home.stderr).contains("unshare: ") {
        skip("the same files on another machine: this machine lets nobody make a namespace");
    } else {
        assert!(at_home.status.success(), "with its own TPM: {at_home:?}");
        let away = machine(&elsewhere);
        assert!(!away.status.success() && String::from_utf8_lossy(&away.stderr).contains("could not sign"), "{away:?}");
    }
    // None of it disturbed the kiosk.
    let (_, page) = scene.arrive(&terminal, "office", "openid").await;
    terminal.open(&page).await.unwrap();
}

//! What a TPM signs, with Debian's swtpm and tpm2-tools: A8. Without them the tests say that they were skipped.

use countersign_device::Phone;
use countersign_device::posture::tpm::Tpm;
use countersign_sim::stage::{Settings, Stage, place};
use countersign_wire::dpop::NumericDate;
use countersign_wire::evidence::{Evidence, TpmQuote};
use countersign_wire::posture::{Report, Why};
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
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: TPM quotes: `{program}` is not installed (Debian: swtpm, swtpm-tools, tpm2-tools)");
    }
    gone.is_some()
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
        ("attest", |q| q.attest.replace_range(20..21, "_")),
        ("signature", |q| q.signature.replace_range(30..31, "_")),
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

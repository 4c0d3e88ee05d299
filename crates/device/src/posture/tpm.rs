//! A TPM's quote, by the programs of tpm2-tools: they are looked for at run time, so that nothing links
//! against a TPM stack. Each step is one program; what they leave in the TPM is flushed.

use crate::{Fault, Phone};
use countersign_wire::evidence::{Evidence, TpmQuote, binding};
use countersign_wire::message::{TpmAsk, TpmSealed};
use countersign_wire::{b64, mac};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the certificate of the RSA endorsement key lies (TCG EK Credential Profile §2.2.1.4).
const EK_CERTIFICATE: &str = "0x1c00002";
/// Register 7: secure boot. The others up to it: firmware and boot loader.
const PCRS: [u8; 5] = [0, 1, 2, 4, 7];
/// Certificates above the endorsement key's, kept by the operator beside the device's keys; DER.
const CHAIN: &str = "tpm-chain.der";

/// A TPM that programs can speak with.
#[derive(Clone, Debug)]
pub struct Tpm {
    /// Its interface, as tpm2-tools name it (`TPM2TOOLS_TCTI`); `None` for the usual one.
    pub tcti: Option<String>,
    /// Certificates above the endorsement key's, DER.
    pub above: Vec<Vec<u8>>,
}

impl Tpm {
    /// Shows how this machine started, bound to the report with `nonce`.
    pub async fn quote(&self, phone: &Phone, nonce: &str) -> Result<Evidence, Fault> {
        let desk = Desk::new(self)?;
        let ek = desk.endorsement()?;
        desk.run("createak", &["-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pub", "-n", "ak.name"])?;
        // TPM2B_PUBLIC: a length, then what is named.
        let ak = b64::encode(desk.read("ak.pub")?.get(2..).unwrap_or_default());
        let ask = TpmAsk { nonce: nonce.to_owned(), ek: ek.clone(), ak: ak.clone() };
        let sealed: TpmSealed = phone.post("/device/evidence/tpm", &ask).await?;
        let secret = desk.open_sealed("ak.ctx", &sealed)?;
        let wanted = PCRS.map(|n| n.to_string()).join(",");
        let bank = format!("sha256:{wanted}");
        let bound = hex(&binding(nonce, &phone.dk()));
        desk.run("quote", &["-c", "ak.ctx", "-l", &bank, "-q", &bound, "-g", "sha256", "-m", "quote", "-s", "signature"])?;
        desk.run("pcrread", &[&bank, "-o", "pcrs"])?;
        let values = desk.read("pcrs")?;
        let pcrs: BTreeMap<u8, String> = PCRS.into_iter().zip(values.chunks(32).map(b64::encode)).collect();
        Ok(Evidence::TpmQuote(TpmQuote {
            ek,
            ak,
            secret,
            attest: b64::encode(&desk.read("quote")?),
            signature: b64::encode(&desk.read("signature")?),
            pcrs,
        }))
    }

    /// The usual one, where the tools and a device are there.
    pub fn here(state: &Path) -> Option<Tpm> {
        let tcti = crate::machine::variable("TPM2TOOLS_TCTI").and_then(|t| t.into_string().ok());
        if tcti.is_none() && !Path::new("/dev/tpmrm0").exists() {
            return None;
        }
        let above = std::fs::read(state.join(CHAIN)).map(|all| split(&all)).unwrap_or_default();
        Some(Tpm { tcti, above })
    }
}

/// Certificates one behind the other.
fn split(all: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), all);
    while !rest.is_empty() {
        let one = whole(rest);
        if one.is_empty() {
            break;
        }
        found.push(one.to_vec());
        rest = rest.get(one.len()..).unwrap_or_default();
    }
    found
}

/// A certificate without what the TPM's memory has behind it.
fn whole(bytes: &[u8]) -> &[u8] {
    countersign_wire::der::Der::new(bytes).raw().unwrap_or_default()
}

/// What tpm2_activatecredential reads: a magic number, a version, two TPM2B.
fn blob(object: &[u8], seed: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes(), bytes].concat();
    [&0xbadc_c0de_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &sized(object), &sized(seed)].concat()
}

fn bytes(text: &str) -> Result<Vec<u8>, Fault> {
    b64::decode(text).map_err(|_| Fault::Unreachable("the server sealed something that is no text of ours".into()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A private directory for the programs' files, gone with it.
pub(crate) struct Desk<'a> {
    tpm: &'a Tpm,
    path: PathBuf,
}

impl<'a> Desk<'a> {
    /// The endorsement key, ready in `ek.ctx`: its certificate and those above it.
    pub(crate) fn endorsement(&self) -> Result<Vec<String>, Fault> {
        self.run("createek", &["-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"])?;
        self.run("nvread", &[EK_CERTIFICATE, "-o", "ek.der"])?;
        let leaf = self.read("ek.der")?;
        Ok(std::iter::once(whole(&leaf)).chain(self.tpm.above.iter().map(Vec::as_slice)).map(b64::encode).collect())
    }

    /// What was sealed to the endorsement key and to the key in `context`.
    pub(crate) fn open_sealed(&self, context: &str, sealed: &TpmSealed) -> Result<String, Fault> {
        self.write("credential", &blob(&bytes(&sealed.object)?, &bytes(&sealed.seed)?))?;
        self.run("startauthsession", &["--policy-session", "-S", "session.ctx"])?;
        self.run("policysecret", &["-S", "session.ctx", "-c", "e"])?;
        self.run("activatecredential", &["-c", context, "-C", "ek.ctx", "-i", "credential", "-o", "secret", "-P", "session:session.ctx"])?;
        self.run("flushcontext", &["session.ctx"])?;
        Ok(b64::encode(&self.read("secret")?))
    }

    pub(crate) fn new(tpm: &'a Tpm) -> Result<Desk<'a>, Fault> {
        let name = b64::encode(&mac::h(&crate::machine::bytes::<16>()?));
        let path = std::env::temp_dir().join(format!("countersign-tpm-{name}"));
        let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path);
        made.map_err(|e| Fault::Local(format!("cannot make `{}`: {e}", path.display())))?;
        Ok(Desk { tpm, path })
    }

    /// A TPM without a resource manager has room for three objects: what the last program left goes first.
    pub(crate) fn run(&self, tool: &str, arguments: &[&str]) -> Result<(), Fault> {
        self.tool("flushcontext", &["-t"])?;
        self.tool(tool, arguments)
    }

    fn tool(&self, tool: &str, arguments: &[&str]) -> Result<(), Fault> {
        let mut command = Command::new(format!("tpm2_{tool}"));
        command.args(arguments).current_dir(&self.path).stdin(Stdio::null());
        if let Some(tcti) = &self.tpm.tcti {
            command.env("TPM2TOOLS_TCTI", tcti);
        }
        let out = command.output().map_err(|e| Fault::Local(format!("cannot run `tpm2_{tool}`: {e}")))?;
        if out.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&out.stderr);
        let why = said.lines().rfind(|l| l.contains("ERROR")).unwrap_or("it gave no reason");
        Err(Fault::Local(format!("`tpm2_{tool}` failed: {}", why.trim())))
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, Fault> {
        std::fs::read(self.path.join(name)).map_err(|e| Fault::Local(format!("the TPM's `{name}` is not there: {e}")))
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        std::fs::write(self.path.join(name), bytes).map_err(|e| Fault::Local(format!("cannot write `{name}`: {e}")))
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        let _ = self.tool("flushcontext", &["-t"]);
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

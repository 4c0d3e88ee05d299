//! A browser that outlives one run of the program: its cookies and its terminal key, in a directory of
//! its own. A page keeps its key where script cannot read it; a file cannot, so this is for playing.

use crate::http::Jar;
use crate::keys::Folder;
use crate::{Fault, Http, SoftwareKey, Terminal};
use countersign_wire::b64;
use serde::{Deserialize, Serialize};
use url::Url;

/// The file.
const NAME: &str = "browser.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    cookies: Jar,
    /// PKCS#8, base64url.
    key: String,
}

/// The browser kept in `folder`, at `issuer`; a fresh one if there is none yet.
pub fn load(folder: &Folder, http: Http, issuer: &Url) -> Result<Terminal, Fault> {
    let mut terminal = Terminal::new(http, issuer)?;
    if let Some(kept) = folder.read_json::<Kept>(NAME)? {
        let bytes = b64::decode(&kept.key).map_err(|_| Fault::Local(format!("`{NAME}` is damaged")))?;
        terminal.key = SoftwareKey::from_pkcs8(&bytes)?;
        *terminal.http.jar() = kept.cookies;
    }
    Ok(terminal)
}

/// Keeps it for the next run.
pub fn keep(folder: &Folder, terminal: &Terminal) -> Result<(), Fault> {
    let cookies = terminal.http.jar().clone();
    folder.write_json(NAME, &Kept { cookies, key: b64::encode(terminal.key.pkcs8().expose()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;

    #[test]
    fn a_browser_comes_back_with_its_cookies_and_its_key() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(&base.path().join("b")).unwrap();
        let issuer: Url = "http://localhost:1".parse().unwrap();
        let first = load(&folder, Http::new(Transport::new(false)), &issuer).unwrap();
        first.http.jar().take(&issuer, "__Host-cs_s=v; Path=/; Secure; HttpOnly; SameSite=Lax");
        keep(&folder, &first).unwrap();
        let again = load(&folder, Http::new(Transport::new(false)), &issuer).unwrap();
        assert_eq!(again.key.public(), first.key.public());
        assert_eq!(again.http.jar().value(&issuer, "__Host-cs_s"), Some("v"));
    }
}

//! A whole little world in one process: the server with embedded storage, the example till, and an
//! enrolled software phone. For the demonstration, and for tests that want one.

use crate::till;
use countersign_device::http::Call;
use countersign_device::keys::Folder;
use countersign_device::play::{self, Part, Played};
use countersign_device::{Fault, Http, Phone, Transport, machine};
use countersign_server::{Config, Running};
use countersign_wire::message::Invite;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The person who is there.
pub const PERSON: &str = "Ana Petrović";
/// The till's registered name.
pub const TILL: &str = "Harbour Books Till";
/// The till's client id.
pub const CLIENT: &str = "harbour-books-till";
/// How long a till may take to hear that a session ended, seconds.
const HEARS_S: u64 = 15;

/// Where it all stands.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory for the database, the seal key and the phones.
    pub data: PathBuf,
    /// Port of the server.
    pub port: u16,
    /// Port of the till.
    pub till_port: u16,
}

impl Settings {
    /// Settings with ports that are free at this moment.
    pub fn anywhere(data: &Path) -> Result<Settings, Fault> {
        Ok(Settings { data: data.to_owned(), port: free_port()?, till_port: free_port()? })
    }
}

/// The running world.
pub struct World {
    /// The server.
    pub server: Running,
    /// The till.
    pub till: till::Running,
    /// Ana Petrović's phone.
    pub phone: Phone,
    /// The administrator's phone.
    pub administrator: Phone,
    /// The server's address.
    pub issuer: Url,
    /// The till's address.
    pub shop: Url,
    /// Connections to share.
    pub transport: Transport,
}

/// Starts server, till and phones; what is in the directory already is used again.
pub async fn start(settings: &Settings) -> Result<World, Fault> {
    let folder = Folder::open(&settings.data)?;
    let issuer = here(settings.port)?;
    let shop = here(settings.till_port)?;
    let text = config(settings, folder.path());
    // For `countersign --config`, beside the running server.
    folder.write("countersign.toml", text.as_bytes())?;
    let config = Config::parse(&text, std::iter::empty())
        .map_err(|e| Fault::Local(format!("configuration: {e}")))?;
    let mut server = countersign_server::start(config, None)
        .await
        .map_err(|e| Fault::Local(format!("the server did not start: {e}")))?;
    let transport = Transport::new(false);
    let administrator = match server.first_link.take() {
        Some(link) => enrol(&transport, &folder, "administrator", &link, "Administrator's phone").await?,
        None => Phone::load(sub(&folder, "administrator")?, transport.clone())?,
    };
    let phone = if Phone::is_kept_in(&sub(&folder, "phone")?)? {
        Phone::load(sub(&folder, "phone")?, transport.clone())?
    } else {
        let invite = Invite { name: PERSON.into(), login: "ana".into(), role: None };
        let link = administrator.invite(&invite).await?.link;
        enrol(&transport, &folder, "phone", &link, "Ana's phone").await?
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, settings.till_port))
        .await
        .map_err(|e| Fault::Local(format!("the till cannot listen on port {}: {e}", settings.till_port)))?;
    let till = till::start(listener, till::Settings {
        origin: shop.clone(),
        issuer: issuer.clone(),
        client: CLIENT.into(),
        name: TILL.into(),
    })?;
    Ok(World { server, till, phone, administrator, issuer, shop, transport })
}

impl World {
    /// Signs Ana Petrović in at the till in the browser `http`; the redirect back to the till is
    /// still to be followed.
    pub async fn sign_in(&self, http: Http, part: Part) -> Result<Played, Fault> {
        let start = self.shop.join("/sign-in").map_err(|_| Fault::Local("the till has no address".into()))?;
        play::authorize(&self.phone, http, &start, part).await
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.till.stop();
        self.server.stop().await;
    }

    /// Plays the person once: sign in at the till, see it open, end it from the phone, see it
    /// closed. `told` hears each step.
    pub async fn check(&self, mut told: impl FnMut(&str)) -> Result<(), Fault> {
        let browser = Http::new(self.transport.clone());
        let page = self.page(&browser).await?;
        expect(page.contains("Till is closed"), "the till is open before anybody came")?;
        told("the till is closed");

        let terminal = countersign_device::Terminal::new(browser, &self.issuer)?;
        let start = self.shop.join("/sign-in").map_err(|_| Fault::Local("the till has no address".into()))?;
        let played = play::authorize_at(&self.phone, &terminal, &start, Part::default()).await?;
        expect(played.redirect.origin() == self.shop.origin(), "the browser was sent somewhere else")?;
        told("the phone scanned, the digits matched, the passkey approved");

        let browser = terminal.http;
        browser.call(&Call::fetch(played.redirect.clone())).await?;
        let page = self.page(&browser).await?;
        expect(page.contains("Till is open") && page.contains(PERSON), "the till did not open")?;
        told("the till is open for Ana Petrović");

        let again = browser.send(&Call::fetch(played.redirect)).await?;
        expect(again.status >= 400, "the same answer opened the till twice")?;
        told("the same answer a second time opens nothing");

        let overview = self.phone.overview().await?;
        let session = overview.sessions.first().ok_or_else(|| Fault::Local("the phone sees no session".into()))?;
        self.phone.end(&session.id).await?;
        told("the phone ended it");

        let end = machine::tick() + Duration::from_secs(HEARS_S);
        while !self.page(&browser).await?.contains("Till is closed") {
            expect(machine::tick() < end, "the till was not told that the session ended")?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        told("the till was told, and closed");
        Ok(())
    }

    async fn page(&self, browser: &Http) -> Result<String, Fault> {
        let answer = browser.call(&Call::fetch(self.shop.clone())).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

fn expect(holds: bool, otherwise: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Local(otherwise.to_owned())) }
}

async fn enrol(transport: &Transport, folder: &Folder, at: &str, link: &str, name: &str) -> Result<Phone, Fault> {
    Phone::enrol(Http::new(transport.clone()), link, name, Some(sub(folder, at)?)).await
}

fn sub(folder: &Folder, name: &str) -> Result<Folder, Fault> {
    Folder::open(&folder.path().join(name))
}

fn here(port: u16) -> Result<Url, Fault> {
    Url::parse(&format!("http://localhost:{port}/")).map_err(|_| Fault::Usage("that is no port".into()))
}

fn free_port() -> Result<u16, Fault> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Fault::Local(format!("no free port: {e}")))
}

/// Whether nobody listens on `port` at this moment.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn config(settings: &Settings, data: &Path) -> String {
    let Settings { port, till_port, .. } = settings;
    let database = format!("sqlite:{}", data.join("countersign.db").display());
    let seal = data.join("countersign.seal").display().to_string();
    let till = format!("http://localhost:{till_port}");
    format!(
        "issuer = \"http://localhost:{port}\"\n\
         listen = \"127.0.0.1:{port}\"\n\
         database = {database:?}\n\
         seal_key_file = {seal:?}\n\
         organisation = \"Harbour Books\"\n\
         [[clients]]\n\
         id = \"{CLIENT}\"\n\
         name = \"{TILL}\"\n\
         redirect_uris = [\"{till}/cb\"]\n\
         scopes = [\"openid\", \"profile\"]\n\
         post_logout_redirect_uris = [\"{till}/signed-out\"]\n\
         backchannel_logout_uri = \"{till}/backchannel-logout\"\n\
         session_s = 1800\n"
    )
}

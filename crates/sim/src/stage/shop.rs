//! A shop whose line goes down: tills that hold sealed grants, people whose phones can open them, operators who review.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Settings, Stage, place, program};
use countersign_device::keys::Folder;
use countersign_device::terminal::{Ask, Opening, Registered};
use countersign_device::{Fault, Http, Phone, Transport, machine};
use countersign_wire::glass::{Answer, Bundle, Opened};
use countersign_wire::{TerminalId, Time};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The application that lists what can be opened without the line.
pub const GLASS_CLIENT: &str = "glass-till";
/// Those who may open, with their roles; `ana` and `cleo` are supervisors.
const PEOPLE: [(&str, &str); 7] =
    [("lea", "member"), ("ana", "supervisor"), ("bo", "member"), ("cleo", "supervisor"), ("oli", "operator"), ("max", "operator"), ("rita", "recovery_officer")];
/// A rule of the shop, by which `rita` is on no list although the site names her.
const RULE: &str = "@id(\"officers-unlock-no-refund\") forbid (principal, action == Action::\"unlock\", resource == Client::\"glass-till\") \
    when { context.scope == \"refund\" && context.role == \"recovery_officer\" };";

/// A shop with its server.
pub struct Shop {
    /// The server.
    pub stage: Stage,
    dir: PathBuf,
}

/// A till in it.
pub struct Till {
    /// It.
    pub registered: Registered,
    /// Its id.
    pub id: TerminalId,
    /// Its folder.
    pub folder: PathBuf,
    /// Its connections.
    pub http: Http,
}

impl Shop {
    /// Sets it: a server, and everybody's phone enrolled by the device program.
    pub async fn open() -> Shop {
        let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap().keep().unwrap().1;
        std::fs::write(&rules, format!("{}{RULE}", countersign_trust::policy::DEFAULT)).unwrap();
        let more = format!(
            "policies = \"{}\"\n[terminals.sites.market]\nnetworks = [\"127.0.0.1/32\"]\nkeyholders = [\"lea\", \"ana\", \"bo\", \"cleo\", \"oli\", \"rita\"]\n\
             [terminals.sites.harbour]\nnetworks = [\"127.0.0.1/32\"]\nkeyholders = [\"lea\", \"bo\"]\n\
             [[clients]]\nid = \"{GLASS_CLIENT}\"\nname = \"Harbour Books till\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\n\
             scopes = [\"discount\", \"refund\", \"void\"]\nprivileged_scopes = [\"refund\"]\n\
             without_line = {{ scopes = [\"discount\", \"refund\"], uses = 2, for_s = 60, valid_s = 3600 }}\n",
            rules.display()
        );
        let stage = Stage::set(Settings { more, ..Settings::default() }).await;
        stage.enrol_administrator().await;
        let shop = Shop { dir: stage.dir().join("people"), stage };
        for (login, role) in PEOPLE {
            let said = shop.stage.command(&["invite", login, login, "--role", role]).unwrap();
            let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap();
            let out = shop.device(login, &["enrol", link]);
            assert!(out.status.success(), "{login}: {out:?}");
        }
        shop
    }

    /// One that tests of a process share.
    pub fn shared(cell: &'static std::sync::OnceLock<Shop>) -> &'static Shop {
        cell.get_or_init(|| std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(Shop::open())).join().unwrap())
    }

    /// Runs the device program with somebody's phone.
    pub fn device(&self, who: &str, words: &[&str]) -> Output {
        Shop::program(&self.dir.join(who)).args(words).output().unwrap()
    }

    /// The device program with the state in a folder.
    pub fn program(state: &Path) -> Command {
        let mut command = Command::new(program().with_file_name("countersign-device"));
        command.arg("--state").arg(state);
        command
    }

    /// Somebody's phone.
    pub fn phone(&self, who: &str) -> Phone {
        Phone::load(Folder::open(&self.dir.join(who)).unwrap(), Transport::new(false)).unwrap()
    }

    /// Id of somebody's phone at the server.
    pub fn device_of(&self, who: &str) -> String {
        self.phone(who).kept().device_id.to_string()
    }

    /// A till that is registered and has no grant yet.
    pub async fn till_at(&self, site: &str) -> Till {
        let name = format!("Till {}", place());
        let said = self.stage.command(&["terminal", "invite", "--name", &name, "--place", "Market Street", "--site", site, "--json"]).unwrap();
        let made: Value = serde_json::from_str(&said).unwrap();
        let folder = self.stage.dir().join(name.replace(' ', "-"));
        let http = Http::new(Transport::new(false));
        let registered = Registered::join(&http, made["link"].as_str().unwrap(), Folder::open(&folder).unwrap(), None).await.unwrap();
        Till { id: made["terminal"].as_str().unwrap().parse().unwrap(), registered, folder, http }
    }

    /// A till with a fresh grant.
    pub async fn till(&self) -> Till {
        let till = self.till_at("market").await;
        till.registered.glass_take(&till.http, GLASS_CLIENT).await.unwrap();
        till
    }

    /// What the server published as its keys.
    pub async fn keys(&self) -> Value {
        let text = reqwest::get(self.stage.issuer.join("jwks").unwrap()).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Uses as the operators' command lists them.
    pub fn uses(&self, till: &TerminalId, all: bool) -> Vec<Value> {
        let words: &[&str] = if all { &["glass", "list", "--all", "--json"] } else { &["glass", "list", "--json"] };
        let said = self.stage.command(words).unwrap();
        said.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).filter(|u| u["terminal"] == till.as_str()).collect()
    }

    /// State of a till at the server.
    pub fn state(&self, till: &TerminalId) -> String {
        let said = self.stage.command(&["terminal", "list", "--json"]).unwrap();
        let row = said.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|t| t["terminal"] == till.as_str()).unwrap();
        row["state"].as_str().unwrap().to_owned()
    }

    /// Answers what a till shows, with somebody's phone.
    pub fn answer(&self, who: &str, opening: &Opening) -> Result<Answer, Fault> {
        let phone = self.phone(who);
        phone.glass_approve(&phone.glass_read(&opening.slip.text(), machine::now())?)
    }

    /// Two people open a discount at a till.
    pub fn two(&self, till: &Till, who: [&str; 2]) -> Result<(Opened, Bundle), Fault> {
        let now = machine::now();
        let opening = till.registered.glass_ask(&ask("discount"), now)?;
        let [a, b] = who.map(|who| self.answer(who, &opening));
        till.registered.glass_keep(&opening, [a?, b?], now)
    }
}

impl Till {
    /// The same files once more, in another folder: a copy.
    pub fn copied(&self) -> Till {
        let folder = self.folder.with_extension(place());
        let made = Folder::open(&folder).unwrap();
        let there = Folder::open(&self.folder).unwrap();
        for name in ["terminal.json", "terminal.key", "glass.json"] {
            if let Some(bytes) = there.read(name).unwrap() {
                made.write(name, &bytes).unwrap();
            }
        }
        Till { registered: Registered::load(made, None).unwrap(), id: self.id.clone(), folder, http: Http::new(Transport::new(false)) }
    }
}

/// A plain question.
pub fn ask(scope: &str) -> Ask {
    Ask { scopes: vec![scope.to_owned()], for_s: None, reason: "the line is down and a customer waits".to_owned(), works: None }
}

/// This moment and so many seconds.
pub fn in_s(s: i64) -> Time {
    machine::now().plus_s(s)
}

//! Ways in, step by step.

use super::back::Back;
use super::collecting::{Told, next};
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::phone::{Checked, InviteLink};
use countersign_device::keys::Folder;
use countersign_device::terminal::{Arrival, Ceremony, Registered};
use countersign_device::{Fault, Phone, Terminal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_sim::stage::{REDIRECT, Robot, SECRET, STOCK, Scene, decided, health, introspected, place, question, runs_on};
use countersign_wire::CeremonyId;
use countersign_wire::message::{Open, RedeemedReply};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

/// What may refuse, in the words of doors and of OAuth. A code that is not here is a surprise.
pub const CODES: [&str; 25] = [
    "bad_proof", "code_not_live", "denied", "expired", "gone", "invalid_client", "invalid_grant", "invalid_token", "invitation_over",
    "no_session", "no_such_ceremony", // what RFC 8693 says of a token that is not taken
    "invalid_request", "no_such_flow", "unauthorized_client",
    // Nothing was approved; or an approval ran out, and its place is not free again yet.
    "pending", "authorization_pending", "too_many",
    // It was, or could have been, and the gate said no; or its time ran out.
    "access_denied", "expired_token",
    // The server asks for the person's living passkeys, and this one is none of them: the phone has nothing to sign with.
    "nothing was signed: another passkey was asked for",
    // A way back: one answer for every wrong code, and two approvals that are not there.
    "not_recovered", "not_yet",
    // An introspection says no more than that.
    "inactive",
    // A page for people instead of JSON: the client cannot be told, as it is not served any more.
    "http_400",
    // A step before gave nothing to try this one with.
    "unmade",
];

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A phone scans what is on the screen.
    Scan,
    /// The same, of a request that the client pushed (RFC 9126).
    Pushed,
    /// A request offered to a named person, with the greeting at its end.
    Push,
    /// A passkey on the screen itself.
    Passkey,
    /// A second device is let in by the first.
    AddDevice,
    /// A code on paper lets a device in.
    Code,
    /// Two people let somebody back in. What is taken away is the first one's, if no change says more.
    Officers,
    /// The operator does, at the console.
    Console,
    /// A browser that forgot its key, by its passkey.
    Rebind,
    /// A device that came back by a code signs in.
    Recovered,
    /// A program that this person answers for acts for itself.
    Workload,
    /// A program that another person answers for acts for this one.
    Helper,
    /// A client without a browser shows a code that is typed on the phone (RFC 8628).
    DeviceGrant,
    /// An agent calls a tool for which its owner is asked.
    Agent,
    /// A client that authenticates asks for a person by name (CIBA).
    Ciba,
    /// Somebody vouches at a registered terminal for a person without a phone.
    Vouched,
    /// A seat on a phone that a shift shares.
    Seat,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    PushRequest,
    AuthorizePushed,
    Authorize,
    Open,
    OpenVouched,
    Offer,
    OpenEnrolment,
    Scan,
    Take,
    DigitsOnScreen,
    DigitsOnPhone,
    Approve,
    Redeem,
    RedeemGreeted,
    RedeemTicket,
    Continue,
    FinishEnrolment,
    PasskeyOptions,
    PasskeySignIn,
    Exchange,
    UserInfo,
    Introspect,
    Decide,
    Forward,
    Refresh,
    Resume,
    Mint,
    LookAtMinted,
    RebindOptions,
    RebindFinish,
    MakeCodes,
    UseCode,
    OpenRecovery,
    RedeemApproval,
    Collect,
    BeginAtConsole,
    FinishRecovery,
    HandOn,
    AskForCode,
    TypeCode,
    CollectTokens,
    AskForCall,
    TakeCall,
    CallTool,
    Call,
    TypeDigits,
    Hear,
    Renew,
    Unlock,
}

impl Step {
    /// Whether success opens something: a session, a code, a token, a claim, a device.
    pub fn gives(self) -> bool {
        use Step::*;
        matches!(
            self,
            Redeem | RedeemGreeted | RedeemTicket | Continue | FinishEnrolment | PasskeySignIn | Exchange | UserInfo
                | Introspect | Decide | Forward | Refresh | Resume | Mint | LookAtMinted | HandOn
                // One approval of two is no way in by itself.
                | MakeCodes | UseCode | Collect | BeginAtConsole | FinishRecovery | RebindFinish | CollectTokens | CallTool | Hear | Renew
        )
    }
}

impl Way {
    pub const ALL: [Way; 17] = [
        Way::Scan, Way::Pushed, Way::Push, Way::Passkey, Way::AddDevice, Way::Code, Way::Officers, Way::Console, Way::Rebind, Way::Recovered,
        Way::Workload, Way::Helper, Way::DeviceGrant, Way::Agent, Way::Ciba, Way::Vouched, Way::Seat,
    ];

    /// Whether a client of the table takes part.
    pub fn has_client(self) -> bool {
        matches!(self, Way::Scan | Way::Pushed | Way::Push | Way::Passkey | Way::Recovered | Way::Helper | Way::DeviceGrant | Way::Ciba | Way::Vouched | Way::Seat)
    }

    /// Whether rules judge what it gives. No device vouches for a code on paper or for the operator's word: rules
    /// judge whatever the device that came in does then ([`Way::Recovered`]).
    pub fn is_under_rules(self) -> bool {
        !matches!(self, Way::Code | Way::Console)
    }

    pub fn steps(self) -> &'static [Step] {
        use Step::*;
        match self {
            Way::Scan | Way::Recovered => &[Authorize, Open, Scan, DigitsOnScreen, Approve, Redeem, Exchange, UserInfo, Introspect, Decide, Forward, Refresh, Resume],
            Way::Seat => &[Unlock, Authorize, Open, Scan, DigitsOnScreen, Approve, Redeem, Exchange, UserInfo, Introspect, Decide, Forward, Refresh, Resume],
            Way::Vouched => &[Authorize, OpenVouched, Scan, DigitsOnScreen, Approve, Redeem, Exchange, UserInfo, Introspect, Decide, Forward, Refresh, Resume],
            Way::Pushed => &[PushRequest, AuthorizePushed, Open, Scan, DigitsOnScreen, Approve, Redeem, Exchange],
            Way::Push => &[Authorize, Offer, Take, DigitsOnPhone, Approve, RedeemGreeted, Continue, Exchange, UserInfo, Introspect, Decide, Forward, Refresh, Resume],
            Way::Passkey => &[Authorize, PasskeyOptions, PasskeySignIn, Exchange, UserInfo, Introspect, Decide, Forward, Refresh, Resume],
            Way::AddDevice => &[OpenEnrolment, Scan, DigitsOnScreen, Approve, RedeemTicket, FinishEnrolment],
            Way::Code => &[MakeCodes, UseCode, FinishRecovery],
            Way::Officers => &[
                OpenRecovery, Scan, DigitsOnScreen, Approve, RedeemApproval, OpenRecovery, Scan, DigitsOnScreen, Approve, RedeemApproval,
                Collect, FinishRecovery,
            ],
            Way::Rebind => &[RebindOptions, RebindFinish],
            Way::Console => &[BeginAtConsole, FinishRecovery],
            Way::Workload => &[Mint, LookAtMinted, Mint],
            Way::Helper => &[Authorize, Open, Scan, DigitsOnScreen, Approve, Redeem, Exchange, HandOn, LookAtMinted, HandOn],
            Way::Agent => &[Mint, AskForCall, TakeCall, Approve, CallTool],
            Way::Ciba => &[Call, Take, TypeDigits, Approve, Hear, UserInfo, Introspect, Decide, Forward, Renew],
            Way::DeviceGrant => &[AskForCode, TypeCode, Approve, CollectTokens, UserInfo, Introspect, Decide, Forward, Refresh],
        }
    }
}

/// A way under way.
pub struct Play<'a> {
    pub scene: &'a Scene<'a>,
    pub way: Way,
    pub phone: Phone,
    pub login: String,
    pub client: String,
    pub(super) place: String,
    pub(super) terminal: Terminal,
    flow: Option<CodeFlow>,
    pushed: Option<String>,
    page: Option<String>,
    pub(super) ceremony: Option<Ceremony>,
    pub checked: Option<Checked>,
    options: Option<countersign_wire::message::AssertionAsk>,
    reply: Option<RedeemedReply>,
    next: Option<String>,
    pub tokens: Option<Tokens>,
    /// The program of [`Way::Workload`], [`Way::Helper`] and [`Way::Agent`].
    pub robot: Robot,
    /// What the agent runs on.
    pub laptop: Option<Phone>,
    /// What its owner is asked.
    pub asked: Option<CeremonyId>,
    minted: Option<String>,
    /// What belongs to ways back.
    pub back: Back,
    /// What clients that collect by themselves were told.
    pub told: Told,
    /// The phone that the seat is on.
    pub shared: Option<Registered>,
}

static NEXT_CLIENT: AtomicU32 = AtomicU32::new(0);
/// The application that asks about their tokens.
pub const READER: &str = "life-reader";
/// Clients, one for each play: what one play does to its client touches no other.
pub const CLIENTS: u32 = 1_400;

/// A terminal that was registered at `place`.
async fn registered(scene: &Scene<'_>, place: &str) -> Terminal {
    Terminal::of(scene.http(place), joined(scene, place, "till").await).unwrap()
}

async fn joined(scene: &Scene<'_>, place: &str, class: &str) -> Registered {
    let name = format!("Till {}", NEXT_CLIENT.load(Ordering::SeqCst));
    let made = scene.stage.command(&["terminal", "invite", "--name", &format!("{name} {place}"), "--place", "Here", "--class", class, "--json"]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let folder = Folder::open(&tempfile::tempdir().unwrap().keep().join("terminal")).unwrap();
    Registered::join(&scene.http(place), made["link"].as_str().unwrap(), folder, None).await.unwrap()
}

/// A step that has nothing to try with, because one before it was refused.
pub(super) fn unmade() -> Fault {
    Fault::ended("unmade")
}

/// The code of a refusal.
pub fn code(fault: &Fault) -> String {
    match fault {
        Fault::Refused(refusal) => refusal.code.clone(),
        Fault::Person(_) => "access_denied".to_owned(),
        other => other.to_string(),
    }
}

impl<'a> Play<'a> {
    pub async fn new(scene: &'a Scene<'a>, way: Way) -> Play<'a> {
        let place = place();
        let (link, mut login) = scene.invitation("Wandel").await;
        let mut phone = Phone::enrol(scene.http(&place), &link, "Phone", None).await.unwrap();
        let n = if way.has_client() && way != Way::Ciba { NEXT_CLIENT.fetch_add(1, Ordering::SeqCst) } else { CLIENTS };
        assert!(n < CLIENTS || !way.has_client() || way == Way::Ciba, "more plays than clients");
        let client = if way == Way::Ciba { next() } else { format!("life-{n}") };
        let mut shared = None;
        if way == Way::Seat {
            let handset = joined(scene, &place, "shared-phone").await;
            let (link, theirs) = scene.invitation("Sitz").await;
            phone = Phone::enrol_on(scene.http(&place), &link, handset.key(), "Seat").await.unwrap();
            login = theirs;
            shared = Some(handset);
        }
        let back = Back::new(scene, way, &mut phone, &login, &place).await;
        let terminal = if way == Way::Vouched { registered(scene, &place).await } else { scene.terminal(&place) };
        let robot = if way == Way::Helper { Robot::named(&format!("life-helper-{n}")) } else { Robot::new() };
        if way == Way::Helper {
            let (link, owner) = scene.invitation("Halter").await;
            Phone::enrol(scene.http(&place), &link, "Phone", None).await.unwrap();
            robot.register(scene.stage, &owner, serde_json::json!({"audiences": [super::AUDIENCE]})).unwrap();
        }
        if way == Way::Workload {
            robot.register(scene.stage, &login, serde_json::json!({})).unwrap();
        }
        let mut laptop = None;
        if way == Way::Agent {
            let second = scene.second_phone(&phone, &place).await;
            health(&second).await;
            robot.register(scene.stage, &login, runs_on(&second, &["refund"])).unwrap();
            laptop = Some(second);
        }
        Play {
            scene,
            way,
            phone,
            login,
            client,
            terminal,
            place,
            flow: None,
            pushed: None,
            page: None,
            ceremony: None,
            checked: None,
            options: None,
            reply: None,
            next: None,
            tokens: None,
            robot,
            laptop,
            asked: None,
            minted: None,
            back,
            told: Told::default(),
            shared,
        }
    }

    fn page(&self) -> Result<&str, Fault> {
        self.page.as_deref().ok_or_else(unmade)
    }
    pub(super) fn ceremony(&self) -> Result<&Ceremony, Fault> {
        self.ceremony.as_ref().ok_or_else(unmade)
    }
    fn checked(&self) -> Result<&Checked, Fault> {
        self.checked.as_ref().ok_or_else(unmade)
    }
    pub(super) fn tokens(&self) -> Result<&Tokens, Fault> {
        self.tokens.as_ref().ok_or_else(unmade)
    }

    /// Whether its client was given tokens.
    pub fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    async fn arrive(&self) -> Result<(CodeFlow, String), Fault> {
        let flow = CodeFlow::new(&self.client, REDIRECT, "openid profile")?;
        match self.terminal.arrive(&flow.url(&self.scene.discovery, &self.terminal.key.public().thumbprint())).await? {
            Arrival::Flow(page) => Ok((flow, page)),
            Arrival::Away(url) => Err(flow.code(&self.scene.discovery, &url).err().unwrap_or_else(unmade)),
        }
    }

    pub async fn step(&mut self, step: Step) -> Result<(), Fault> {
        match step {
            Step::PushRequest => {
                let flow = CodeFlow::new(&self.client, REDIRECT, "openid profile")?;
                let url = flow.url(&self.scene.discovery, &self.terminal.key.public().thumbprint());
                let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let call = Call::form(self.scene.stage.issuer.join("/par").map_err(|_| unmade())?, &pairs);
                let told: Value = self.terminal.http.ask(&call.proved(Prover::terminal(&self.terminal.key))).await?;
                (self.flow, self.pushed) = (Some(flow), told["request_uri"].as_str().map(str::to_owned));
            }
            Step::AuthorizePushed => {
                let mut url = self.scene.discovery.authorization_endpoint.clone();
                let name = self.pushed.as_deref().ok_or_else(unmade)?;
                url.query_pairs_mut().append_pair("client_id", &self.client).append_pair("request_uri", name);
                match self.terminal.arrive(&url).await? {
                    Arrival::Flow(page) => self.page = Some(page),
                    Arrival::Away(_) => return Err(unmade()),
                }
            }
            Step::Authorize => {
                let (flow, page) = self.arrive().await?;
                (self.flow, self.page) = (Some(flow), Some(page));
            }
            Step::Unlock => {
                self.phone.unlock(self.shared.as_ref().ok_or_else(unmade)?.key()).await?;
            }
            Step::Open => self.ceremony = Some(self.terminal.open(self.page()?).await?),
            Step::OpenVouched => {
                let open = Open { flow: Some(self.page()?.to_owned()), without_phone: Some(self.login.clone()), ..Open::default() };
                self.ceremony = Some(self.terminal.open_as(&open).await?);
            }
            Step::Offer => {
                let open = Open { flow: Some(self.page()?.to_owned()), offer: Some(self.login.clone()), ..Open::default() };
                self.ceremony = Some(self.terminal.open_as(&open).await?);
            }
            Step::OpenEnrolment => self.ceremony = Some(self.terminal.open_enrolment("Second").await?),
            Step::Scan => {
                // What was checked before is not what is on the screen now.
                self.checked = None;
                self.checked = Some(self.acting().scan(&[self.ceremony()?.frame()]).await?);
            }
            Step::Take => {
                let cid = match &self.told.offered {
                    Some(cid) => cid.clone(),
                    None => self.ceremony()?.cid.clone(),
                };
                self.checked = Some(self.phone.take(&cid).await?);
            }
            Step::DigitsOnScreen => {
                let digits = self.checked()?.digits().ok_or_else(unmade)?.to_owned();
                self.terminal.confirm(self.ceremony()?, &digits).await?;
            }
            Step::DigitsOnPhone => {
                let digits = self.terminal.state(self.ceremony()?, None).await?.digits.ok_or_else(unmade)?;
                self.phone.confirm(&self.ceremony()?.cid, &digits).await?;
            }
            Step::Approve => {
                self.acting().approve(self.checked()?).await?;
            }
            Step::Redeem | Step::RedeemGreeted | Step::RedeemTicket => {
                let reply = self.terminal.redeem(self.ceremony()?).await?;
                self.next.clone_from(&reply.next);
                self.reply = Some(reply);
            }
            Step::Continue => self.next = Some(self.terminal.proceed(self.ceremony()?).await?.next),
            Step::FinishEnrolment => {
                let ticket = self.reply.as_ref().and_then(|r| r.ticket.clone()).ok_or_else(unmade)?;
                let fresh = self.scene.terminal(&self.place);
                let (http, key) = std::mem::replace(&mut self.terminal, fresh).into_parts();
                let invite = InviteLink { issuer: self.scene.stage.issuer.clone(), token: ticket };
                Phone::enrol_with(http, &invite, key, "Second", None).await?;
            }
            Step::PasskeyOptions => self.options = Some(self.terminal.passkey_options(self.page()?).await?),
            Step::PasskeySignIn => {
                let mut ask = self.options.clone().ok_or_else(unmade)?;
                ask.allow = vec![self.phone.passkey.about.id.clone()];
                let assertion = self.phone.assert(&ask)?;
                self.next.clone_from(&self.terminal.passkey(self.page()?, &assertion).await?.next);
            }
            Step::Exchange => {
                let next = self.next.as_deref().and_then(|n| n.parse().ok()).ok_or_else(unmade)?;
                let flow = self.flow.as_ref().ok_or_else(unmade)?;
                let code = flow.code(&self.scene.discovery, &next)?;
                self.tokens = Some(flow.exchange(&self.terminal.http, &self.scene.discovery, &self.terminal.key, &code).await?);
            }
            Step::UserInfo => {
                let url = self.scene.discovery.userinfo_endpoint.clone().ok_or_else(unmade)?;
                let prover = Prover { key: &self.terminal.key, body: false, token: Some(&self.tokens()?.access_token) };
                self.terminal.http.call(&Call::fetch(url).proved(prover)).await?;
            }
            Step::Introspect => {
                let body = form_urlencoded::Serializer::new(String::new()).append_pair("token", &self.tokens()?.access_token).finish();
                let reader = format!("Basic {}", STANDARD.encode(format!("{READER}:{SECRET}")));
                let headers = [("authorization", reader), ("content-type", "application/x-www-form-urlencoded".to_owned())];
                let reply = self.scene.raw(&self.place).send("POST", "/introspect", &headers, body.into_bytes()).await;
                assert_eq!(reply.status, 200);
                if reply.json()["active"] != true {
                    return Err(Fault::ended("inactive"));
                }
            }
            Step::Decide => {
                let thing = |kind: &str, id: &str| serde_json::json!({"type": kind, "id": id});
                let asked = serde_json::json!({
                    "subject": thing("token", &self.tokens()?.access_token), "action": {"name": "continue"}, "resource": thing("client", &self.client),
                });
                let reader = format!("Basic {}", STANDARD.encode(format!("{READER}:{SECRET}")));
                let headers = [("authorization", reader), ("content-type", "application/json".to_owned())];
                let reply = self.scene.raw(&self.place).send("POST", "/access/v1/evaluation", &headers, asked.to_string().into_bytes()).await;
                assert_eq!(reply.status, 200);
                if reply.json()["decision"] != true {
                    return Err(Fault::ended("inactive"));
                }
            }
            Step::Forward => {
                let raw = self.scene.raw(&self.place);
                let (url, token) = ("https://rows.example/all", &self.tokens()?.access_token);
                let path = format!("/forward-auth?client={}&audience=https://rows.example", self.client);
                let shown = async |nonce: Option<String>| {
                    let proof = raw.proof(&self.terminal.key, "GET", "/", b"", |c| {
                        (c.htu, c.nonce) = (url.to_owned(), nonce);
                        (c.ath, c.bd) = (Some(countersign_wire::b64::encode(&countersign_wire::mac::h(token.as_bytes()))), None);
                    });
                    let headers = [
                        ("authorization", format!("DPoP {token}")), ("dpop", proof), ("x-original-url", format!("{url}?page=1")),
                        ("x-original-method", "GET".to_owned()),
                    ];
                    raw.send("GET", &path, &headers, vec![]).await
                };
                // Whose trust holds is asked for a nonce, and given one.
                let mut reply = shown(None).await;
                if let Some(nonce) = reply.headers.get("dpop-nonce") {
                    reply = shown(Some(nonce.to_str().unwrap().to_owned())).await;
                }
                match reply.status {
                    200 => {}
                    401 | 403 => return Err(Fault::ended("inactive")),
                    other => panic!("{other}"),
                }
            }
            Step::Refresh => {
                let token = self.tokens()?.refresh_token.clone().ok_or_else(unmade)?;
                let pairs = [("grant_type", "refresh_token"), ("client_id", &*self.client), ("refresh_token", &*token)];
                let call = Call::form(self.scene.discovery.token_endpoint.clone(), &pairs);
                self.tokens = Some(self.terminal.http.ask(&call.proved(Prover::terminal(&self.terminal.key))).await?);
            }
            Step::Mint => {
                let reply = self.robot.ask(&self.scene.raw(&self.place), &[("scope", "read"), ("resource", STOCK)]).await;
                self.minted = reply.json()["access_token"].as_str().map(str::to_owned).or(self.minted.take());
                if reply.status != 200 {
                    return Err(Fault::ended(CODES.into_iter().find(|c| *c == reply.code()).unwrap_or("another code")));
                }
            }
            Step::HandOn => {
                let subject = self.tokens()?.access_token.clone();
                let reply = self.robot.exchange(&self.scene.raw(&self.place), &subject, &[]).await;
                self.minted = reply.json()["access_token"].as_str().map(str::to_owned).or(self.minted.take());
                if reply.status != 200 {
                    return Err(Fault::ended(CODES.into_iter().find(|c| *c == reply.code()).unwrap_or("another code")));
                }
            }
            Step::AskForCall | Step::CallTool => {
                let (raw, token) = (self.scene.raw(&self.place), self.minted.as_deref().ok_or_else(unmade)?);
                let what = ("tools/call", "tool", "refund");
                let told = decided(&raw, READER, &question(&raw, &self.robot.dpop, token, STOCK, what, &serde_json::json!({})).await).await.json();
                let reason = told["context"]["reason"].as_str().unwrap_or("none");
                self.asked = told["context"]["approval"]["id"].as_str().and_then(|id| id.parse().ok()).or(self.asked.take());
                let wanted = if step == Step::AskForCall { reason == "pending" } else { told["decision"] == true };
                if !wanted {
                    return Err(Fault::ended(CODES.into_iter().find(|c| *c == reason).unwrap_or("another code")));
                }
            }
            Step::TakeCall => self.checked = Some(self.phone.take(self.asked.as_ref().ok_or_else(unmade)?).await?),
            Step::LookAtMinted => {
                let token = self.minted.as_deref().ok_or_else(unmade)?;
                if introspected(&self.scene.raw(&self.place), READER, token).await["active"] != true {
                    return Err(Fault::ended("inactive"));
                }
            }
            Step::MakeCodes | Step::UseCode | Step::OpenRecovery | Step::RedeemApproval | Step::Collect | Step::BeginAtConsole
            | Step::FinishRecovery | Step::RebindOptions | Step::RebindFinish => self.recover(step).await?,
            Step::AskForCode | Step::TypeCode | Step::CollectTokens | Step::Call | Step::TypeDigits | Step::Hear | Step::Renew => {
                self.collect(step).await?;
            }
            Step::Resume => {
                let (_, page) = self.arrive().await?;
                self.terminal.resume(&page).await?;
            }
        }
        Ok(())
    }
}

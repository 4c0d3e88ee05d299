//! The one issuance gate with its loads: every session, code and token of every endpoint comes
//! through [`gate`], which re-reads whatever can veto and hands its versions to the commit.

use super::terminals::{self, Met};
use super::{App, Fault, rights, silence};
use countersign_store::sql::{StoredClient, StoredWorkload};
use countersign_store::{Commit, Table};
use countersign_trust::Refusal;
use countersign_trust::acr::Earned;
use countersign_trust::ceremony::collect::Collector;
use countersign_trust::device::{Credential, Device};
use countersign_trust::issuance::{self, Facts, Permit, Product, WorkloadPermit};
use countersign_trust::workload::{Behalf, Call, Wish};
use countersign_trust::policy::{self, Action, Allowed, Ruling, WorkloadRuling};
use countersign_trust::presence::Presence;
use countersign_trust::principal::Person;
use countersign_trust::session::{Session, SessionFacts};
use countersign_trust::terminal::{AtTerminal, Stands, Terminal};
use countersign_wire::statement::Purpose;
use countersign_wire::{ClientId, CredentialId, DeviceId, PersonId, Time};

/// Facts that can veto, as read just now.
#[derive(Clone, Debug)]
pub struct Vetoes {
    /// The person.
    pub person: Person,
    /// The device.
    pub device: Device,
    /// The passkey.
    pub credential: Credential,
    /// The client, where there is one.
    pub client: Option<StoredClient>,
    /// The session in which something is made, without rights whose giver may not act now.
    session: Option<Session>,
    /// Who vouches for the person, where somebody does; device and passkey are theirs.
    pub voucher: Option<Person>,
    /// People and devices that gave a right of the session and did not open it.
    givers: Vec<(Table, String, i64)>,
    /// The registered terminal, where there is one, and whether it is where it belongs.
    pub terminal: Option<(Terminal, Stands)>,
}

impl Vetoes {
    /// Reads them; whatever is gone refuses.
    pub async fn load(
        app: &App,
        person: &PersonId,
        device: &DeviceId,
        credential: &CredentialId,
        client: Option<&ClientId>,
    ) -> Result<Vetoes, Fault> {
        let gone = || Fault::because(Refusal::Denied, "a fact it rests on is gone");
        Ok(Vetoes {
            person: app.store.person(person).await?.ok_or_else(gone)?,
            device: app.store.device(device).await?.ok_or_else(gone)?.device,
            credential: app.store.credential(credential).await?.ok_or_else(gone)?,
            client: match client {
                Some(id) => Some(app.client(id).await?.ok_or_else(gone)?),
                None => None,
            },
            session: None,
            voucher: None,
            givers: Vec::new(),
            terminal: None,
        })
    }

    /// Reads who vouches as well.
    pub async fn vouched_by(self, app: &App, voucher: Option<&PersonId>) -> Result<Vetoes, Fault> {
        let voucher = match voucher {
            Some(id) => Some(app.store.person(id).await?.ok_or(Fault::because(Refusal::Denied, "whoever vouched is gone"))?),
            None => None,
        };
        Ok(Vetoes { voucher, ..self })
    }

    /// The same for a running session, with the terminal it runs at and whoever gave rights of it.
    pub async fn of(app: &App, session: &Session, client: Option<&ClientId>, now: Time) -> Result<Vetoes, Fault> {
        let f = &session.facts;
        let own = Vetoes::load(app, &f.person, &f.device, &f.credential, client).await?;
        let vetoes = own.vouched_by(app, f.vouched_by.as_ref()).await?.at(app, f.terminal.as_ref()).await?;
        vetoes.in_session(app, session, now).await
    }

    /// The same for what is made in this session. The gate knows no session but this one.
    pub async fn in_session(self, app: &App, session: &Session, now: Time) -> Result<Vetoes, Fault> {
        let (session, givers) = rights::still_given(app, session, now).await?;
        Ok(Vetoes { session: Some(session), givers, ..self })
    }

    /// The session in which something is made.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Reads the terminal as well.
    pub async fn at(self, app: &App, at: Option<&AtTerminal>) -> Result<Vetoes, Fault> {
        let terminal = match at {
            Some(at) => {
                let found = app.store.terminal(&at.id).await?.ok_or(Fault::because(Refusal::Denied, "a terminal that is gone"))?;
                let stands = terminals::stands(app, &found, at);
                Some((found, stands))
            }
            None => None,
        };
        Ok(self.standing(terminal))
    }

    /// With a terminal that was read.
    pub fn standing(self, terminal: Option<(Terminal, Stands)>) -> Vetoes {
        Vetoes { terminal, ..self }
    }

    /// The terminal that the session runs at, as one that was met.
    pub fn met(&self, f: &SessionFacts) -> Option<Met> {
        let at = f.terminal.as_ref().zip(self.terminal.as_ref());
        at.map(|(at, (t, stands))| Met { terminal: t.clone(), at: AtTerminal { stands: *stands, ..at.clone() } })
    }

    /// The terminal as policies see it.
    pub fn screen(&self) -> Option<(&Terminal, Stands)> {
        self.terminal.as_ref().map(|(t, stands)| (t, *stands))
    }

    /// Whatever rests on them holds only if none has moved.
    pub fn guards(&self) -> Vec<(Table, String, i64)> {
        let mut all = self.guards_but_credential();
        all.push((Table::Credential, self.credential.id.to_string(), self.credential.version));
        all
    }

    /// The same without the passkey, for a commit that itself writes the passkey's counter.
    pub fn guards_but_credential(&self) -> Vec<(Table, String, i64)> {
        let mut all = resting_on(&self.person, &self.device, self.client.as_ref());
        all.extend(self.givers.iter().cloned());
        all.extend(self.voucher.as_ref().map(|p| (Table::Person, p.id.to_string(), p.version)));
        all.extend(self.terminal.as_ref().map(|(t, _)| on_terminal(t)));
        all
    }

    /// Adds the guards to a commit.
    pub fn guard(&self, commit: &mut Commit) {
        commit.guards(self.guards());
    }
}

/// Guards for whatever rests on a person, a device and perhaps a client.
pub fn resting_on(person: &Person, device: &Device, client: Option<&StoredClient>) -> Vec<(Table, String, i64)> {
    let mut all = vec![
        (Table::Person, person.id.to_string(), person.version),
        (Table::Device, device.id.to_string(), device.version),
    ];
    all.extend(client.map(|c| (Table::Client, c.client.id.to_string(), c.version)));
    all
}

/// The same for a registered terminal.
pub fn on_terminal(t: &Terminal) -> (Table, String, i64) {
    (Table::Terminal, t.id.to_string(), t.version)
}

/// What the thing to be made rests on.
#[derive(Clone)]
pub struct Ground<'a> {
    /// What was earned.
    pub earned: Earned,
    /// Classes asked for.
    pub acr_values: &'a [String],
    /// Scopes asked for.
    pub scopes: &'a [String],
    /// How person and terminal met.
    pub channel: &'static str,
    /// How near they were shown to be.
    pub presence: Presence,
    /// What for.
    pub purpose: Purpose,
    /// Types of the authorization details it is about.
    pub details: Vec<String>,
    /// The client that collects it, if one does.
    pub collector: Option<Collector>,
}

impl<'a> Ground<'a> {
    /// Of something made in a running session, with what its ceremony showed.
    pub fn of(session: &Session, acr_values: &'a [String], scopes: &'a [String]) -> Ground<'a> {
        let f = &session.facts;
        let shown = |name: &str| f.shown.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        Ground {
            earned: f.earned,
            acr_values,
            scopes,
            channel: channel_word(shown("channel")),
            presence: Presence::parse(shown("near")).unwrap_or(Presence::Unproven),
            purpose: Purpose::SignIn,
            details: Vec::new(),
            collector: f.collector,
        }
    }
    /// The same, with authorization details of these types.
    pub fn about(self, types: Vec<String>) -> Ground<'a> {
        Ground { details: types, ..self }
    }
}

/// What policy sees of it.
pub fn facts(vetoes: &Vetoes, ground: &Ground<'_>, now: Time) -> policy::Facts {
    let client = vetoes.client.as_ref().map(|c| &c.client);
    // Before there is a session, whoever vouches is the one who acts.
    let who = vetoes.voucher.as_ref().filter(|_| vetoes.session().is_none()).unwrap_or(&vetoes.person);
    policy::Facts::of(who, &vetoes.device, client, ground.purpose, ground.channel, ground.presence, now)
        .vouched_by(vetoes.voucher.as_ref(), now)
        .at(vetoes.screen(), now)
        .with_details(ground.details.clone())
        .collected(ground.collector)
        .in_session(vetoes.session(), now)
}

/// Judges once more whether `product` may be made.
pub fn gate(
    app: &App,
    product: Product,
    vetoes: &Vetoes,
    ground: &Ground<'_>,
    now: Time,
) -> Result<(Permit, Allowed), Fault> {
    let client = vetoes.client.as_ref().map(|c| &c.client);
    let action = match product {
        Product::Session | Product::EnrolmentTicket | Product::Approval => Action::Redeem,
        Product::Code | Product::Tokens => Action::Issue,
        Product::UserInfo | Product::Introspection | Product::Decision => Action::Continue,
    };
    let facts = facts(vetoes, ground, now);
    let ruling = app.policies.current().rule(action, &facts, client, ground.scopes);
    let permit = issuance::permit(
        product,
        &Facts {
            person: &vetoes.person,
            voucher: vetoes.voucher.as_ref(),
            device: &vetoes.device,
            credential: &vetoes.credential,
            terminal: vetoes.terminal.as_ref().map(|(t, _)| t),
            client,
            session: vetoes.session(),
            ruling: &ruling,
            earned: ground.earned,
            acr_values: ground.acr_values,
            details: &ground.details,
        },
        now,
    )?;
    match ruling {
        Ruling::Allow(allowed) => Ok((permit, allowed)),
        Ruling::Deny(denied) => Err(denied.refusal.into()),
    }
}

/// Whether rules let a device make something that outlasts it: another key, another device, codes, an invitation.
/// Nobody stands before a screen there. Its silence is no reason: whoever lost the key cannot speak.
pub fn may_make(app: &App, person: &Person, device: &Device, now: Time) -> Result<(), Fault> {
    if device.is_shared() {
        return Err(Fault::because(Refusal::SharedPhone, "a device that others hold as well"));
    }
    let mut device = device.clone();
    device.signals.retain(|signal| signal.source != silence::SOURCE);
    let facts = policy::Facts::of(person, &device, None, Purpose::SignIn, "frame", Presence::Strong, now);
    let decided = app.policies.current().decide(Action::Approve, &facts, "");
    if decided.allowed {
        return Ok(());
    }
    Err(Fault::because(decided.refusal, "rules stop what would outlast this device").saying(decided.say))
}

/// For something made in a running session: loads what can veto and asks the gate.
pub async fn gate_in_session(
    app: &App,
    product: Product,
    client: &ClientId,
    session: &Session,
    ground: &Ground<'_>,
    now: Time,
) -> Result<(Permit, Vetoes), Fault> {
    let vetoes = Vetoes::of(app, session, Some(client), now).await?;
    let (permit, _) = gate(app, product, &vetoes, ground, now)?;
    Ok((permit, vetoes))
}

/// What can veto a workload's wish, as read just now.
pub struct WorkloadVetoes {
    /// The workload.
    pub stored: StoredWorkload,
    /// Who answers for it.
    pub owner: Person,
    /// The device that it runs on, where it is an agent.
    pub device: Option<Device>,
}

/// What a workload asks the gate for.
pub struct Asking<'a> {
    /// Whom it is for.
    pub audience: &'a str,
    /// With which scopes.
    pub scopes: &'a [String],
    /// Whether bound to a key.
    pub bound: bool,
    /// For whom it acts, where it acts for somebody.
    pub behalf: Option<Behalf<'a>>,
    /// Which call of a tool it is about, where it is about one.
    pub call: Option<Call<'a>>,
}

impl WorkloadVetoes {
    /// Reads whoever answers for it.
    pub async fn of(app: &App, stored: StoredWorkload) -> Result<WorkloadVetoes, Fault> {
        let gone = || Fault::because(Refusal::Denied, "a workload without owner");
        let owner = app.store.person(&stored.workload.owner).await?.ok_or_else(gone)?;
        let device = match &stored.workload.facts.agent {
            Some(agent) => app.store.device(&agent.device).await?.map(|d| d.device),
            None => None,
        };
        Ok(WorkloadVetoes { stored, owner, device })
    }
    /// Whatever rests on them holds only if none has moved, and not beyond the workload's end.
    pub fn guard(&self, commit: &mut Commit) {
        commit.before(self.until()).guards(self.guards());
    }
    /// The workload's own end.
    pub fn until(&self) -> Time {
        self.stored.workload.until
    }
    /// The versions of them.
    pub fn guards(&self) -> Vec<(Table, String, i64)> {
        let w = &self.stored.workload;
        let mut all = vec![
            (Table::Workload, w.id.to_string(), w.version),
            (Table::Person, self.owner.id.to_string(), self.owner.version),
        ];
        all.extend(self.device.iter().map(|d| (Table::Device, d.id.to_string(), d.version)));
        all
    }
}

/// Judges what a workload asks for, for itself or for a person; with the rules that decided.
pub fn gate_workload(app: &App, vetoes: &WorkloadVetoes, asking: &Asking<'_>, now: Time) -> Result<(WorkloadPermit, Vec<String>), Fault> {
    let Asking { audience, scopes, bound, behalf, call } = *asking;
    let (workload, owner, device) = (&vetoes.stored.workload, &vetoes.owner, vetoes.device.as_ref());
    let wish = Wish { workload, owner, audience, scopes, bound, behalf, device, call };
    let ruling = app.policies.current().rule_workload(&wish, now);
    let permit = issuance::permit_workload(&wish, &ruling, now)?;
    match ruling {
        WorkloadRuling::Allow { policies } => Ok((permit, policies)),
        WorkloadRuling::Deny(denied) => Err(denied.refusal.into()),
    }
}

fn channel_word(text: &str) -> &'static str {
    ["frame", "pair", "user_code", "push", "badge", "passkey"]
        .into_iter()
        .find(|w| *w == text)
        .unwrap_or("unknown")
}

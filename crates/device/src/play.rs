//! Acts a person's whole part without a browser: the screen, the phone, and the digits in between.
//!
//! For tests, demonstrations and monitoring. Screen and phone are one process here, so it proves
//! that a sign-in works and nothing about who signs in.

use crate::terminal::{Arrival, Ceremony};
use crate::phone::Checked;
use crate::http::Call;
use crate::{Fault, Http, Phone, SoftwareKey, Terminal};
use countersign_wire::CeremonyId;
use url::Url;

/// The cookie of a session.
const SESSION: &str = "__Host-cs_s";

/// How often an open phone asks what waits, as its page does.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// How to play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Refuse instead of approving.
    pub refuse: bool,
    /// Refuse, and say that somebody else started it.
    pub not_me: bool,
    /// Type wrong digits until the server ends it.
    pub wrong_digits: bool,
    /// Scan two frames in sequence instead of one.
    pub pair: bool,
    /// Type the code instead of scanning.
    pub typed_code: bool,
    /// Use the passkey on the screen itself; no phone is asked.
    pub passkey: bool,
    /// Go back to the application without signing in.
    pub cancel: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Where the browser was sent in the end, query intact.
    pub redirect: Url,
    /// The ceremony; none if the client got its answer without one.
    pub cid: Option<CeremonyId>,
    /// The name shown on the screen.
    pub name: Option<String>,
}

/// Signs in at `url`, an authorization URL or an application page that leads to one, with `phone`
/// and the browser `http`.
pub async fn authorize(phone: &Phone, http: Http, url: &Url, part: Part) -> Result<Played, Fault> {
    let terminal = Terminal::new(http, phone.issuer())?;
    authorize_at(phone, &terminal, url, part).await
}

/// As [`authorize`], on a terminal of the caller's, which keeps the session afterwards.
pub async fn authorize_at(phone: &Phone, terminal: &Terminal, url: &Url, part: Part) -> Result<Played, Fault> {
    match terminal.arrive(url).await? {
        Arrival::Away(redirect) => Ok(Played { redirect, cid: None, name: None }),
        Arrival::Flow(flow) => answer(phone, terminal, &flow, part).await,
    }
}

/// As [`authorize_at`], on a terminal that may hold a session: it answers if it is enough, and is
/// raised if it is not. Where there is none, the terminal gets a fresh key.
pub async fn authorize_again(phone: &Phone, terminal: &mut Terminal, url: &Url, part: Part) -> Result<Played, Fault> {
    let flow = match terminal.arrive(url).await? {
        Arrival::Away(redirect) => return Ok(Played { redirect, cid: None, name: None }),
        Arrival::Flow(flow) => flow,
    };
    match terminal.resume(&flow).await {
        Ok(next) => return Ok(Played { redirect: terminal.leave(&next.next).await?, cid: None, name: None }),
        Err(fault) if fault.is("step_up") => {}
        Err(fault) if fault.is("no_session") => terminal.key = SoftwareKey::generate()?,
        Err(fault) => return Err(fault),
    }
    answer(phone, terminal, &flow, part).await
}

/// Signs out at `url`, a client's log-out request, as the browser that holds the session. Answers
/// where the page leads.
pub async fn sign_out(terminal: &Terminal, url: &Url) -> Result<Option<Url>, Fault> {
    let page = terminal.http.call(&Call::fetch(url.clone())).await?;
    if terminal.http.jar().value(terminal.issuer(), SESSION).is_some() {
        return Err(Fault::Person("the server asks a person before it signs out".into()));
    }
    let text = String::from_utf8_lossy(&page.body);
    let next = text.split_once("data-next=\"").and_then(|(_, rest)| rest.split_once('"'));
    Ok(next.and_then(|(next, _)| Url::parse(&next.replace("&#38;", "&").replace("&amp;", "&")).ok()))
}

/// Types `code`, which some other screen shows, and decides: the part of a device grant that is not the
/// client's (RFC 8628 §3.3).
pub async fn type_code(phone: &Phone, code: &str, part: Part) -> Result<CeremonyId, Fault> {
    let checked = phone.scan_code(code).await?;
    decide(phone, &checked, part).await
}

/// Waits until a request is offered to this phone's person, takes it, types `digits` where they are asked
/// for, and decides.
pub async fn answer_offered(phone: &Phone, digits: Option<&str>, part: Part) -> Result<CeremonyId, Fault> {
    let found = loop {
        if let Some(first) = phone.pending().await?.pending.into_iter().next() {
            break first;
        }
        tokio::time::sleep(LOOK).await;
    };
    let cid: CeremonyId = found.cid.parse().map_err(|_| Fault::Unreachable("the server named no request".into()))?;
    let checked = phone.take(&cid).await?;
    if checked.asks_digits_here() && !(part.refuse || part.not_me) {
        let digits = digits.ok_or_else(|| Fault::Usage("the request asks for digits: `--digits`".into()))?;
        phone.confirm(&cid, digits).await?;
    }
    decide(phone, &checked, part).await
}

async fn decide(phone: &Phone, checked: &Checked, part: Part) -> Result<CeremonyId, Fault> {
    if part.refuse || part.not_me {
        let told = if part.not_me { phone.not_me(checked).await } else { phone.refuse(checked).await };
        told?;
        return Err(Fault::Person("not approved, nothing was opened".into()));
    }
    phone.approve(checked).await?;
    Ok(checked.statement.cid.clone())
}

/// The whole part, at the sign-in page `flow`.
async fn answer(phone: &Phone, terminal: &Terminal, flow: &str, part: Part) -> Result<Played, Fault> {
    if part.cancel {
        let next = terminal.cancel(flow).await?.next;
        return Ok(Played { redirect: terminal.leave(&next).await?, cid: None, name: None });
    }
    if part.passkey {
        let mut ask = terminal.passkey_options(flow).await?;
        ask.allow = vec![phone.passkey.about.id.clone()];
        let reply = terminal.passkey(flow, &phone.assert(&ask)?).await?;
        let next = reply.next.ok_or_else(|| Fault::Unreachable("the server named no place to go".into()))?;
        return Ok(Played { redirect: terminal.leave(&next).await?, cid: None, name: Some(reply.name) });
    }
    let ceremony = terminal.open(flow).await?;
    let checked = scan(phone, &ceremony, part).await?;
    if part.refuse || part.not_me {
        let told = if part.not_me { phone.not_me(&checked).await } else { phone.refuse(&checked).await };
        told?;
        return Err(Fault::Person("not approved, nothing was opened".into()));
    }
    digits(phone, terminal, &ceremony, &checked, part.wrong_digits).await?;
    phone.approve(&checked).await?;
    let (next, name) = collect(phone, terminal, &ceremony).await?;
    let redirect = terminal.leave(&next).await?;
    Ok(Played { redirect, cid: Some(ceremony.cid), name: Some(name) })
}

async fn scan(phone: &Phone, ceremony: &Ceremony, part: Part) -> Result<Checked, Fault> {
    let frame = ceremony.frame();
    if part.typed_code {
        phone.scan_code(&ceremony.user_code).await
    } else if part.pair {
        // The next frame is already good: one frame ahead of the server's clock is allowed.
        phone.scan(&[frame, ceremony.frame_from_now(1)]).await
    } else {
        phone.scan(&[frame]).await
    }
}

/// Carries the digits in whichever direction is asked.
async fn digits(
    phone: &Phone,
    terminal: &Terminal,
    ceremony: &Ceremony,
    checked: &Checked,
    wrong: bool,
) -> Result<(), Fault> {
    let asked = checked.view.ask.as_deref();
    if matches!(asked, Some("show" | "both")) {
        let shown = checked.digits().ok_or_else(|| Fault::Unreachable("the phone shows no digits".into()))?;
        loop {
            let typed = if wrong { spoil(shown) } else { shown.to_owned() };
            match terminal.confirm(ceremony, &typed).await {
                Err(fault) if wrong && fault.is("wrong_code") => continue,
                other => other?,
            };
            break;
        }
    }
    if matches!(asked, Some("type" | "both")) {
        let view = terminal.state(ceremony, None).await?;
        let shown = view.digits.ok_or_else(|| Fault::Unreachable("the screen shows no digits".into()))?;
        loop {
            let typed = if wrong { spoil(&shown) } else { shown.clone() };
            match phone.confirm(&ceremony.cid, &typed).await {
                Err(fault) if wrong && fault.is("wrong_code") => continue,
                other => other?,
            };
            break;
        }
    }
    Ok(())
}

fn spoil(digits: &str) -> String {
    digits.chars().map(|c| if c == '9' { '0' } else { '9' }).collect()
}

/// Waits for the approval, redeems, answers the greeting.
async fn collect(phone: &Phone, terminal: &Terminal, ceremony: &Ceremony) -> Result<(String, String), Fault> {
    let view = terminal.watch(ceremony).until(&["approved"]).await?;
    if view.state != "approved" {
        return Err(ended(&view.state));
    }
    let reply = terminal.redeem(ceremony).await?;
    if !reply.greet {
        let next = reply.next.ok_or_else(|| Fault::Unreachable("the server named no place to go".into()))?;
        return Ok((next, reply.name));
    }
    if reply.name != phone.kept().person {
        terminal.abandon(ceremony).await?;
        return Err(Fault::Person("the screen greeted somebody else".into()));
    }
    Ok((terminal.proceed(ceremony).await?.next, reply.name))
}

/// The fault of a ceremony that ended in `state`, as its terminal learns it.
pub fn ended(state: &str) -> Fault {
    match state {
        "refused" => Fault::Person("not approved, nothing was opened".into()),
        "expired" => Fault::ended("expired"),
        _ => Fault::ended("gone"),
    }
}

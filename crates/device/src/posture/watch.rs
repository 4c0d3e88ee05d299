//! The running agent: reports on start, when something changes, and at the interval that the server
//! names. Its silence means something, so it never gives up by itself; it says what is going on.

use super::Looking;
use super::tpm::Tpm;
use crate::{Fault, Phone, machine};
use countersign_wire::Time;
use countersign_wire::posture::Why;
use std::time::{Duration, Instant};

/// Between two looks at this machine, seconds, where reports are further apart.
const LOOK_S: u64 = 5;
/// The TPM is asked again after this, seconds: its word counts for a day.
const SHOW_S: u64 = 12 * 3600;
/// A nonce is used this long, seconds: it lives a minute at the server.
const NONCE_S: u64 = 40;
/// The first wait after a failure, and the longest where the interval allows it, seconds.
const RETRY_S: u64 = 1;
const RETRY_MAX_S: u64 = 30;

/// What is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A report was taken.
    Taken {
        /// Why it was sent.
        why: Why,
        /// Whether the server knew otherwise before.
        changed: bool,
        /// The next one is due within this, seconds.
        every_s: i64,
    },
    /// The TPM was asked how the machine started; why it shows nothing, if it does not.
    Shown(Option<Fault>),
    /// One was not; the next attempt comes after this.
    Waiting {
        /// Until the next attempt.
        pause: Duration,
        /// Why.
        because: Fault,
    },
}

/// Watches until the server does not know this device any more; every other failure is waited out.
pub async fn watch(phone: &Phone, looking: &Looking, mut hear: impl FnMut(News)) -> Result<(), Fault> {
    let mut last: Option<Sent> = None;
    let mut nonce: Option<(String, Instant)> = None;
    let mut failures = 0_u32;
    let mut shown: Option<Instant> = None;
    loop {
        let facts = looking.facts();
        let due = match &last {
            None => Some(Why::Start),
            Some(sent) if sent.facts != facts => Some(Why::Change),
            Some(sent) if sent.is_due() => Some(Why::Beat),
            Some(_) => None,
        };
        let Some(why) = due else {
            tokio::time::sleep(last.as_ref().map_or(Duration::ZERO, Sent::until_next_look)).await;
            continue;
        };
        let sent = match looking.tpm.as_ref().filter(|_| shown.is_none_or(|at| at.elapsed() >= Duration::from_secs(SHOW_S))) {
            None => send(phone, &facts, why, &mut nonce).await,
            Some(tpm) => {
                let sent = show(phone, &facts, why, &mut nonce, tpm, &mut hear).await;
                shown = sent.is_ok().then(machine::tick);
                sent
            }
        };
        match sent {
            Ok((changed, every_s)) => {
                failures = 0;
                hear(News::Taken { why, changed, every_s });
                last = Some(Sent { facts, tick: machine::tick(), wall: machine::now(), every_s });
            }
            Err(fault) if is_over(&fault) => return Err(fault),
            Err(because) => {
                nonce = None;
                let most = last.as_ref().map_or(RETRY_MAX_S, |s| s.every().as_secs().clamp(RETRY_S, RETRY_MAX_S));
                let pause = Duration::from_secs((RETRY_S << failures.min(10)).min(most));
                failures = failures.saturating_add(1);
                hear(News::Waiting { pause, because });
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// What the server heard last.
struct Sent {
    facts: super::Facts,
    tick: Instant,
    wall: Time,
    every_s: i64,
}

impl Sent {
    fn every(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.every_s).unwrap_or(0).max(1))
    }
    /// By either clock: the monotonic one stands still while a machine sleeps, the other may be set.
    fn is_due(&self) -> bool {
        let wall_s = machine::now().seconds().saturating_sub(self.wall.seconds()).unsigned_abs();
        self.tick.elapsed() >= self.every() || wall_s >= self.every().as_secs().saturating_add(1)
    }
    fn until_next_look(&self) -> Duration {
        let left = self.every().saturating_sub(self.tick.elapsed());
        left.min(Duration::from_secs(LOOK_S)).max(Duration::from_millis(10))
    }
}

/// A report with evidence, or without where there is none to be had: what the TPM does not show is no
/// reason to fall silent.
async fn show(
    phone: &Phone,
    facts: &super::Facts,
    why: Why,
    nonce: &mut Option<(String, Instant)>,
    tpm: &Tpm,
    hear: &mut impl FnMut(News),
) -> Result<(bool, i64), Fault> {
    let fresh = phone.posture().await?.nonce;
    let taken = match tpm.quote(phone, &fresh).await {
        Ok(evidence) => phone.report_with(facts, vec![evidence], why, true, &fresh).await,
        Err(fault) => Err(fault),
    };
    match taken {
        Ok(taken) => {
            hear(News::Shown(None));
            *nonce = Some((taken.nonce, machine::tick()));
            Ok((taken.changed, taken.every_s))
        }
        Err(because) => {
            hear(News::Shown(Some(because)));
            *nonce = None;
            send(phone, facts, why, nonce).await
        }
    }
}

async fn send(phone: &Phone, facts: &super::Facts, why: Why, nonce: &mut Option<(String, Instant)>) -> Result<(bool, i64), Fault> {
    let known = nonce.take().filter(|(_, heard)| heard.elapsed() < Duration::from_secs(NONCE_S));
    let fresh = match known {
        Some((nonce, _)) => nonce,
        None => phone.posture().await?.nonce,
    };
    let taken = phone.report(facts, why, true, &fresh).await?;
    *nonce = Some((taken.nonce, machine::tick()));
    Ok((taken.changed, taken.every_s))
}

/// The device has ended, or is unknown: nothing to report any more.
fn is_over(fault: &Fault) -> bool {
    matches!(fault, Fault::Local(_) | Fault::Usage(_)) || fault.is("bad_proof")
}

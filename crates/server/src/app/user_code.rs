//! A word of a person's own, which clients must bring who ask for them by name (CIBA Core 1.0 §7.1 `user_code`): whoever
//! knows no more than a login name makes no phone ring.
//!
//! 1. [`set`] keeps it for a device of the person, as salt and slow hash; it is told again to nobody.
//! 2. [`shown`] judges what a client brought, before anything is offered to anybody. Wrong ones are counted for this
//!    client and person alone, before they are compared; a right one takes back its own count and no other.

use super::devices::Acting;
use super::{App, Context, Fault};
use aws_lc_rs::pbkdf2;
use countersign_store::sql::{Counter, StoredDevice};
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::{Refusal, limits};
use countersign_wire::{ClientId, PersonId, b64, jcs};
use std::num::NonZeroU32;

const SLOW: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;

/// Keeps a word, another one, or (empty) none.
pub async fn set(app: &App, ctx: &Context, by: &StoredDevice, word: &str) -> Result<(), Fault> {
    app.in_order()?;
    let good = word.is_empty() || limits::USER_CODE_CHARS.contains(&word.chars().count()) && jcs::is_plain(word) && word.trim() == word;
    if !good {
        return Err(Fault::because(Refusal::Malformed, "a word of 6 to 64 plain characters"));
    }
    let changes = Counter::new("user_code", by.device.person.as_str(), 3_600, limits::USER_CODE_CHANGES_HOUR, ctx.now);
    if !app.store.count_first(&changes).await? {
        return Err(Fault::because(Refusal::TooMany, "changes of a word"));
    }
    let kept = if word.is_empty() { None } else { Some(&*sealed(app.random(), word).await?) };
    app.judged_anew(|n| async move {
        let ctx = &ctx.anew(app, n);
        let acting = Acting::load(app, by, None, ctx.now).await?;
        let what = if kept.is_some() { "set" } else { "removed" };
        let mut event = app.event(Kind::PersonChanged, &ctx.txn, ctx.now).fact("user_code", what);
        event.person = Some(acting.person.id.clone());
        event.device = Some(acting.device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::user_code_set(&acting.person, kept));
        acting.guard(&mut commit, None);
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// What became of a word that a client brought, or did not bring.
pub enum Shown {
    /// The person set none, or it is the right one.
    Right,
    /// There must be one.
    Missing,
    /// It is another.
    Wrong,
}

/// Judges what a client brought for a person.
pub async fn shown(app: &App, ctx: &Context, person: &PersonId, client: &ClientId, word: Option<&str>) -> Result<Shown, Fault> {
    let Some(kept) = app.store.user_code(person).await? else { return Ok(Shown::Right) };
    let Some(word) = word else { return Ok(Shown::Missing) };
    let wrong = Counter::new("ciba/user_code", &format!("{person}/{client}"), 3_600, limits::WRONG_WORDS_HOUR, ctx.now);
    if !app.store.count_first(&wrong).await? {
        return Err(Fault::because(Refusal::TooMany, "wrong words"));
    }
    if !is_kept(kept, word).await? {
        return Ok(Shown::Wrong);
    }
    app.store.uncount(&wrong).await?;
    Ok(Shown::Right)
}

fn rounds(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

/// Work that takes longer than anybody else should wait.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::because(Refusal::Unavailable, "a word that was not judged"))
}

async fn sealed(salt: [u8; 16], word: &str) -> Result<String, Fault> {
    let word = word.to_owned();
    apart(move || {
        let mut hash = [0; 32];
        pbkdf2::derive(SLOW, rounds(limits::USER_CODE_ROUNDS), &salt, word.as_bytes(), &mut hash);
        format!("{}.{}.{}", limits::USER_CODE_ROUNDS, b64::encode(&salt), b64::encode(&hash))
    })
    .await
}

/// Compares in constant time; what does not read is nobody's word.
async fn is_kept(kept: String, word: &str) -> Result<bool, Fault> {
    let word = word.to_owned();
    apart(move || {
        let mut parts = kept.split('.');
        let (n, salt, hash) = (parts.next()?.parse().ok()?, b64::decode(parts.next()?).ok()?, b64::decode(parts.next()?).ok()?);
        pbkdf2::verify(SLOW, rounds(n), &salt, word.as_bytes(), &hash).ok()
    })
    .await
    .map(|same| same.is_some())
}

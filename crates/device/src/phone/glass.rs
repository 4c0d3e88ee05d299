//! Rights without the line, on a phone: what a terminal shows is checked by the server's keys as this phone knows them,
//! and by its own clock. Nothing is asked of anybody, unless the keys are too old.

use super::Phone;
use crate::http::Call;
use crate::{Fault, passkey::host_of};
use countersign_wire::glass::{self, Answer, Challenge, Sealed, Slip, Why};
use countersign_wire::jose::Keys;
use countersign_wire::limits::GLASS_ASK_S;
use countersign_wire::message::AssertionAsk;
use countersign_wire::{Time, b64};
use serde_json::Value;

/// What a terminal shows, found to be of a grant of this phone's server.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What was granted.
    pub sealed: Sealed,
    /// What is asked.
    pub challenge: Challenge,
    digest: [u8; 32],
}

impl Phone {
    /// Asks the server for its keys and keeps them: for the day on which it cannot be asked.
    pub async fn learn_keys(&self) -> Result<(), Fault> {
        let keys: Value = self.http.ask(&Call::fetch(self.url("/jwks")?)).await?;
        if Keys::of(&keys).is_empty() {
            return Err(Fault::Unreachable("the server has no keys".into()));
        }
        self.change(|kept| kept.server_keys = Some(keys))
    }

    /// Checks what a terminal shows at `now`, by keys that this phone has.
    pub fn glass_read(&self, text: &str, now: Time) -> Result<Shown, Fault> {
        let kept = self.kept();
        let slip = Slip::parse(text)?;
        let keys = Keys::of(&kept.server_keys.unwrap_or_default());
        let (sealed, digest) = Sealed::open(&slip.grant, &keys)?;
        let challenge = Challenge::parse(&slip.challenge).map_err(Why::from)?;
        challenge.fits(&sealed, &digest)?;
        let now = now.seconds();
        for (holds, why) in [
            (sealed.iss == kept.issuer && sealed.rp_id == kept.passkey.rp_id && host_of(&kept.issuer) == sealed.rp_id, Why::Grant),
            ((sealed.from()..sealed.exp).contains(&now), Why::Time),
            // A terminal whose clock was set back is noticed by whoever has another.
            ((now - GLASS_ASK_S..=now + GLASS_ASK_S).contains(&challenge.at), Why::Clock),
            (challenge.works.is_none() || challenge.works != kept.sub, Why::Works),
        ] {
            if !holds {
                return Err(why.into());
            }
        }
        Ok(Shown { sealed, challenge, digest: Challenge::digest(&slip.challenge) })
    }

    /// Approves what was checked, with passkey and device key.
    pub fn glass_approve(&self, shown: &Shown) -> Result<Answer, Fault> {
        let ask = AssertionAsk {
            challenge: b64::encode(&Challenge::for_passkey(&shown.digest)),
            rp_id: shown.sealed.rp_id.clone(),
            allow: vec![],
            user_verification: "required".into(),
            hints: vec![],
            timeout_ms: 60_000,
        };
        let assertion = self.assert(&ask)?;
        Ok(glass::approve(&shown.sealed, &shown.digest, &self.kept().device_id, assertion, self.key.public(), &self.key)?)
    }
}

//! The decision: a passkey's assertion over the statement, and the device's signature over both.

use super::{Checked, Phone};
use crate::http::Call;
use crate::{Fault, machine};
use countersign_wire::approval::{self, Decision, Verb};
use countersign_wire::message::{AssertionAsk, DecisionBody, StateOnly};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{CeremonyId, b64, statement};

impl Phone {
    /// Approves what was checked: passkey first, then the device key over both.
    pub async fn approve(&self, checked: &Checked) -> Result<StateOnly, Fault> {
        if checked.left(machine::tick()).is_zero() {
            return Err(Fault::Unsigned("the time to decide is over"));
        }
        let assertion = self.assert(&checked.ask())?;
        let body = self.signed(&checked.statement.cid, &checked.sd, Verb::Approve, Some(assertion))?;
        self.decide(&checked.statement.cid, &body).await
    }

    /// Refuses what was checked. Costs no passkey and needs no reason.
    pub async fn refuse(&self, checked: &Checked) -> Result<StateOnly, Fault> {
        let body = self.signed(&checked.statement.cid, &checked.sd, Verb::Refuse, None)?;
        self.decide(&checked.statement.cid, &body).await
    }

    /// Refuses, and says that somebody else started it.
    pub async fn not_me(&self, checked: &Checked) -> Result<StateOnly, Fault> {
        let body = self.signed(&checked.statement.cid, &checked.sd, Verb::NotMe, None)?;
        self.decide(&checked.statement.cid, &body).await
    }

    /// Refuses what this phone has no statement of: a request that was offered to its person, or a
    /// scan that was refused a moment ago.
    pub async fn refuse_unseen(&self, cid: &CeremonyId, not_me: bool) -> Result<StateOnly, Fault> {
        let verb = if not_me { Verb::NotMe } else { Verb::Refuse };
        let body = self.signed(cid, &statement::digest(b""), verb, None)?;
        self.decide(cid, &body).await
    }

    /// An assertion for `ask` by this phone's passkey; its count is kept before it is used.
    pub fn assert(&self, ask: &AssertionAsk) -> Result<AssertionText, Fault> {
        let count = self.next_count()?;
        self.passkey.assert(ask, &self.origin(), count)
    }

    /// A decision about the statement of digest `sd`, signed. Tests of the server call it with
    /// what does not fit together; people's decisions go through the three calls above.
    pub fn signed(
        &self,
        cid: &CeremonyId,
        sd: &[u8; 32],
        verb: Verb,
        assertion: Option<AssertionText>,
    ) -> Result<DecisionBody, Fault> {
        let kept = self.kept();
        let wa = match &assertion {
            None => None,
            Some(text) => {
                let decoded = text.decode().map_err(|_| Fault::Unsigned("the assertion is damaged"))?;
                Some(b64::encode(&decoded.digest()))
            }
        };
        let decision = Decision {
            iss: kept.device_id,
            aud: kept.issuer,
            cid: cid.clone(),
            sd: b64::encode(sd),
            decision: verb,
            wa,
            jti: machine::name()?,
        };
        let approval = approval::make(&decision, self.key.public(), &self.key)?;
        Ok(DecisionBody { approval, assertion })
    }

    /// Sends a signed decision. The server knows a repetition by its `jti`, so a lost answer is
    /// asked for once more.
    pub async fn decide(&self, cid: &CeremonyId, body: &DecisionBody) -> Result<StateOnly, Fault> {
        let call = Call::post(self.url(&format!("/device/ceremonies/{cid}/decision"))?, body)?;
        match self.http.ask(&call).await {
            Err(Fault::Unreachable(_)) => self.http.ask(&call).await,
            answer => answer,
        }
    }

    pub(super) fn origin(&self) -> String {
        self.issuer.origin().ascii_serialization()
    }
}

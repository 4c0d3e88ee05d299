//! Reporting this device's health (docs/posture.md).

use super::Phone;
use crate::posture::Facts;
use crate::{Fault, machine};
use countersign_wire::dpop::NumericDate;
use countersign_wire::evidence::Evidence;
use countersign_wire::message::{PostureBody, PostureTaken, PostureView};
use countersign_wire::posture::{self, Report, Why};

impl Phone {
    /// What the server knows of this device, with a nonce for the next report.
    pub async fn posture(&self) -> Result<PostureView, Fault> {
        self.fetch("/device/posture").await
    }

    /// Reports `facts` with a nonce of the server. `beats` promises to go on reporting.
    pub async fn report(&self, facts: &Facts, why: Why, beats: bool, nonce: &str) -> Result<PostureTaken, Fault> {
        self.report_with(facts, Vec::new(), why, beats, nonce).await
    }

    /// The same with what hardware signed for this nonce.
    pub async fn report_with(&self, facts: &Facts, evidence: Vec<Evidence>, why: Why, beats: bool, nonce: &str) -> Result<PostureTaken, Fault> {
        let n = self.next_report()?;
        let kept = self.kept();
        let report = Report {
            iss: kept.device_id,
            aud: kept.issuer,
            n,
            nonce: nonce.to_owned(),
            iat: NumericDate(machine::now().seconds()),
            why,
            beats,
            facts: facts.clone(),
            evidence,
        };
        self.send_report(&report).await
    }

    /// Signs a report as it stands and sends it. Tests send wrong ones.
    pub async fn send_report(&self, report: &Report) -> Result<PostureTaken, Fault> {
        let report = posture::make(report, self.key.public(), &self.key)?;
        self.post("/device/posture", &PostureBody { report }).await
    }

    /// The number of the next report, kept before it is used. A number whose report was lost is not
    /// used again.
    pub fn next_report(&self) -> Result<i64, Fault> {
        self.change(|kept| {
            kept.reports = kept.reports.saturating_add(1);
            kept.reports
        })
    }
}

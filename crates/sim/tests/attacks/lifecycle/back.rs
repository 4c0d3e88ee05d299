//! Ways back for whoever has no device left (docs/protocol.md §7), step by step.

use super::ways::{Play, Step, Way, unmade};
use countersign_device::phone::Recovering;
use countersign_device::{Fault, Phone, SoftwareKey};
use countersign_sim::stage::Scene;
use countersign_wire::message::{AssertionAsk, Invite, Ticket};

/// Who and what takes part.
#[derive(Default)]
pub struct Back {
    /// The two people of [`Way::Officers`], with their login names.
    pub officers: Vec<(Phone, String)>,
    /// The phone that the person had before, where another came in its place.
    pub former: Option<Phone>,
    /// Who vouches in [`Way::Vouched`], by login; their phone is the one of the play.
    pub voucher: String,
    approvals: usize,
    codes: Vec<String>,
    asking: Option<Recovering>,
    ticket: Option<Ticket>,
    link: Option<String>,
    fresh: Option<(SoftwareKey, AssertionAsk)>,
}

impl Back {
    pub async fn new(scene: &Scene<'_>, way: Way, phone: &mut Phone, login: &str, place: &str) -> Back {
        let mut back = Back::default();
        if way == Way::Officers {
            for n in ["erste", "zweite"] {
                let role = Some("recovery_officer".to_owned());
                let invite = Invite { name: "Officer".to_owned(), login: format!("{n}.{login}"), role };
                let link = scene.administrator.invite(&invite).await.unwrap().link;
                let phone = Phone::enrol(scene.http(place), &link, "Phone", None).await.unwrap();
                back.officers.push((phone, invite.login));
            }
        }
        if way == Way::Vouched {
            back.voucher = format!("chef.{login}");
            let invite = Invite { name: "Supervisor".to_owned(), login: back.voucher.clone(), role: Some("supervisor".to_owned()) };
            let link = scene.administrator.invite(&invite).await.unwrap().link;
            let theirs = Phone::enrol(scene.http(place), &link, "Phone", None).await.unwrap();
            back.former = Some(std::mem::replace(phone, theirs));
        }
        if way == Way::Recovered {
            let codes = phone.recovery_codes().await.unwrap();
            let new = blank(scene, place);
            let ticket = new.code(login, &codes[0]).await.unwrap();
            let new = new.enrol(&ticket, "Back", None).await.unwrap();
            back.former = Some(std::mem::replace(phone, new));
        }
        back
    }
}

fn blank(scene: &Scene<'_>, place: &str) -> Recovering {
    Recovering { http: scene.http(place), key: SoftwareKey::generate().unwrap(), issuer: scene.stage.issuer.clone() }
}

impl Play<'_> {
    /// Who scans and approves.
    pub fn acting(&self) -> &Phone {
        self.back.officers.get(self.back.approvals.saturating_sub(1)).map_or(&self.phone, |(phone, _)| phone)
    }

    /// The device whose fall must end this way, if there is one.
    pub fn rests_on(&self) -> Option<&Phone> {
        match self.way {
            Way::Officers => Some(&self.back.officers[0].0),
            // A code is good because a device is lost, and it was made before that.
            Way::Code if !self.back.codes.is_empty() => None,
            // It takes no device to come back.
            Way::Console | Way::Workload => None,
            // Until somebody is asked it rests on the device that it runs on.
            Way::Agent if self.asked.is_none() => None,
            _ => Some(&self.phone),
        }
    }

    /// One of the person's devices takes back what it hears of; false if it hears of nothing.
    pub async fn stop(&self) -> bool {
        let person = self.back.former.as_ref().unwrap_or(&self.phone);
        let heard = person.overview().await.unwrap().notices.into_iter();
        let Some(notice) = heard.into_iter().find(|n| n.undo && ["recovery_asked", "device_recovered"].contains(&&*n.kind)) else {
            return false;
        };
        person.undo(&notice.id).await.unwrap();
        true
    }

    pub async fn recover(&mut self, step: Step) -> Result<(), Fault> {
        match step {
            Step::MakeCodes => self.back.codes = self.phone.recovery_codes().await?,
            Step::UseCode => {
                let new = blank(self.scene, &self.place);
                let code = self.back.codes.first().ok_or_else(unmade)?;
                self.back.ticket = Some(new.code(&self.login, code).await?);
                self.back.asking = Some(new);
            }
            Step::OpenRecovery => {
                self.back.approvals += 1;
                self.ceremony = None;
                self.ceremony = Some(self.terminal.open_recovery(&self.login).await?);
            }
            Step::RedeemApproval => {
                let reply = self.terminal.redeem(self.ceremony()?).await?;
                assert!(reply.ticket.is_none() && reply.next.is_none());
            }
            Step::Collect => {
                let fresh = self.scene.terminal(&self.place);
                let issuer = fresh.issuer().clone();
                let (http, key) = std::mem::replace(&mut self.terminal, fresh).into_parts();
                let asking = self.back.asking.insert(Recovering { http, key, issuer });
                self.back.ticket = Some(asking.collect().await?);
            }
            Step::BeginAtConsole => {
                // The program says why in words; its codes are for doors.
                let said = self.scene.stage.command(&["recover", &self.login]).map_err(|said| {
                    assert!(said.contains("not active"), "{said}");
                    Fault::ended("denied")
                })?;
                self.back.link = said.split_whitespace().find(|w| w.contains("/enrol#")).map(str::to_owned);
            }
            Step::FinishRecovery => {
                let new = match (&self.back.link, &self.back.ticket) {
                    (Some(link), _) => Phone::enrol(self.scene.http(&self.place), link, "Back", None).await?,
                    (None, Some(ticket)) => self.back.asking.take().ok_or_else(unmade)?.enrol(ticket, "Back", None).await?,
                    (None, None) => return Err(unmade()),
                };
                assert!(new.overview().await?.devices.iter().any(|d| d.this && d.limited_until.is_some()), "with full rights");
            }
            Step::RebindOptions => {
                let key = SoftwareKey::generate().unwrap();
                let ask = self.phone.rebind_options(&key).await?;
                self.back.fresh = Some((key, ask));
            }
            Step::RebindFinish => {
                let (key, ask) = self.back.fresh.take().ok_or_else(unmade)?;
                self.phone.rebind_with(key, &ask, "Again").await?;
            }
            other => panic!("{other:?} is no step of a way back"),
        }
        Ok(())
    }
}

//! What screens and phones do in a turn: the right thing, or a wrong one.

use super::super::actors::VERIFIER;
use super::*;
use countersign_wire::approval::Verb;

impl World {
    /// A screen does what comes next, as honest people would.
    pub(super) async fn go_right(&mut self) {
        let s = self.chance.below(SCREENS);
        let (nonce, clock, chance) = self.around_parts();
        let around = Around { nonce: &nonce, clock, chance: &chance };
        let from = self.screen_at(s);
        match self.screens[s].stage {
            0 => {
                let key = self.key();
                let screen = &mut self.screens[s];
                screen.client = ["till", "till", "stock", "far"][chance.below(4)].to_owned();
                let message = screen.authorize(from, &chance, chance.percent(50).then_some(&*key));
                screen.key = Some(key);
                if let Some(answer) = self.send("authorize", Some(message)).await {
                    let screen = &mut self.screens[s];
                    screen.browser = answer.cookie("__Host-cs_b").or(screen.browser.take());
                    let to = answer.headers.get("location").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
                    if let Some((_, flow)) = to.split_once("/sign-in/") {
                        (screen.flow, screen.stage) = (Some(flow.to_owned()), 1);
                    }
                }
            }
            1 => {
                if self.screens[s].session.is_some() && chance.percent(20) {
                    let message = self.screens[s].resume(&around, from);
                    if let Some(answer) = self.send("resume", message).await {
                        let next = answer.text("next").unwrap_or_default();
                        self.screens[s].heard_next(&next);
                    }
                    return;
                }
                let key = match self.screens[s].key.take() {
                    Some(key) => key,
                    None => self.key(),
                };
                let message = self.screens[s].open(&around, from, &key);
                match self.send("open", Some(message)).await {
                    Some(answer) if answer.ok() => {
                        self.seen.one("opened");
                        self.screens[s].heard_opened(&answer, key, clock);
                    }
                    Some(answer) if answer.code() == "no_such_flow" => self.screens[s].stage = 0,
                    _ => {}
                }
            }
            2 => {
                let p = self.phone_for(s);
                let screen = &self.screens[s];
                let message = if chance.percent(15) {
                    self.phones[p].type_code(&around, &screen.user_code)
                } else {
                    self.phones[p].scan(&around, &screen.frames(clock, 0, chance.percent(30)))
                };
                match self.send("scan", Some(message)).await {
                    Some(answer) if answer.ok() => {
                        self.seen.one("scanned");
                        let view: countersign_wire::message::DeviceView = serde_json::from_value(answer.json.clone()).unwrap();
                        let screen = &mut self.screens[s];
                        screen.digits.clone_from(&view.digits);
                        screen.scanned = Some(p);
                        screen.stage = if view.ask.is_some() { 3 } else { 4 };
                        self.phones[p].views.insert(view.cid.clone(), view);
                    }
                    Some(answer) if answer.code() == "code_not_live" => self.screens[s].stage = 1,
                    Some(_) if chance.percent(30) => self.screens[s].stage = 1,
                    _ => {}
                }
            }
            3 => {
                let digits = self.screens[s].digits.clone().unwrap_or_else(|| "0000".to_owned());
                let message = self.screens[s].confirm(from, &digits);
                match self.send("confirm", message).await {
                    Some(answer) if answer.ok() => self.screens[s].stage = 4,
                    Some(_) => self.screens[s].stage = 1,
                    None => {}
                }
            }
            4 => {
                let p = self.phone_for(s);
                let cid = self.screens[s].cid.clone().unwrap_or_default();
                let message = self.phones[p].decide(&around, &cid, Verb::Approve, &self.phones[p], 0);
                match self.send("approve", message).await {
                    Some(answer) if answer.ok() => {
                        self.seen.one("approved");
                        self.screens[s].stage = 5;
                    }
                    Some(answer) if answer.status < 500 => self.screens[s].stage = 1,
                    _ => {}
                }
            }
            5 => {
                let Some(key) = self.screens[s].key.clone() else { return };
                let message = self.screens[s].redeem(&around, from, &key);
                match self.send("redeem", message).await {
                    Some(answer) if answer.ok() => {
                        self.seen.one("redeemed");
                        let screen = &mut self.screens[s];
                        screen.browser = answer.cookie("__Host-cs_b");
                        screen.session = answer.cookie("__Host-cs_s");
                        (screen.session_key, screen.stage) = (Some(key), 6);
                        let next = answer.text("next").unwrap_or_default();
                        screen.heard_next(&next);
                    }
                    Some(answer) if answer.status < 500 => self.screens[s].stage = 1,
                    _ => {}
                }
            }
            6 => {
                let message = self.screens[s].go_on(&around, from);
                match self.send("continue", message).await {
                    Some(answer) if answer.ok() => {
                        let next = answer.text("next").unwrap_or_default();
                        self.screens[s].heard_next(&next);
                    }
                    Some(_) => self.screens[s].stage = 0,
                    None => {}
                }
            }
            7 => {
                let Some(key) = self.screens[s].session_key.clone() else { return };
                let key = self.screens[s].key.clone().unwrap_or(key);
                let message = self.screens[s].exchange(&around, from, &key, VERIFIER);
                match self.send("exchange", message).await {
                    Some(answer) if answer.ok() => {
                        self.seen.one("tokens");
                        let screen = &mut self.screens[s];
                        (screen.token, screen.stage) = (answer.text("access_token"), 8);
                    }
                    Some(answer) if answer.status < 500 => self.screens[s].stage = 0,
                    _ => {}
                }
            }
            _ => {
                let Some(key) = self.screens[s].key.clone() else { return };
                let message = self.screens[s].ask_who(&around, from, &key);
                self.send("userinfo", message).await;
                if chance.percent(50) {
                    self.screens[s].stage = 0;
                }
            }
        }
    }

    /// Somebody does what they may not, or what comes at a wrong time.
    pub(super) async fn go_wrong(&mut self) {
        let (s, other) = (self.chance.below(SCREENS), self.chance.below(SCREENS));
        let p = self.chance.below(self.phones.len());
        let q = self.chance.below(self.phones.len());
        let (nonce, clock, chance) = self.around_parts();
        let around = Around { nonce: &nonce, clock, chance: &chance };
        let from = if chance.percent(70) { self.screen_at(s) } else { place(chance.below(9)) };
        let wrong = self.key();
        let screen = &self.screens[s];
        let cid = screen.cid.clone().unwrap_or_default();
        let own = screen.key.clone().unwrap_or(wrong.clone());
        let (what, message) = match chance.below(16) {
            0 => ("redeem by another key", screen.redeem(&around, from, &wrong)),
            1 | 2 => ("redeem at any time", screen.redeem(&around, from, &own)),
            3 => {
                // Another browser with the right key.
                let mut thief = screen.redeem(&around, from, &own);
                if let Some(message) = &mut thief {
                    let cookie = format!("__Host-cs_b={}", self.screens[other].browser.clone().unwrap_or_default());
                    message.headers.retain(|(n, _)| *n != "cookie");
                    if other != s {
                        message.headers.push(("cookie", cookie));
                    }
                }
                ("redeem in another browser", thief)
            }
            4 => ("wrong digits", screen.confirm(from, "0001")),
            5 => ("old frames", Some(self.phones[p].scan(&around, &screen.frames(clock, 6, false)))),
            6 => ("any scan", Some(self.phones[p].scan(&around, &screen.frames(clock, 0, false)))),
            7 => ("approval with another's passkey", {
                let scanner = screen.scanned.unwrap_or(p);
                let stranger = if self.phones[q].person == self.phones[scanner].person { (scanner + PHONES_EACH) % self.phones.len() } else { q };
                self.phones[scanner].decide(&around, &cid, Verb::Approve, &self.phones[stranger], 0)
            }),
            8 => ("approval by any phone", self.phones[p].decide(&around, &cid, Verb::Approve, &self.phones[p], 0)),
            9 => ("refusal", self.phones[screen.scanned.unwrap_or(p)].decide(&around, &cid, Verb::Refuse, &self.phones[p], 0)),
            10 if chance.percent(30) => ("not me", self.phones[screen.scanned.unwrap_or(p)].decide(&around, &cid, Verb::NotMe, &self.phones[p], 0)),
            10 | 11 => ("abandon", screen.abandon(from)),
            12 => ("exchange with another verifier", screen.exchange(&around, from, &own, "another-verifier-of-at-least-forty-three-characters")),
            13 => ("exchange again", screen.exchange(&around, from, &own, VERIFIER)),
            14 => ("token with another key", screen.ask_who(&around, from, &wrong)),
            _ => ("digits on the phone", Some(self.phones[p].confirm(&around, if cid.is_empty() { "x" } else { &cid }, "1234"))),
        };
        let ends = matches!(what, "abandon" | "refusal" | "not me");
        if let Some(answer) = self.send(what, message).await {
            let never = ["redeem by another key", "redeem in another browser", "old frames", "approval with another's passkey", "exchange with another verifier", "token with another key"];
            if never.contains(&what) && answer.ok() {
                self.did.broken = Some(format!("this may never work: {what}"));
            }
            if ends && answer.ok() {
                self.screens[s].stage = 1;
            }
        }
    }
}

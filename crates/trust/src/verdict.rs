//! A verdict for each of RFC 10027's 17 mitigations: met, partial or not, with the facts that
//! decided. A pure function of what a ceremony showed and how the server is set up.

use crate::ceremony::{Approved, Ceremony};
use crate::presence::{self, Presence};
use crate::terminal::Stands;
use countersign_wire::code::Direction;
use countersign_wire::statement::{Channel, Near};
use serde::Serialize;

/// How far a mitigation was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// As the specification asks.
    Met,
    /// In part.
    Partial,
    /// Not.
    Not,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Number of the mitigation, 1 to 17 (RFC 10027 §6.1).
    pub n: u8,
    /// How far.
    pub verdict: Met,
    /// The fact that decided.
    pub because: &'static str,
}

/// What the server's setting contributes.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The operator declares that mail and chat filters know our prefix.
    pub declared_filter: bool,
    /// Life of access tokens, seconds.
    pub access_s: i64,
    /// Whether access tokens are bound to a key.
    pub bound_tokens: bool,
    /// Whether the client's sign-out and revocations reach it.
    pub told: bool,
    /// Whether policy cut a right of the client's full set.
    pub cut: bool,
    /// Whether the client has a list of privileged scopes at all.
    pub listed: bool,
}

/// All 17, in order.
pub fn verdicts(ceremony: &Ceremony, approved: &Approved, set: &Setting) -> Vec<Verdict> {
    let scan = &approved.scan;
    let v = |n, verdict, because| Verdict { n, verdict, because };
    let when = |n, ok: bool, yes, no| v(n, if ok { Met::Met } else { Met::Not }, if ok { yes } else { no });
    let near = match Presence::of(&scan.near) {
        Presence::Strong => v(1, Met::Met, "strong_nearness"),
        Presence::Medium => v(1, Met::Partial, "registered_terminal_at_its_site"),
        Presence::Weak if scan.near.contains(&Near::Badge) => v(1, Met::Partial, "badge_read_by_the_terminal"),
        Presence::Weak if presence::beside(&scan.near) => v(1, Met::Partial, "same_network"),
        Presence::Weak => v(1, Met::Not, "the_terminals_place_alone"),
        Presence::Unproven => v(1, Met::Not, "nothing_shows_nearness"),
    };
    let decided_ms = approved.at.ms_since(scan.at);
    let scanned_ms = scan.at.ms_since(ceremony.opening.at);
    let total_ms = approved.at.ms_since(ceremony.opening.at);
    let short = if scanned_ms <= 120_000 && decided_ms <= 120_000 {
        v(2, Met::Met, "within_120_s")
    } else if total_ms <= 600_000 {
        v(2, Met::Partial, "within_600_s")
    } else {
        v(2, Met::Not, "longer")
    };
    let unique = match scan.channel {
        Channel::UserCode => v(4, Met::Partial, "typed_user_code"),
        _ => v(4, Met::Met, "server_made_128_bits"),
    };
    let filter = if set.declared_filter {
        v(5, Met::Met, "operator_declares_filter")
    } else {
        v(5, Met::Partial, "fixed_prefix")
    };
    let recover = if set.told {
        v(6, Met::Met, "replay_revokes_and_client_is_told")
    } else {
        v(6, Met::Partial, "revoked_here_only")
    };
    let scopes = if set.cut {
        v(9, Met::Met, "policy_cut_rights")
    } else if set.listed {
        v(9, Met::Partial, "list_exists_nothing_cut")
    } else {
        v(9, Met::Not, "no_list")
    };
    let tokens = if set.access_s <= 600 && scan.rights.session_s <= 12 * 3600 {
        v(10, Met::Met, "access_10_min_session_12_h")
    } else if set.access_s <= 3600 {
        v(10, Met::Partial, "access_60_min")
    } else {
        v(10, Met::Not, "longer")
    };
    let bound = if ceremony.opening.collects.as_ref().is_some_and(|c| !c.by.bound) {
        v(12, Met::Not, "bound_to_nothing")
    } else if set.bound_tokens {
        v(12, Met::Met, "session_and_tokens")
    } else {
        v(12, Met::Partial, "session_only")
    };
    let experience = if scan.page && decided_ms >= 2_000 {
        v(14, Met::Met, "page_shown_refuse_first")
    } else {
        v(14, Met::Partial, "software_phone_or_quick")
    };
    let terminal = ceremony.opening.terminal.as_ref();
    let trusted = match terminal {
        Some(t) if t.plate.attested => v(7, Met::Met, "attested_terminal"),
        Some(_) => v(7, Met::Partial, "registered_terminal"),
        None => v(7, Met::Not, "unknown_terminal"),
    };
    let at_site = terminal.is_some_and(|t| t.stands == Stands::AtSite);
    let typed = if scan.done.contains(&Direction::TypedOnTerminal) {
        v(16, Met::Met, "typed_on_terminal")
    } else if scan.done.contains(&Direction::TypedOnDevice) {
        v(16, Met::Partial, "typed_on_device")
    } else {
        v(16, Met::Not, "nothing_typed")
    };
    vec![
        near,
        short,
        v(3, Met::Met, "compare_and_swap"),
        unique,
        filter,
        recover,
        trusted,
        when(8, at_site, "a_network_of_its_site", "no_listed_network"),
        scopes,
        tokens,
        v(11, Met::Met, "budgets_on"),
        bound,
        v(13, Met::Partial, "advice_was_shown"),
        experience,
        when(15, false, "", "not_signed_in_before"),
        typed,
        when(17, false, "", "no_start_number"),
    ]
}

//! `countersign config check`: everything in a configuration that lowers security, by name.

use super::{Attestation, Config};
use countersign_trust::client::{Client, ClientAuth, Far, Profile, Refresh};
use countersign_trust::workload::is_absolute;
use countersign_trust::{limits, operator};
use countersign_wire::jose::Alg;
use countersign_wire::statement::Boundary;

/// Something that lowers security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// The setting.
    pub setting: String,
    /// What it costs.
    pub cost: String,
}

/// Names everything that lowers security; an empty list is the aim.
pub fn weaknesses(config: &Config) -> Vec<Weakness> {
    let mut out = Vec::new();
    let mut add = |setting: String, cost: &str| out.push(Weakness { setting, cost: cost.to_owned() });
    if config.issuer.starts_with("http://") {
        add("issuer".into(), "no TLS: only for trying it out on one machine");
    }
    if config.attestation == Attestation::None {
        add("attestation".into(), "passkeys are not asked what keeps them, so none is ever called hardware-bound");
    }
    if config.attestation == Attestation::Wanted && config.attestation_roots.is_none() {
        add("attestation_roots".into(), "no root is listed: what vouches for a passkey counts for nobody, and none is ever called hardware-bound");
    }
    if config.recovery_delay_s < 600 {
        add("recovery_delay_s".into(), "less than ten minutes to notice, and stop, that two people let somebody in as another");
    }
    if config.danger_allow_loopback_egress {
        add("danger_allow_loopback_egress".into(), "a client's log-out address may reach services of this machine");
    }
    if config.trusted_proxies.iter().any(|n| n.contains([192, 0, 2, 1].into()) && n.contains([198, 51, 100, 1].into())) {
        add("trusted_proxies".into(), "any address may claim to be a proxy, so nearness can be forged");
    }
    if config.issuer.starts_with("https://") && config.tls.is_none() && config.trusted_proxies.is_empty() {
        add(
            "trusted_proxies".into(),
            "TLS ends at a proxy that is not listed: everybody seems to come from it, so everything is \"near\" and one budget is for all",
        );
    }
    if !config.network.sessions {
        add("network.sessions".into(), "a session that goes on in another network is not noticed");
    }
    for r in &config.signals.receivers {
        let at = |name: &str| format!("signals.receivers.{}.{name}", r.id);
        if r.danger_token_hash.is_some() {
            add(at("danger_token_hash"), "a token that never runs out: whoever finds it hears what happens here");
        }
        if r.allow_private_network {
            add(at("allow_private_network"), "its endpoints may stand where only this server reaches");
        }
    }
    for t in &config.signals.transmitters {
        let at = |name: &str| format!("signals.transmitters.{}.{name}", t.id);
        if t.poll_endpoint.is_none() && t.push_authorization_hash.is_none() {
            add(at("push_authorization_hash"), "whoever holds an event of this transmitter can deliver it");
        }
        if t.allow_private_network {
            add(at("allow_private_network"), "its endpoints may stand where only this server reaches");
        }
    }
    for c in &config.clients {
        let at = |name: &str| format!("clients.{}.{name}", c.id);
        if c.danger_allow_bearer {
            add(at("danger_allow_bearer"), "stolen tokens of this client work anywhere until they expire");
        }
        if c.danger_allow_no_pkce {
            add(at("danger_allow_no_pkce"), "a stolen code of this client is told apart by its nonce alone");
        }
        if c.danger_allow_no_nonce {
            add(at("danger_allow_no_nonce"), "a stolen code of this client is told apart by nothing");
        }
        if c.device_grant {
            add(at("device_grant"), "a code can be sent to somebody else to be approved; RFC 10027 asks for other ways first");
        }
        if c.ciba.as_ref().is_some_and(|c| c.tells_address) {
            add(at("ciba.tells_address"), "that a person is near their screen rests on this client's word");
        }
        if c.ciba.as_ref().is_some_and(|c| !c.binding_digits) {
            add(at("ciba.binding_digits"), "nothing travels from its screen to the phone: what is approved earns no class (`acr` 0)");
        }
        if c.danger_allow_unbound_collector {
            add(at("danger_allow_unbound_collector"), "whoever finds a device code or a request id of this client can collect what was approved");
        }
        if c.refresh_is_activity {
            add(at("refresh_is_activity"), "a program that renews by itself keeps a session open although nobody is there");
        }
        if c.any_network {
            add(at("any_network"), "a stolen key of this client is not noticed by where it is used");
        }
        if let Some(offline) = &c.without_line {
            add(at("without_line"), "two people can open these scopes at a terminal that cannot ask this server; who was stopped meanwhile is not known there");
            if offline.scopes.iter().any(|s| c.is_privileged(s)) {
                add(at("without_line.scopes"), "among them are privileged ones");
            }
        }
        if c.far == Far::Unproven {
            add(at("far"), "a person far from the screen may approve: live relays become possible for unprivileged rights");
        }
        if matches!(c.auth, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost) {
            add(at("auth"), "a shared secret travels with every request; private_key_jwt does not");
        }
        if c.session_s > 24 * 3600 {
            add(at("session_s"), "longer than NIST 800-63B-4 recommends at AAL2 (24 h)");
        }
        if c.idle_s > 3600 {
            add(at("idle_s"), "longer without activity than NIST 800-63B-4 recommends at AAL2 (1 h)");
        }
        if c.backchannel_logout_uri.is_none() && !c.redirect_uris.is_empty() {
            add(at("backchannel_logout_uri"), "this client is not told when a session ends");
        }
    }
    let n = &config.newcomers;
    if n.hosts.iter().any(|h| h == "*") {
        add("newcomers.hosts".into(), "anybody who has a web address is a client, under a name of their own choice");
    }
    if n.allow_private_network {
        add("newcomers.allow_private_network".into(), "a stranger's request makes this server fetch from where only it reaches");
    }
    if n.token_hash.is_some() {
        add("newcomers.token_hash".into(), "whoever has the token makes clients, under names of their own choice");
    }
    if n.danger_allow_bearer {
        add("newcomers.danger_allow_bearer".into(), "stolen tokens of clients that nobody listed work anywhere until they expire");
    }
    for w in &config.workloads {
        if w.facts.danger_allow_bearer {
            add(format!("workloads.{}.danger_allow_bearer", w.client), "stolen tokens of this workload work anywhere until they expire");
        }
    }
    out
}

/// What makes a registration impossible.
pub fn client(c: &Client) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("client `{}`: {what}", c.id));
    if c.id.as_str() == operator::CLIENT {
        return wrong("the name of the operator's page");
    }
    if c.name.is_empty() || c.name.chars().count() > limits::NAME_CHARS || !countersign_wire::jcs::is_plain(&c.name) {
        return wrong("name of 1 to 80 plain characters");
    }
    if c.redirect_uris.is_empty() && c.introspects.is_empty() && c.asks_about.is_empty() && !c.collects() {
        return wrong("at least one redirect URI, the device grant, CIBA, audiences that it introspects, or types that it asks about");
    }
    if !c.asks_about.is_empty() && !matches!(c.auth, ClientAuth::ClientSecretBasic) {
        return wrong("asks_about goes with client_secret_basic");
    }
    if !c.introspects.is_empty() && c.auth == ClientAuth::None {
        return wrong("introspects goes with a client that authenticates");
    }
    let told = c.ciba.iter().filter_map(|c| c.notification_endpoint.as_ref());
    for uri in c.redirect_uris.iter().chain(&c.post_logout_redirect_uris).chain(&c.backchannel_logout_uri).chain(told) {
        let Ok(url) = url::Url::parse(uri) else { return wrong(&format!("`{uri}` is not a URL")) };
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let good = url.scheme() == "https" || (url.scheme() == "http" && local);
        if !good || url.fragment().is_some() || !url.username().is_empty() {
            return wrong(&format!("`{uri}`: https (or http on loopback), without fragment and user"));
        }
    }
    let secret = matches!(c.auth, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost);
    if secret != c.secret_hash.is_some() {
        return wrong("secret_hash goes with client_secret_basic or client_secret_post, and only with them");
    }
    if c.danger_allow_no_pkce && c.auth == ClientAuth::None {
        return wrong("danger_allow_no_pkce: never for a public client");
    }
    if c.danger_allow_no_nonce && !c.danger_allow_no_pkce {
        return wrong("danger_allow_no_nonce goes with danger_allow_no_pkce");
    }
    if c.profile == Profile::Fapi2 {
        let lower = c.danger_allow_bearer || c.danger_allow_no_pkce || c.id_token_alg == Alg::RS256;
        if c.auth != ClientAuth::PrivateKeyJwt || lower {
            return wrong("profile fapi2: private_key_jwt, bound tokens, PKCE, and ID tokens by ES256, EdDSA or PS256");
        }
    }
    if c.device_grant && (c.profile == Profile::Fapi2 || c.require_signed_request_object || c.boundary < Boundary::Tokens) {
        return wrong("device_grant goes with boundary = \"tokens\", and never with the profile fapi2 or signed requests");
    }
    if c.ciba.is_some() && (c.auth == ClientAuth::None || c.boundary < Boundary::Tokens) {
        return wrong("ciba goes with a client that authenticates, and with boundary = \"tokens\"");
    }
    if c.ciba.iter().flat_map(|c| &c.hint_issuers).any(|i| i.issuer.is_empty() || i.issuer == c.id.as_str() || i.keys.is_empty()) {
        return wrong("ciba.hint_issuers: a name that is not the client's own, and keys");
    }
    if c.danger_allow_unbound_collector && (!c.collects() || c.profile == Profile::Fapi2) {
        return wrong("danger_allow_unbound_collector goes with the device grant or CIBA, and never with the profile fapi2");
    }
    if c.keys.is_empty() && (c.auth == ClientAuth::PrivateKeyJwt || c.require_signed_request_object) {
        return wrong("private_key_jwt and signed requests need keys");
    }
    if c.refresh == Refresh::Never && (c.refresh_bound || c.refresh_is_activity) {
        return wrong("refresh_bound and refresh_is_activity go with refresh");
    }
    if c.refresh != Refresh::Never && c.boundary < Boundary::Tokens {
        return wrong("refresh goes with boundary = \"tokens\"");
    }
    if c.refresh != Refresh::Never && c.auth == ClientAuth::None && c.danger_allow_bearer {
        return wrong("a public client renews by its key alone: refresh does not go with danger_allow_bearer");
    }
    if let Some(odd) = c.resources.iter().find(|r| !is_absolute(r)) {
        return wrong(&format!("resource `{odd}`: an absolute URI without fragment"));
    }
    if c.privileged_scopes.iter().any(|s| !c.scopes.contains(s)) {
        return wrong("privileged_scopes must be among its scopes");
    }
    for offered in &c.just_in_time {
        offered.check().or_else(wrong)?;
        if !c.scopes.contains(&offered.scope) || c.just_in_time.iter().filter(|o| o.scope == offered.scope).count() > 1 {
            return wrong("just_in_time: each scope once, and among its scopes");
        }
    }
    if let Some(vouching) = &c.without_phone {
        vouching.check(c).or_else(wrong)?;
    }
    if let Some(offline) = &c.without_line {
        offline.check(c).or_else(wrong)?;
    }
    if !(60..=7 * 86_400).contains(&c.session_s) || !(60..=c.session_s).contains(&c.idle_s) {
        return wrong("session_s from 60 to 604800, idle_s from 60 to session_s");
    }
    Ok(())
}

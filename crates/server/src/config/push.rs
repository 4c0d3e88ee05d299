//! How phones are told that something waits while nobody looks at their page: `[push]`.

use crate::oidc::egress::{self, Reach};
use countersign_trust::limits::ENDPOINT_BYTES;
use serde::Deserialize;
use url::Url;

/// Push services of the browsers there are. An address comes from a browser, and whoever is enrolled may say anything for one.
pub const KNOWN: [&str; 4] = ["fcm.googleapis.com", "updates.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com"];

/// Who sends, and to whom. Without it nobody is told anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// How whoever runs a push service reaches the operator (RFC 8292 §2.1): `mailto:` or `https:`.
    pub contact: String,
    /// Hosts of push services: a name, with a port where it is not 443, or `*.` and a domain.
    #[serde(default = "known")]
    pub hosts: Vec<String>,
}

fn known() -> Vec<String> {
    KNOWN.map(str::to_owned).to_vec()
}

impl Push {
    /// The address of a push service, if a message may be sent there.
    pub fn endpoint(&self, text: &str, reach: Reach) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= ENDPOINT_BYTES)?;
        let good = egress::may_call(&url, reach) && self.lists(&url) && url.fragment().is_none();
        good.then_some(url)
    }

    fn lists(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        self.hosts.iter().any(|listed| {
            let (name, port) = split(listed);
            let named = match name.strip_prefix('*') {
                // Below the domain, not the domain itself.
                Some(domain) => host.len() > domain.len() && host.ends_with(domain),
                None => host == name,
            };
            named && url.port() == port
        })
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let reached = match self.contact.split_once(':') {
            Some(("mailto", address)) => address.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()),
            Some(("https", _)) => Url::parse(&self.contact).is_ok_and(|u| u.has_host()),
            _ => false,
        };
        if !reached || self.contact.len() > 200 || !self.contact.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("push.contact: `mailto:` and an address, or `https://`".to_owned());
        }
        if self.hosts.is_empty() {
            return Err("push.hosts: at least one".to_owned());
        }
        self.hosts.iter().find(|h| !is_host(h)).map_or(Ok(()), |odd| {
            Err(format!("push.hosts: `{odd}`: a name in small letters, with a port if it is not 443, or `*.` and a domain of two parts"))
        })
    }
}

fn split(listed: &str) -> (&str, Option<u16>) {
    listed.split_once(':').map_or((listed, None), |(name, port)| (name, port.parse().ok()))
}

fn is_host(listed: &str) -> bool {
    let (name, port) = split(listed);
    let domain = name.strip_prefix("*.");
    let labels: Vec<&str> = domain.unwrap_or(name).split('.').collect();
    let plain = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let whole = !listed.contains(':') || port.is_some_and(|p| p != 443);
    whole && labels.iter().all(plain) && (domain.is_none() || labels.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Reach = Reach { loopback: false, private: false };

    fn read(text: &str) -> Result<Push, String> {
        let push: Push = toml::from_str(text).map_err(|e| e.to_string())?;
        push.validate().map(|()| push)
    }

    #[test]
    fn messages_go_to_listed_hosts_by_https_and_nowhere_else() {
        let push = read("contact = \"mailto:help@id.example\"").unwrap();
        for good in [
            "https://fcm.googleapis.com/fcm/send/abc:def", "https://updates.push.services.mozilla.com/wpush/v2/a",
            "https://web.push.apple.com/Q", "https://wns2-par02p.notify.windows.com/w/?token=a", "https://fcm.googleapis.com:443/a",
        ] {
            assert!(push.endpoint(good, PUBLIC).is_some(), "{good}");
        }
        for bad in [
            "http://fcm.googleapis.com/a", "https://fcm.googleapis.com:8443/a", "https://a@fcm.googleapis.com/a", "https://fcm.googleapis.com/a#b",
            "https://push.apple.com/a", "https://evilpush.apple.com/a", "https://fcm.googleapis.com.evil.example/a", "https://evil.example/fcm.googleapis.com",
            "https://fcm.googleapis.com./a", "https://127.0.0.1/a", "https://localhost/a", "https://10.0.0.1/a", "https://169.254.169.254/a",
            "https://[::1]/a", "ftp://fcm.googleapis.com/a", "file:///etc/passwd", "fcm.googleapis.com/a", "",
            &format!("https://fcm.googleapis.com/{}", "a".repeat(1_024)),
        ] {
            assert!(push.endpoint(bad, PUBLIC).is_none(), "{bad}");
        }
        let own = read("contact = \"https://id.example/help\"\nhosts = [\"push.example:8443\", \"127.0.0.1:9\"]").unwrap();
        assert!(own.endpoint("https://push.example:8443/a", PUBLIC).is_some() && own.endpoint("https://push.example/a", PUBLIC).is_none());
        // Named, and still only where this machine may be reached at all.
        assert!(own.endpoint("http://127.0.0.1:9/a", PUBLIC).is_none());
        assert!(own.endpoint("http://127.0.0.1:9/a", Reach { loopback: true, private: false }).is_some());
        assert!(own.endpoint("https://fcm.googleapis.com/a", PUBLIC).is_none(), "a list of one's own is the whole list");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for contact in ["", "help@id.example", "mailto:", "mailto:help", "mailto:@id.example", "http://id.example", "https:", "tel:1", "mailto:a@b c"] {
            assert!(read(&format!("contact = \"{contact}\"")).is_err(), "{contact}");
        }
        for hosts in ["", "\"*\"", "\"*.com\"", "\"\"", "\"https://push.example\"", "\"push.example/a\"", "\"Push.example\"", "\"push.example:443\"", "\"push.example:x\"", "\"a.*.example\""] {
            assert!(read(&format!("contact = \"mailto:a@b.example\"\nhosts = [{hosts}]")).is_err(), "{hosts}");
        }
        assert!(read("").is_err() && read("contact = \"mailto:a@b.example\"\nunknown = 1").is_err());
    }
}

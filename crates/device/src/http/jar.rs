//! Cookies, as far as they are met here: no `Domain`, paths by prefix, `Secure` and the `__Host-`
//! prefix as browsers hold them, `localhost` counting as secure even over plain HTTP.

use crate::machine;
use serde::{Deserialize, Serialize};
use url::Url;

/// Cookies kept at once; the oldest goes first.
const COOKIES: usize = 50;

/// A browser's memory. `HttpOnly` and `SameSite` need no care: there are no scripts and no other
/// sites in here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cookie {
    origin: String,
    path: String,
    name: String,
    value: String,
    secure: bool,
    /// Seconds since the epoch; `None` lives as long as the jar.
    until: Option<i64>,
}

impl Jar {
    /// Takes one `Set-Cookie` of a reply from `url`. What a browser would refuse is not taken.
    pub fn take(&mut self, url: &Url, header: &str) {
        let Some(cookie) = read(url, header) else { return };
        self.cookies.retain(|c| {
            !(c.origin == cookie.origin && c.name == cookie.name && c.path == cookie.path)
        });
        if cookie.until.is_none_or(|end| end > machine::now().seconds()) {
            if self.cookies.len() >= COOKIES {
                self.cookies.remove(0);
            }
            self.cookies.push(cookie);
        }
    }

    /// The `Cookie` header for `url`, if any cookie goes there.
    pub fn header(&self, url: &Url) -> Option<String> {
        let now = machine::now().seconds();
        let origin = origin(url);
        let text: Vec<String> = self
            .cookies
            .iter()
            .filter(|c| c.origin == origin && is_under(url.path(), &c.path))
            .filter(|c| !c.secure || is_trustworthy(url))
            .filter(|c| c.until.is_none_or(|end| end > now))
            .map(|c| format!("{}={}", c.name, c.value))
            .collect();
        (!text.is_empty()).then(|| text.join("; "))
    }

    /// The value of the cookie `name` for `url`.
    pub fn value(&self, url: &Url, name: &str) -> Option<&str> {
        let origin = origin(url);
        self.cookies.iter().find(|c| c.origin == origin && c.name == name).map(|c| c.value.as_str())
    }

    /// Puts a cookie in by hand, as an attacker on this machine would.
    pub fn plant(&mut self, url: &Url, name: &str, value: &str) {
        self.cookies.retain(|c| !(c.origin == origin(url) && c.name == name));
        self.cookies.push(Cookie {
            origin: origin(url),
            path: "/".into(),
            name: name.into(),
            value: value.into(),
            secure: false,
            until: None,
        });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }
}

/// Whether `url` counts as a trustworthy origin: TLS, or this very machine.
pub fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Whether `url` names this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Cookies ignore the port (RFC 6265 §8.5). Two servers on one machine would read each other's, so
/// this jar is stricter than a browser and keeps them apart.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn read(url: &Url, header: &str) -> Option<Cookie> {
    let mut parts = header.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    if name.is_empty() || header.len() > 4096 || header.contains(char::is_control) {
        return None;
    }
    let mut cookie = Cookie {
        origin: origin(url),
        path: "/".into(),
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        secure: false,
        until: None,
    };
    let mut whole_site = false;
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        match attribute.to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "domain" => return None,
            "path" if value.starts_with('/') => {
                whole_site = value == "/";
                cookie.path = value.to_owned();
            }
            "max-age" => {
                let seconds: i64 = value.parse().ok()?;
                cookie.until = Some(machine::now().seconds().saturating_add(seconds));
            }
            _ => {}
        }
    }
    let allowed = !cookie.secure || is_trustworthy(url);
    let prefixed = !name.starts_with("__Host-") || (cookie.secure && whole_site);
    let secured = !name.starts_with("__Secure-") || cookie.secure;
    (allowed && prefixed && secured).then_some(cookie)
}

fn is_under(path: &str, prefix: &str) -> bool {
    path == prefix
        || path.strip_prefix(prefix).is_some_and(|rest| prefix.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(at: &str, headers: &[&str], ask: &str) -> Option<String> {
        let mut jar = Jar::default();
        for header in headers {
            jar.take(&at.parse().unwrap(), header);
        }
        jar.header(&ask.parse().unwrap())
    }
    const HOST: &str = "__Host-cs_b=v; Path=/; Secure; HttpOnly; SameSite=Lax";

    #[test]
    fn a_host_cookie_is_kept_over_tls_and_on_this_machine_only() {
        let kept = Some("__Host-cs_b=v".to_owned());
        assert_eq!(after("https://a.example/x", &[HOST], "https://a.example/y"), kept);
        assert_eq!(after("http://localhost:7310/", &[HOST], "http://localhost:7310/y"), kept);
        assert_eq!(after("http://127.0.0.1:7310/", &[HOST], "http://127.0.0.1:7310/y"), kept);
        assert_eq!(after("http://a.example/", &[HOST], "http://a.example/"), None);
        assert_eq!(after("https://a.example/", &[HOST], "https://b.example/"), None);
    }

    #[test]
    fn the_host_prefix_needs_secure_and_the_whole_site() {
        for bad in ["__Host-a=1; Path=/", "__Host-a=1; Secure", "__Host-a=1; Secure; Path=/x",
            "__Host-a=1; Secure; Path=/; Domain=a.example", "__Secure-a=1", "=1; Path=/"] {
            assert_eq!(after("https://a.example/", &[bad], "https://a.example/x/y"), None, "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_ended_and_bound_to_its_path() {
        let a = "https://a.example/";
        assert_eq!(after(a, &["n=1; Path=/", "n=2; Path=/"], a), Some("n=2".into()));
        assert_eq!(after(a, &["n=1; Path=/", "n=; Path=/; Max-Age=0"], a), None);
        assert_eq!(after(a, &["n=1; Path=/p"], "https://a.example/p/q"), Some("n=1".into()));
        assert_eq!(after(a, &["n=1; Path=/p"], "https://a.example/pq"), None);
    }
}

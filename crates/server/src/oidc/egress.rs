//! Where the server itself may send a request to: nowhere that only a server on its place could
//! reach by accident. Names are resolved here, and what was judged is what is connected to.

use crate::app::App;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Metadata services that are not link-local.
const METADATA_4: [Ipv4Addr; 1] = [Ipv4Addr::new(100, 100, 100, 200)];
const METADATA_6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// How near the addresses may be that are called.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Whether this machine itself may be reached.
    pub loopback: bool,
    /// Whether networks that are not the internet's may be reached (RFC 1918, RFC 6598, RFC 4193).
    pub private: bool,
}

impl Reach {
    /// How near this server may reach: this machine only where it is told so, or its issuer is on it too.
    pub fn of(app: &App, private: bool) -> Reach {
        Reach { loopback: app.config.reaches_loopback(), private }
    }
}

/// How it went to tell somebody something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// They took it.
    Taken,
    /// Nothing is there any more, or never was.
    Gone,
    /// They did not, and another try would be the same.
    Never(&'static str),
    /// Not yet.
    NotYet(&'static str),
}

impl Went {
    /// Why they did not take it, in a word for the log.
    pub fn because(self) -> Option<&'static str> {
        match self {
            Went::Taken => None,
            Went::Gone => Some("nothing is there"),
            Went::Never(why) | Went::NotYet(why) => Some(why),
        }
    }
}

/// What an answer means by its status alone.
pub fn went(sent: Result<reqwest::Response, reqwest::Error>) -> Went {
    match sent.map(|answer| answer.status().as_u16()) {
        Ok(200..300) => Went::Taken,
        Ok(300..400) => Went::Never("it redirects"),
        Ok(404 | 410) => Went::Gone,
        Ok(401 | 403) => Went::Never("it does not know us"),
        Ok(429) => Went::NotYet("it has enough"),
        Ok(400..500) => Went::Never("it refuses"),
        Ok(_) => Went::NotYet("it is out of order"),
        Err(e) if e.is_timeout() => Went::NotYet("no answer in time"),
        Err(_) => Went::NotYet("it cannot be reached"),
    }
}

/// An answer's body, unless it is longer than `most` bytes.
pub async fn body(mut answer: reqwest::Response, most: usize) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "an answer that breaks off")? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err("an answer that is too long");
        }
    }
    Ok(body)
}

/// Resolves names to addresses that may be reached.
pub struct Guarded(pub Reach);

/// A client that reaches no further than it may, and how far that is.
pub fn client(app: &App, private: bool, time: Duration) -> Result<(reqwest::Client, Reach), reqwest::Error> {
    let reach = Reach::of(app, private);
    let client = reqwest::Client::builder()
        .timeout(time)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Guarded(reach)))
        .user_agent("countersign")
        .build()?;
    Ok((client, reach))
}

/// Whether an address may be reached.
pub fn may_reach(address: IpAddr, reach: Reach) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return reach.loopback;
    }
    if !reach.private && is_private(address) {
        return false;
    }
    match address {
        IpAddr::V4(a) => {
            // Nobody serves from these (RFC 6890): this network, protocol assignments (with one more metadata service), device
            // tests (RFC 2544), and what is reserved for good, broadcast with it.
            let nobodys = matches!(a.octets(), [0, ..] | [192, 0, 0, _] | [198, 18..=19, ..] | [240..=255, ..]);
            !(nobodys || a.is_link_local() || a.is_multicast() || METADATA_4.contains(&a))
        }
        IpAddr::V6(a) => {
            let [first, second, ..] = a.segments();
            // Forms that carry an IPv4 address inside would slip past the rules above: 6to4, Teredo, NAT64, compatible ones.
            let carries_v4 = first == 0x2002 || (first, second) == (0x2001, 0) || first == 0x0064 || (first == 0 && a.segments().get(..6) == Some(&[0; 6]));
            // Site-local addresses are no more, and were private (RFC 3879).
            let site_local = first & 0xffc0 == 0xfec0;
            !(a.is_unspecified() || a.is_unicast_link_local() || site_local || a.is_multicast() || carries_v4 || METADATA_6.contains(&a))
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // Shared address space of carriers is nobody's to serve from.
        IpAddr::V4(a) => a.is_private() || matches!(a.octets(), [100, 64..=127, _, _]),
        IpAddr::V6(a) => a.is_unique_local(),
    }
}

/// Whether a URL may be called, as far as can be told before its name is resolved.
pub fn may_call(url: &Url, reach: Reach) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(a)) => a.is_loopback(),
        Some(Host::Ipv6(a)) => a.is_loopback(),
        None => return false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    let address = match url.host() {
        Some(Host::Ipv4(a)) => may_reach(a.into(), reach),
        Some(Host::Ipv6(a)) => may_reach(a.into(), reach),
        _ => true,
    };
    scheme && address && url.username().is_empty() && url.password().is_none()
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|a| may_reach(a.ip(), reach))
                .collect();
            if found.is_empty() {
                return Err("no address that may be reached".into());
            }
            let all: Addrs = Box::new(found.into_iter());
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(loopback: bool) -> Reach {
        Reach { loopback, private: true }
    }

    #[tokio::test]
    async fn a_name_counts_by_what_it_leads_to() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Guarded(reach(false)).resolve(name()).await.is_err());
        assert!(Guarded(reach(true)).resolve(name()).await.is_ok());
    }

    #[test]
    fn networks_that_are_not_the_internets_are_refused_where_they_must_be() {
        let public = Reach { loopback: false, private: false };
        for near in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "fd12::1", "fc00::1", "::ffff:10.0.0.1"] {
            assert!(!may_reach(near.parse().unwrap(), public) && may_reach(near.parse().unwrap(), reach(false)), "{near}");
        }
        for far in ["192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert!(may_reach(far.parse().unwrap(), public), "{far}");
        }
    }

    #[test]
    fn addresses_that_only_a_server_could_reach_are_refused() {
        for bad in [
            "169.254.169.254", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "fe80::1",
            "ff02::1", "::", "fd00:ec2::254", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe",
            "::a9fe:a9fe", "198.18.0.1", "198.19.255.255", "240.0.0.1", "254.1.2.3", "fec0::1", "feff::1", "::ffff:198.18.0.1", "::ffff:240.0.0.1",
            "192.0.0.1", "192.0.0.192", "2001:0:a9fe:a9fe::1",
        ] {
            assert!(!may_reach(bad.parse().unwrap(), reach(true)), "{bad}");
        }
        for good in ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd12::1", "198.17.255.255", "198.20.0.1", "192.0.1.1", "2001:1::1"] {
            assert!(may_reach(good.parse().unwrap(), reach(false)), "{good}");
        }
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(may_reach(local.parse().unwrap(), reach(true)) && !may_reach(local.parse().unwrap(), reach(false)), "{local}");
        }
    }

    #[test]
    fn urls_are_https_or_loopback_and_carry_no_user() {
        let may = |u: &str, l| may_call(&Url::parse(u).unwrap(), reach(l));
        assert!(may("https://till.example/out", false));
        assert!(may("http://localhost:1/out", true) && may("http://127.0.0.1:1/out", true));
        for bad in ["http://till.example/", "https://a@till.example/", "https://169.254.169.254/", "ftp://x/", "https://[fe80::1]/"] {
            assert!(!may(bad, true), "{bad}");
        }
        assert!(!may("https://127.0.0.1/", false));
    }
}

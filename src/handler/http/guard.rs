//! Where a job may lead when its data chooses the host: to the hosts the file lists, and of their addresses to those
//! of the public internet, unless the file lists the address too. What has been checked is what is connected to.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;
use url::Url;

use crate::config::AllowedHost;
use crate::config::handler::is_within;

/// Asks for the addresses of a name. The system is asked, but for tests.
pub(super) type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;
type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// The hosts a job may choose.
#[derive(Clone)]
pub(in crate::handler) struct Guard {
    allowed: Arc<[AllowedHost]>,
}

impl Guard {
    pub(super) fn new(allowed: &[AllowedHost]) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Whether a url may be called, as far as it says. An address in it is never looked up, so it is checked here; the
    /// url has been parsed, which has made one of every spelling of an address.
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        let forbidden = |why| Forbidden { host: host.to_owned(), address: None, why };
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let listed = self.allowed.contains(&AllowedHost::Any) || self.is_listed(address);
            return if listed { self.check_address(address).map_err(forbidden) } else { Err(forbidden(NOT_LISTED)) };
        }
        let listed = self.allowed.iter().any(|allowed| allowed.covers_name(host));
        if listed { Ok(()) } else { Err(forbidden(NOT_LISTED)) }
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|allowed| allowed.covers_address(address))
    }

    /// The error says what the address is.
    fn check_address(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.is_listed(address) { Ok(()) } else { not_public(address).map_or(Ok(()), Err) }
    }
}

/// The addresses of names, without those a job may not lead to.
#[derive(Clone)]
pub(super) struct Resolver {
    /// Where jobs choose the host.
    guard: Option<Guard>,
    lookup: Lookup,
}

impl Resolver {
    pub(super) fn new(guard: Option<Guard>, lookup: Lookup) -> Self {
        Self { guard, lookup }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, host) = (self.guard.clone(), name.as_str().to_owned());
        let looking = (self.lookup)(host.clone());
        Box::pin(async move {
            let mut forbidden = None;
            let mut open = Vec::new();
            for address in looking.await.map_err(Unresolved)? {
                match guard.as_ref().map_or(Ok(()), |guard| guard.check_address(address)) {
                    // the port is filled in from the url
                    Ok(()) => open.push(SocketAddr::new(address, 0)),
                    Err(why) => forbidden = Some(Forbidden { host: host.clone(), address: Some(address), why }),
                }
            }
            match forbidden {
                Some(forbidden) if open.is_empty() => Err(forbidden.into()),
                _ => Ok(open.into_iter()),
            }
        })
    }
}

/// A name has no address that anybody knows of.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unresolved(#[source] std::io::Error);

/// Asks the system.
pub(super) fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A host a job may not lead to.
#[derive(Debug)]
pub(super) struct Forbidden {
    host: String,
    /// What the host's name stands for.
    address: Option<IpAddr>,
    why: &'static str,
}

const NOT_LISTED: &str = "is not among the hosts this handler allows";

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.why) {
            (_, NOT_LISTED) => write!(f, "host {} {NOT_LISTED}; add it to allow if jobs may lead there", self.host),
            (Some(address), why) => {
                write!(f, "host {} has the address {address}, which is {why}; {REMEDY}", self.host)
            }
            (None, why) => write!(f, "host {} is {why}; {REMEDY}", self.host),
        }
    }
}

const REMEDY: &str = "add the address to allow if jobs may lead there";

impl std::error::Error for Forbidden {}

/// What an address is that does not belong to the public internet.
fn not_public(address: IpAddr) -> Option<&'static str> {
    let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    let table = match address.to_canonical() {
        IpAddr::V4(_) => &[
            (v4(0, 0, 0, 0), 8, "unspecified"),
            (v4(127, 0, 0, 0), 8, "loopback"),
            (v4(10, 0, 0, 0), 8, "private"),
            (v4(172, 16, 0, 0), 12, "private"),
            (v4(192, 168, 0, 0), 16, "private"),
            // where clouds tell a machine its secrets
            (v4(169, 254, 169, 254), 32, "a metadata service"),
            (v4(168, 63, 129, 16), 32, "a metadata service"),
            (v4(100, 100, 100, 200), 32, "a metadata service"),
            (v4(169, 254, 0, 0), 16, "link-local"),
            (v4(100, 64, 0, 0), 10, "a carrier's private network"),
            (v4(192, 0, 0, 0), 24, "reserved"),
            (v4(192, 88, 99, 0), 24, "reserved"),
            (v4(192, 0, 2, 0), 24, "for documentation"),
            (v4(198, 51, 100, 0), 24, "for documentation"),
            (v4(203, 0, 113, 0), 24, "for documentation"),
            (v4(198, 18, 0, 0), 15, "for benchmarks"),
            (v4(224, 0, 0, 0), 4, "multicast"),
            (v4(240, 0, 0, 0), 4, "reserved"),
        ][..],
        IpAddr::V6(address) => {
            if let Some(inner) = embedded(address) {
                return not_public(inner.into());
            }
            return not_public_v6(address);
        }
    };
    table.iter().find(|(network, bits, _)| is_within(address, *network, *bits)).map(|(.., what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let net = |a, b| IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0));
    let exact = |a, last| IpAddr::V6(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, last));
    let table = [
        (exact(0, 0), 128, "unspecified"),
        (exact(0, 1), 128, "loopback"),
        (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 128, "a metadata service"),
        (net(0xfc00, 0), 7, "private"),
        (net(0xfe80, 0), 10, "link-local"),
        (net(0xfec0, 0), 10, "private"),
        (net(0xff00, 0), 8, "multicast"),
        (net(0x2001, 0xdb8), 32, "for documentation"),
        (net(0x3fff, 0), 20, "for documentation"),
        (net(0x2001, 2), 48, "for benchmarks"),
        // tunnels and other special purposes
        (net(0x2001, 0), 23, "reserved"),
    ];
    let found = table.iter().find(|(network, bits, _)| is_within(address.into(), *network, *bits));
    let what = found.map(|(.., what)| *what);
    // nothing else has been handed out yet
    what.or_else(|| (!is_within(address.into(), net(0x2000, 0), 3)).then_some("reserved"))
}

/// The IPv4 address that a gateway or tunnel would reach through an address of IPv6.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // 6to4, NAT64, and ISATAP below any prefix
        [0x2002, high, low, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f103_what_is_not_public_has_a_name() {
        for (address, want) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("169.254.169.254", "a metadata service"),
            ("168.63.129.16", "a metadata service"),
            ("100.100.100.200", "a metadata service"),
            ("169.254.1.1", "link-local"),
            ("100.127.255.255", "a carrier's private network"),
            ("192.0.0.192", "reserved"),
            ("192.0.2.1", "for documentation"),
            ("198.51.100.7", "for documentation"),
            ("203.0.113.7", "for documentation"),
            ("198.19.255.255", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:a9fe:a9fe", "a metadata service"),
            ("::127.0.0.1", "reserved"),
            ("fd00:ec2::254", "a metadata service"),
            ("fd12:3456::1", "private"),
            ("fc00::1", "private"),
            ("fec0::1", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "for documentation"),
            ("3fff:fff::1", "for documentation"),
            ("2001:2::1", "for benchmarks"),
            ("2001::1", "reserved"),
            ("2001:10::1", "reserved"),
            ("100::1", "reserved"),
            ("5f00::1", "reserved"),
            ("4000::1", "reserved"),
            ("2002:7f00:1::", "loopback"),
            ("2002:c0a8:101::1", "private"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::169.254.169.254", "a metadata service"),
            ("64:ff9b:1::1", "reserved"),
            ("2600::5efe:10.0.0.1", "private"),
            ("2600::200:5efe:10.0.0.1", "private"),
        ] {
            assert_eq!(not_public(address.parse().unwrap()), Some(want), "{address}");
        }
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2606:4700::1111",
            "2001:200::1",
            "2a00:1450::1",
            "2002:101:101::",
            "64:ff9b::1.1.1.1",
            "3ffe::1",
        ] {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
    }

    fn check(allowed: &[&str], url: &str) -> Result<(), String> {
        let allowed: Vec<_> = allowed.iter().map(|text| AllowedHost::parse(text).unwrap()).collect();
        Guard::new(&allowed).check(&Url::parse(url).unwrap()).map_err(|forbidden| forbidden.to_string())
    }

    #[test]
    fn f103_an_address_in_the_url_is_checked_however_it_is_spelled() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://１２７.０.０.１/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[64:ff9b::127.0.0.1]/",
        ] {
            let why = check(&["*"], url).unwrap_err();
            assert!(why.contains(" is loopback; add the address to allow"), "{url}: {why}");
        }
        assert_eq!(check(&["*"], "http://1.1.1.1/"), Ok(()));
        assert_eq!(
            check(&["*.example.org"], "http://1.1.1.1/").unwrap_err(),
            "host 1.1.1.1 is not among the hosts this handler allows; add it to allow if jobs may lead there"
        );
        assert_eq!(check(&["127.0.0.0/8"], "http://2130706433/"), Ok(()));
        assert_eq!(check(&["127.0.0.1"], "http://[::ffff:7f00:1]/"), Ok(()));
        assert_eq!(check(&["::1"], "http://[::1]/"), Ok(()));
        assert!(check(&["*.example.org"], "http://example.org/").is_err());
        assert_eq!(check(&["*.example.org"], "http://A.EXAMPLE.ORG/"), Ok(()));
    }
}

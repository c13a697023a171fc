//! What a host that comes from a job's data may be.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::config::invalid::Invalid;

/// One entry of the list `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHost {
    /// `*`: every name, and every public address.
    Any,
    /// A name, in lower case.
    Name(String),
    /// `*.example.org`: every name that ends in this, the dot included.
    Under(String),
    /// An address or a network, be it private.
    Network(IpAddr, u8),
}

impl AllowedHost {
    /// Reads `*`, `api.example.org`, `*.example.org`, `10.0.0.7`, `10.0.0.0/8` or the like in IPv6.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const HELP: &str = "write a name, \"*.example.org\" for the names below it, an address or a network";
        let refuse = |why: &str| Invalid::new(format!("{text:?} {why}"), HELP);
        if text == "*" {
            return Ok(Self::Any);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        if let Ok(address) = address.parse::<IpAddr>() {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok().filter(|bits| *bits <= all));
            return bits.map(|bits| Self::Network(address, bits)).ok_or_else(|| refuse("is no network"));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let labels = |label: &str| !label.is_empty() && label.bytes().all(legal);
        if !name.split('.').all(labels) {
            return Err(refuse("is no host"));
        }
        let name = name.to_ascii_lowercase();
        Ok(if text.starts_with("*.") { Self::Under(format!(".{name}")) } else { Self::Name(name) })
    }

    /// Whether a name may be called, be its address allowed too; `name` in lower case.
    #[must_use]
    pub fn covers_name(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        match self {
            Self::Any => true,
            Self::Name(own) => own == name,
            Self::Under(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
            Self::Network(..) => false,
        }
    }

    /// Whether an address may be connected to although it is not public.
    #[must_use]
    pub fn covers_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network, bits) if is_within(address, *network, *bits))
    }
}

/// Whether an address has the first so many bits of another one of its family. An IPv4 address mapped into IPv6 is
/// one of IPv4.
#[must_use]
pub fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network) = (address.to_canonical(), network.to_canonical());
    let wide = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    };
    let differing = wide(address) ^ wide(network);
    address.is_ipv4() == network.is_ipv4() && (bits == 0 || differing >> (128 - u32::from(bits)) == 0)
}

/// As the file spells it.
impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Under(suffix) => write!(f, "*{suffix}"),
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_shown_the_same() {
        for (text, shown) in [
            ("*", "*"),
            ("API.example.org", "api.example.org"),
            ("*.Example.org", "*.example.org"),
            ("localhost", "localhost"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            let host = AllowedHost::parse(text).unwrap();
            assert_eq!(host.to_string(), shown);
            assert_eq!(AllowedHost::parse(shown).unwrap(), host);
        }
        for text in ["", "*.", "a..b", "*a.org", "a.*.org", "http://a", "a:80", "a b", "10.0.0.0/33", "::/129", "10/8"]
        {
            assert!(AllowedHost::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_below_it() {
        let covers = |pattern: &str, name: &str| AllowedHost::parse(pattern).unwrap().covers_name(name);
        assert!(covers("*.example.org", "a.example.org") && covers("*.example.org", "a.b.example.org."));
        assert!(!covers("*.example.org", "example.org") && !covers("*.example.org", "evilexample.org"));
        assert!(!covers("*.example.org", "example.org.evil.net") && !covers("*.example.org", ".example.org"));
        assert!(covers("example.org", "example.org") && !covers("example.org", "a.example.org"));
        assert!(covers("*", "anything") && !covers("10.0.0.0/8", "10.0.0.1.nip.io"));
        let within = |network: &str, address: &str| {
            AllowedHost::parse(network).unwrap().covers_address(address.parse().unwrap())
        };
        assert!(within("10.0.0.0/8", "10.255.0.1") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("10.0.0.7", "::ffff:10.0.0.7") && !within("10.0.0.7", "10.0.0.8"));
        assert!(within("fd00::/8", "fd12::1") && !within("fd00::/8", "10.0.0.1") && !within("::/0", "10.0.0.1"));
        assert!(within("0.0.0.0/0", "10.0.0.1"));
    }
}

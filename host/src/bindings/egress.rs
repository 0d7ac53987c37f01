//! Where guests may connect to. A pure policy: it opens no socket and resolves no name.
//!
//! The threat: a guest uses the host as a stepping stone into the operator's network: a database that trusts its
//! neighbours, a cloud's metadata service, the host's own management API. So guests reach public unicast addresses and
//! nothing else, unless the operator opened it with `--allow-egress`.
//!
//! Names are only a first filter, for clear errors and against resolvers that answer strangely. What decides is the
//! address, because a name can point anywhere, and because resolvers read `2130706433`, `0x7f.1` and `127.1` as
//! loopback. Whoever connects must connect to the very address it had checked, without resolving the name again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The flag that opens a destination, as errors name it.
const FLAG: &str = "--allow-egress";

/// Longest name DNS knows, in bytes.
const NAME_BYTES: usize = 253;

/// Ranges of IPv4 that are not public unicast, with what they are.
const SPECIAL_V4: [(Ipv4Net, &str); 17] = [
    // Public by its number, and on each of Azure's machines a service that knows the machine's secrets.
    (v4([168, 63, 129, 16], 32), "Azure's platform"),
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private network"),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private network"),
    (v4([192, 0, 0, 0], 24), "protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private network"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// Ranges of IPv6 that are not public unicast, with what they are. Whatever lies outside `PUBLIC_V6` is closed without
/// being listed; the ranges listed from there only give errors a better word.
const SPECIAL_V6: [(Ipv6Net, &str); 11] = [
    // Teredo and other tunnels, benchmarking, ORCHID.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    // Where the IPv4 address sits in it depends on the site's prefix, so it cannot be judged.
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "local NAT64"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// The only block of IPv6 from which public unicast addresses are handed out.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// IPv6 addresses that stand for the IPv4 address in their last 32 bits: mapped, compatible, and NAT64.
const EMBEDS_V4: [Ipv6Net; 3] =
    [v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), v6([0, 0, 0, 0, 0, 0, 0, 0], 96), v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96)];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// One destination the operator opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AllowRule {
    /// Every port of these addresses: `10.1.0.0/16`, `10.1.2.3`, `::1`.
    Network(IpNet),
    /// One port of one address: `10.1.2.3:5432`, `[::1]:5432`.
    Socket(SocketAddr),
    /// One port of whatever this name resolves to: `db.internal:5432`.
    Name {
        /// In lower case, without a dot at its end.
        host: String,
        /// Never 0.
        port: u16,
    },
}

/// Why an `--allow-egress` rule was refused. The text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// Neither of the two forms.
    #[error("{0:?} is neither a network such as 10.1.0.0/16 nor a host and port such as db.internal:5432")]
    Syntax(String),
    /// An address with bits behind its prefix: probably a slip, and it would open more than it seems to.
    #[error("{given} has bits behind its prefix; did you mean {meant}?")]
    LooseNetwork {
        /// As it was given.
        given: IpNet,
        /// The network it lies in.
        meant: IpNet,
    },
}

impl FromStr for AllowRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        if let Ok(given) = text.parse::<IpNet>() {
            let meant = given.trunc();
            return if given == meant {
                Ok(Self::Network(given))
            } else {
                Err(InvalidRule::LooseNetwork { given, meant })
            };
        }
        Self::parse_host_and_port(text).ok_or_else(|| InvalidRule::Syntax(text.to_owned()))
    }
}

impl AllowRule {
    fn parse_host_and_port(text: &str) -> Option<Self> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return (socket.port() != 0).then_some(Self::Socket(socket));
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        is_host_name(host).then(|| Self::Name { host: canonical_name(host), port })
    }

    fn opens_name(&self, name: &str, wanted: u16) -> bool {
        matches!(self, Self::Name { host, port } if host == name && *port == wanted)
    }

    fn opens_address(&self, address: SocketAddr) -> bool {
        let destination = destination(address.ip());
        match self {
            Self::Network(network) => network.contains(&address.ip()) || network.contains(&destination),
            Self::Socket(socket) => {
                socket.port() == address.port() && [address.ip(), destination].contains(&socket.ip())
            }
            Self::Name { .. } => false,
        }
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Socket(socket) => socket.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl TryFrom<String> for AllowRule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<AllowRule> for String {
    fn from(rule: AllowRule) -> Self {
        rule.to_string()
    }
}

/// A destination that is closed, why, and how the operator opens it. For the operator's log: the text may hold an
/// address of the operator's network, which a guest has no business knowing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is closed to functions ({why}); {FLAG} {opened_by} opens it")]
pub struct Denied {
    what: String,
    why: &'static str,
    opened_by: AllowRule,
}

/// Decides where guests may connect to. The default opens public unicast addresses only.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    rules: Vec<AllowRule>,
}

impl EgressPolicy {
    /// Opens what these rules name on top of public unicast addresses.
    pub fn new(rules: Vec<AllowRule>) -> Self {
        Self { rules }
    }

    /// Whether `host` may be resolved at all in order to connect to `port`. An address literal, given without brackets,
    /// always may: `check_address` judges it.
    ///
    /// # Errors
    ///
    /// `Denied` when the name stands for the host itself or for a service of its environment.
    pub fn check_name(&self, host: &str, port: u16) -> Result<(), Denied> {
        let name = canonical_name(host);
        if !is_internal_name(&name) || self.opens_name(&name, port) {
            return Ok(());
        }
        Err(Denied {
            what: format!("{name}:{port}"),
            why: "internal name",
            opened_by: AllowRule::Name { host: name, port },
        })
    }

    /// Whether `address`, to which `host` resolved, may be connected to.
    ///
    /// # Errors
    ///
    /// `Denied` when the address is not public unicast and no rule opens it.
    pub fn check_address(&self, host: &str, address: SocketAddr) -> Result<(), Denied> {
        let Some(why) = closed_because(destination(address.ip())) else {
            return Ok(());
        };
        let name = canonical_name(host);
        if self.opens_name(&name, address.port()) || self.rules.iter().any(|rule| rule.opens_address(address)) {
            return Ok(());
        }
        Err(if name.parse::<IpAddr>().is_ok() {
            Denied { what: address.to_string(), why, opened_by: AllowRule::Socket(address) }
        } else {
            Denied {
                what: format!("{name} at {address}"),
                why,
                opened_by: AllowRule::Name { host: name, port: address.port() },
            }
        })
    }

    fn opens_name(&self, name: &str, port: u16) -> bool {
        self.rules.iter().any(|rule| rule.opens_name(name, port))
    }
}

/// Whether the text can be a host name: letters, digits, dots, dashes and underscores, as DNS and container networks use
/// them. The only characters that mean the same to every parser on the way.
pub(super) fn is_host_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    text.len() <= NAME_BYTES
        && labels.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// The one spelling under which names are compared: a dot at the end only says that the name is complete.
fn canonical_name(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn is_internal_name(name: &str) -> bool {
    const NAMES: [&str; 6] =
        ["localhost", "internal", "metadata", "instance-data", "kubernetes.default", "kubernetes.default.svc"];
    const SUFFIXES: [&str; 2] = [".localhost", ".internal"];
    NAMES.contains(&name)
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || name.starts_with("kubernetes.default.svc.")
}

/// Where a packet to this address ends up: translation included.
fn destination(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if EMBEDS_V4.iter().any(|network| network.contains(&v6)) && !v6.is_loopback() => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

/// What makes the address other than public unicast, if anything does.
fn closed_because(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => SPECIAL_V4.iter().find(|(network, _)| network.contains(&v4)).map(|(_, why)| *why),
        IpAddr::V6(v6) => SPECIAL_V6
            .iter()
            .find(|(network, _)| network.contains(&v6))
            .map(|(_, why)| *why)
            .or_else(|| (!PUBLIC_V6.contains(&v6)).then_some("not public")),
    }
}

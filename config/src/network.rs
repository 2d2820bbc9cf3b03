//! A network as the file writes it: CIDR without host bits, or a bare address, which means that one.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// An IPv4 or IPv6 network. An IPv4 network is never held in its IPv6-mapped form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether `address`, mapped IPv4 counted as IPv4, lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The network itself.
    #[must_use]
    pub const fn net(&self) -> IpNet {
        self.0
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let net = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) => net,
            (Err(_), Ok(address)) => IpNet::from(address),
            (Err(_), Err(_)) => {
                return Err(
                    "is not a network; write it as 192.0.2.0/24, 2001:db8::/32 or a single address".into()
                );
            }
        };
        if net != net.trunc() {
            return Err(format!("has host bits set; did you mean {}?", net.trunc()));
        }
        if let IpAddr::V6(address) = net.addr()
            && address.to_ipv4_mapped().is_some()
        {
            return Err("is an IPv4 network in IPv6 notation; write it as IPv4".into());
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, String> {
        Network::try_from(text.to_owned())
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_maps() {
        assert!(network("10.0.0.0/8").unwrap().contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network("10.0.0.0/8").unwrap().contains("::ffff:11.1.2.3".parse().unwrap()));
    }

    #[test]
    fn a_bare_address_means_that_one() {
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
    }

    #[test]
    fn host_bits_and_nonsense_are_refused_with_a_hint() {
        assert!(network("192.0.2.7/24").unwrap_err().contains("192.0.2.0/24"));
        assert!(network("office").unwrap_err().contains("192.0.2.0/24"));
        assert!(network("::ffff:10.0.0.0/104").unwrap_err().contains("IPv4"));
        assert!(network("127.1").is_err());
    }
}

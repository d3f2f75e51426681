//! Client addresses, pure: which address is the client's own behind reverse proxies, and which of them count as one
//! client where something is shared out by address.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address that stands for `client` in caps and rates: an IPv4 address is itself, however it was written, and an
/// IPv6 address its /64 network, because one subscriber has at least that many (RFC 6177).
pub fn client_group(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's own address.
    pub client: IpAddr,
    /// How many members at the end of `X-Forwarded-For` stand for it and for trusted proxies: those before them are
    /// what the client itself sent.
    pub believed: usize,
}

/// The reverse proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks, commas between.
    ///
    /// # Errors
    /// The member that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
        let network = |member: &str| {
            let address = member.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            let network = address.ok().or_else(|| Some(canonical(member.parse().ok()?)));
            network.ok_or_else(|| member.to_owned())
        };
        members.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is the address of one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Those that are wider than any private network (10.0.0.0/8, fc00::/7): strangers in them could choose the address
    /// that they are taken for.
    pub fn too_wide(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter().filter(|network| network.prefix_len() < if network.addr().is_ipv4() { 8 } else { 7 })
    }

    /// Where a request comes from that `peer` sent, with these lines of `X-Forwarded-For`. They are read from the end:
    /// each proxy adds the address that it got the request from, and only what a trusted one added is believed.
    pub fn origin<'l, I>(&self, peer: IpAddr, lines: I) -> Origin
    where
        I: IntoIterator<Item = &'l [u8]>,
        I::IntoIter: DoubleEndedIterator,
    {
        let mut origin = Origin { client: peer.to_canonical(), believed: 0 };
        if self.0.is_empty() {
            return origin;
        }
        for member in lines.into_iter().rev().flat_map(members_from_the_end) {
            if !self.trusts(origin.client) {
                break;
            }
            // Whoever it names, such as "unknown": nobody else is known to have sent the request.
            let Some(address) = member_address(member) else { break };
            origin = Origin { client: address, believed: origin.believed + 1 };
        }
        origin
    }
}

/// A network of IPv4 addresses in their IPv6 form as what it is.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network.trunc() };
    let v4 = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    let v4 = v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4).trunc()
}

/// The members of a comma list, the last one first, without empty ones.
fn members_from_the_end(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The members of `X-Forwarded-For` that the client itself sent: all but the last `believed`.
pub fn members_before<'l>(lines: impl IntoIterator<Item = &'l [u8]>, believed: usize) -> Vec<&'l [u8]> {
    let is_member = |member: &&[u8]| !member.is_empty();
    let members = lines.into_iter().flat_map(|line| line.split(|&byte| byte == b','));
    let mut members: Vec<&[u8]> = members.map(<[u8]>::trim_ascii).filter(is_member).collect();
    members.truncate(members.len().saturating_sub(believed));
    members
}

/// An address, perhaps in brackets, perhaps with a port.
fn member_address(member: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(member).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ipv6_network_is_one_client_and_an_ipv4_address_is_one_however_written() {
        let group = |text: &str| client_group(text.parse().expect("an address")).to_string();
        assert_eq!(group("192.0.2.7"), "192.0.2.7");
        assert_eq!(group("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
    }

    fn trusted(text: &str) -> TrustedProxies {
        TrustedProxies::parse(text).expect("a list")
    }

    fn origin(trusted: &TrustedProxies, peer: &str, lines: &[&str]) -> (String, usize) {
        let origin = trusted.origin(peer.parse().expect("an address"), lines.iter().map(|line| line.as_bytes()));
        (origin.client.to_string(), origin.believed)
    }

    #[test]
    fn a_list_of_proxies_has_addresses_and_networks() {
        let list = trusted("127.0.0.1, 10.1.2.3/8,::1,fd00::/8 , ::ffff:192.0.2.0/120,::ffff:198.51.100.1");
        for inside in ["127.0.0.1", "10.200.0.1", "::1", "fd12::1", "192.0.2.200", "::ffff:10.0.0.1", "198.51.100.1"] {
            assert!(list.trusts(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["127.0.0.2", "11.0.0.1", "::2", "fe00::1", "192.0.3.1", "::ffff:11.0.0.1"] {
            assert!(!list.trusts(outside.parse().expect("an address")), "{outside}");
        }
        for bad in
            ["10.0.0.0/33", "localhost", "10.0.0.0-10.0.0.9", "10.0.0", "::/129", "127.0.0.1:80", "127.0.0.1 ::1"]
        {
            assert!(TrustedProxies::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(trusted(""), TrustedProxies::default());
        let wide: Vec<String> =
            trusted("0.0.0.0/0, 10.0.0.0/8, 8.0.0.0/7, ::/0, fc00::/7").too_wide().map(IpNet::to_string).collect();
        assert_eq!(wide, ["0.0.0.0/0", "8.0.0.0/7", "::/0"]);
    }

    #[test]
    fn the_client_is_the_first_address_from_the_end_that_is_no_proxy() {
        let list = trusted("127.0.0.1, 10.0.0.0/8, fd00::/8");
        for (peer, lines, client, believed) in [
            // Nobody else may say where it comes from.
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1", 0),
            ("127.0.0.1", &[], "127.0.0.1", 0),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1", 1),
            ("::ffff:127.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1", 1),
            // What the client put there itself stands before.
            ("127.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1", 1),
            ("127.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1", 1),
            ("127.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.7"], "198.51.100.1", 2),
            ("127.0.0.1", &["203.0.113.9", "198.51.100.1 ,\t10.0.0.7,,", ""], "198.51.100.1", 2),
            ("10.0.0.1", &["fd00::1"], "fd00::1", 1),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1", 1),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1", 1),
            ("10.0.0.1", &["198.51.100.1:443"], "198.51.100.1", 1),
            // What no address is ends the search at the proxy that said so.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1", 0),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2", 1),
            ("10.0.0.1", &["\u{e4}, 198.51.100.1:x"], "10.0.0.1", 0),
            ("10.0.0.1", &["198.51.100.1, \"10.0.0.2\""], "10.0.0.1", 0),
        ] {
            assert_eq!(origin(&list, peer, lines), (client.to_owned(), believed), "{peer} {lines:?}");
        }
        let nobody = TrustedProxies::default();
        assert_eq!(origin(&nobody, "127.0.0.1", &["198.51.100.1"]), ("127.0.0.1".to_owned(), 0));
    }

    #[test]
    fn what_the_client_sent_stands_before_what_proxies_added() {
        let lines = [&b"a, b"[..], b"", b" c,,d"];
        let before = |believed| members_before(lines, believed).join(&b'|');
        assert_eq!(before(0), b"a|b|c|d");
        assert_eq!(before(3), b"a");
        assert_eq!(before(9), b"");
    }

    fn member() -> impl Strategy<Value = String> {
        let v4 = any::<[u8; 4]>().prop_map(|bytes| IpAddr::from(bytes).to_string());
        let v6 = any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_string());
        let own = (0..=255u8).prop_map(|last| format!("10.0.0.{last}"));
        prop_oneof![
            v4.clone(),
            v6.clone(),
            own.clone(),
            own,
            (v4, any::<u16>()).prop_map(|(address, port)| format!("{address}:{port}")),
            v6.prop_map(|address| format!("[{address}]")),
            Just("unknown".to_owned()),
            Just(String::new()),
            "[ -~&&[^,]]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_changes_who_it_is(
            sent in proptest::collection::vec(member(), 0..6),
            client in any::<[u8; 4]>(),
            hops in proptest::collection::vec(0..=255u8, 0..4),
            split in any::<u16>(),
        ) {
            let list = trusted("10.0.0.0/8");
            let client = IpAddr::from(client);
            prop_assume!(!list.trusts(client));
            // Each proxy adds the address that it got the request from; the last one of them is the peer.
            let proxies: Vec<IpAddr> = hops.iter().map(|&last| IpAddr::from([10, 0, 0, last])).collect();
            let (peer, chain) = match proxies.split_last() {
                Some((peer, before)) => (*peer, [&[client], before].concat()),
                None => (client, Vec::new()),
            };
            let members: Vec<String> = sent.iter().cloned().chain(chain.iter().map(IpAddr::to_string)).collect();
            // Over as many lines as it may be.
            let mut lines = vec![String::new()];
            for (at, member) in members.iter().enumerate() {
                match split >> (at % 16) & 1 {
                    1 => lines.push(member.clone()),
                    _ => lines.last_mut().expect("one").push_str(&format!(", {member}")),
                }
            }
            let bytes = || lines.iter().map(String::as_bytes);
            let origin = list.origin(peer, bytes());
            prop_assert_eq!(origin, Origin { client, believed: chain.len() });
            let kept = members_before(bytes(), origin.believed);
            let sent: Vec<&[u8]> = sent.iter().map(|member| member.trim().as_bytes()).filter(|m| !m.is_empty()).collect();
            prop_assert_eq!(kept, sent);
        }

        #[test]
        fn bytes_of_any_kind_name_nobody_who_is_not_there(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let list = trusted("10.0.0.0/8");
            let peer = IpAddr::from([10, 0, 0, 1]);
            let origin = list.origin(peer, lines.iter().map(Vec::as_slice));
            prop_assert!(origin.believed > 0 || origin.client == peer);
        }
    }
}

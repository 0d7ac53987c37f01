//! Tables of destinations, open and closed.

use std::net::ToSocketAddrs;

use super::*;

fn policy(rules: &[&str]) -> EgressPolicy {
    EgressPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
}

fn opens(policy: &EgressPolicy, host: &str, address: &str) -> bool {
    policy.check_address(host, address.parse().unwrap()).is_ok()
}

#[test]
fn only_public_unicast_addresses_are_open() {
    let open = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00::1",
        "::ffff:1.1.1.1",
        "::1.1.1.1",
        "64:ff9b::1.1.1.1",
    ];
    let closed = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "64:ff9b:1::1.1.1.1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::1",
        "2001:2::1",
        "2001:10::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:101:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ffff::1",
    ];
    let policy = EgressPolicy::default();
    for (list, expected) in [(&open[..], true), (&closed[..], false)] {
        for ip in list {
            let address = SocketAddr::new(ip.parse().unwrap(), 80);
            assert_eq!(policy.check_address(ip, address).is_ok(), expected, "{ip}");
            assert_eq!(policy.check_address("example.com", address).is_ok(), expected, "{ip} by name");
        }
    }
}

#[test]
fn internal_names_are_closed_before_they_are_resolved() {
    let closed = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "a.b.LocalHost.",
        "metadata",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "instance-data",
        "instance-data.ec2.internal",
        "host.docker.internal",
        "internal",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let open = [
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "internal.example.com",
        "metadata.example.com",
        "kubernetes.default.example.com",
        "127.0.0.1",
        "::1",
    ];
    let policy = EgressPolicy::default();
    for name in closed {
        assert!(policy.check_name(name, 80).is_err(), "{name}");
    }
    for name in open {
        assert!(policy.check_name(name, 80).is_ok(), "{name}");
    }
}

#[test]
fn numeric_spellings_are_judged_by_the_address_they_resolve_to() {
    let policy = EgressPolicy::default();
    let spellings =
        ["2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "0177.0.0.1", "0", "127.0.0.1", "0xa9fea9fe"];
    for spelling in spellings {
        for address in (spelling, 80).to_socket_addrs().into_iter().flatten() {
            assert!(policy.check_address(spelling, address).is_err(), "{spelling} is {address}");
        }
    }
    let resolved = ("127.1", 80).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    if cfg!(target_os = "linux") {
        assert_eq!(resolved.unwrap(), ["127.0.0.1:80".parse().unwrap()], "the table above tests something");
    }
}

#[test]
fn a_network_opens_every_port_of_its_addresses_and_nothing_else() {
    let policy = policy(&["10.1.0.0/16", "10.9.9.9", "::1/128"]);
    for open in
        ["10.1.2.3:1", "10.1.255.255:65535", "10.9.9.9:80", "[::1]:80", "[::ffff:10.1.2.3]:80", "[64:ff9b::a01:203]:80"]
    {
        assert!(opens(&policy, "db.corp", open), "{open}");
    }
    for closed in ["10.0.255.255:80", "10.2.0.0:80", "10.9.9.8:80", "[::2]:80", "127.0.0.1:80"] {
        assert!(!opens(&policy, "db.corp", closed), "{closed}");
    }
    assert!(self::policy(&["127.0.0.0/8"]).check_name("localhost", 80).is_err(), "a network opens no name");
}

#[test]
fn a_socket_opens_one_port_of_one_address() {
    let policy = policy(&["10.1.2.3:5432", "[fd00::1]:80"]);
    assert!(opens(&policy, "db.corp", "10.1.2.3:5432"));
    assert!(opens(&policy, "10.1.2.3", "[::ffff:10.1.2.3]:5432"));
    assert!(opens(&policy, "fd00::1", "[fd00::1]:80"));
    assert!(!opens(&policy, "10.1.2.3", "10.1.2.3:5433"));
    assert!(!opens(&policy, "10.1.2.4", "10.1.2.4:5432"));
}

#[test]
fn a_name_opens_one_port_of_whatever_it_resolves_to() {
    let policy = policy(&["Localhost.:8080", "db.internal:5432"]);
    assert!(policy.check_name("localhost", 8080).is_ok());
    assert!(policy.check_name("LOCALHOST.", 8080).is_ok());
    assert!(policy.check_name("localhost", 80).is_err());
    assert!(policy.check_name("a.localhost", 8080).is_err());
    assert!(policy.check_name("x.db.internal", 5432).is_err());
    assert!(opens(&policy, "localhost", "127.0.0.1:8080"));
    assert!(opens(&policy, "DB.internal", "10.0.0.7:5432"));
    assert!(!opens(&policy, "localhost", "127.0.0.1:80"));
    assert!(!opens(&policy, "127.0.0.1", "127.0.0.1:8080"), "the rule names the name");
    assert!(!opens(&policy, "other.example", "10.0.0.7:5432"));
}

#[test]
fn rules_read_back_as_they_were_written() {
    let rules = [
        ("127.0.0.0/8", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::1", "::1/128"),
        ("::1/128", "::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.2.3:80", "10.1.2.3:80"),
        ("[::1]:80", "[::1]:80"),
        ("DB_1.Internal.:5432", "db_1.internal:5432"),
    ];
    for (given, shown) in rules {
        let rule: AllowRule = given.parse().unwrap();
        assert_eq!(rule.to_string(), shown);
        assert_eq!(shown.parse(), Ok(rule.clone()));
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, format!("{shown:?}"));
        assert_eq!(serde_json::from_str::<AllowRule>(&json).unwrap(), rule);
    }
}

#[test]
fn malformed_rules_are_refused() {
    let bad = [
        "",
        "localhost",
        ":80",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:80x",
        "10.0.0.1:0",
        "10.0.0.0/33",
        "::1/129",
        "*.example.com:443",
        "user@host:80",
        "http://host:80",
        "host:80/path",
        "a..b:80",
        "é.example:80",
        "[::1:80",
        "a b:80",
    ];
    for text in bad {
        assert_eq!(text.parse::<AllowRule>(), Err(InvalidRule::Syntax(text.to_owned())));
    }
    let loose = "10.1.2.3/8".parse::<AllowRule>().unwrap_err();
    assert_eq!(loose.to_string(), "10.1.2.3/8 has bits behind its prefix; did you mean 10.0.0.0/8?");
}

#[test]
fn a_denial_says_what_would_open_it_and_that_does() {
    let cases = [
        (
            "10.1.2.3",
            "10.1.2.3:80",
            "10.1.2.3:80 is closed to functions (private network); --allow-egress 10.1.2.3:80 opens it",
        ),
        ("::1", "[::1]:80", "[::1]:80 is closed to functions (loopback); --allow-egress [::1]:80 opens it"),
        (
            "db.corp",
            "10.0.0.7:5432",
            "db.corp at 10.0.0.7:5432 is closed to functions (private network); --allow-egress db.corp:5432 opens it",
        ),
    ];
    for (host, address, text) in cases {
        let denied = EgressPolicy::default().check_address(host, address.parse().unwrap()).unwrap_err();
        assert_eq!(denied.to_string(), text);
        assert!(opens(&EgressPolicy::new(vec![denied.opened_by]), host, address));
    }
    let denied = EgressPolicy::default().check_name("Localhost", 80).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "localhost:80 is closed to functions (internal name); --allow-egress localhost:80 opens it"
    );
    assert!(EgressPolicy::new(vec![denied.opened_by]).check_name("localhost", 80).is_ok());
}

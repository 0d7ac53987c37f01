use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn limiter() -> Limiter {
    Limiter::new(Some(RateLimits::default()), vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()])
}

#[test]
fn all_of_a_limit_may_come_at_once_and_then_one_after_the_other() {
    let limiter = limiter();
    let count = |now: u64| limiter.count("somebody", 60, MINUTE, Duration::from_secs(now));
    for left in (0..60).rev() {
        let quota = count(100).unwrap();
        assert_eq!((quota.limit, quota.remaining), (60, left));
    }
    let (quota, wait) = count(100).unwrap_err();
    assert_eq!((quota.remaining, quota.reset, wait), (0, MINUTE, Duration::from_secs(1)));
    count(101).unwrap();
    count(101).unwrap_err();
    assert_eq!(limiter.count("somebody else", 60, MINUTE, Duration::from_secs(101)).unwrap().remaining, 59);
    assert_eq!(count(500).unwrap().remaining, 59, "a quiet time gives everything back, and not more");
    assert_eq!(count(500).unwrap().remaining, 58);
}

#[test]
fn the_first_limit_that_is_set_counts_and_off_is_one() {
    let limiter = limiter();
    let class = Class::Invoke(FunctionId::generate());
    let admit = |own: [Option<RateLimit>; 2]| limiter.admit(class, &Caller::Admin, own).0.map(|quota| quota.limit);
    let of = |text: &str| Some(text.parse().unwrap());
    assert_eq!(admit([None, None]), None, "no default, no limit");
    assert_eq!(admit([None, of("5/min")]), Some(5));
    assert_eq!(admit([of("7/hour"), of("5/min")]), Some(7));
    assert_eq!(admit([of("off"), of("5/min")]), None);
    let off = Limiter::new(None, Vec::new());
    assert_eq!(off.admit(class, &Caller::Admin, [of("1/day"), None]).0, None);
}

#[test]
fn callers_and_classes_are_counted_apart() {
    let limiter = limiter();
    let one = Some("1/day".parse().unwrap());
    let shop: AppName = "shop".parse().unwrap();
    let other: AppName = "other".parse().unwrap();
    let (f, g) = (Class::Invoke(FunctionId::generate()), Class::Invoke(FunctionId::generate()));
    let address = |text: &str| Caller::Address(text.parse().unwrap());
    for class in [f, g, Class::List, Class::History, Class::Management] {
        for caller in [
            Caller::Admin,
            Caller::User(&shop, "u"),
            Caller::User(&shop, "v"),
            Caller::User(&other, "u"),
            address("1.1.1.1"),
            address("1.1.1.2"),
        ] {
            assert!(limiter.admit(class, &caller, [one]).1.is_ok(), "{class:?} {caller:?}");
            let error = limiter.admit(class, &caller, [one]).1.unwrap_err();
            assert_eq!(error.code, Code::RateLimited);
        }
    }
}

#[test]
fn a_map_stays_small_whoever_comes() {
    let limiter = limiter();
    let flood = RATE_MAPS * RATE_CALLERS_PER_MAP * 5 / 4;
    for caller in 0..flood {
        limiter.count(caller, 60, MINUTE, Duration::from_secs(1)).unwrap();
    }
    let kept: Vec<usize> = limiter.maps.iter().map(|map| map.lock().unwrap().len()).collect();
    assert!(kept.iter().all(|kept| *kept <= RATE_CALLERS_PER_MAP), "{kept:?}");
}

#[test]
fn the_address_is_the_one_a_trusted_proxy_heard_from() {
    let limiter = limiter();
    let address = |peer: &str, forwarded: &[&'static str]| {
        let values = forwarded.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value)));
        limiter.address(peer.parse().unwrap(), &HeaderMap::from_iter(values)).to_string()
    };
    assert_eq!(address("127.0.0.1", &[]), "127.0.0.1");
    assert_eq!(address("127.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    assert_eq!(address("127.0.0.1", &["9.9.9.9, 1.2.3.4, 10.0.0.7"]), "1.2.3.4");
    assert_eq!(address("9.9.9.9", &["1.2.3.4"]), "9.9.9.9", "anybody can write that");
    assert_eq!(address("127.0.0.1", &["nonsense"]), "127.0.0.1");
    assert_eq!(address("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
    assert_eq!(address("::ffff:9.9.9.9", &[]), "9.9.9.9");
}

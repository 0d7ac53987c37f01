//! Header fields that belong to a connection and not to a message (RFC 9110, section 7.6.1).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The fields of a message without those of the connection it came over, nor those that are `withheld`. Order and duplicates stay.
pub fn end_to_end(fields: &HeaderMap, withheld: impl Fn(&HeaderName, &HeaderValue) -> bool) -> HeaderMap {
    let listed: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut kept = HeaderMap::with_capacity(fields.keys_len());
    for (name, value) in fields {
        if !HOP_BY_HOP.contains(name) && !listed.contains(name) && !withheld(name, value) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_fields_go_and_the_rest_keeps_its_order() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("b", "1"),
            ("x-private", "2"),
            ("a", "3"),
            ("te", "trailers"),
            ("b", "4"),
            ("apikey", "5"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let kept = end_to_end(&fields, |name, _| name == "apikey");
        let pairs: Vec<_> = kept.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(pairs, [("b", "1"), ("b", "4"), ("a", "3")]);
    }
}

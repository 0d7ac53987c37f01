//! URLs, by the `url` crate.

use ::url::{Url, quirks};
use rquickjs::{Ctx, Object, Result};

use super::define;

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native, "parseUrl" => parse_url, "changeUrl" => change_url, "canParseUrl" => can_parse_url);
    Ok(())
}

fn parse(input: &str, base: Option<&str>) -> Option<Url> {
    match base {
        Some(base) => Url::parse(base).ok()?.join(input).ok(),
        None => Url::parse(input).ok(),
    }
}

/// `[href, origin, protocol, username, password, host, hostname, port, pathname, search, hash]`, or null.
fn parse_url(input: String, base: Option<String>) -> Option<Vec<String>> {
    parse(&input, base.as_deref()).map(|url| parts(&url))
}

fn can_parse_url(input: String, base: Option<String>) -> bool {
    parse(&input, base.as_deref()).is_some()
}

/// Sets one part of a URL and returns all, as `parse_url`; a value that is not valid changes nothing. Null when `href` is not valid.
fn change_url(_: Ctx<'_>, href: String, part: String, value: String) -> Option<Vec<String>> {
    let mut url = Url::parse(&href).ok()?;
    // The setters of the standard ignore what they cannot use.
    let _ignored = match part.as_str() {
        "href" => return parse(&value, None).map(|url| parts(&url)),
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        _ => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
    };
    Some(parts(&url))
}

fn parts(url: &Url) -> Vec<String> {
    [
        quirks::href(url),
        &quirks::origin(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ]
    .map(str::to_owned)
    .to_vec()
}

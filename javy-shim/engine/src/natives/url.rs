//! URLs, by the `url` crate.

use std::borrow::Cow;

use ::url::{Origin, Url, quirks};
use rquickjs::{Ctx, Object, Result};

use super::define;

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native, "parseUrl" => parse_url, "changeUrl" => change_url, "canParseUrl" => can_parse_url);
    Ok(())
}

fn parse(input: &str, base: Option<&str>) -> Option<Url> {
    let Some(base) = base else { return Url::parse(input).ok() };
    let base = Url::parse(base).ok()?;
    let input = if base.is_special() && base.scheme() != "file" { one_authority(input) } else { input.into() };
    base.join(&input).ok()
}

/// Any number of slashes leads to the authority of a special URL, also where the scheme is the base's. The crate takes two.
fn one_authority(input: &str) -> Cow<'_, str> {
    let is_slash = |character: &char| matches!(character, '/' | '\\');
    let input = input.trim_start_matches(|character: char| character <= ' ');
    let slashes =
        input.chars().filter(|character| !matches!(character, '\t' | '\n' | '\r')).take_while(is_slash).count();
    if slashes <= 2 {
        return input.into();
    }
    let skipped = |character: char| is_slash(&character) || matches!(character, '\t' | '\n' | '\r');
    format!("//{}", input.trim_start_matches(skipped)).into()
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
        &origin(url),
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

/// A blob: URL has the origin of the URL in it only if that is one of the web.
fn origin(url: &Url) -> String {
    match url.origin() {
        Origin::Tuple(scheme, ..) if url.scheme() == "blob" && scheme != "http" && scheme != "https" => {
            "null".to_owned()
        }
        origin => origin.ascii_serialization(),
    }
}

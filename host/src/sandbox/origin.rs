//! How functions find the host itself: the variables that Supabase's clients are made with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::auth::project::ProjectKeys;
use crate::bindings::env::{ANON_KEY, Environment, PUBLISHABLE_KEYS, SECRET_KEYS, SERVICE_ROLE_KEY, URL};
use crate::ids::AppName;
use crate::secrets::Secret;

/// Where the host is reached.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Scheme and authority, without a slash at the end.
    url: String,
    /// Where the host listens, if that is what the URL says.
    address: Option<SocketAddr>,
}

impl Origin {
    /// A host that others reach at this URL, or at the address where it listens.
    pub fn new(public_url: Option<String>, listens: SocketAddr) -> Self {
        match public_url {
            Some(url) => Self { url, address: None },
            None => {
                let address = SocketAddr::new(reachable(listens.ip()), listens.port());
                Self { url: format!("http://{address}"), address: Some(address) }
            }
        }
    }

    /// Where functions reach the host although its address is not public.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What Supabase's clients of an app are made with.
    pub fn project_url(&self, app: &AppName) -> String {
        if *app == AppName::default_app() { self.url.clone() } else { format!("{}/projects/{app}", self.url) }
    }

    /// The variables of an app that nobody has to set.
    pub fn variables(&self, app: &AppName, keys: &ProjectKeys) -> Environment {
        let variables = [
            (URL, Secret::from(self.project_url(app))),
            (ANON_KEY, Secret::from(keys.anon.clone())),
            (PUBLISHABLE_KEYS, named(&keys.anon)),
            (SERVICE_ROLE_KEY, keys.service_role.clone()),
            (SECRET_KEYS, named(keys.service_role.expose())),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// An object of named keys, with the one key there is.
fn named(key: &str) -> Secret {
    Secret::from(serde_json::json!({ "default": key }).to_string())
}

/// Who listens on all addresses is reached on loopback.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_an_app_is_its_own() {
        let origin = Origin::new(None, "0.0.0.0:8080".parse().unwrap());
        assert_eq!(origin.project_url(&AppName::default_app()), "http://127.0.0.1:8080");
        assert_eq!(origin.project_url(&"shop".parse().unwrap()), "http://127.0.0.1:8080/projects/shop");
        assert_eq!(origin.address(), Some("127.0.0.1:8080".parse().unwrap()));
        let origin = Origin::new(Some("https://fn.example.com".to_owned()), "[::1]:80".parse().unwrap());
        assert_eq!(origin.project_url(&AppName::default_app()), "https://fn.example.com");
        assert_eq!(origin.address(), None, "others decide what is reached there");
    }
}

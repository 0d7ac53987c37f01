//! Whether a caller may use a function: pure, no I/O.

use super::{Identity, User};
use crate::settings::Access;

/// What a policy says about a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Come in.
    Allowed,
    /// Say who you are first.
    Unauthorized,
    /// You are known, and not meant.
    Forbidden,
}

/// The verdict on one request. Keys and the operator pass every policy: they stand for the app itself.
pub fn judge(access: &Access, identity: &Identity) -> Verdict {
    match (access, identity) {
        (Access::Public, _) => Verdict::Allowed,
        (_, Identity::ApiKey(_) | Identity::ServiceRole | Identity::Token(_) | Identity::Admin) => Verdict::Allowed,
        (Access::Key, Identity::AnonKey) => Verdict::Allowed,
        (_, Identity::Anonymous | Identity::AnonKey) => Verdict::Unauthorized,
        (Access::Key | Access::Authenticated, Identity::User(_)) => Verdict::Allowed,
        (Access::Group(groups), Identity::User(user)) => {
            allow_if(groups.iter().any(|group| user.groups.contains(group)))
        }
        (Access::Metadata(metadata), Identity::User(user)) => {
            allow_if(metadata.iter().all(|(name, value)| claim(user, name) == Some(value)))
        }
    }
}

fn allow_if(condition: bool) -> Verdict {
    if condition { Verdict::Allowed } else { Verdict::Forbidden }
}

/// A claim at the top level, else in the places where Supabase tokens keep it. `user_metadata` is left out: users
/// can write it themselves.
fn claim<'a>(user: &'a User, name: &str) -> Option<&'a serde_json::Value> {
    user.claims.get(name).or_else(|| user.claims.get("app_metadata")?.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn user(claims: serde_json::Value) -> Identity {
        let claims = claims.as_object().unwrap().clone();
        Identity::User(Arc::new(User {
            id: "u1".to_owned(),
            email: None,
            role: "authenticated".to_owned(),
            groups: vec!["staff".to_owned()],
            claims,
        }))
    }

    #[test]
    fn every_policy_has_its_verdicts() {
        let group = |name: &str| Access::Group(vec![name.to_owned()]);
        let metadata = Access::Metadata([("department".to_owned(), json!("engineering"))].into());
        let someone = user(json!({}));
        for (access, identity, verdict) in [
            (&Access::Public, &Identity::Anonymous, Verdict::Allowed),
            (&Access::Authenticated, &Identity::Anonymous, Verdict::Unauthorized),
            (&Access::Authenticated, &someone, Verdict::Allowed),
            (&Access::Authenticated, &Identity::AnonKey, Verdict::Unauthorized),
            (&Access::Authenticated, &Identity::ServiceRole, Verdict::Allowed),
            (&Access::Key, &Identity::AnonKey, Verdict::Allowed),
            (&Access::Key, &someone, Verdict::Allowed),
            (&Access::Key, &Identity::Anonymous, Verdict::Unauthorized),
            (&group("staff"), &someone, Verdict::Allowed),
            (&group("admin"), &someone, Verdict::Forbidden),
            (&group("admin"), &Identity::Anonymous, Verdict::Unauthorized),
            (&group("admin"), &Identity::AnonKey, Verdict::Unauthorized),
            (&group("admin"), &Identity::Admin, Verdict::Allowed),
            (&metadata, &someone, Verdict::Forbidden),
            (&metadata, &user(json!({"department": "engineering"})), Verdict::Allowed),
            (&metadata, &user(json!({"app_metadata": {"department": "engineering"}})), Verdict::Allowed),
            (&metadata, &user(json!({"user_metadata": {"department": "engineering"}})), Verdict::Forbidden),
        ] {
            assert_eq!(judge(access, identity), verdict, "{access:?} {identity:?}");
        }
    }
}

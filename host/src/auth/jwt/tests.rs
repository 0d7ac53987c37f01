use serde_json::json;

use super::*;

fn key() -> TokenKey {
    TokenKey::new(&Secret::from("a secret of this test".to_owned()), &[])
}

fn verify(key: &TokenKey, token: &str) -> Result<User, InvalidToken> {
    key.verify(&Presented::parse(token)?)
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn token(claims: Value) -> String {
    key().sign(claims.as_object().unwrap().clone()).unwrap()
}

#[test]
fn a_valid_token_names_its_user() {
    let claims = json!({"sub": "u1", "exp": now() + 60, "email": "a@example.com", "groups": ["x", 1], "k": [1]});
    let user = verify(&key(), &token(claims)).unwrap();
    assert_eq!(
        (user.id.as_str(), user.email.as_deref(), user.role.as_str()),
        ("u1", Some("a@example.com"), "authenticated")
    );
    assert_eq!(user.groups, ["x"]);
    assert_eq!(user.claims.get("k"), Some(&json!([1])));
}

#[test]
fn every_way_to_be_invalid_is_named() {
    let refused = |claims| verify(&key(), &token(claims)).unwrap_err();
    assert_eq!(refused(json!({"sub": "u1", "exp": now() - 60})), InvalidToken::Expired);
    assert_eq!(refused(json!({"sub": "u1", "exp": now() + 60, "nbf": now() + 50})), InvalidToken::Immature);
    assert_eq!(refused(json!({"sub": "u1"})), InvalidToken::Claim("exp".to_owned()));
    assert_eq!(refused(json!({"sub": "u1", "exp": "soon"})), InvalidToken::Claim("exp".to_owned()));
    assert_eq!(refused(json!({"exp": now() + 60})), InvalidToken::Claim("sub".to_owned()));
    assert_eq!(verify(&key(), "x").unwrap_err(), InvalidToken::Unknown);
    assert_eq!(verify(&key(), "").unwrap_err(), InvalidToken::Unknown);
    assert_eq!(verify(&key(), "a.b.c").unwrap_err(), InvalidToken::Malformed);
    let other = TokenKey::new(&Secret::from("another".to_owned()), &[]);
    let foreign = other.sign(json!({"sub": "u1", "exp": now() + 60}).as_object().unwrap().clone()).unwrap();
    assert_eq!(verify(&key(), &foreign).unwrap_err(), InvalidToken::Signature);
}

#[test]
fn clocks_may_differ_a_little() {
    verify(&key(), &token(json!({"sub": "u1", "exp": now() - 5, "nbf": now() + 5}))).unwrap();
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let claims = json!({"sub": "u1", "exp": now() + 60});
    let secret = EncodingKey::from_secret(b"a secret of this test");
    let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap();
    assert_eq!(verify(&key(), &hs512).unwrap_err(), InvalidToken::Algorithm);
    // {"alg":"none"} . {"sub":"u1","exp":9999999999} . no signature
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsImV4cCI6OTk5OTk5OTk5OX0.";
    assert_eq!(verify(&key(), none).unwrap_err(), InvalidToken::Algorithm);
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    let valid = token(json!({"sub": "u1", "exp": now() + 60}));
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#);
    let (_, rest) = valid.split_once('.').unwrap();
    assert_eq!(verify(&key(), &format!("{head}.{rest}")).unwrap_err(), InvalidToken::Malformed);
}

#[test]
fn an_audience_that_is_set_must_be_there() {
    let key = TokenKey::new(&Secret::from("a secret of this test".to_owned()), &["shop".to_owned(), "till".to_owned()]);
    let refused = |claims| verify(&key, &token(claims)).unwrap_err();
    assert_eq!(refused(json!({"sub": "u1", "exp": now() + 60})), InvalidToken::Audience);
    assert_eq!(refused(json!({"sub": "u1", "exp": now() + 60, "aud": "other"})), InvalidToken::Audience);
    for audience in [json!("till"), json!(["x", "shop"])] {
        verify(&key, &token(json!({"sub": "u1", "exp": now() + 60, "aud": audience}))).unwrap();
    }
    let own = key.sign(json!({"sub": "u1", "exp": now() + 60}).as_object().unwrap().clone()).unwrap();
    assert_eq!(verify(&key, &own).unwrap().claims.get("aud"), Some(&json!("shop")));
}

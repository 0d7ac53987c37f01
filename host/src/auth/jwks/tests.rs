use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use caddis_tests::{Signer, Stub, stub};
use serde_json::{Value, json};

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

/// Nothing is due by itself, and everything may be asked for again at once.
const EAGER: Times =
    Times { refresh: LONG, age_max: LONG, for_unknown: Duration::ZERO, retry: Duration::ZERO, fetch: LONG };

/// An issuer whose answer can be changed.
struct Issuer {
    stub: Stub,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Issuer {
    async fn publishing(keys: Value) -> Self {
        let answer = Arc::new(Mutex::new((200, json!({ "keys": keys }).to_string())));
        let shared = answer.clone();
        let stub = Stub::start(move |_| {
            let (status, body) = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            stub::answer(status, "application/json", body)
        });
        Self { stub: stub.await, answer }
    }

    fn answers(&self, status: u16, body: impl ToString) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }

    fn keys(&self, times: Times) -> Arc<RemoteKeys> {
        let policy = EgressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let url = format!("{}/jwks.json", self.stub.url()).parse().unwrap();
        let keys = RemoteKeys::new(url, Arc::new(Dialer::new(b"").unwrap()), Arc::new(policy));
        Arc::new(RemoteKeys { times, ..keys })
    }

    fn asked(&self) -> usize {
        self.stub.requests().len()
    }
}

async fn find(keys: &Arc<RemoteKeys>, token: &str) -> Result<(), InvalidToken> {
    keys.find(&Presented::parse(token).unwrap()).await.map(drop)
}

fn token(signer: &Signer, kid: &str) -> String {
    signer.sign(Some(kid), &json!({ "sub": "u" }))
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_wait() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([signer.jwk("k1")])).await;
    let keys = issuer.keys(EAGER);
    let token = token(&signer, "k1");
    let found = futures::future::join_all((0..50).map(|_| find(&keys, &token))).await;
    assert!(found.iter().all(Result::is_ok), "{found:?}");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_key_that_is_new_is_found_and_one_that_is_gone_is_not() {
    let (old, new) = (Signer::es256(), Signer::ed25519());
    let issuer = Issuer::publishing(json!([old.jwk("k1")])).await;
    let keys = issuer.keys(EAGER);
    find(&keys, &token(&old, "k1")).await.unwrap();
    issuer.answers(200, json!({ "keys": [new.jwk("k2")] }));
    find(&keys, &token(&new, "k2")).await.unwrap();
    assert_eq!(find(&keys, &token(&old, "k1")).await.unwrap_err(), InvalidToken::UnknownKey);
}

#[tokio::test]
async fn invented_keys_do_not_make_the_host_ask_again_and_again() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([signer.jwk("k1")])).await;
    let keys = issuer.keys(Times { for_unknown: LONG, ..EAGER });
    find(&keys, &token(&signer, "k1")).await.unwrap();
    for kid in ["x", "y", "z"] {
        assert_eq!(find(&keys, &token(&signer, kid)).await.unwrap_err(), InvalidToken::UnknownKey);
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn old_keys_are_good_while_newer_ones_cannot_be_had_but_not_for_ever() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([signer.jwk("k1")])).await;
    let keys = issuer.keys(Times { refresh: Duration::ZERO, ..EAGER });
    find(&keys, &token(&signer, "k1")).await.unwrap();
    issuer.answers(500, "");
    find(&keys, &token(&signer, "k1")).await.unwrap();

    let keys = issuer.keys(Times { age_max: Duration::ZERO, ..EAGER });
    assert_eq!(find(&keys, &token(&signer, "k1")).await.unwrap_err(), InvalidToken::KeysUnavailable);
}

#[tokio::test]
async fn after_a_failure_there_is_a_pause() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([])).await;
    let keys = issuer.keys(Times { retry: LONG, ..EAGER });
    for _ in 0..3 {
        assert_eq!(find(&keys, &token(&signer, "k1")).await.unwrap_err(), InvalidToken::KeysUnavailable);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_keep_the_keys_from_others() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let signer = Signer::es256();
    let body = json!({ "keys": [signer.jwk("k1")] }).to_string();
    let stub = Stub::start(move |_| {
        STARTED.fetch_add(1, Ordering::Relaxed);
        stub::answer(200, "application/json", body.clone())
    })
    .await;
    let issuer = Issuer { stub, answer: Arc::default() };
    let keys = issuer.keys(EAGER);
    let text = token(&signer, "k1");
    // Polled once: the fetch has begun, and its caller is gone.
    assert!(futures::FutureExt::now_or_never(find(&keys, &text)).is_none());
    find(&keys, &text).await.unwrap();
    assert_eq!(STARTED.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_wrong_with_an_issuer_is_said() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([])).await;
    let error = async |times| issuer.keys(times).fetch().await.unwrap_err().to_string();
    assert!(error(EAGER).await.contains("no JWK set"));
    issuer.answers(200, json!({ "keys": [{ "kty": "oct", "k": "eA" }] }));
    assert!(error(EAGER).await.contains("no JWK set"));
    issuer.answers(404, "");
    assert!(error(EAGER).await.contains("404"));
    issuer.answers(200, " ".repeat(JWKS_BYTES + 1));
    assert!(error(EAGER).await.contains("more than"));
    issuer.answers(200, json!({ "keys": [signer.jwk("k1")] }));
    let mut silent = issuer.keys(Times { fetch: Duration::from_millis(20), ..EAGER });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Arc::get_mut(&mut silent).unwrap().url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    assert!(matches!(silent.fetch().await, Err(FetchError::TimedOut)));

    let closed = RemoteKeys::new(
        issuer.stub.url().parse().unwrap(),
        Arc::new(Dialer::new(b"").unwrap()),
        Arc::new(EgressPolicy::default()),
    );
    let asked = issuer.asked();
    assert!(matches!(closed.fetch().await, Err(FetchError::Unreachable(_))));
    assert_eq!(issuer.asked(), asked);
}

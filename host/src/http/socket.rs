//! WebSockets that start functions. Each message is a call like any other, or several; the socket only carries them, and no instance waits
//! behind it. What is said on it is one of two languages: that of [`stream`] or that of [`realtime`].

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_PROTOCOL};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::body::AnyBody;
use super::credential::{PROTOCOL_TOKEN, authenticate, is_host_credential, presented};
use super::headers::end_to_end;
use super::respond::{self, EXECUTION_ID};
use super::service::{Service, absolute, authority};
use super::{realtime, stream};
use crate::auth::Identity;
use crate::deploy::find_app;
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionName};
use crate::invoke::{Call, Origin};
use crate::observe::trace::TraceContext;
use crate::router::Language;
use crate::router::table::App;
use crate::runtime::signals::Arrival;
use crate::secrets::Secret;
use crate::tunables::{STREAM_CALLS, STREAM_ID_BYTES, STREAM_IDLE, STREAM_MESSAGE_BYTES, STREAM_REFUSALS};

/// The protocol a browser asks for, which cannot set header fields and brings a token beside it.
const PROTOCOL: &str = "caddis";

/// JSON as its text: as values it would take many times the memory.
pub(super) type Payload = Box<RawValue>;

/// What a client tells its messages apart by.
#[derive(Clone, Serialize)]
pub(super) struct Id(Payload);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = Payload::deserialize(deserializer)?;
        match id.get().len() > STREAM_ID_BYTES {
            true => Err(D::Error::custom(format!("id must have at most {STREAM_ID_BYTES} bytes"))),
            false => Ok(Self(id)),
        }
    }
}

/// A call that a message asks for.
pub(super) struct Ask {
    pub(super) function: FunctionName,
    /// JSON text, which the calls of an event share.
    pub(super) payload: Option<Bytes>,
    pub(super) id: Option<Id>,
    /// What the client called by name instead of the function.
    pub(super) event: Option<String>,
}

/// The text of a payload.
pub(super) fn text(payload: Payload) -> Bytes {
    String::from(Box::<str>::from(payload)).into()
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) result: Option<Payload>,
    pub(super) execution_id: Option<String>,
}

/// A message that is no call.
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) id: Option<Id>,
    pub(super) event: Option<String>,
}

impl Refusal {
    /// Of a message about which nothing more is known.
    pub(super) fn new(code: Code, message: String) -> Self {
        Self { error: Error::new(code, message), id: None, event: None }
    }
}

impl Language {
    fn hello(self, app: &App, identity: &Identity) -> Option<String> {
        match self {
            Self::Stream => None,
            Self::Realtime => Some(realtime::hello(app, identity)),
        }
    }

    fn read(self, app: &App, text: &str) -> Result<Vec<Ask>, Box<Refusal>> {
        match self {
            Self::Stream => stream::read(text),
            Self::Realtime => realtime::read(app, text),
        }
    }

    fn tell(self, ask: Ask, outcome: Outcome) -> String {
        match self {
            Self::Stream => stream::tell(ask, outcome),
            Self::Realtime => realtime::tell(ask, outcome),
        }
    }

    async fn refuse(self, refusal: Box<Refusal>) -> String {
        match self {
            Self::Stream => stream::refuse(Outcome::read(respond::error(&refusal.error)).await),
            Self::Realtime => realtime::refuse(*refusal),
        }
    }
}

/// Whose socket it is.
struct Caller {
    service: Arc<Service>,
    language: Language,
    app: Arc<App>,
    /// Looked at for each call: it may expire, or be removed, while the socket is open.
    token: Option<Secret>,
    authority: Authority,
    peer: IpAddr,
    /// What functions see of the request that opened the socket.
    headers: HeaderMap,
}

impl Service {
    /// Opens a socket to the functions of an app.
    pub(super) async fn socket(
        self: Arc<Self>,
        app: AppName,
        language: Language,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<AnyBody> {
        match self.open(app, language, request, peer).await {
            Ok(response) => response,
            Err(error) => respond::error(&error),
        }
    }

    async fn open(
        self: Arc<Self>,
        app: AppName,
        language: Language,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<AnyBody>, Error> {
        let app = find_app(&self.table, &app)?;
        let (mut head, _) = request.into_parts();
        let in_url = || realtime::token(&head.uri).filter(|_| language == Language::Realtime);
        let token = protocol_token(&head.headers).or_else(|| presented(&head.headers)).or_else(in_url);
        let token = token.map(Secret::from);
        let identity = authenticate(token.as_ref().map(Secret::expose), &app, &self.tokens).await?;
        let hello = language.hello(&app, &identity);
        let authority = authority(&head.uri, &head.headers)?;
        let withheld = |name: &HeaderName, value: &HeaderValue| {
            let of_the_socket = name.as_str().starts_with("sec-websocket-") || name == CONTENT_LENGTH;
            of_the_socket || is_host_credential(name, value, &app, &self.tokens)
        };
        let headers = end_to_end(&head.headers, withheld);
        let place = self.streams.clone().try_acquire_owned().map_err(|_| {
            Error::new(
                Code::Overloaded,
                "too many WebSockets are open already; call functions by HTTP, or try again later",
            )
        })?;
        let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
        let upgrade = upgrade.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let upgrade =
            upgrade.protocols([PROTOCOL]).max_message_size(STREAM_MESSAGE_BYTES).max_frame_size(STREAM_MESSAGE_BYTES);
        let caller = Arc::new(Caller { service: self, language, app, token, authority, peer, headers });
        let talk = async move |mut socket: WebSocket| {
            if let Some(hello) = hello
                && socket.send(Message::Text(hello.into())).await.is_err()
            {
                return;
            }
            converse(caller, socket, place).await;
        };
        let response = upgrade.on_upgrade(talk).into_response();
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

/// The token a browser brings as a protocol.
fn protocol_token(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut words = offered.flat_map(|value| value.split(',')).map(str::trim);
    words.find_map(|word| word.strip_prefix(PROTOCOL_TOKEN).map(str::to_owned))
}

/// Answers messages until the client leaves, says nothing for too long, or sends what is no message. Calls that run then are cancelled.
async fn converse(caller: Arc<Caller>, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
    let mut calls = JoinSet::new();
    loop {
        let running = calls.len();
        if running > STREAM_CALLS + STREAM_REFUSALS {
            return;
        }
        tokio::select! {
            Some(ended) = calls.join_next(), if !calls.is_empty() => {
                let Ok(outcome) = ended else { continue };
                if socket.send(Message::Text(outcome)).await.is_err() {
                    return;
                }
            }
            // Always read, so that a client that leaves is noticed.
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => take(&caller, &text, &mut calls),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            () = sleep(STREAM_IDLE), if calls.is_empty() => return,
        }
    }
}

fn take(caller: &Arc<Caller>, text: &str, calls: &mut JoinSet<Utf8Bytes>) {
    let asks = match caller.language.read(&caller.app, text) {
        Ok(asks) => asks,
        Err(refusal) => {
            let language = caller.language;
            calls.spawn(async move { language.refuse(refusal).await.into() });
            return;
        }
    };
    for mut ask in asks {
        let has_room = calls.len() < STREAM_CALLS;
        if !has_room {
            ask.payload = None;
        }
        calls.spawn(answer(caller.clone(), ask, has_room));
    }
}

async fn answer(caller: Arc<Caller>, mut ask: Ask, has_room: bool) -> Utf8Bytes {
    let call = match has_room {
        true => caller.call(&mut ask).await,
        false => {
            let message = format!("{STREAM_CALLS} calls of this WebSocket run already; wait for a result");
            Err(Error::new(Code::Overloaded, message))
        }
    };
    let response = match call {
        Ok(call) => caller.service.limited(call, caller.peer).await,
        Err(error) => respond::refused(&error, &ask.function),
    };
    caller.language.tell(ask, Outcome::read(response).await).into()
}

impl Caller {
    /// Takes the payload out of what is asked for, and puts it into a request.
    async fn call(&self, ask: &mut Ask) -> Result<Call, Error> {
        let function = &ask.function;
        let (path, origin) = match self.language {
            Language::Stream => (format!("/api/v1/functions/{function}/invoke"), Origin::Client),
            Language::Realtime => (format!("/v1/{}/fn/{function}", self.app.name), Origin::Event),
        };
        let url = absolute(&self.authority, Some(PathAndQuery::try_from(path).map_err(Error::internal)?))?.to_string();
        let payload = ask.payload.take().unwrap_or(Bytes::from_static(b"null"));
        // It stays for as long as the call, which may wait for others.
        let share = self.service.invoker.resources.memory.share(payload.len()).ok_or_else(|| {
            Error::new(Code::Overloaded, "all memory the host has for functions is in use; try again later")
        })?;
        let body = Full::new(share.around(payload)).map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = absolute(&self.authority, None)?;
        *request.headers_mut() = self.headers.clone();
        let host = HeaderValue::try_from(self.authority.as_str()).map_err(Error::internal)?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let identity = authenticate(self.token.as_ref().map(Secret::expose), &self.app, &self.service.tokens).await;
        Ok(Call {
            app: self.app.clone(),
            function: function.clone(),
            identity,
            url,
            trace: TraceContext::continued(request.headers()),
            request,
            arrival: Arrival::default(),
            origin,
        })
    }
}

impl Outcome {
    /// What a response says: JSON as it is, other text as a string.
    async fn read(response: Response<AnyBody>) -> Self {
        let (head, body) = response.into_parts();
        let execution_id = head.headers.get(EXECUTION_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let refuse = |code: Code, message: String| {
            let result = serde_json::json!({ "error": "Result lost", "message": message, "code": code.as_str() });
            (code.status().as_u16(), to_raw_value(&result))
        };
        let (status, result) = match whole(body).await.map(String::from_utf8) {
            None => {
                let message = format!("the result broke off, or has more than {STREAM_MESSAGE_BYTES} bytes");
                refuse(Code::InvalidResponse, message)
            }
            Some(Err(_)) => refuse(Code::InvalidResponse, "the result is not text".to_owned()),
            Some(Ok(text)) => {
                let json = is_json(&head.headers).then(|| serde_json::from_str::<Payload>(&text).ok()).flatten();
                (head.status.as_u16(), json.map_or_else(|| to_raw_value(&text), Ok))
            }
        };
        // Text and our own values always can be JSON.
        Self { status, result: result.ok(), execution_id }
    }
}

/// A body that fits into a message.
async fn whole(mut body: AnyBody) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len() + data.len() > STREAM_MESSAGE_BYTES {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

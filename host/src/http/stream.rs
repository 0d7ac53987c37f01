//! Functions by WebSocket (FX13): `{"function": …, "payload": …}` in, `{"function": …, "status": …, "result": …}` out. Each message is a
//! call like any other; the socket only carries them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::IntoResponse;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_PROTOCOL};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::body::AnyBody;
use super::credential::{PROTOCOL_TOKEN, authenticate, is_host_credential, presented};
use super::headers::end_to_end;
use super::respond::{self, EXECUTION_ID};
use super::service::{Service, absolute, authority};
use crate::deploy::find_app;
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionName};
use crate::invoke::{Call, Origin, TRIGGER};
use crate::observe::trace::TraceContext;
use crate::router::table::App;
use crate::runtime::signals::Arrival;
use crate::secrets::Secret;
use crate::tunables::{STREAM_CALLS, STREAM_IDLE, STREAM_MESSAGE_BYTES, STREAM_REFUSALS};

/// The protocol a browser asks for, which cannot set header fields and brings a token beside it.
const PROTOCOL: &str = "caddis";

/// Whose socket it is.
struct Caller {
    service: Arc<Service>,
    app: Arc<App>,
    /// Looked at for each call: it may expire, or be removed, while the socket is open.
    token: Option<Secret>,
    authority: Authority,
    peer: IpAddr,
    /// What functions see of the request that opened the socket.
    headers: HeaderMap,
}

/// What a client sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    function: FunctionName,
    payload: Option<Payload>,
    id: Option<Payload>,
}

/// JSON as its text: as values it would take many times the memory.
type Payload = Box<RawValue>;

/// What it gets back.
#[derive(Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<FunctionName>,
    status: u16,
    result: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
}

impl Service {
    /// Opens a socket to the functions of an app.
    pub(super) async fn stream(
        self: Arc<Self>,
        app: AppName,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<AnyBody> {
        match self.open(app, request, peer).await {
            Ok(response) => response,
            Err(error) => respond::error(&error),
        }
    }

    async fn open(
        self: Arc<Self>,
        app: AppName,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<AnyBody>, Error> {
        let app = find_app(&self.table, &app)?;
        let (mut head, _) = request.into_parts();
        let token = protocol_token(&head.headers).or_else(|| presented(&head.headers)).map(Secret::from);
        authenticate(token.as_ref().map(Secret::expose), &app, &self.tokens).await?;
        let authority = authority(&head.uri, &head.headers)?;
        let withheld = |name: &HeaderName, value: &HeaderValue| {
            let of_the_socket = name.as_str().starts_with("sec-websocket-") || name == CONTENT_LENGTH;
            of_the_socket || name == TRIGGER || is_host_credential(name, value, &app, &self.tokens)
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
        let caller = Arc::new(Caller { service: self, app, token, authority, peer, headers });
        let response = upgrade.on_upgrade(move |socket| converse(caller, socket, place)).into_response();
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
                Some(Ok(Message::Text(text))) => drop(calls.spawn(answer(caller.clone(), text, running < STREAM_CALLS))),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            () = sleep(STREAM_IDLE), if calls.is_empty() => return,
        }
    }
}

async fn answer(caller: Arc<Caller>, text: Utf8Bytes, has_room: bool) -> Utf8Bytes {
    let wish = serde_json::from_str::<Wish>(&text);
    drop(text);
    let outcome = match wish {
        Ok(wish) if has_room => caller.grant(wish).await,
        Ok(Wish { function, id, .. }) => {
            let message = format!("{STREAM_CALLS} calls of this WebSocket run already; wait for a result");
            let response = respond::refused(&Error::new(Code::Overloaded, message), &function);
            Outcome::read(response, Some(function), id).await
        }
        Err(error) => {
            let error = Error::invalid(format!(
                "message: {error}; it must be like {{\"function\": \"name\", \"payload\": {{}}}}"
            ));
            Outcome::read(respond::error(&error), None, None).await
        }
    };
    serde_json::to_string(&outcome).unwrap_or_default().into()
}

impl Caller {
    async fn grant(&self, Wish { function, payload, id }: Wish) -> Outcome {
        let response = match self.call(&function, payload).await {
            Ok(call) => self.service.limited(call, self.peer).await,
            Err(error) => respond::refused(&error, &function),
        };
        Outcome::read(response, Some(function), id).await
    }

    async fn call(&self, function: &FunctionName, payload: Option<Payload>) -> Result<Call, Error> {
        let path = PathAndQuery::try_from(format!("/api/v1/functions/{function}/invoke")).map_err(Error::internal)?;
        let url = absolute(&self.authority, Some(path))?.to_string();
        let payload = payload.map_or_else(|| "null".to_owned(), |payload| Box::<str>::from(payload).into());
        // It stays for as long as the call, which may wait for others.
        let share = self.service.invoker.resources.memory.share(payload.len()).ok_or_else(|| {
            Error::new(Code::Overloaded, "all memory the host has for functions is in use; try again later")
        })?;
        let body = Full::new(share.around(payload.into_bytes())).map_err(|never| match never {}).boxed_unsync();
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
            origin: Origin::Client,
        })
    }
}

impl Outcome {
    /// What a response says: JSON as it is, other text as a string.
    async fn read(response: Response<AnyBody>, function: Option<FunctionName>, id: Option<Payload>) -> Self {
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
        Self { id, function, status, result: result.ok(), execution_id }
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

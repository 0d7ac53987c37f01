//! Functions that call other functions of their app.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use http::{Request, Response};
use wasmtime_wasi_http::{Error, Result, WasiBody};

use super::{Call, Origin};
use crate::auth::Identity;
use crate::bindings::fetch;
use crate::ids::FunctionName;
use crate::observe::trace::TraceContext;
use crate::router::table::App;
use crate::runtime::signals::Arrival;
use crate::tunables::FUNCTION_CALL_DEPTH;

/// Answers a call as a client would be answered: with an error's response where there is no other.
pub trait Switchboard: Send + Sync {
    /// Answers one call.
    fn connect(self: Arc<Self>, call: Call) -> BoxFuture<'static, Response<WasiBody>>;
}

/// The other functions of an app, called for whoever called the first.
pub(super) struct Siblings {
    pub(super) switchboard: Weak<dyn Switchboard>,
    pub(super) app: Arc<App>,
    pub(super) identity: Identity,
    pub(super) origin: Origin,
}

impl fetch::Siblings for Siblings {
    fn call(
        &self,
        function: FunctionName,
        url: String,
        request: Request<WasiBody>,
    ) -> BoxFuture<'static, Result<Response<WasiBody>>> {
        let depth = self.origin.depth() + 1;
        let Some(switchboard) = self.switchboard.upgrade() else {
            return Box::pin(async { Err(Error::HttpRequestDenied) });
        };
        if depth > FUNCTION_CALL_DEPTH {
            return Box::pin(async { Err(Error::LoopDetected) });
        }
        let trace = TraceContext::continued(request.headers());
        let call = Call {
            app: self.app.clone(),
            function,
            identity: Ok(self.identity.clone()),
            url,
            request,
            arrival: Arrival::default(),
            origin: Origin::Function { depth },
            trace,
        };
        Box::pin(async move { Ok(switchboard.connect(call).await) })
    }
}

//! Answers that are made while they are sent, however long.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc;

use crate::app::App;
use crate::error::Result;

/// Where the parts of an answer go.
pub(crate) struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Parts {
    /// Hands on a part; false when the client went away.
    pub(crate) async fn send(&self, part: String) -> bool {
        part.is_empty() || self.0.send(Ok(part.into())).await.is_ok()
    }
}

/// An answer of this type that `produce` makes. One that breaks off ends the connection, so that nobody
/// takes a part for the whole.
pub(crate) fn answer<F>(app: &Arc<App>, kind: &'static str, produce: impl FnOnce(Parts) -> F) -> Response
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(4);
    let work = produce(Parts(sender.clone()));
    app.control.spawn(async move {
        if let Err(error) = work.await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "an answer broke off");
            let _ = sender.send(Err(io::Error::other("the answer broke off"))).await;
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|part| (part, receiver))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

//! Listening and serving: a few threads, each with its own runtime, answer the verify path where
//! the connection lives; everything else is handed to the control runtime (`performance.md`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::connection::{ConnectionState, Connections, Place};
use super::dispatch::Dispatch;
use super::framing::Inspected;
use super::tls::Tls;
use crate::app::App;
use crate::error::{Error, Result};

/// How long requests that were sent before a stop signal may take to be read.
const LAST_CALL: Duration = Duration::from_millis(100);

/// A connection on its way to the thread that will serve it.
struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
}

/// The running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    connections: Arc<Connections>,
    acceptor: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Binds and starts to serve.
    pub(crate) async fn start(app: Arc<App>, tls: Option<Arc<Tls>>) -> Result<Self> {
        let settings = &app.settings.server;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|why| Error::Startup(format!("cannot listen on {}: {why}", settings.listen)))?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            count => count,
        };
        let connections = Connections::new(settings.max_connections, settings.max_connections_per_address);
        let (stop, stopping) = watch::channel(false);
        let dispatch = Arc::new(Dispatch::new(app));
        let workers = (0..threads)
            .map(|number| worker(number, &dispatch, tls.clone(), &connections, &stopping))
            .collect::<Result<Vec<_>>>()?;
        let acceptor = tokio::spawn(accept(listener, workers, stopping));
        Ok(Self { address, stop, connections, acceptor })
    }

    /// Stops accepting, lets requests in flight end, and gives up after `patience` (R6).
    pub(crate) async fn drain(self, patience: Duration) {
        self.stop.send_replace(true);
        self.acceptor.abort();
        let all_closed = async {
            while self.connections.count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(patience, all_closed).await.is_err() {
            tracing::warn!(open = self.connections.count(), "connections were cut after the drain time");
        }
    }
}

/// Hands new connections to the workers in turn.
async fn accept(
    listener: TcpListener,
    workers: Vec<mpsc::UnboundedSender<Accepted>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut turn = workers.iter().cycle();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                if let Some(worker) = turn.next() {
                    let _ = worker.send(Accepted { stream, peer });
                }
            }
            Err(error) => {
                // Out of file descriptors, most likely: the open connections go on.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Starts a thread that serves connections on a runtime of its own.
fn worker(
    number: usize,
    dispatch: &Arc<Dispatch>,
    tls: Option<Arc<Tls>>,
    connections: &Arc<Connections>,
    stopping: &watch::Receiver<bool>,
) -> Result<mpsc::UnboundedSender<Accepted>> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Accepted>();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    let (dispatch, connections, stopping) = (dispatch.clone(), connections.clone(), stopping.clone());
    let serve = move || {
        runtime.block_on(async move {
            while let Some(accepted) = receiver.recv().await {
                let client =
                    Client { dispatch: dispatch.clone(), tls: tls.clone(), stopping: stopping.clone() };
                tokio::spawn(client.serve(accepted, connections.clone()));
            }
            // Nobody new comes any more, but connections live on this runtime until they are drained
            // and the process ends.
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name(format!("serve-{number}")).spawn(serve).map_err(Error::internal)?;
    Ok(sender)
}

struct Client {
    dispatch: Arc<Dispatch>,
    tls: Option<Arc<Tls>>,
    stopping: watch::Receiver<bool>,
}

impl Client {
    async fn serve(self, accepted: Accepted, connections: Arc<Connections>) {
        let state = ConnectionState::new(accepted.peer.ip(), self.dispatch.app.clock);
        // At a cap full of busy connections a new one is closed at once.
        let Some(place) = connections.admit(&state) else { return };
        let Ok(stream) = TcpStream::from_std(accepted.stream) else { return };
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.run(stream, state, place).await,
            Some(tls) => {
                let patience = self.dispatch.app.settings.server.timeouts.first_byte;
                let handshake = tokio::time::timeout(patience, tls.acceptor().accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    self.run(stream, state, place).await;
                }
            }
        }
    }

    async fn run<S>(self, stream: S, state: Arc<ConnectionState>, _place: Place)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let timeouts = self.dispatch.app.settings.server.timeouts.clone();
        let (dispatch, answering) = (self.dispatch.clone(), state.clone());
        let service = service_fn(move |request| {
            let (dispatch, state) = (dispatch.clone(), answering.clone());
            async move { dispatch.answer(&state, request).await }
        });
        let builder = builder();
        let io = TokioIo::new(Inspected::new(stream, state.clone()));
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let mut lapse = std::pin::pin!(state.lapse(&timeouts));
        let mut last_call = std::pin::pin!(last_call(self.stopping));
        let mut closing = false;
        loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = &mut lapse => return,
                () = &mut last_call, if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Ends a moment after the server was told to stop: a request that was sent before may still lie
/// unread in the socket of a connection that looks idle and would be closed under it (R6).
async fn last_call(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_CALL).await;
}

/// HTTP/1 and HTTP/2 with our limits.
pub(crate) fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `ConnectionState::lapse` watches silence and slow heads, without a timer per request.
        .header_read_timeout(None)
        // No `pipeline_flush`: with it an answer waits for as long as part of a next request is in
        // the buffer, and is lost when the connection ends there.
        .max_buf_size(32 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(200)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

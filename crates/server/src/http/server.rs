//! Listening and serving: a few threads, each with its own runtime, answer the verify path where
//! the connection lives; everything else is handed to the control runtime (`performance.md`). What
//! speaks gRPC has a listener of its own, and shares threads, caps and the end with the rest.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::connection::{ConnectionState, Connections, Order, Place};
use super::dispatch::Dispatch;
use super::framing::Inspected;
use super::tls::Tls;
use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::grpc;

/// How long requests that were sent before a stop signal may take to be read.
const LAST_CALL: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Grpc,
}

/// A connection on its way to the thread that will serve it.
struct Accepted {
    protocol: Protocol,
    stream: std::net::TcpStream,
    state: Arc<ConnectionState>,
    place: Place,
}

/// The running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<Connections>,
    acceptors: Vec<tokio::task::JoinHandle<()>>,
    watcher: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Binds and starts to serve.
    pub(crate) async fn start(app: Arc<App>, tls: Option<Arc<Tls>>) -> Result<Self> {
        let settings = &app.settings.server;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|why| Error::Startup(format!("cannot listen on {}: {why}", settings.listen)))?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let mut listeners = vec![(Protocol::Http, listener)];
        if let Some(listen) = app.settings.grpc.listen {
            listeners.push((Protocol::Grpc, bind_grpc(listen).await?));
        }
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            count => count,
        };
        let connections = Connections::new(settings.max_connections, settings.max_connections_per_address);
        let dispatch = Arc::new(Dispatch::new(app));
        let workers =
            (0..threads).map(|number| worker(number, &dispatch, tls.clone())).collect::<Result<Vec<_>>>()?;
        let (all, timeouts) = (connections.clone(), dispatch.app.settings.server.timeouts.clone());
        let (clock, accepting) = (dispatch.app.clock, connections.clone());
        let watcher = tokio::spawn(async move { all.watch(&timeouts, clock).await });
        let take_in = |listener| tokio::spawn(accept(listener, workers.clone(), accepting.clone(), clock));
        let acceptors = listeners.into_iter().map(take_in).collect();
        Ok(Self { address, connections, acceptors, watcher })
    }

    /// Stops accepting, lets requests in flight end, and gives up after `patience` (R6).
    pub(crate) async fn drain(self, patience: Duration) {
        self.acceptors.iter().for_each(tokio::task::JoinHandle::abort);
        // A request that was sent before may still lie unread in the socket of a connection that
        // looks idle and would be closed under it.
        tokio::time::sleep(LAST_CALL).await;
        self.connections.finish();
        let all_closed = async {
            while self.connections.count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(patience, all_closed).await.is_err() {
            tracing::warn!(open = self.connections.count(), "connections were cut after the drain time");
        }
        self.watcher.abort();
    }
}

async fn bind_grpc(listen: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|why| {
        let setting = "grpc.listen (KEYWARD_GRPC__LISTEN) names another address, or none";
        Error::Startup(format!("cannot listen for gRPC on {listen}: {why}; {setting}"))
    })
}

/// Takes new connections in, in the order of their arrival, and hands them to the workers in turn.
async fn accept(
    (protocol, listener): (Protocol, TcpListener),
    workers: Vec<mpsc::UnboundedSender<Accepted>>,
    connections: Arc<Connections>,
    clock: Clock,
) {
    let mut turn = workers.iter().cycle();
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                let state = ConnectionState::new(peer.ip(), clock.monotonic_ms());
                // At a cap full of busy connections a new one is closed at once.
                let Some(place) = connections.admit(&state) else { continue };
                if let Some(worker) = turn.next() {
                    let _ = worker.send(Accepted { protocol, stream, state, place });
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
) -> Result<mpsc::UnboundedSender<Accepted>> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Accepted>();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    let dispatch = dispatch.clone();
    let serve = move || {
        runtime.block_on(async move {
            while let Some(accepted) = receiver.recv().await {
                let client = Client { dispatch: dispatch.clone(), tls: tls.clone() };
                tokio::spawn(client.serve(accepted));
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
}

impl Client {
    async fn serve(self, accepted: Accepted) {
        let Accepted { protocol, stream, state, place } = accepted;
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.run(protocol, stream, state, place).await,
            Some(tls) => {
                let patience = self.dispatch.app.settings.server.timeouts.first_byte;
                let handshake = tokio::time::timeout(patience, tls.acceptor().accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    self.run(protocol, stream, state, place).await;
                }
            }
        }
    }

    async fn run<S>(self, protocol: Protocol, stream: S, state: Arc<ConnectionState>, _place: Place)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (dispatch, answering) = (self.dispatch, state.clone());
        let io = TokioIo::new(Inspected::new(stream, state.clone()));
        match protocol {
            Protocol::Http => {
                let service = service_fn(move |request| {
                    let (dispatch, state) = (dispatch.clone(), answering.clone());
                    async move { dispatch.answer(&state, request).await }
                });
                serve(builder().serve_connection(io, service), &state).await;
            }
            Protocol::Grpc => {
                let service = service_fn(move |request| {
                    let (dispatch, state) = (dispatch.clone(), answering.clone());
                    async move { grpc::answer(&dispatch, &state, request).await }
                });
                serve(builder().http2_only().serve_connection(io, service), &state).await;
            }
        }
    }
}

/// Serves a connection to its end, or until it is told to end.
async fn serve(connection: impl GracefulConnection, state: &ConnectionState) {
    let mut connection = std::pin::pin!(connection);
    let (mut watched, mut closing) = (false, false);
    poll_fn(|cx| {
        if !watched {
            watched = true;
            state.serve_on(cx.waker());
        }
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match state.order() {
                Order::End if !state.is_busy() => return Poll::Ready(()),
                Order::Finish | Order::End if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ => return Poll::Pending,
            }
        }
    })
    .await;
}

/// HTTP/1 and HTTP/2 with our limits.
pub(crate) fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Connections::watch` sees to silence and slow heads, without a timer per request.
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

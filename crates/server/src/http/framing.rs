//! A look at every HTTP/1 request head before hyper reads it (HTTP-5).
//!
//! hyper forgives what two servers may read in two ways: it drops `Content-Length` beside
//! `Transfer-Encoding`, takes equal lengths twice and accepts a bare LF. Here such a head is
//! replaced by one that hyper answers with 400 and a closed connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::ConnectionState;
use super::unreadable;

/// A head longer than this is left to hyper's own limits.
const MAX_HEAD: usize = 64 * 1024;
/// What hyper gets instead of a bad head: no valid request line.
const REFUSED: &[u8] = b"\0\r\n\r\n";
static END_OF_HEAD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\r\n\r\n"));
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Follows the requests on one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Within a head, or before one.
    Head,
    /// So many body bytes are left.
    Body(u64),
    /// HTTP/2, a chunked body or an upgrade: no head of HTTP/1 follows that we could find.
    Opaque,
    /// A bad head was seen.
    Refused,
}

/// What a complete head says about the body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Length(u64),
    Chunked,
    Bad,
}

impl Default for Framing {
    fn default() -> Self {
        Self { state: State::Head, head: Vec::new() }
    }
}

impl Framing {
    /// Looks at the bytes that just arrived; returns how many of them may reach hyper. What stands
    /// before a bad head is answered still.
    pub(crate) fn accept(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let passed = bytes.len() - rest.len();
            match self.state {
                State::Opaque => return bytes.len(),
                State::Refused => return passed,
                State::Body(left) => {
                    let skip = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = &rest[skip..];
                    let left = left - skip as u64;
                    self.state = if left == 0 { State::Head } else { State::Body(left) };
                }
                State::Head => rest = self.read_head(rest),
            }
            if self.state == State::Refused {
                return passed;
            }
        }
        bytes.len()
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_within_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// Whether the connection must end after this request: behind a chunked body we are blind.
    pub(crate) fn is_last(&self) -> bool {
        self.state == State::Opaque
    }

    /// Takes bytes up to the end of the head; returns the rest.
    fn read_head<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.head.is_empty()
            && let Some(end) = END_OF_HEAD.find(bytes)
        {
            // The usual case: the whole head came in one piece and need not be copied.
            self.conclude(&bytes[..end + 4]);
            return &bytes[end + 4..];
        }
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        match END_OF_HEAD.find(&self.head[from..]) {
            Some(end) => {
                let behind = self.head.len() - (from + end + 4);
                let head = std::mem::take(&mut self.head);
                self.conclude(&head[..from + end + 4]);
                &bytes[bytes.len() - behind..]
            }
            None => {
                // A head that ends in bare LFs never ends for us: hyper must not see its end.
                if has_bare_lf(&self.head) || self.head.len() > MAX_HEAD {
                    self.state = State::Refused;
                }
                &[]
            }
        }
    }

    fn conclude(&mut self, head: &[u8]) {
        if head == HTTP2_PREFACE {
            self.state = State::Opaque;
            return;
        }
        self.state = match inspect(head) {
            Head::Bad => State::Refused,
            Head::Chunked => State::Opaque,
            Head::Length(0) => State::Head,
            Head::Length(length) => State::Body(length),
        };
    }
}

fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// Reads what frames the body. RFC 9112 §6.3: anything doubtful is bad.
fn inspect(head: &[u8]) -> Head {
    if has_bare_lf(head) || memchr::memchr(0, head).is_some() {
        return Head::Bad;
    }
    let mut length = None;
    let mut chunked = false;
    let mut begin = 0;
    let mut in_fields = false;
    for end in memchr::memchr_iter(b'\n', &head[..head.len() - 2]) {
        let line = &head[begin..end - 1];
        begin = end + 1;
        if !in_fields {
            // Empty lines before the request line are tolerated by RFC 9112 §2.2.
            in_fields = !line.is_empty();
            continue;
        }
        match line.first() {
            // A folded line continues the one before: obsolete, and read differently by proxies.
            None | Some(b' ' | b'\t') => return Head::Bad,
            Some(b'c' | b'C' | b't' | b'T') => {}
            Some(_) => continue,
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Head::Bad };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.is_some() {
                return Head::Bad;
            }
            length = Some(match digits(value) {
                Some(length) => length,
                None => return Head::Bad,
            });
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Head::Bad;
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Head::Bad,
        (_, true) => Head::Chunked,
        (length, false) => Head::Length(length.unwrap_or(0)),
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    (!text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// A connection whose reads are looked at.
pub(crate) struct Inspected<S> {
    inner: S,
    framing: Framing,
    state: Arc<ConnectionState>,
    /// Of an answer that hyper believes to have written.
    owed: Bytes,
}

impl<S> Inspected<S> {
    pub(crate) fn new(inner: S, state: Arc<ConnectionState>) -> Self {
        Self { inner, framing: Framing::default(), state, owed: Bytes::new() }
    }
}

impl<S: AsyncWrite + Unpin> Inspected<S> {
    /// Writes what is owed; nothing may overtake it.
    fn pay(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.owed))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.owed.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inspected<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if buf.filled().len() == before {
            return Poll::Ready(Ok(()));
        }
        let arrived = &buf.filled()[before..];
        let (count, good) = (arrived.len(), this.framing.accept(arrived));
        if good < count {
            buf.set_filled(before + good);
            buf.put_slice(&REFUSED[..REFUSED.len().min(buf.remaining())]);
        }
        this.state.note_read(this.framing.is_within_head(), this.framing.is_last());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inspected<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.pay(cx))?;
        if self.framing.state != State::Opaque
            && let Some(answer) = unreadable::told(data, self.framing.state == State::Refused)
        {
            // It goes out when hyper flushes, which it does before it closes.
            self.owed = answer;
            return Poll::Ready(Ok(data.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pay(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pay(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = parts {
            return self.poll_write(cx, only);
        }
        ready!(self.pay(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(stream: &[u8]) -> bool {
        Framing::default().accept(stream) == stream.len()
    }

    #[test]
    fn http_5_doubtful_heads_are_refused() {
        for bad in [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: \r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\ncookie\r\n\r\n",
        ] {
            assert!(!accepts(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn plain_requests_pass_also_pipelined() {
        let two =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\ncdGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(accepts(two.as_bytes()));
        let smuggled = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        assert!(!accepts(smuggled.as_bytes()));
        assert!(accepts(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\n\n"));
    }

    #[test]
    fn http_5_what_stands_before_a_bad_head_passes() {
        let good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
        let bad = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n";
        let mut framing = Framing::default();
        assert_eq!(framing.accept(format!("{good}{good}{bad}{good}").as_bytes()), 2 * good.len());
        assert_eq!(framing.accept(good.as_bytes()), 0, "nothing behind it does");
        let mut framing = Framing::default();
        let cut = bad.len() - 3;
        assert_eq!(framing.accept(format!("{good}{}", &bad[..cut]).as_bytes()), good.len() + cut);
        assert_eq!(framing.accept(&bad.as_bytes()[cut..]), 0);
    }

    proptest! {
        #[test]
        fn http_5_pieces_make_no_difference(
            bytes in "(POST / HTTP/1.1\r\n|Content-Length: [0-3]\r\n|Transfer-Encoding: chunked\r\n|X: y\r\n|\r\n|\n| z\r\n){1,8}",
            cut in 0_usize..200,
        ) {
            let bytes = bytes.as_bytes();
            let cut = cut.min(bytes.len());
            let mut framing = Framing::default();
            let pieces = framing.accept(&bytes[..cut]) == cut && framing.accept(&bytes[cut..]) == bytes.len() - cut;
            // A refusal may come earlier when the pieces show a bare LF, never later.
            prop_assert!(!pieces || accepts(bytes));
            if has_bare_lf(bytes) { return Ok(()); }
            prop_assert_eq!(pieces, accepts(bytes));
        }
    }
}

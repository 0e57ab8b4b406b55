//! Answers that are passed on as they come: nothing is held in memory.

use super::client::Request;
use super::{Exit, Outcome, Session, output};

/// Sends a request and writes its answer to stdout, whose last line must be whole.
pub(crate) async fn pass_on(session: &Session, request: Request) -> Outcome {
    let mut response = session.client.stream(request).await?;
    let mut last = b'\n';
    while let Some(part) = response.chunk().await? {
        output::write_bytes(&part)?;
        last = part.last().copied().unwrap_or(last);
    }
    if last != b'\n' {
        session.output.note("warning: what was received ends in the middle of a line");
        return Ok(Exit::Failure);
    }
    Ok(Exit::Ok)
}

/// The same of JSON lines, as one JSON array.
pub(crate) async fn pass_on_as_array(session: &Session, request: Request) -> Outcome {
    let mut response = session.client.stream(request).await?;
    let (mut rest, mut first) = (Vec::new(), true);
    while let Some(part) = response.chunk().await? {
        rest.extend_from_slice(&part);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole = String::from_utf8_lossy(&rest[..end]).into_owned();
        for line in whole.lines() {
            output::write_out(&format!("{}{line}", if first { "[\n" } else { ",\n" }))?;
            first = false;
        }
        rest.drain(..=end);
    }
    output::write_out(if first { "[]\n" } else { "\n]\n" })?;
    Ok(if rest.is_empty() { Exit::Ok } else { Exit::Failure })
}

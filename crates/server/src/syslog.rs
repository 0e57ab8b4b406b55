//! Events as syslog messages (RFC 5424), over TLS (RFC 5425), TCP with octet counting (RFC 6587) or UDP
//! (RFC 5426), to a place that the operator names in the configuration, and nobody else.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use crate::audit::{Outcome, Recorded, ocsf};
use crate::config::{SyslogFormat, SyslogSettings, SyslogTransport};
use crate::error::{Error, Result};
use crate::{outbound, random};

/// Longest message: what receivers take unless they are told otherwise.
const LONGEST: usize = 8 * 1024;
/// The name of our structured data. 32473 is the number for examples (RFC 5612): the project has none.
const SD_ID: &str = "keyward@32473";
/// Log audit.
const FACILITY: u32 = 13;

/// The way to the receiver.
pub(crate) struct Syslog {
    settings: SyslogSettings,
    host: String,
    port: u16,
    hostname: String,
    /// This process, as the store knows it.
    pub(crate) holder: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Syslog {
    /// The receiver of the settings, where there is one.
    ///
    /// # Errors
    /// `Error::Startup` when the certificates for TLS cannot be read.
    pub(crate) fn new(settings: &SyslogSettings) -> Result<Option<Self>> {
        let Some((host, port)) = settings.address.clone() else { return Ok(None) };
        let tls = match settings.transport {
            SyslogTransport::Tls => {
                let extra = outbound::certificates(settings.ca_file.as_deref(), "audit.syslog.ca_file")?;
                let config = outbound::tls_client(&extra);
                Some(config.map_err(|why| Error::Startup(format!("TLS to the syslog receiver: {why}")))?)
            }
            _ => None,
        };
        Ok(Some(Self {
            settings: settings.clone(),
            host,
            port,
            hostname: hostname(),
            holder: random::hex::<16>(),
            tls,
        }))
    }

    /// An event as a message, without what frames it.
    pub(crate) fn message(&self, event: &Recorded) -> String {
        let whole = message(event, &self.hostname, self.settings.format, false);
        if whole.len() <= LONGEST {
            return whole;
        }
        // Whoever wants it whole finds it in the log, by its id.
        let small = Recorded { before: None, after: None, ..event.clone() };
        message(&small, &self.hostname, self.settings.format, true)
    }

    /// Sends messages; returns when the receiver has them, as far as the transport can tell.
    ///
    /// # Errors
    /// A sentence about why it may not have all of them.
    pub(crate) async fn send(&self, messages: &[String]) -> std::result::Result<(), String> {
        let sent = tokio::time::timeout(self.settings.timeout, self.deliver(messages)).await;
        let seconds = self.settings.timeout.as_secs();
        sent.unwrap_or_else(|_| Err(format!("{}:{} took longer than {seconds} s", self.host, self.port)))
    }

    async fn deliver(&self, messages: &[String]) -> std::result::Result<(), String> {
        let at = |why: std::io::Error| format!("{}:{}: {why}", self.host, self.port);
        if self.settings.transport == SyslogTransport::Udp {
            return self.send_datagrams(messages).await.map_err(at);
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(at)?;
        let mut framed = String::new();
        for message in messages {
            let _ = write!(framed, "{} {message}", message.len());
        }
        match &self.tls {
            None => hand_over(stream, framed.as_bytes()).await.map_err(at),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|why| why.to_string())?;
                let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
                let stream = stream.map_err(|why| format!("{}:{}: TLS: {why}", self.host, self.port))?;
                hand_over(stream, framed.as_bytes()).await.map_err(at)
            }
        }
    }

    /// Nobody tells whether a datagram came.
    async fn send_datagrams(&self, messages: &[String]) -> std::io::Result<()> {
        let mut places = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let place = places.next().ok_or_else(|| std::io::Error::other("it has no address"))?;
        let own: IpAddr = if place.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((own, 0)).await?;
        socket.connect(place).await?;
        for message in messages {
            socket.send(message.as_bytes()).await?;
        }
        Ok(())
    }
}

/// Writes everything, says that nothing more comes, and waits until the receiver has closed its side: it does so
/// when it has read to the end. The protocol has no other receipt.
async fn hand_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            // A receiver is not expected to have something to say.
            Ok(_) => {}
            // Few end TLS by its own rules.
            Err(why) if why.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(why) => return Err(why),
        }
    }
}

fn message(event: &Recorded, hostname: &str, format: SyslogFormat, is_cut: bool) -> String {
    let severity = match ocsf::severity(event).0 {
        4 => 1,
        3 => 4,
        _ => 5,
    };
    let body = match format {
        SyslogFormat::Json => serde_json::to_string(event).unwrap_or_default(),
        SyslogFormat::Ocsf => ocsf::render(event).to_string(),
    };
    let mut text = format!(
        "<{}>1 {} {hostname} keyward - {} ",
        FACILITY * 8 + severity,
        event.at,
        printable(&event.action, 32)
    );
    let outcome = if event.outcome == Outcome::Success { "success" } else { "refused" };
    let (seq, cut) = (event.seq.to_string(), if is_cut { "true" } else { "" });
    let parameters = [
        ("id", event.id.as_str()),
        ("tenant", &event.tenant_id),
        ("seq", &seq),
        ("outcome", outcome),
        ("actorKind", &event.actor.kind),
        ("actor", &event.actor.id),
        ("targetKind", &event.target.kind),
        ("target", &event.target.id),
        ("requestId", &event.request_id),
        ("cut", cut),
    ];
    let _ = write!(text, "[{SD_ID}");
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, " {name}=\"{}\"", quoted(value));
    }
    text.push_str("] ");
    push_ascii(&mut text, &body);
    text
}

/// A word of the header: printable ASCII without blanks.
fn printable(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".into() } else { word }
}

/// The value of a parameter: nothing but printable ASCII, and what would end it behind a backslash.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '"' | '\\' | ']' => out.extend(['\\', char]),
            ' '..='~' => out.push(char),
            _ => out.push('?'),
        }
    }
    out
}

/// JSON text whose strings hold nothing but printable ASCII (AUD-3): what is else, they escape.
fn push_ascii(out: &mut String, json: &str) {
    for char in json.chars() {
        if matches!(char, ' '..='~') {
            out.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// What this machine is called.
fn hostname() -> String {
    printable(&rustix::system::uname().nodename().to_string_lossy(), 255)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn event(label: &str, id: &str) -> Recorded {
        serde_json::from_value(json!({
            "id": "event_1", "seq": 7, "tenant_id": "tenant_1", "at": "2026-06-01T12:00:00.000Z",
            "actor": { "kind": "user", "id": "user_1", "label": label }, "key_id": null, "action": "key.create",
            "target": { "kind": "key", "id": id, "label": label }, "outcome": "success", "reason": null,
            "before": null, "after": { "label": label }, "request_id": "r-1", "address": null, "agent": label,
        }))
        .expect("an event")
    }

    #[test]
    fn a_message_has_the_form_of_rfc_5424() {
        let text = message(&event("ada", "key_1"), "host", SyslogFormat::Json, false);
        let (head, body) = text.split_once("] ").expect("structured data");
        assert_eq!(
            head,
            "<109>1 2026-06-01T12:00:00.000Z host keyward - key.create [keyward@32473 id=\"event_1\" \
             tenant=\"tenant_1\" seq=\"7\" outcome=\"success\" actorKind=\"user\" actor=\"user_1\" \
             targetKind=\"key\" target=\"key_1\" requestId=\"r-1\""
        );
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["seq"], &body["actor"]["label"]), (&json!(7), &json!("ada")));
        let mut refused = event("ada", "key_1");
        refused.outcome = Outcome::Refused;
        assert!(message(&refused, "host", SyslogFormat::Json, false).starts_with("<108>1 "));
        refused.action = "key.canary_used".into();
        assert!(message(&refused, "host", SyslogFormat::Ocsf, false).starts_with("<105>1 "));
    }

    proptest! {
        #[test]
        fn aud_3_no_name_forges_a_message(label in ".{0,40}", id in ".{0,40}", control in "[\\x00-\\x1f\\x7f-\\x9f\u{2028}\\]\"\\\\]{0,9}") {
            for format in [SyslogFormat::Json, SyslogFormat::Ocsf] {
                let (label, id) = (format!("{label}{control}"), format!("{control}{id}"));
                let text = message(&event(&label, &id), "host", format, false);
                prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", text);
                // The body is what stands behind the first bracket that is not escaped.
                let mut escaped = false;
                let end = text.bytes().skip(text.find('[').expect("data")).position(|byte| {
                    let ends = byte == b']' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                });
                let end = end.expect("an end") + text.find('[').expect("data");
                let body: Value = serde_json::from_str(&text[end + 2..]).expect("JSON");
                let told = if format == SyslogFormat::Json { &body["actor"]["label"] } else { &body["actor"]["user"]["name"] };
                prop_assert_eq!(told, &json!(label));
            }
        }
    }

    #[test]
    fn what_is_too_long_is_told_without_its_objects() {
        let mut long = event("ada", "key_1");
        long.after = Some(json!({ "key_ids": vec!["key_01h455vb4pex5vsknk084sn02q"; 1000] }));
        let settings = SyslogSettings {
            address: Some(("localhost".into(), 514)),
            transport: SyslogTransport::Tcp,
            ca_file: None,
            format: SyslogFormat::Json,
            timeout: std::time::Duration::from_secs(1),
        };
        let syslog = Syslog::new(&settings).expect("settings").expect("an address");
        let text = syslog.message(&long);
        assert!(
            text.len() < LONGEST && text.contains(" cut=\"true\"") && text.contains("\"after\":null"),
            "{text}"
        );
        assert!(!syslog.message(&event("ada", "key_1")).contains("cut="));
    }
}

//! Mail to users, over SMTP (BM8, AUT-7, DIR-7).
//!
//! What a mail says is made when it is sent, in the language the user has then, and it goes to the address on
//! file then. The message id is that of the job: a mail that a crash repeats is known as the same.

use std::fs;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::config::{MailSettings, MailTls};
use crate::error::{Error, Result};
use crate::jobs::outbox::Failure;
use crate::notifications::{self, News, words};
use crate::store::jobs::JobRow;
use crate::store::users;

/// A mail that waits to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) user_id: String,
    /// An address that was on file before; otherwise that which is on file.
    pub(crate) to: Option<String>,
    pub(crate) news: News,
}

/// The way to the mail server of this instance.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The mailer of the settings; `None` where no mail is sent. Does not connect.
    ///
    /// # Errors
    /// `Error::Startup` when a file cannot be read or a certificate is none.
    pub(crate) fn new(settings: &MailSettings) -> Result<Option<Self>> {
        let Some(host) = &settings.host else { return Ok(None) };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(settings.port)
            .tls(tls(settings, host)?)
            .timeout(Some(settings.timeout));
        if let Some(file) = &settings.password_file {
            let password = read(file)?;
            builder = builder.credentials(Credentials::new(
                settings.username.clone(),
                password.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        Ok(Some(Self { transport: builder.build(), from: settings.from.clone() }))
    }

    async fn send(&self, job: &JobRow, to: Mailbox, words: words::Words) -> Result<(), Failure> {
        let host = self.from.email.domain();
        let message = Message::builder()
            .message_id(Some(format!("<{}@{host}>", job.id)))
            .from(self.from.clone())
            .to(to)
            .subject(words.title)
            .header(ContentType::TEXT_PLAIN)
            .header(AutoSubmitted)
            .body(words.text + "\n")
            .map_err(|why| Failure::Never(format!("the message cannot be written: {why}")))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(why) if why.status().is_some_and(|code| is_about_the_message(code.into())) => {
                Err(Failure::Never(told(&why)))
            }
            Err(why) => Err(Failure::Later(told(&why))),
        }
    }
}

/// Whether an answer is about this recipient or this message, so that trying again would be refused again
/// (RFC 5321 section 4.2.2). Any other 5yz is about the server or our login to it, which somebody sets right.
fn is_about_the_message(code: u16) -> bool {
    matches!(code, 550..=553 | 555 | 556)
}

/// Nobody shall answer by a machine (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// The answer of the mail server, without line breaks and bounded.
fn told(why: &lettre::transport::smtp::Error) -> String {
    let cause = std::error::Error::source(why).map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("the mail server: {why}{cause}");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

fn tls(settings: &MailSettings, host: &str) -> Result<Tls> {
    if settings.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(file) = &settings.ca_file {
        let certificate = Certificate::from_pem(read(file)?.as_bytes())
            .map_err(|why| Error::Startup(format!("mail.ca_file {}: {why}", file.display())))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters =
        parameters.build_rustls().map_err(|why| Error::Startup(format!("TLS to the mail server: {why}")))?;
    Ok(if settings.tls == MailTls::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

fn read(file: &std::path::Path) -> Result<String> {
    fs::read_to_string(file).map_err(|why| Error::Startup(format!("{}: {why}", file.display())))
}

/// Sends the mail of a job.
pub(crate) async fn deliver(app: &App, job: &JobRow) -> Result<(), Failure> {
    let later = |error: Error| Failure::Later(error.to_string());
    let letter: Letter = serde_json::from_str(&job.payload).map_err(|why| Failure::Never(why.to_string()))?;
    let mailer = app.mailer.as_ref().ok_or_else(|| Failure::Later("mail.host is not set".into()))?;
    let mut conn = app.read().await.map_err(later)?;
    let user = users::find(&mut conn, &job.tenant_id, &letter.user_id).await.map_err(later)?;
    drop(conn);
    // Nobody is left to be told, or there is no address any more.
    let Some(user) = user else { return Ok(()) };
    if user.suspended_at.is_some() && !letter.news.kind.is_owed() {
        return Ok(());
    }
    let Some(address) = letter.to.or_else(|| user.email.clone()) else { return Ok(()) };
    let address = address.parse().map_err(|_| Failure::Never("the address on file is none".into()))?;
    let to = Mailbox::new(None, address);
    let words = words::of(&letter.news, notifications::language(Some(user)));
    mailer.send(job, to, words).await
}

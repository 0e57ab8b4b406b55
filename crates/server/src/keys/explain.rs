//! "Why is it refused?", for the owner and for admins (X2).

use keyward_core::decide::{self, Code};
use keyward_core::token::AccessKey;

use super::{find, rules};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::http::v1::keys::{ExplainIn, ExplainOut};

/// Every check that such a request with the key's newest live secret would meet. Spends nothing.
pub(crate) async fn explain(app: &App, actor: &Actor, id: &str, input: &ExplainIn) -> Result<ExplainOut> {
    let rights = rules::rights("/rights", &input.rights)?;
    let rights: Vec<_> = rights.iter().cloned().collect();
    let row = find(&mut app.read().await?, actor, id).await?;
    let access_key = AccessKey::from_digits(&row.access_key).ok_or(Error::NotFound)?;
    let found = loop {
        match app.verifier.find(access_key, app.clock.now()) {
            Ok(found) => break found.ok_or(Error::NotFound)?,
            Err(need) => app.verifier.cache.load(need).await?,
        }
    };
    let method = input.method.as_deref().map(str::to_ascii_uppercase);
    let request = decide::Request {
        rights: &rights,
        method: method.as_deref(),
        path: input.path.as_deref(),
        address: input.client_ip,
        audience: None,
        cost: 1,
    };
    let steps = app.verifier.explain(&found, None, &request);
    let first = steps.iter().find(|step| !step.passed).map(|step| step.check);
    Ok(ExplainOut { valid: first.is_none(), code: first.map_or("ok", Code::as_str), steps })
}

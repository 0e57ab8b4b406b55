//! `keyward keys revoke --where`: many keys at once.

use serde_json::{Map, Value, json};

use super::args::RevokeArgs;
use crate::cli::client::Request;
use crate::cli::keys::reason;
use crate::cli::{Exit, Failure, Outcome, Session, filter, prompt};

/// The words of a bulk revocation; `all=true` means every key of the tenant.
const BULK_FILTERS: &[&str] =
    &["owner_id", "class", "status", "label", "created_before", "last_used_before", "all"];

/// Preview, then the phrase with the number, then the deed: the server refuses if the number has
/// changed in between.
pub(super) async fn revoke_many(session: &Session, args: RevokeArgs) -> Outcome {
    let filter = bulk_filter(&args.conditions)?;
    let mut body = reason(args.reason);
    body.insert("filter".to_owned(), filter);
    let phrase = match args.confirm.filter(|_| !session.global.dry_run) {
        Some(phrase) => phrase,
        None => {
            let found = preview(session, &body).await?;
            if found == 0 || session.global.dry_run {
                session.output.note(&format!("dry run: {found} keys would be revoked"));
                return Ok(Exit::Ok);
            }
            let phrase = format!("revoke {found}");
            prompt::confirm_phrase(session, &format!("Revoke {found} keys for good?"), &phrase, "--confirm")?;
            phrase
        }
    };
    body.insert("confirm".to_owned(), json!(phrase));
    let answer = session.client.send(Request::post("/v1/keys/revoke", body)).await?;
    session.output.summary(&["matched", "revoked"], &answer)?;
    session.output.note(&format!("{} keys revoked", answer["revoked"]));
    Ok(Exit::Ok)
}

async fn preview(session: &Session, body: &Map<String, Value>) -> anyhow::Result<u64> {
    let mut body = body.clone();
    body.insert("preview".to_owned(), json!(true));
    let mut answer = session.client.send(Request::post("/v1/keys/revoke", body)).await?;
    let matched = answer["matched"].as_u64().unwrap_or_default();
    if let Value::Array(keys) = answer["keys"].take() {
        session.output.rows(&["id", "class", "owner_id", "label"]).all(keys)?;
    }
    Ok(matched)
}

fn bulk_filter(conditions: &[String]) -> Result<Value, Failure> {
    let mut filter = Map::new();
    for (name, value) in filter::parse(conditions, BULK_FILTERS)? {
        let value = if name == "all" { json!(value == "true") } else { json!(value) };
        filter.insert(name, value);
    }
    if filter.is_empty() {
        return Err(Failure::usage("--where is empty").hint("`--where all=true` means every key"));
    }
    Ok(Value::Object(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_filter_is_never_empty_by_accident() {
        let read = |text: &str| bulk_filter(&[text.to_owned()]).map_err(|failure| failure.exit());
        assert_eq!(
            read("owner_id=user_1 status=active"),
            Ok(json!({"owner_id": "user_1", "status": "active"}))
        );
        assert_eq!(read("all=true"), Ok(json!({"all": true})));
        assert_eq!(read(" "), Err(Exit::Usage));
        assert_eq!(read("expires_before=2026-01-01"), Err(Exit::Usage));
    }
}

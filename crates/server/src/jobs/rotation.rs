//! Rotation of the keys whose time has come (BM13).

use crate::app::App;
use crate::error::{Error, Result};
use crate::keys::rotation;
use crate::store::rotations;

/// Keys that are looked for at once.
const PAGE: i64 = 200;

/// Rotates what is due. A key that cannot be rotated does not keep the others from it.
pub(super) async fn rotate(app: &App) -> Result<()> {
    let mut last = (i64::MIN, String::new());
    let mut failure = None;
    loop {
        let now = app.clock.unix_ms();
        let due = rotations::due(&mut app.read().await?, now, (last.0, &last.1), PAGE).await?;
        let Some(end) = due.last() else { return failure.map_or(Ok(()), Err) };
        last = (end.rotates_at, end.id.clone());
        for key in &due {
            match rotation::rotate_due(app, &key.tenant_id, &key.id, key.rotates_at).await {
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
}

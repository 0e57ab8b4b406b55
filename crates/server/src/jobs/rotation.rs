//! Rotation of the keys whose time has come (BM13).

use crate::app::App;
use crate::error::{Error, Result};
use crate::keys::rotation;
use crate::store::rotations;

/// Keys that are looked for at once.
const PAGE: i64 = 200;

/// Rotates what is due. A key that cannot be rotated does not keep the others from it.
pub(super) async fn rotate(app: &App) -> Result<()> {
    loop {
        let now = app.clock.unix_ms();
        let due = rotations::due(&mut app.read().await?, now, PAGE).await?;
        let mut failure = None;
        let mut done = 0;
        for key in &due {
            match rotation::rotate_due(app, &key.tenant_id, &key.id, key.rotates_at).await {
                Ok(()) | Err(Error::NotFound) => done += 1,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => return Err(error),
            None if due.is_empty() || done == 0 => return Ok(()),
            None => {}
        }
    }
}

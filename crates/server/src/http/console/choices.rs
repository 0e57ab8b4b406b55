//! Roles and groups by name: to choose from in a form, and to tell who holds what.

use super::gate::Visit;
use crate::error::Result;
use crate::store::page::Page;
use crate::{groups, roles};

/// A role or group that a form offers.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// Every role of the tenant; none for who may not see roles. All of them, since those that a form leaves
/// out would be taken away by it.
pub(super) async fn roles(visit: &Visit, chosen: &[String]) -> Result<Vec<Choice>> {
    if !visit.actor.may("roles:read") {
        return Ok(Vec::new());
    }
    let all = roles::list(&visit.app, &visit.actor, None, &Page::unlimited()).await?.data;
    Ok(all.into_iter().map(|role| choice(role.id, role.name, chosen)).collect())
}

/// The same of groups.
pub(super) async fn groups(visit: &Visit, chosen: &[String]) -> Result<Vec<Choice>> {
    if !visit.actor.may("groups:read") {
        return Ok(Vec::new());
    }
    let all = groups::list(&visit.app, &visit.actor, None, &Page::unlimited()).await?.data;
    Ok(all.into_iter().map(|group| choice(group.id, group.name, chosen)).collect())
}

fn choice(id: String, name: String, chosen: &[String]) -> Choice {
    Choice { chosen: chosen.contains(&id), id, name }
}

/// The chosen ones, by name; by id for who may not see the names.
pub(super) fn named(ids: &[String], known: &[Choice]) -> Vec<Choice> {
    let name = |id: &String| {
        let found = known.iter().find(|choice| choice.id == *id);
        found.map_or_else(|| id.clone(), |choice| choice.name.clone())
    };
    ids.iter().map(|id| Choice { id: id.clone(), name: name(id), chosen: true }).collect()
}

/// What a form has chosen, if that is something else than before: what nobody changed is not granted anew.
pub(super) fn changed(chosen: &[String], before: &[String]) -> Option<Vec<String>> {
    let same = chosen.len() == before.len() && chosen.iter().all(|id| before.contains(id));
    (!same).then(|| chosen.to_vec())
}

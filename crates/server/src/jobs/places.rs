//! Who may do how much of what leaves the process at a time (R13, OUT-3): no place that is slow or down, and no
//! tenant with many of them, takes the room of others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Jobs of one lane at a time, and of one in trouble: it was slow, or its last job could not be done.
const LANE: usize = 4;
const TROUBLED: usize = 1;
/// Of all lanes of one tenant, of all that are in trouble, and of all.
const TENANT: usize = 32;
const ALL_TROUBLED: usize = 128;
const ALL: usize = 256;
/// A lane that had no trouble for so long is one like any other.
const FORGET_MS: u64 = 3_600_000;

/// The lanes with jobs that are being done, or that had trouble lately.
#[derive(Default)]
pub(super) struct Places {
    lanes: Mutex<HashMap<String, Lane>>,
}

#[derive(Default)]
struct Lane {
    running: usize,
    troubled_at: Option<u64>,
}

/// The tenant whose lane it is.
pub(super) fn tenant_of(lane: &str) -> &str {
    lane.split(' ').nth(1).unwrap_or_default()
}

impl Places {
    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.lanes.lock().expect("no code panics while it holds this lock")
    }

    /// How many more jobs of a lane may be done now.
    pub(super) fn room(&self, name: &str) -> usize {
        let lanes = self.lanes();
        let of_tenant = lanes.iter().filter(|other| tenant_of(other.0) == tenant_of(name));
        let tenant: usize = of_tenant.map(|(_, lane)| lane.running).sum();
        let troubled = lanes.values().filter(|lane| lane.troubled_at.is_some());
        let troubled: usize = troubled.map(|lane| lane.running).sum();
        let own = lanes.get(name).map_or(0, |lane| lane.running);
        let most = match lanes.get(name) {
            Some(Lane { troubled_at: Some(_), .. }) => {
                TROUBLED.min(ALL_TROUBLED.saturating_sub(troubled) + own)
            }
            _ => LANE,
        };
        // What is idle may begin, however much the tenant's other places are at.
        let share = TENANT.saturating_sub(tenant).max(usize::from(own == 0));
        most.saturating_sub(own).min(share).min(ALL.saturating_sub(running(&lanes)))
    }

    /// Lanes in the order in which they have their turn: of each tenant one, then of each another, and
    /// those whose tenant has the most places already behind the others.
    pub(super) fn in_turn(&self, names: Vec<String>) -> Vec<String> {
        let mut taken: HashMap<String, usize> = HashMap::new();
        for (name, lane) in self.lanes().iter() {
            *taken.entry(tenant_of(name).into()).or_default() += lane.running;
        }
        let after = |name: String| {
            let taken = taken.entry(tenant_of(&name).into()).or_default();
            *taken += LANE;
            (*taken, name)
        };
        let mut turns: Vec<_> = names.into_iter().map(after).collect();
        turns.sort_by_key(|(taken, _)| *taken);
        turns.into_iter().map(|(_, name)| name).collect()
    }

    /// A job of a lane is being done.
    pub(super) fn enter(&self, name: &str) {
        self.lanes().entry(name.into()).or_default().running += 1;
    }

    /// A lane is slow.
    pub(super) fn slow(&self, name: &str, now: u64) {
        self.lanes().entry(name.into()).or_default().troubled_at = Some(now);
    }

    /// Notes how the last job of a lane went; whether its place may be used for another. Where no place is left
    /// at all, others have their turn first.
    pub(super) fn ended(&self, name: &str, is_well: bool, now: u64) -> bool {
        let mut lanes = self.lanes();
        let is_full = running(&lanes) >= ALL;
        let lane = lanes.entry(name.into()).or_default();
        lane.troubled_at = (!is_well).then_some(now);
        !is_full && (is_well || lane.running <= TROUBLED)
    }

    /// A place is free again.
    pub(super) fn leave(&self, name: &str) {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.get_mut(name) {
            lane.running -= 1;
            if lane.running == 0 && lane.troubled_at.is_none() {
                lanes.remove(name);
            }
        }
    }

    /// Forgets trouble of long ago: the place may be gone.
    pub(super) fn forget(&self, now: u64) {
        self.lanes().retain(|_, lane| {
            lane.troubled_at = lane.troubled_at.filter(|at| now.saturating_sub(*at) < FORGET_MS);
            lane.running > 0 || lane.troubled_at.is_some()
        });
    }
}

fn running(lanes: &HashMap<String, Lane>) -> usize {
    lanes.values().map(|lane| lane.running).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(tenant: usize, number: usize) -> String {
        format!("webhook tenant_{tenant} webhook_{number}")
    }

    /// Takes all that a lane gets.
    fn fill(places: &Places, name: &str) -> usize {
        let room = places.room(name);
        (0..room).for_each(|_| places.enter(name));
        room
    }

    #[test]
    fn r_13_out_3_a_lane_in_trouble_keeps_one_place_and_a_tenant_some() {
        let places = Places::default();
        for number in 0..8 {
            assert_eq!(fill(&places, &lane(1, number)), LANE);
        }
        // The tenant has its share, and what is idle may begin all the same.
        assert_eq!((places.room(&lane(1, 8)), places.room(&lane(2, 1))), (1, LANE));
        assert_eq!(places.room("mail tenant_2"), LANE);
        for number in 0..8 {
            for _ in 0..LANE {
                places.ended(&lane(1, number), false, 0);
                places.leave(&lane(1, number));
            }
            assert_eq!(places.room(&lane(1, number)), TROUBLED);
        }
        // Twenty that are down leave room for one that is not.
        (0..19).for_each(|number| places.enter(&lane(1, number)));
        assert_eq!(places.room(&lane(1, 19)), LANE);
        assert!(places.ended(&lane(1, 0), true, 0));
        assert_eq!(places.room(&lane(1, 0)), LANE - 1);
        places.leave(&lane(1, 0));
        assert!(!places.lanes().contains_key(&lane(1, 0)), "what works leaves nothing behind");
    }

    #[test]
    fn r_13_out_3_what_is_slow_leaves_places_for_what_is_not() {
        let places = Places::default();
        for tenant in 0..20 {
            for number in 0..20 {
                places.slow(&lane(tenant, number), 0);
                fill(&places, &lane(tenant, number));
            }
        }
        assert_eq!(running(&places.lanes()), ALL_TROUBLED);
        assert_eq!(places.room(&lane(19, 19)), 0);
        for tenant in 20..52 {
            assert_eq!(fill(&places, &lane(tenant, 0)), LANE);
        }
        // Now all are taken, and who is done makes room for others.
        assert_eq!(places.room(&lane(60, 0)), 0);
        assert!(!places.ended(&lane(20, 0), true, 0));
        places.leave(&lane(20, 0));
        assert_eq!(places.room(&lane(60, 0)), 1);
    }

    #[test]
    fn r_13_out_3_tenants_have_their_turn_by_turns() {
        let places = Places::default();
        (0..3).for_each(|_| places.enter(&lane(3, 0)));
        let waiting = [lane(1, 0), lane(1, 1), lane(1, 2), lane(3, 1), lane(2, 0)];
        let turns = places.in_turn(waiting.to_vec());
        assert_eq!(turns, [lane(1, 0), lane(2, 0), lane(3, 1), lane(1, 1), lane(1, 2)]);
    }

    #[test]
    fn out_3_trouble_of_long_ago_is_forgotten() {
        let places = Places::default();
        places.enter(&lane(1, 0));
        places.enter(&lane(1, 1));
        for number in 0..2 {
            places.ended(&lane(1, number), false, 1_000);
        }
        places.leave(&lane(1, 0));
        places.forget(FORGET_MS);
        assert_eq!(places.lanes().len(), 2);
        places.forget(1_000 + FORGET_MS);
        assert_eq!(places.lanes().len(), 1, "that which is at work stays, and is well");
        assert_eq!(places.room(&lane(1, 1)), LANE - 1);
    }
}

use proptest::prelude::*;

use super::*;

/// 2026-11-22T18:00:00Z, a Sunday.
const NOW: i64 = 1_795_370_400_000;

fn calendar(period: Period, amount: i64, cap: i64) -> Refill {
    Refill { amount, every: Some(period), every_seconds: None, cap: Some(cap) }
}

fn seconds(every: u32, amount: i64, cap: i64) -> Refill {
    Refill { amount, every: None, every_seconds: Some(every), cap: Some(cap) }
}

fn any_refill() -> impl Strategy<Value = Refill> {
    let rule = prop_oneof![
        Just((Some(Period::Hour), None)),
        Just((Some(Period::Day), None)),
        Just((Some(Period::Week), None)),
        Just((Some(Period::Month), None)),
        (60_u32..10_000_000).prop_map(|seconds| (None, Some(seconds))),
    ];
    (rule, 1_i64..1000, 0_i64..3000).prop_map(|((every, every_seconds), amount, more)| Refill {
        amount,
        every,
        every_seconds,
        cap: Some(amount + more),
    })
}

#[test]
fn x_6_refills_come_with_the_calendar_in_utc() {
    for (period, next, window) in [
        (Period::Hour, NOW + HOUR_MS, 3600),
        (Period::Day, NOW + 6 * HOUR_MS, 86_400),
        // Sunday, so the week is over at midnight.
        (Period::Week, NOW + 6 * HOUR_MS, 604_800),
        // 2026-12-01.
        (Period::Month, NOW + 6 * HOUR_MS + 8 * DAY_MS, 30 * 86_400),
    ] {
        let refill = calendar(period, 1, 1);
        assert_eq!((refill.next(NOW), refill.window_seconds(NOW)), (next, window), "{period:?}");
        assert!(refill.next(next) > next);
    }
    assert_eq!(seconds(90, 1, 1).next(NOW), NOW + 90_000);
}

#[test]
fn x_6_a_refill_adds_up_to_the_cap_and_never_takes() {
    let daily = calendar(Period::Day, 100, 250);
    let purse = Purse::granted(30, NOW);
    assert_eq!(purse.refilled(Some(&daily), NOW + HOUR_MS), purse, "not yet");
    let one = purse.refilled(Some(&daily), NOW + 6 * HOUR_MS);
    assert_eq!((one.left, one.room, one.period), (130, 120, NOW + 6 * HOUR_MS));
    let three = purse.refilled(Some(&daily), NOW + 6 * HOUR_MS + 2 * DAY_MS);
    assert_eq!((three.left, three.room), (250, 0), "330 is more than the cap");
    let rich = Purse::granted(900, NOW).refilled(Some(&daily), NOW + DAY_MS);
    assert_eq!((rich.left, rich.room), (900, 0), "what was granted beyond the cap stays");
    assert_eq!(purse.refilled(None, NOW + 400 * DAY_MS), purse);
    assert_eq!(purse.refilled(Some(&daily), NOW - DAY_MS), purse, "a clock that was set back");
}

#[test]
fn x_6_what_a_node_held_over_a_refill_goes_back_up_to_the_cap() {
    let daily = calendar(Period::Day, 100, 100);
    let mut purse = Purse::granted(100, NOW);
    let (a, b) = (purse.take(10), purse.take(10));
    assert_eq!((purse.left, a.count), (80, 10));
    purse.give_back(Taken { count: 4, ..a }, Some(&daily));
    assert_eq!(purse.left, 84, "in the same period all of it");
    let mut purse = purse.refilled(Some(&daily), NOW + DAY_MS);
    assert_eq!(purse.left, 100);
    purse.take(50);
    purse.give_back(b, Some(&daily));
    assert_eq!(purse.left, 50, "with it there were no more than the cap at midnight");
    let mut poor =
        Purse { left: 0, room: 0, period: NOW }.refilled(Some(&calendar(Period::Day, 7, 10)), NOW + DAY_MS);
    poor.give_back(Taken { count: 9, period: NOW }, Some(&daily));
    assert_eq!((poor.left, poor.room), (10, 0));
}

#[test]
fn x_6_rules_that_make_no_sense_are_named() {
    let good = calendar(Period::Day, 5, 10);
    assert_eq!(good.problem(), None);
    for (member, bad) in [
        ("amount", Refill { amount: 0, ..good }),
        ("every", Refill { every: None, ..good }),
        ("every", Refill { every_seconds: Some(60), ..good }),
        ("every_seconds", Refill { every: None, every_seconds: Some(59), ..good }),
        ("cap", Refill { cap: Some(4), ..good }),
        ("cap", Refill { cap: Some(MAX_CREDITS + 1), ..good }),
    ] {
        assert_eq!(bad.problem().map(|(member, _)| member), Some(member), "{bad:?}");
    }
    let open = Refill { cap: None, ..good };
    assert_eq!((open.capped(3).cap(), open.capped(8).cap(), good.capped(99).cap()), (5, 8, 10));
}

/// A node with a lease, as the server keeps it.
#[derive(Clone, Copy, Default)]
struct Node {
    held: Taken,
    until: i64,
}

/// Nodes that lease from one purse as the server does.
struct World {
    purse: Purse,
    refill: Refill,
    nodes: Vec<Node>,
}

impl World {
    fn new(granted: i64, refill: Refill, nodes: usize) -> Self {
        Self { purse: Purse::granted(granted, NOW), refill, nodes: vec![Node::default(); nodes] }
    }

    /// One use on a node; whether it was allowed.
    fn spend(&mut self, node: usize, cost: i64, wish: i64, now: i64) -> bool {
        let lease = &mut self.nodes[node];
        if now >= lease.until || lease.held.count < cost {
            self.purse = self.purse.refilled(Some(&self.refill), now);
            self.purse.give_back(lease.held, Some(&self.refill));
            lease.held = self.purse.take(wish.max(cost));
            lease.until = self.refill.next(self.purse.period);
        }
        let allowed = lease.held.count >= cost;
        lease.held.count -= if allowed { cost } else { 0 };
        allowed
    }
}

proptest! {
    #[test]
    fn x_6_the_next_refill_is_ahead_and_the_last_one_is_not(refill in any_refill(), since in 0_i64..4_000_000_000_000, later in 0_i64..90_000_000_000) {
        let next = refill.next(since);
        prop_assert!(next > since);
        let (count, last) = refill.due(since, since + later);
        prop_assert_eq!(count > 0, since + later >= next);
        prop_assert!(last <= since + later && refill.next(last) > since + later);
        // As many as one by one.
        let (mut at, mut steps) = (since, 0);
        while steps < 200 && refill.next(at) <= since + later {
            at = refill.next(at);
            steps += 1;
        }
        prop_assert!(steps == 200 || (steps, at) == (count, last));
    }

    #[test]
    fn x_6_looking_often_is_as_good_as_looking_once(refill in any_refill(), left in 0_i64..3000, looks in prop::collection::vec(0_i64..5_000_000_000, 1..20)) {
        let purse = Purse::granted(left, NOW);
        let (mut often, mut now) = (purse, NOW);
        for gap in looks {
            now += gap;
            often = often.refilled(Some(&refill), now);
        }
        let once = purse.refilled(Some(&refill), now);
        prop_assert_eq!((often.left, often.period), (once.left, once.period));
        prop_assert!(once.left >= left && once.left <= left.max(refill.cap()));
    }

    /// One node that asks for nothing else is a bucket: whatever it leases, it allows as much.
    #[test]
    fn x_6_alone_a_lease_is_as_good_as_the_purse(refill in any_refill(), granted in 0_i64..50, wish in 1_i64..20, gaps in prop::collection::vec((0_i64..900_000_000, 1_i64..4), 1..80)) {
        let mut world = World::new(granted, refill, 1);
        let (mut bucket, mut now) = (Purse::granted(granted, NOW), NOW);
        for (gap, cost) in gaps {
            now += gap;
            bucket = bucket.refilled(Some(&refill), now);
            let expect = bucket.left >= cost;
            bucket.left -= if expect { cost } else { 0 };
            prop_assert_eq!(world.spend(0, cost, wish, now), expect);
        }
    }

    /// Many nodes never spend more than was granted and came by refills, nor more than the cap, or what
    /// was granted, from one refill to the next; and the store is never empty while a node refuses.
    #[test]
    fn x_6_nodes_together_never_spend_too_much(refill in any_refill(), granted in 0_i64..200, wish in 1_i64..20, uses in prop::collection::vec((0_usize..4, 0_i64..700_000_000, 1_i64..4), 1..200)) {
        let mut world = World::new(granted, refill, 4);
        let (mut now, mut spent, mut in_period, mut period) = (NOW, 0, 0, NOW);
        for (node, gap, cost) in uses {
            now += gap;
            let (count, last) = refill.due(period, now);
            if count > 0 {
                (period, in_period) = (last, 0);
            }
            if world.spend(node, cost, wish, now) {
                spent += cost;
                in_period += cost;
            } else {
                prop_assert!(world.purse.left < cost);
            }
            let brought = refill.due(NOW, now).0.saturating_mul(refill.amount);
            prop_assert!(spent <= granted + brought);
            prop_assert!(in_period <= granted.max(refill.cap()));
        }
    }
}

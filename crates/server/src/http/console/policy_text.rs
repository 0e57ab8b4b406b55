//! The rules that stand, in plain words (SQ4, X5).

use keyward_core::key::{Features, KeyClass};
use keyward_core::policy::{ClassPolicy, LoginPolicy, OnReport, Policy, WhoMayCreate, Whom};

use super::frame::Frame;
use super::keys::class_name;

/// Sentences about one thing.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) sentences: Vec<String>,
}

/// A whole policy.
pub(super) fn of(frame: &Frame, policy: &Policy, features: Features) -> Vec<Words> {
    let of_class = |class: KeyClass| {
        let mut sentences = Vec::new();
        if !features.allows(class) {
            sentences.push(frame.t("The operator does not allow these keys here.").to_owned());
        } else if !policy.switches.allows(class) {
            sentences.push(frame.t("These keys are switched off.").to_owned());
        }
        sentences.extend(life(frame, policy.class(class)));
        sentences.extend(making(frame, policy.class(class)));
        Words { title: class_name(frame, class), sentences }
    };
    let people = Words { title: frame.t("People and logins"), sentences: people(frame, policy) };
    let server = Words { title: frame.t("What the server does by itself"), sentences: server(frame, policy) };
    KeyClass::ALL.map(of_class).into_iter().chain([people, server]).collect()
}

/// How long keys live.
fn life(frame: &Frame, rules: &ClassPolicy) -> Vec<String> {
    let mut told = vec![frame.n(
        "A key lives 1 day unless another end is asked for.|A key lives {} days unless another end is asked for.",
        rules.default_ttl_days,
    )];
    told.push(match rules.max_ttl_days {
        Some(days) => {
            frame.n("No key may live longer than 1 day.|No key may live longer than {} days.", days)
        }
        None => frame.t("Any end may be asked for.").to_owned(),
    });
    told.push(match rules.never_expire && rules.max_ttl_days.is_none() {
        true => frame.t("Keys without an end are allowed.").to_owned(),
        false => frame.t("Keys without an end are not allowed here.").to_owned(),
    });
    told.extend(rules.max_age_days.map(|days| {
        frame.n(
            "A secret older than 1 day is refused until its key is rotated.|A secret older than {} days is refused until its key is rotated.",
            days,
        )
    }));
    told.extend(rules.idle_days.map(|days| {
        frame.n(
            "A key that was not used for 1 day is refused.|A key that was not used for {} days is refused.",
            days,
        )
    }));
    told
}

/// How keys are made.
fn making(frame: &Frame, rules: &ClassPolicy) -> Vec<String> {
    let mut told = Vec::new();
    if rules.required_cidrs {
        told.push(frame.t("Every new key must name the networks that it is used from.").to_owned());
    }
    told.extend(
        rules
            .max_keys
            .map(|most| frame.n("The tenant may have 1 of them.|The tenant may have {} of them.", most)),
    );
    told.extend(rules.label_pattern.as_ref().map(|pattern| frame.f("Names must look like {}.", pattern)));
    told.push(match rules.who_may_create {
        WhoMayCreate::Everybody => frame.t("Everybody may create them whose rights allow it.").to_owned(),
        WhoMayCreate::AdminsOnly => frame.t("Only administrators may create them.").to_owned(),
    });
    if rules.approval {
        told.push(frame.t("A new key works only when somebody else has approved it.").to_owned());
    }
    told
}

/// Minutes as people say them.
fn minutes(frame: &Frame, minutes: i64) -> String {
    match minutes {
        _ if minutes % 1440 == 0 => frame.n("1 day|{} days", minutes / 1440),
        _ if minutes % 60 == 0 => frame.n("1 hour|{} hours", minutes / 60),
        _ => frame.n("1 minute|{} minutes", minutes),
    }
}

/// What people may have, and how they log in.
fn people(frame: &Frame, policy: &Policy) -> Vec<String> {
    let window = match policy.owner_login_window_minutes {
        -1 => frame.t("Member keys work however long ago their owner logged in.").to_owned(),
        0 => frame.t("No member key works: the window since the login of the owner is 0.").to_owned(),
        window => frame
            .f("A member key works only while its owner has logged in within {}.", minutes(frame, window)),
    };
    let quota = frame.n("One person may own 1 key.|One person may own {} keys.", policy.max_keys_per_user);
    let limits = policy.owner_limits.iter().map(|limit| {
        frame.f2(
            "All keys of one person together: {} requests in {} seconds.",
            limit.requests,
            limit.per_seconds,
        )
    });
    let tokens = frame.n(
        "An access token lives 1 second at most.|An access token lives {} seconds at most.",
        policy.token_max_ttl_seconds,
    );
    [window, quota].into_iter().chain(limits).chain(logins(frame, &policy.login)).chain([tokens]).collect()
}

fn logins(frame: &Frame, login: &LoginPolicy) -> [String; 4] {
    let span = |some: u32| minutes(frame, i64::from(some));
    [
        match login.passwords {
            true => frame.t("Passwords open the console.").to_owned(),
            false => frame.t("Passwords do not open the console.").to_owned(),
        },
        match login.require_second_factor {
            Whom::Nobody => frame.t("Nobody is asked for a second factor who has none.").to_owned(),
            Whom::Administrators => frame.t("Administrators need a second factor.").to_owned(),
            Whom::Everybody => frame.t("Everybody needs a second factor.").to_owned(),
        },
        frame.f2(
            "A session ends after {} without use, and after {} in any case.",
            span(login.idle_minutes),
            span(login.max_minutes),
        ),
        frame.f2(
            "That of an administrator ends after {} without use, and after {} in any case.",
            span(login.admin_idle_minutes),
            span(login.admin_max_minutes),
        ),
    ]
}

fn server(frame: &Frame, policy: &Policy) -> Vec<String> {
    let days: Vec<String> = policy.notices.days_before_expiry.iter().map(ToString::to_string).collect();
    let mut told = Vec::new();
    if !days.is_empty() {
        told.push(frame.f("People are told so many days before the end of a key: {}.", days.join(", ")));
    }
    if policy.notices.after_expiry {
        told.push(frame.t("People are told when a key is over.").to_owned());
    }
    told.push(match policy.rotation.ingest.schedule() {
        Some(schedule) => frame.f2(
            "Ingest keys rotate every {} days, and their old secret works for {} days more.",
            schedule.every_days,
            schedule.grace_days,
        ),
        None => frame.t("Ingest keys do not rotate by themselves.").to_owned(),
    });
    told.push(
        match policy.leaks.on_report {
            OnReport::Revoke => frame.t("A key that is reported as leaked is revoked for good."),
            OnReport::Deactivate => frame.t("A key that is reported as leaked is switched off."),
            OnReport::Notify => frame.t("A key that is reported as leaked works on, and people are told."),
        }
        .to_owned(),
    );
    told
}

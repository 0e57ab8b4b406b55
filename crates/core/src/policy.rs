//! A tenant's rules for its keys (X5, MO2, MO5, BM2, BM4, SQ4).

use serde::{Deserialize, Serialize};

use crate::key::{KeyClass, Switches};
use crate::limit::RateLimit;
use crate::rotation::{RotationPolicy, Schedule};
use crate::session::Method;

/// No policy lets an access token live longer: a day.
pub const MAX_TOKEN_SECONDS: u32 = 86_400;

const DAY_MS: i64 = 86_400_000;

/// The rules of one tenant. They bind keys already issued wherever the decision reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Classes that the tenant's own admins have switched on (MO2).
    pub switches: Switches,
    /// Member keys work only while the owner's last interactive login is this fresh; -1 switches
    /// the rule off, 0 makes member keys unusable (SQ4).
    pub owner_login_window_minutes: i64,
    /// Living keys that one user may own (BM2).
    pub max_keys_per_user: u32,
    /// Rules for member keys.
    pub member: ClassPolicy,
    /// Rules for workspace keys.
    pub workspace: ClassPolicy,
    /// Rules for ingest keys.
    pub ingest: ClassPolicy,
    /// Limits on all member keys of one owner together.
    pub owner_limits: Vec<RateLimit>,
    /// Longest life of an access token; a longer wish is cut to it (IMP-4).
    pub token_max_ttl_seconds: u32,
    /// Rules for logins and what follows them.
    pub login: LoginPolicy,
    /// What people are told about the ends of keys.
    pub notices: NoticePolicy,
    /// How often keys rotate by themselves.
    pub rotation: RotationPolicy,
    /// What becomes of credentials that were found where they should not be.
    pub leaks: LeakPolicy,
}

/// Days before the end of a key on which people can be told of it.
pub const NOTICE_DAYS: [u32; 5] = [30, 14, 7, 2, 1];

/// When people are told about the ends of keys (BM8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoticePolicy {
    /// So many days before, each one of [`NOTICE_DAYS`].
    pub days_before_expiry: Vec<u32>,
    /// And when it is over.
    pub after_expiry: bool,
}

impl Default for NoticePolicy {
    fn default() -> Self {
        Self { days_before_expiry: vec![2], after_expiry: true }
    }
}

impl NoticePolicy {
    fn problems(&self, problems: &mut Vec<(String, String)>) {
        for (place, days) in self.days_before_expiry.iter().enumerate() {
            if !NOTICE_DAYS.contains(days) || self.days_before_expiry[..place].contains(days) {
                let place = format!("/notices/days_before_expiry/{place}");
                problems.push((place, "must be one of 30, 14, 7, 2, 1, each once".into()));
            }
        }
    }
}

/// The rules for leaked credentials (LEAK-3, LEAK-4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeakPolicy {
    /// What a report does to a credential that works.
    pub on_report: OnReport,
}

/// What a report of a leak does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReport {
    /// Ends the credential for good.
    #[default]
    Revoke,
    /// Switches a key off until somebody has looked; what cannot be switched on again ends.
    Deactivate,
    /// Only tells.
    Notify,
}

/// The rules for logins and sessions (VA2, SES-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginPolicy {
    /// Whether users may log in with a password. Keys are not touched by it.
    pub passwords: bool,
    /// A session ends after so long without use.
    pub idle_minutes: u32,
    /// A session ends after so long, used or not.
    pub max_minutes: u32,
    /// The same for who may administer: the shorter one counts.
    pub admin_idle_minutes: u32,
    /// The same for who may administer: the shorter one counts.
    pub admin_max_minutes: u32,
    /// Who needs a second factor beside the password (AUT-4). Keys are never asked for one.
    pub require_second_factor: Whom,
}

/// Whom a rule binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Nobody.
    Nobody,
    /// Those who may administer the tenant.
    #[default]
    Administrators,
    /// Everybody.
    Everybody,
}

impl Whom {
    /// Whether it binds somebody who is an administrator or not.
    #[must_use]
    pub fn binds(self, is_admin: bool) -> bool {
        self == Self::Everybody || self == Self::Administrators && is_admin
    }
}

impl Default for LoginPolicy {
    fn default() -> Self {
        Self {
            passwords: true,
            idle_minutes: 60,
            max_minutes: 24 * 60,
            admin_idle_minutes: 15,
            admin_max_minutes: 12 * 60,
            require_second_factor: Whom::default(),
        }
    }
}

impl LoginPolicy {
    /// Milliseconds without use after which a session ends.
    #[must_use]
    pub fn idle_ms(&self, is_admin: bool) -> i64 {
        shorter(self.idle_minutes, self.admin_idle_minutes, is_admin)
    }

    /// Milliseconds after which a session ends.
    #[must_use]
    pub fn max_ms(&self, is_admin: bool) -> i64 {
        shorter(self.max_minutes, self.admin_max_minutes, is_admin)
    }

    /// When a session ends without further use, and when at the latest (SES-3), by when it began, when it was
    /// used last, and the end that was stated when it began, if one was: then no idle limit counts.
    #[must_use]
    pub fn ends(&self, is_admin: bool, (began, used): (i64, i64), stated: Option<i64>) -> (i64, i64) {
        let most = began.saturating_add(self.max_ms(is_admin));
        match stated {
            Some(end) => (end.min(most), end.min(most)),
            None => (used.max(began).saturating_add(self.idle_ms(is_admin)), most),
        }
    }

    /// Whether a session that began so lacks a second factor; it is good for adding one then.
    #[must_use]
    pub fn lacks_factor(&self, method: Method, second_factor: bool, is_admin: bool) -> bool {
        method == Method::Password && !second_factor && self.require_second_factor.binds(is_admin)
    }

    fn problems(&self, problems: &mut Vec<(String, String)>) {
        for (name, minutes) in [
            ("idle_minutes", self.idle_minutes),
            ("max_minutes", self.max_minutes),
            ("admin_idle_minutes", self.admin_idle_minutes),
            ("admin_max_minutes", self.admin_max_minutes),
        ] {
            if !(1..=MAX_SESSION_MINUTES).contains(&minutes) {
                problems.push((format!("/login/{name}"), "must be from 1 to 43200 minutes (30 days)".into()));
            }
        }
    }
}

/// No session lives longer, whatever the policy: 30 days.
pub const MAX_SESSION_MINUTES: u32 = 30 * 24 * 60;

fn shorter(all: u32, admins: u32, is_admin: bool) -> i64 {
    i64::from(if is_admin { all.min(admins) } else { all }) * 60_000
}

/// The rules for one class of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassPolicy {
    /// Life of a key whose creator asked for none (MO5).
    pub default_ttl_days: u32,
    /// Longest life that may be asked for.
    pub max_ttl_days: Option<u32>,
    /// Whether "never" may be asked for (BM4).
    pub never_expire: bool,
    /// A secret older than this is refused until the key is rotated.
    pub max_age_days: Option<u32>,
    /// A key unused for this long is refused.
    pub idle_days: Option<u32>,
    /// Every new key needs an address condition.
    pub required_cidrs: bool,
    /// Living keys of this class that the tenant may have.
    pub max_keys: Option<u32>,
    /// What the label of a new or relabelled key looks like: `*` stands for any characters, `?` for one.
    pub label_pattern: Option<String>,
    /// Who may make keys of this class.
    pub who_may_create: WhoMayCreate,
    /// A new key works only when somebody else has approved it.
    pub approval: bool,
}

/// Who may make keys of a class, if their rights allow it at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoMayCreate {
    /// Everybody whose rights allow it.
    #[default]
    Everybody,
    /// Those who may administer the tenant.
    AdminsOnly,
}

/// Longest pattern of labels: as long as a label.
const MAX_PATTERN: usize = 100;

/// Whether a text looks like the pattern: `*` is any number of characters, `?` is one, all else is itself.
/// Takes at most the product of both lengths, whatever the pattern.
#[must_use]
pub fn looks_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last star stands, and up to where it reaches by now.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(place) {
            Some('*') => {
                star = Some((place, at));
                place += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[at] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((stands, reach)) = star else { return false };
                star = Some((stands, reach + 1));
                (at, place) = (reach + 1, stands + 1);
            }
        }
    }
    pattern[place..].iter().all(|left| *left == '*')
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            switches: Switches::default(),
            owner_login_window_minutes: 14 * 24 * 60,
            max_keys_per_user: 2,
            member: ClassPolicy::default(),
            workspace: ClassPolicy::default(),
            ingest: ClassPolicy::default(),
            owner_limits: Vec::new(),
            token_max_ttl_seconds: 3600,
            login: LoginPolicy::default(),
            notices: NoticePolicy::default(),
            rotation: RotationPolicy::default(),
            leaks: LeakPolicy::default(),
        }
    }
}

impl Default for ClassPolicy {
    fn default() -> Self {
        Self {
            default_ttl_days: 90,
            max_ttl_days: None,
            never_expire: true,
            max_age_days: None,
            idle_days: None,
            required_cidrs: false,
            max_keys: None,
            label_pattern: None,
            who_may_create: WhoMayCreate::default(),
            approval: false,
        }
    }
}

/// How long a key shall live, as its creator put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// As the policy says.
    Default,
    /// Until a moment, Unix milliseconds.
    Until(i64),
    /// For so many seconds from now.
    Seconds(i64),
    /// Without end.
    Never,
}

/// Why a wished validity is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityProblem {
    /// The end is not in the future.
    Past,
    /// The end lies beyond the policy's longest life; holds the latest end allowed.
    BeyondMaximum(i64),
    /// The policy does not allow keys without end.
    NeverForbidden,
}

impl Policy {
    /// The rules for a class.
    #[must_use]
    pub fn class(&self, class: KeyClass) -> &ClassPolicy {
        match class {
            KeyClass::Member => &self.member,
            KeyClass::Workspace => &self.workspace,
            KeyClass::Ingest => &self.ingest,
        }
    }

    /// Each thing wrong with the numbers, with the JSON pointer of its place.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !(-1..=5_256_000).contains(&self.owner_login_window_minutes) {
            problems.push((
                "/owner_login_window_minutes".into(),
                "must be -1 (off), 0 (keys unusable) or minutes up to 5256000 (ten years)".into(),
            ));
        }
        if !(60..=MAX_TOKEN_SECONDS).contains(&self.token_max_ttl_seconds) {
            let detail = format!("must be from 60 to {MAX_TOKEN_SECONDS} seconds");
            problems.push(("/token_max_ttl_seconds".into(), detail));
        }
        for class in KeyClass::ALL {
            self.class(class).problems(class, &mut problems);
        }
        for (place, limit) in self.owner_limits.iter().enumerate() {
            if let Some(problem) = limit.problem() {
                problems.push((format!("/owner_limits/{place}"), problem.into()));
            }
        }
        if self.owner_limits.len() > crate::limit::MAX_LIMITS {
            problems.push(("/owner_limits".into(), "at most 8 limits".into()));
        }
        self.login.problems(&mut problems);
        self.notices.problems(&mut problems);
        if let Some(problem) = self.rotation.ingest.schedule().as_ref().and_then(Schedule::problem) {
            problems.push(("/rotation/ingest".into(), problem.into()));
        }
        problems
    }
}

impl ClassPolicy {
    fn problems(&self, class: KeyClass, problems: &mut Vec<(String, String)>) {
        let mut push =
            |name: &str, why: &str| problems.push((format!("/{}/{name}", class.as_str()), why.into()));
        for (name, days) in [
            ("default_ttl_days", Some(self.default_ttl_days)),
            ("max_ttl_days", self.max_ttl_days),
            ("max_age_days", self.max_age_days),
            ("idle_days", self.idle_days),
        ] {
            if days.is_some_and(|days| days == 0 || days > 36_500) {
                push(name, "must be from 1 to 36500 days");
            }
        }
        if self.max_ttl_days.is_some_and(|max| max < self.default_ttl_days) {
            push("default_ttl_days", "must not exceed max_ttl_days");
        }
        let length = self.label_pattern.as_ref().map(|pattern| pattern.chars().count());
        if length.is_some_and(|length| length == 0 || length > MAX_PATTERN) {
            push("label_pattern", "must have 1 to 100 characters");
        }
        if self.label_pattern.as_ref().is_some_and(|pattern| pattern.chars().any(char::is_control)) {
            push("label_pattern", "must not hold control characters");
        }
    }

    /// Whether a label is as these rules want it.
    #[must_use]
    pub fn allows_label(&self, label: &str) -> bool {
        self.label_pattern.as_ref().is_none_or(|pattern| looks_like(pattern, label))
    }

    /// Turns a wish into the moment a key ends (`None` is never; KEY-8).
    ///
    /// # Errors
    /// [`ValidityProblem`] when the wish lies in the past or beyond these rules.
    pub fn resolve(&self, wish: Validity, now: i64) -> Result<Option<i64>, ValidityProblem> {
        let latest = self.max_ttl_days.map(|days| now + i64::from(days) * DAY_MS);
        let end = match wish {
            Validity::Default => now + i64::from(self.default_ttl_days) * DAY_MS,
            Validity::Until(end) => end,
            Validity::Seconds(seconds) => now.saturating_add(seconds.saturating_mul(1000)),
            Validity::Never if self.never_expire && latest.is_none() => return Ok(None),
            Validity::Never => return Err(ValidityProblem::NeverForbidden),
        };
        if end <= now {
            return Err(ValidityProblem::Past);
        }
        match latest {
            Some(latest) if end > latest => Err(ValidityProblem::BeyondMaximum(latest)),
            _ => Ok(Some(end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::Rotation;

    const NOW: i64 = 1_000_000 * DAY_MS / 1000;

    #[test]
    fn mo_5_default_life_is_ninety_days() {
        let end = ClassPolicy::default().resolve(Validity::Default, NOW);
        assert_eq!(end, Ok(Some(NOW + 90 * DAY_MS)));
    }

    #[test]
    fn bm_4_key_8_wishes_within_and_beyond_policy() {
        let open = ClassPolicy::default();
        let closed =
            ClassPolicy { max_ttl_days: Some(30), default_ttl_days: 30, never_expire: false, ..open.clone() };
        assert_eq!(open.resolve(Validity::Never, NOW), Ok(None));
        assert_eq!(closed.resolve(Validity::Never, NOW), Err(ValidityProblem::NeverForbidden));
        let latest = NOW + 30 * DAY_MS;
        assert_eq!(closed.resolve(Validity::Until(latest), NOW), Ok(Some(latest)));
        assert_eq!(
            closed.resolve(Validity::Until(latest + 1), NOW),
            Err(ValidityProblem::BeyondMaximum(latest))
        );
        assert_eq!(open.resolve(Validity::Until(NOW), NOW), Err(ValidityProblem::Past));
        assert_eq!(open.resolve(Validity::Seconds(-5), NOW), Err(ValidityProblem::Past));
        assert_eq!(open.resolve(Validity::Seconds(i64::MAX), NOW), Ok(Some(i64::MAX)));
    }

    #[test]
    fn x_5_labels_look_like_their_pattern() {
        for (pattern, good, bad) in [
            ("prod-*", &["prod-", "prod-nightly"][..], &["prod", "Prod-x", " prod-x"][..]),
            ("*", &["", "x", "späti"], &[]),
            ("a?c", &["abc", "aüc", "a?c"], &["ac", "abbc", "ab"]),
            ("*-*-?", &["a-b-c", "--x", "a-b-c-d"], &["a-b", "a-b-", "a-b-cd"]),
            ("*.prod", &["x.prod", ".prod", "a.prod.prod"], &["xprod", "x.prod "]),
            ("[a-z].*(x)", &["[a-z].(x)", "[a-z].zz(x)"], &["a.(x)"]),
            ("plain", &["plain"], &["plai", "plains", ""]),
        ] {
            let rules = ClassPolicy { label_pattern: Some(pattern.into()), ..ClassPolicy::default() };
            assert!(good.iter().all(|label| rules.allows_label(label)), "{pattern} {good:?}");
            assert!(!bad.iter().any(|label| rules.allows_label(label)), "{pattern} {bad:?}");
        }
        assert!(ClassPolicy::default().allows_label("anything"));
        // What makes a backtracking matcher take for ever.
        assert!(!looks_like(&"*a".repeat(50), &"a".repeat(49)));
        assert!(!looks_like(&("*a".repeat(49) + "b"), &"a".repeat(10_000)));
    }

    #[test]
    fn problems_name_their_place() {
        assert!(Policy::default().problems().is_empty());
        let mut policy = Policy { owner_login_window_minutes: -2, ..Policy::default() };
        policy.member.max_ttl_days = Some(10);
        policy.ingest.idle_days = Some(0);
        policy.ingest.label_pattern = Some(String::new());
        policy.workspace.label_pattern = Some("a\0b".into());
        policy.notices.days_before_expiry = vec![2, 3, 2];
        policy.rotation.ingest = Rotation::By(Schedule { every_days: 5, grace_days: 5 });
        policy.token_max_ttl_seconds = MAX_TOKEN_SECONDS + 1;
        let places: Vec<_> = policy.problems().into_iter().map(|(place, _)| place).collect();
        assert_eq!(
            places,
            [
                "/owner_login_window_minutes",
                "/token_max_ttl_seconds",
                "/member/default_ttl_days",
                "/workspace/label_pattern",
                "/ingest/idle_days",
                "/ingest/label_pattern",
                "/notices/days_before_expiry/1",
                "/notices/days_before_expiry/2",
                "/rotation/ingest"
            ]
        );
    }
}

//! Rights: `resource:action` (VA6; `design.md` §2).
//!
//! A resource is a `/`-path. `*` stands for exactly one segment, `**` (last only) for the rest,
//! none included; action `*` for any. The first segment `instance` is reserved for the operator:
//! no wildcard stands for it, so `**:*` makes an admin of a tenant and never an operator.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first segment that only its own name matches.
const RESERVED_ROOT: &str = "instance";
/// Segments in a resource, at most.
pub const MAX_SEGMENTS: usize = 16;
/// Characters in a segment or an action, at most.
pub const MAX_SEGMENT_LEN: usize = 64;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    Any,
    Exact(Box<str>),
}

/// A `/`-path of segments, perhaps with wildcards.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    segments: Box<[Segment]>,
    /// Ends in `**`: everything below, and the path itself.
    rest: bool,
}

/// One right.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Right {
    resource: Resource,
    /// `None` is `*`.
    action: Option<Box<str>>,
}

/// Why a text is no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRight {
    /// There is no `:` between resource and action.
    NoAction,
    /// A segment or the action is empty, too long or holds a character that is not allowed.
    BadSegment,
    /// `**` stands elsewhere than at the end.
    RestNotLast,
    /// More than [`MAX_SEGMENTS`] segments.
    TooDeep,
}

impl fmt::Display for InvalidRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAction => "a right is written resource:action, as in models/emea:read",
            Self::BadSegment => {
                "segments and actions are 1 to 64 characters of A-Z a-z 0-9 . _ - (actions lower case), or *"
            }
            Self::RestNotLast => "** may only stand at the end of a resource",
            Self::TooDeep => "a resource has at most 16 segments",
        })
    }
}

impl std::error::Error for InvalidRight {}

impl FromStr for Resource {
    type Err = InvalidRight;

    fn from_str(text: &str) -> Result<Self, InvalidRight> {
        let (path, rest) = match text.strip_suffix("**") {
            Some("") => return Ok(Self { segments: Box::default(), rest: true }),
            Some(before) => (before.strip_suffix('/').ok_or(InvalidRight::BadSegment)?, true),
            None => (text, false),
        };
        let segments: Box<[Segment]> = path.split('/').map(parse_segment).collect::<Result<_, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(InvalidRight::TooDeep);
        }
        Ok(Self { segments, rest })
    }
}

fn parse_segment(text: &str) -> Result<Segment, InvalidRight> {
    match text {
        "*" => Ok(Segment::Any),
        "**" => Err(InvalidRight::RestNotLast),
        word if is_word(word, |b| b.is_ascii_alphanumeric()) => Ok(Segment::Exact(word.into())),
        _ => Err(InvalidRight::BadSegment),
    }
}

fn is_word(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_SEGMENT_LEN).contains(&text.len())
        && text.bytes().all(|b| letter(b) || matches!(b, b'.' | b'_' | b'-'))
        && text != "."
        && text != ".."
}

impl FromStr for Right {
    type Err = InvalidRight;

    fn from_str(text: &str) -> Result<Self, InvalidRight> {
        let (resource, action) = text.rsplit_once(':').ok_or(InvalidRight::NoAction)?;
        let action = match action {
            "*" => None,
            word if is_word(word, |b| b.is_ascii_lowercase() || b.is_ascii_digit()) => Some(word.into()),
            _ => return Err(InvalidRight::BadSegment),
        };
        Ok(Self { resource: resource.parse()?, action })
    }
}

impl Segment {
    /// `first`: whether this is the first segment, where the reserved root answers to its name only.
    fn covers(&self, other: &Segment, first: bool) -> bool {
        match (self, other) {
            (Segment::Any, Segment::Exact(name)) => !(first && &**name == RESERVED_ROOT),
            (Segment::Any, Segment::Any) => true,
            (Segment::Exact(a), Segment::Exact(b)) => a == b,
            (Segment::Exact(_), Segment::Any) => false,
        }
    }
}

impl Resource {
    /// Whether everything that `other` stands for is within `self`.
    #[must_use]
    pub fn covers(&self, other: &Resource) -> bool {
        let (mine, theirs) = (self.segments.len(), other.segments.len());
        let fits = if self.rest { mine <= theirs } else { mine == theirs && !other.rest };
        if !fits {
            return false;
        }
        // Only `**` alone has no first segment; it must not swallow the reserved root.
        if mine == 0 && matches!(other.segments.first(), Some(Segment::Exact(s)) if &**s == RESERVED_ROOT) {
            return false;
        }
        self.segments.iter().zip(&other.segments).enumerate().all(|(place, (a, b))| a.covers(b, place == 0))
    }

    /// What both stand for, if anything.
    #[must_use]
    pub fn intersect(&self, other: &Resource) -> Option<Resource> {
        let (short, long) =
            if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        if short.segments.len() < long.segments.len() && !short.rest {
            return None;
        }
        let mut segments = Vec::with_capacity(long.segments.len());
        for (place, segment) in long.segments.iter().enumerate() {
            // Beyond its own segments the shorter one has `**`, which is `*` for each place.
            let facing = short.segments.get(place).unwrap_or(&Segment::Any);
            segments.push(narrower(segment, facing, place == 0)?);
        }
        let rest = self.rest && other.rest;
        // `a/**` against `a`: equal lengths meet in `a` alone.
        Some(Resource { segments: segments.into(), rest })
    }
}

fn narrower(a: &Segment, b: &Segment, first: bool) -> Option<Segment> {
    if a.covers(b, first) {
        Some(b.clone())
    } else if b.covers(a, first) {
        Some(a.clone())
    } else {
        None
    }
}

impl Right {
    /// Whether holding `self` means holding `other`.
    #[must_use]
    pub fn covers(&self, other: &Right) -> bool {
        let action = match (&self.action, &other.action) {
            (None, _) => true,
            (Some(a), Some(b)) => a == b,
            (Some(_), None) => false,
        };
        action && self.resource.covers(&other.resource)
    }

    /// The right that both hold, if any.
    #[must_use]
    pub fn intersect(&self, other: &Right) -> Option<Right> {
        let action = match (&self.action, &other.action) {
            (None, action) | (action, None) => action.clone(),
            (Some(a), Some(b)) if a == b => Some(a.clone()),
            _ => return None,
        };
        Some(Right { resource: self.resource.intersect(&other.resource)?, action })
    }

    /// What the right is about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Whether it stands under the operator's reserved root.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        matches!(self.resource.segments.first(), Some(Segment::Exact(s)) if &**s == RESERVED_ROOT)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.segments.iter().enumerate() {
            if place > 0 {
                f.write_str("/")?;
            }
            f.write_str(match segment {
                Segment::Any => "*",
                Segment::Exact(word) => word,
            })?;
        }
        match (self.rest, self.segments.is_empty()) {
            (true, true) => f.write_str("**"),
            (true, false) => f.write_str("/**"),
            (false, _) => Ok(()),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.action.as_deref().unwrap_or("*"))
    }
}

/// A set of rights without redundant members, in a stable order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RightSet(Vec<Right>);

impl RightSet {
    /// Everything but the reserved root: `**:*`.
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![Right { resource: Resource { segments: Box::default(), rest: true }, action: None }])
    }

    /// Whether one member covers the right.
    #[must_use]
    pub fn covers(&self, right: &Right) -> bool {
        self.0.iter().any(|held| held.covers(right))
    }

    /// Whether every right of `other` is covered (AZ-5, AZ-6).
    #[must_use]
    pub fn covers_all(&self, other: &RightSet) -> bool {
        other.0.iter().all(|right| self.covers(right))
    }

    /// What both sets hold (X4, KEY-11).
    #[must_use]
    pub fn intersect(&self, other: &RightSet) -> RightSet {
        self.0.iter().flat_map(|a| other.0.iter().filter_map(|b| a.intersect(b))).collect()
    }

    /// The members, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Right> {
        self.0.iter()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for RightSet {
    /// Separated by blanks, as a scope (RFC 6749 §3.3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, right) in self.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { " " })?;
            right.fmt(f)?;
        }
        Ok(())
    }
}

impl FromIterator<Right> for RightSet {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        let mut kept: Vec<Right> = Vec::new();
        for right in rights {
            if kept.iter().any(|held| held.covers(&right)) {
                continue;
            }
            kept.retain(|held| !right.covers(held));
            kept.push(right);
        }
        kept.sort();
        Self(kept)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for RightSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Right {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Right {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for RightSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de> Deserialize<'de> for RightSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Right>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;

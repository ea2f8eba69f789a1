//! MIG instances as people type them: `9,9,19`, `7x1g.10gb`, `1g.10gb=7,3g.40gb=2`, `9:4,14:0`.

use super::geometry::{Model, Row};
use super::profile::MigProfile;

/// Some instances of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// How the profile is named.
    pub name: Name,
    /// How many.
    pub count: u64,
    /// The slot that it is to start at, as `nvidia-smi mig -cgi` takes it behind a colon.
    pub start: Option<u8>,
}

/// How a profile is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By its GPU instance profile ID, which is another profile on another product.
    Id(u8),
    /// By its name.
    Profile(MigProfile),
}

/// A text that names no instances.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotInstances {
    /// Nothing at all.
    #[error("no instances are named; write profiles or IDs, such as 1g.10gb=7 or 9,9")]
    Empty,
    /// Not a profile, an ID or a count of one.
    #[error("`{0}` is neither a MIG profile nor a profile ID; write 1g.10gb, 7x1g.10gb, 1g.10gb=7, 19 or 19:0")]
    Term(String),
    /// Several instances at one start.
    #[error("`{0}` puts several instances at one slot; name each with its own, such as 19:0,19:1")]
    Crowd(String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Id(id) => write!(f, "{id}"),
            Name::Profile(profile) => write!(f, "{profile}"),
        }
    }
}

/// Reads a list.
pub fn parse(text: &str) -> Result<Vec<Term>, NotInstances> {
    // Forms that people copy from elsewhere: `MIG 3g.20gb` from nvidia-smi, `"1g.10gb": 7` from mig-parted, `7 x 1g.10gb` from here.
    let mut plain = text.replace(['"', '\''], "");
    for (written, meant) in [
        ("MIG ", ""),
        (" x ", "x"),
        (" * ", "*"),
        (" = ", "="),
        (": ", "="),
        (" + ", ","),
    ] {
        plain = plain.replace(written, meant);
    }
    // `+me` belongs to a profile, `+3g.40gb` begins another.
    for digit in '0'..='9' {
        plain = plain.replace(&format!("+{digit}"), &format!(",{digit}"));
    }
    let terms: Vec<Term> = plain
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(term)
        .collect::<Result<_, _>>()?;
    if terms.is_empty() {
        return Err(NotInstances::Empty);
    }
    Ok(terms)
}

fn term(text: &str) -> Result<Term, NotInstances> {
    let read = || {
        if let Some((name, start)) = text.split_once(':') {
            return Some((name_of(name)?, 1, Some(start.parse().ok()?)));
        }
        if let Some((count, name)) = text.split_once('x') {
            return Some((name_of(name)?, count_of(count)?, None));
        }
        if let Some((name, count)) = text.split_once(['=', '*']) {
            return match (name_of(name), count_of(count)) {
                (Some(name), Some(count)) => Some((name, count, None)),
                // `7*1g.10gb`: only one side can be the profile.
                _ => Some((name_of(count)?, count_of(name)?, None)),
            };
        }
        Some((name_of(text)?, 1, None))
    };
    if text.contains(':') && text.contains(['x', '*', '=']) {
        return Err(NotInstances::Crowd(text.to_owned()));
    }
    let (name, count, start) = read().ok_or_else(|| NotInstances::Term(text.to_owned()))?;
    Ok(Term { name, count, start })
}

fn count_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|count| *count > 0)
}

fn name_of(text: &str) -> Option<Name> {
    if let Ok(id) = text.parse() {
        return Some(Name::Id(id));
    }
    let text = text.strip_prefix("nvidia.com/").unwrap_or(text);
    let text = text.strip_prefix("mig-").unwrap_or(text);
    let profile = text.parse().or_else(|_| MigProfile::from_resource_name(text));
    profile.ok().map(Name::Profile)
}

impl Model {
    /// The row that a name stands for on this model.
    pub fn row_named(&'static self, name: Name) -> Option<&'static Row> {
        match name {
            Name::Id(id) => self.rows.iter().find(|row| row.id == id),
            Name::Profile(profile) => self.row(profile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_instances_is_read() {
        let profile = |text: &str| Name::Profile(text.parse().unwrap());
        for (text, terms) in [
            ("9,9", vec![(Name::Id(9), 1, None), (Name::Id(9), 1, None)]),
            ("7x1g.10gb", vec![(profile("1g.10gb"), 7, None)]),
            (
                "7 x 1g.10gb + 1g.10gb+me",
                vec![(profile("1g.10gb"), 7, None), (profile("1g.10gb+me"), 1, None)],
            ),
            (
                "1g.10gb*7 19*2",
                vec![(profile("1g.10gb"), 7, None), (Name::Id(19), 2, None)],
            ),
            ("7*1g.10gb", vec![(profile("1g.10gb"), 7, None)]),
            (
                "1g.10gb=9,3g.40gb=2",
                vec![(profile("1g.10gb"), 9, None), (profile("3g.40gb"), 2, None)],
            ),
            ("\"1g.10gb\": 7", vec![(profile("1g.10gb"), 7, None)]),
            (
                "MIG 3g.20gb, 2g.10gb",
                vec![(profile("3g.20gb"), 1, None), (profile("2g.10gb"), 1, None)],
            ),
            ("nvidia.com/mig-1g.10gb.me=1", vec![(profile("1g.10gb+me"), 1, None)]),
            ("9:4,14:0", vec![(Name::Id(9), 1, Some(4)), (Name::Id(14), 1, Some(0))]),
            (
                "1g.24gb+me.all,1g.24gb-me",
                vec![(profile("1g.24gb+me.all"), 1, None), (profile("1g.24gb-me"), 1, None)],
            ),
        ] {
            let terms: Vec<Term> = terms
                .into_iter()
                .map(|(name, count, start)| Term { name, count, start })
                .collect();
            assert_eq!(parse(text), Ok(terms), "{text}");
        }
    }

    #[test]
    fn what_names_no_instances_is_refused() {
        for text in [
            "",
            " , ",
            "7y1g.10gb",
            "1c.3g.20gb",
            "0x19",
            "9:",
            "9:x",
            "x9",
            "1g.10gb=",
            "300",
            "-1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("2x19:0"), Err(NotInstances::Crowd("2x19:0".to_owned())));
    }
}

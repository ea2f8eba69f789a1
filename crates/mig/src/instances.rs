//! Parses lists of MIG instances as people type them: `9,9,19`, `7x1g.10gb`,
//! `1g.10gb=7,3g.40gb=2`, `9:4,14:0`.

use super::model::{Model, ProfileInfo};
use super::placement::InstanceRequest;
use super::profile::MigProfile;

/// A number of instances of one profile, not yet resolved for a GPU model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSpec {
    pub profile: ProfileRef,
    pub count: u64,
    /// The memory slot to start at, which `nvidia-smi mig -cgi` takes after a colon.
    pub start: Option<u8>,
}

/// How a spec refers to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileRef {
    /// A GPU instance profile ID, which means another profile on another GPU model.
    Id(u8),
    Profile(MigProfile),
}

/// Why a text is not a list of instances.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseInstancesError {
    #[error("no instances are given; write profiles or IDs, such as 1g.10gb=7 or 9,9")]
    Empty,
    #[error("`{0}` is neither a MIG profile nor a profile ID; write 1g.10gb, 7x1g.10gb, 1g.10gb=7, 19 or 19:0")]
    InvalidSpec(String),
    #[error("`{0}` puts several instances at one slot; give each its own, such as 19:0,19:1")]
    SharedStart(String),
}

impl std::fmt::Display for ProfileRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProfileRef::Id(id) => write!(f, "{id}"),
            ProfileRef::Profile(profile) => write!(f, "{profile}"),
        }
    }
}

/// Parses a list of instances, separated by commas or spaces.
///
/// Also accepts forms that people copy from elsewhere: `MIG 3g.20gb` from nvidia-smi,
/// `"1g.10gb": 7` from mig-parted, `7 x 1g.10gb` from `apportion mig`.
pub fn parse(text: &str) -> Result<Vec<InstanceSpec>, ParseInstancesError> {
    let mut normalized = text.replace(['"', '\''], "");
    for (from, to) in [
        ("MIG ", ""),
        (" x ", "x"),
        (" * ", "*"),
        (" = ", "="),
        (": ", "="),
        (" + ", ","),
    ] {
        normalized = normalized.replace(from, to);
    }
    // `+me` belongs to a profile; `+3g.40gb` starts another.
    for digit in '0'..='9' {
        normalized = normalized.replace(&format!("+{digit}"), &format!(",{digit}"));
    }
    let specs: Vec<InstanceSpec> = normalized
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(parse_spec)
        .collect::<Result<_, _>>()?;
    if specs.is_empty() {
        return Err(ParseInstancesError::Empty);
    }
    Ok(specs)
}

fn parse_spec(text: &str) -> Result<InstanceSpec, ParseInstancesError> {
    let parsed = || {
        if let Some((name, start)) = text.split_once(':') {
            return Some((parse_profile(name)?, 1, Some(start.parse().ok()?)));
        }
        if let Some((count, name)) = text.split_once('x') {
            return Some((parse_profile(name)?, parse_count(count)?, None));
        }
        if let Some((name, count)) = text.split_once(['=', '*']) {
            return match (parse_profile(name), parse_count(count)) {
                (Some(profile), Some(count)) => Some((profile, count, None)),
                // `7*1g.10gb`: only one side can be the profile.
                _ => Some((parse_profile(count)?, parse_count(name)?, None)),
            };
        }
        Some((parse_profile(text)?, 1, None))
    };
    if text.contains(':') && text.contains(['x', '*', '=']) {
        return Err(ParseInstancesError::SharedStart(text.to_owned()));
    }
    let (profile, count, start) = parsed().ok_or_else(|| ParseInstancesError::InvalidSpec(text.to_owned()))?;
    Ok(InstanceSpec { profile, count, start })
}

fn parse_count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|count| *count > 0)
}

fn parse_profile(text: &str) -> Option<ProfileRef> {
    if let Ok(id) = text.parse() {
        return Some(ProfileRef::Id(id));
    }
    let text = text.strip_prefix("nvidia.com/").unwrap_or(text);
    let text = text.strip_prefix("mig-").unwrap_or(text);
    let profile = text.parse().or_else(|_| MigProfile::from_resource_name(text));
    profile.ok().map(ProfileRef::Profile)
}

impl Model {
    /// The profile that a reference means on this model.
    pub fn resolve(&'static self, profile: ProfileRef) -> Option<&'static ProfileInfo> {
        match profile {
            ProfileRef::Id(id) => self.profile_by_id(id),
            ProfileRef::Profile(profile) => self.profile(profile),
        }
    }

    /// The request that a spec means on this model; `None` if the model lacks the profile.
    pub fn request(&'static self, spec: &InstanceSpec) -> Option<InstanceRequest> {
        Some(InstanceRequest {
            profile: self.resolve(spec.profile)?,
            count: spec.count,
            start: spec.start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_parsed() {
        let profile = |text: &str| ProfileRef::Profile(text.parse().unwrap());
        for (text, specs) in [
            ("9,9", vec![(ProfileRef::Id(9), 1, None), (ProfileRef::Id(9), 1, None)]),
            ("7x1g.10gb", vec![(profile("1g.10gb"), 7, None)]),
            (
                "7 x 1g.10gb + 1g.10gb+me",
                vec![(profile("1g.10gb"), 7, None), (profile("1g.10gb+me"), 1, None)],
            ),
            (
                "1g.10gb*7 19*2",
                vec![(profile("1g.10gb"), 7, None), (ProfileRef::Id(19), 2, None)],
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
            (
                "9:4,14:0",
                vec![(ProfileRef::Id(9), 1, Some(4)), (ProfileRef::Id(14), 1, Some(0))],
            ),
            (
                "1g.24gb+me.all,1g.24gb-me",
                vec![(profile("1g.24gb+me.all"), 1, None), (profile("1g.24gb-me"), 1, None)],
            ),
        ] {
            let specs: Vec<InstanceSpec> = specs
                .into_iter()
                .map(|(profile, count, start)| InstanceSpec { profile, count, start })
                .collect();
            assert_eq!(parse(text), Ok(specs), "{text}");
        }
    }

    #[test]
    fn invalid_lists_are_rejected() {
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
        assert_eq!(
            parse("2x19:0"),
            Err(ParseInstancesError::SharedStart("2x19:0".to_owned()))
        );
    }
}

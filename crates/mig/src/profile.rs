//! MIG profiles: `1g.10gb`, `1g.10gb+me`, `4g.96gb+gfx`.

use std::fmt;
use std::str::FromStr;

use super::memory::MiB;

/// What a profile has or lacks in addition to compute and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Plain,
    /// `+me`: with media engines.
    Media,
    /// `+me.all`: with all media engines.
    AllMedia,
    /// `+gfx`: with graphics.
    Graphics,
    /// `-me`: without media engines.
    NoMedia,
}

impl Variant {
    pub const ALL: [Variant; 5] = [
        Variant::Plain,
        Variant::Media,
        Variant::AllMedia,
        Variant::Graphics,
        Variant::NoMedia,
    ];

    /// The suffix after the memory as NVIDIA writes it, and in resource names, where `.` replaces
    /// the illegal `+` (k8s-device-plugin `internal/rm/rm.go`).
    fn suffixes(self) -> (&'static str, &'static str) {
        match self {
            Variant::Plain => ("", ""),
            Variant::Media => ("+me", ".me"),
            Variant::AllMedia => ("+me.all", ".me.all"),
            Variant::Graphics => ("+gfx", ".gfx"),
            Variant::NoMedia => ("-me", "-me"),
        }
    }
}

/// A profile whose compute instance is as large as its GPU instance. Others (`1c.3g.20gb`) have no
/// Kubernetes resource.
///
/// One name can mean different fractions of different GPUs: `1g.10gb` is a seventh of an A100 80GB
/// and a quarter of an A100 40GB. See [`Model::gpu_fraction`](super::Model::gpu_fraction).
///
/// Profiles are ordered by memory first, so the first in order that is large enough is the
/// smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MigProfile {
    memory_gb: u16,
    compute: u8,
    variant: Variant,
}

/// The text is not the name of a MIG profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MIG profile; write one as NVIDIA does, such as 1g.10gb or 1g.10gb+me")]
pub struct ParseProfileError(pub String);

impl MigProfile {
    /// Compute slices: the number before `g`.
    pub fn compute(self) -> u8 {
        self.compute
    }

    /// Gigabytes of memory in the name. The device has less: see [`MigProfile::assured_memory`].
    pub fn nominal_gb(self) -> u16 {
        self.memory_gb
    }

    pub fn variant(self) -> Variant {
        self.variant
    }

    /// A lower bound of the memory that a device of this profile has on any GPU, for when no node
    /// label gives the true amount.
    ///
    /// Published listings range from 88.3 % of the nominal GiB (H100 NVL `1g.12gb`, 10.6 GiB) to
    /// 97.5 % (A100 80GB `1g.10gb`, 9.75 GiB). 88 % is below all of them.
    pub fn assured_memory(self) -> MiB {
        MiB(u64::from(self.memory_gb) * 1024 * 88 / 100)
    }

    /// The profile as resource names spell it: `1g.10gb.me` for `1g.10gb+me`.
    pub fn in_resource_name(self) -> String {
        format!("{}g.{}gb{}", self.compute, self.memory_gb, self.variant.suffixes().1)
    }

    /// Reads a profile as resource names spell it.
    pub fn from_resource_name(text: &str) -> Result<Self, ParseProfileError> {
        Self::parse(text, |variant| variant.suffixes().1)
    }

    fn parse(text: &str, suffix: impl Fn(Variant) -> &'static str) -> Result<Self, ParseProfileError> {
        let parsed = || {
            let (compute, rest) = text.split_once("g.")?;
            let (memory, rest) = rest.split_once("gb")?;
            let variant = Variant::ALL.into_iter().find(|variant| suffix(*variant) == rest)?;
            let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
            if !is_number(compute) || !is_number(memory) {
                return None;
            }
            Some(MigProfile {
                memory_gb: memory.parse().ok()?,
                compute: compute.parse().ok()?,
                variant,
            })
        };
        parsed().ok_or_else(|| ParseProfileError(text.to_owned()))
    }
}

impl FromStr for MigProfile {
    type Err = ParseProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, |variant| variant.suffixes().0)
    }
}

impl fmt::Display for MigProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!(
            "{}g.{}gb{}",
            self.compute,
            self.memory_gb,
            self.variant.suffixes().0
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_round_trips_in_both_spellings() {
        for (nvidia, resource) in [
            ("1g.10gb", "1g.10gb"),
            ("1g.10gb+me", "1g.10gb.me"),
            ("1g.24gb+me.all", "1g.24gb.me.all"),
            ("4g.96gb+gfx", "4g.96gb.gfx"),
            ("1g.24gb-me", "1g.24gb-me"),
        ] {
            let profile: MigProfile = nvidia.parse().unwrap();
            assert_eq!(
                (profile.to_string().as_str(), profile.in_resource_name().as_str()),
                (nvidia, resource)
            );
            assert_eq!(MigProfile::from_resource_name(resource), Ok(profile));
        }
    }

    #[test]
    fn invalid_profiles_are_rejected() {
        for text in [
            "",
            "1g",
            "g.10gb",
            "1g.gb",
            "1c.3g.20gb",
            "1g.10gb+",
            "1g.10gb+mee",
            "01g.10gb",
            "+1g.10gb",
            "1g.10GB",
            "300g.10gb",
        ] {
            assert!(text.parse::<MigProfile>().is_err(), "{text}");
        }
        // `+` is illegal in a resource name.
        assert!(MigProfile::from_resource_name("1g.10gb+me").is_err());
    }

    #[test]
    fn profiles_sort_by_memory_first() {
        let mut profiles: Vec<MigProfile> = ["7g.80gb", "1g.20gb", "2g.20gb", "1g.10gb"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        profiles.sort();
        let names: Vec<String> = profiles.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["1g.10gb", "1g.20gb", "2g.20gb", "7g.80gb"]);
    }

    #[test]
    fn assured_memory_is_below_published_device_sizes() {
        for (profile, seen_mib) in [
            ("1g.10gb", 9728),
            ("1g.12gb", 10854),
            ("1g.5gb", 4864),
            ("2g.12gb", 11968),
        ] {
            assert!(
                profile.parse::<MigProfile>().unwrap().assured_memory() <= MiB(seen_mib),
                "{profile}"
            );
        }
    }
}

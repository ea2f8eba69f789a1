//! GPU models and their profiles.
//!
//! A GPU is a row of memory slots. An instance of a profile takes some of them, from one of a few
//! starts. That is stricter than adding up compute slices: `3g + 3g + 1g` makes seven slices, but
//! two `3g` take all eight slots.

use super::product::{Product, ProductPattern};
use super::profile::{MigProfile, Variant};

/// A GPU model, or several that NVIDIA partitions alike.
#[derive(Debug)]
pub struct Model {
    /// The name that people use, with the memory: `A100-80GB`.
    pub name: &'static str,
    /// The words of the product name that all GPUs of the model share.
    pub(crate) short_name: &'static str,
    /// MiB of a whole GPU as GPU feature discovery reports it. Tells apart models of one name.
    pub(crate) memory: std::ops::Range<u64>,
    /// Memory slots of the GPU, in the units of `nvidia-smi mig -lgipp`.
    pub slots: u8,
    pub evidence: Evidence,
    pub profiles: &'static [ProfileInfo],
}

/// How much of a model's table comes from a listing of that very model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// IDs and starts.
    Seen,
    /// IDs. The starts are those of its siblings.
    IdsSeen,
    /// Neither. Only names and counts come from NVIDIA.
    Assumed,
}

impl Evidence {
    pub fn ids_seen(self) -> bool {
        self != Evidence::Assumed
    }

    pub fn starts_seen(self) -> bool {
        self == Evidence::Seen
    }
}

/// One profile of a model: what NVML calls the GPU instance profile info.
#[derive(Debug, PartialEq, Eq)]
pub struct ProfileInfo {
    /// As NVIDIA writes it: `1g.10gb+me`.
    pub name: &'static str,
    /// The GPU instance profile ID that `nvidia-smi mig -cgi` takes.
    pub id: u8,
    /// Memory slots that an instance takes.
    pub slots: u8,
    /// The slots that an instance can start at.
    pub starts: &'static [u8],
    /// How many fit on an otherwise empty GPU.
    pub max: u8,
}

impl ProfileInfo {
    /// Whether its instances use the media extensions, of which a GPU has one set (`OFA` in
    /// `nvidia-smi mig -lgip`).
    pub fn has_media(&self) -> bool {
        let variant = self.name.parse().map(MigProfile::variant);
        matches!(variant, Ok(Variant::Media | Variant::AllMedia))
    }
}

impl Model {
    pub fn profile(&self, profile: MigProfile) -> Option<&'static ProfileInfo> {
        self.profiles.iter().find(|info| info.name.parse() == Ok(profile))
    }

    pub fn profile_by_id(&self, id: u8) -> Option<&'static ProfileInfo> {
        self.profiles.iter().find(|info| info.id == id)
    }

    /// The fraction of a GPU that an instance takes: of its compute slices or of its memory slots,
    /// whichever is more. No other instance can use the rest of what it takes, so seven `1g` are a
    /// whole GPU, and so are two `3g`.
    pub fn gpu_fraction(&self, profile: MigProfile) -> Option<f64> {
        let info = self.profile(profile)?;
        let slots = self.profiles.iter().map(|info| info.slots).max()?;
        let memory = f64::from(info.slots) / f64::from(slots);
        Some(self.compute_fraction(profile)?.max(memory))
    }

    /// The fraction of a GPU's compute slices that an instance has.
    pub fn compute_fraction(&self, profile: MigProfile) -> Option<f64> {
        self.profile(profile)?;
        let all = self
            .profiles
            .iter()
            .filter_map(|info| info.name.parse::<MigProfile>().ok());
        let whole = all.map(MigProfile::compute).max()?;
        Some(f64::from(profile.compute()) / f64::from(whole))
    }

    /// The shortest name that means this model in a policy: `A100`. Several models can share it.
    pub fn short_name(&self) -> &'static str {
        self.short_name
    }

    /// Whether `pattern` means this model: one of them contains the words of the other.
    pub fn matches_pattern(&self, pattern: &ProductPattern) -> bool {
        self.matches_product(&pattern.as_str().into()) || pattern.matches(&self.short_name.into())
    }

    pub(crate) fn matches_product(&self, product: &Product) -> bool {
        ProductPattern::parse(self.short_name).is_ok_and(|pattern| pattern.matches(product))
    }
}

//! Placing instances on the memory slots of one GPU, and why that fails.

use super::model::{Model, ProfileInfo};
use super::profile::MigProfile;

/// An instance and the slot that it starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub profile: &'static ProfileInfo,
    pub start: u8,
}

/// An instance to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    pub profile: &'static ProfileInfo,
    /// The required start; any allowed start if `None`.
    pub start: Option<u8>,
}

impl From<&'static ProfileInfo> for Instance {
    fn from(profile: &'static ProfileInfo) -> Self {
        Instance { profile, start: None }
    }
}

/// A number of instances of one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceRequest {
    pub profile: &'static ProfileInfo,
    pub count: u64,
    /// The required start; any allowed start if `None`.
    pub start: Option<u8>,
}

/// Why instances do not fit on one GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("{count} x {} (ID {}): at most {} fit on one GPU", profile.name, profile.id, profile.max)]
    TooMany { profile: &'static ProfileInfo, count: u64 },
    /// The profiles with media extensions, and how many instances of them were requested.
    #[error("{0}: only one instance of a GPU can have the media engines, not {1}")]
    Media(String, u64),
    #[error(
        "{} (ID {}) cannot start at slot {start}; it starts at {}",
        profile.name, profile.id, joined_with_or(profile.starts)
    )]
    InvalidStart { profile: &'static ProfileInfo, start: u8 },
    /// `parts` says what each profile takes.
    #[error("together they need {needed} memory slots, but the GPU has {slots}: {parts}")]
    TooFewSlots { needed: u64, slots: u8, parts: String },
    /// There are enough slots, but not where the instances can start. `parts` says where each can.
    #[error("they need {needed} of {slots} memory slots, but their allowed start slots conflict: {parts}")]
    StartConflict { needed: u64, slots: u8, parts: String },
}

/// `0, 2 or 4`.
fn joined_with_or(numbers: &[u8]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

impl ProfileInfo {
    /// The slots of an instance that starts at `start`, one bit each.
    fn mask(&self, start: u8) -> u32 {
        ((1u32 << self.slots) - 1) << start
    }

    /// The order of placement: large instances first, and of one size those with the fewest starts.
    /// That cuts the search short. It is also the order in which a driver that places instances one
    /// by one is least likely to block a later one.
    fn placement_order(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.slots), self.starts.len(), self.id)
    }
}

impl Model {
    /// Whether these instances fit on one GPU together.
    pub fn fits(&'static self, instances: &[(MigProfile, u64)]) -> bool {
        let mut all = Vec::new();
        for (profile, count) in instances.iter().filter(|(_, count)| *count > 0) {
            match self.profile(*profile) {
                Some(info) if *count <= u64::from(info.max) => all.extend((0..*count).map(|_| Instance::from(info))),
                _ => return false,
            }
        }
        self.place(&all).is_some()
    }

    /// Places all instances, in the order in which to create them; `None` if they do not fit.
    ///
    /// Of several solutions, returns the one with the lowest starts for the largest instances.
    pub fn place(&self, instances: &[Instance]) -> Option<Vec<Placement>> {
        let count = |profile: &ProfileInfo| instances.iter().filter(|other| other.profile == profile).count();
        let media = instances.iter().filter(|instance| instance.profile.has_media());
        let too_many = |instance: &Instance| count(instance.profile) > usize::from(instance.profile.max);
        if media.count() > 1 || instances.iter().any(too_many) {
            return None;
        }
        let mut ordered = instances.to_vec();
        // Among equals, those with a required start go first: the others have a choice.
        ordered.sort_by_key(|instance| {
            (
                instance.profile.placement_order(),
                instance.start.is_none(),
                instance.start,
            )
        });
        let mut placed = Vec::with_capacity(ordered.len());
        place_from(&ordered, 0, 0, &mut placed).then_some(placed)
    }

    /// Places the requested instances, or returns every reason why they do not fit.
    pub fn check(&'static self, requests: &[InstanceRequest]) -> Result<Vec<Placement>, Vec<PlacementError>> {
        let totals = totals(requests);
        let mut errors: Vec<PlacementError> = totals
            .iter()
            .filter(|(profile, count)| *count > u64::from(profile.max))
            .map(|(profile, count)| PlacementError::TooMany { profile, count: *count })
            .collect();
        let media: Vec<_> = totals.iter().filter(|(profile, _)| profile.has_media()).collect();
        if media.len() > 1 {
            let names: Vec<&str> = media.iter().map(|(profile, _)| profile.name).collect();
            let count = media.iter().map(|(_, count)| count).sum();
            errors.push(PlacementError::Media(names.join(" and "), count));
        }
        errors.extend(requests.iter().filter_map(|request| {
            let profile = request.profile;
            let start = request.start.filter(|start| !profile.starts.contains(start))?;
            Some(PlacementError::InvalidStart { profile, start })
        }));
        if !errors.is_empty() {
            return Err(errors);
        }
        if let Some(placed) = self.place(&instances(requests)) {
            return Ok(placed);
        }
        let needed = totals
            .iter()
            .map(|(profile, count)| u64::from(profile.slots) * count)
            .sum();
        let slots = self.slots;
        let part = |(profile, count): &(&ProfileInfo, u64)| {
            let ProfileInfo { name, slots: own, .. } = profile;
            if needed <= u64::from(slots) {
                format!("{name} takes {own} from {}", joined_with_or(profile.starts))
            } else if *count > 1 {
                format!("{count} x {name} take {own} each")
            } else {
                format!("{count} x {name} take {own}")
            }
        };
        let parts = totals.iter().map(part).collect::<Vec<_>>().join(", ");
        Err(vec![if needed > u64::from(slots) {
            PlacementError::TooFewSlots { needed, slots, parts }
        } else {
            PlacementError::StartConflict { needed, slots, parts }
        }])
    }
}

/// Places all instances from `next` on, around the slots in `taken`. Returns whether that worked;
/// if so, `placed` has the result.
fn place_from(instances: &[Instance], next: usize, taken: u32, placed: &mut Vec<Placement>) -> bool {
    let Some(instance) = instances.get(next) else {
        return true;
    };
    let profile = instance.profile;
    // Equal instances are placed from left to right: any other order is the same geometry.
    let least = match next.checked_sub(1).and_then(|before| instances.get(before)) {
        Some(before) if before == instance => placed.last().map_or(0, |last| last.start),
        _ => 0,
    };
    let starts = profile.starts.iter().copied().filter(|start| match instance.start {
        Some(required) => *start == required,
        None => *start >= least,
    });
    for start in starts {
        let mask = profile.mask(start);
        if taken & mask == 0 {
            placed.push(Placement { profile, start });
            if place_from(instances, next + 1, taken | mask, placed) {
                return true;
            }
            placed.pop();
        }
    }
    false
}

/// The total count of each requested profile, in order of first appearance.
pub(crate) fn totals(requests: &[InstanceRequest]) -> Vec<(&'static ProfileInfo, u64)> {
    let mut totals: Vec<(&'static ProfileInfo, u64)> = Vec::new();
    for request in requests {
        match totals.iter_mut().find(|(profile, _)| *profile == request.profile) {
            Some((_, count)) => *count = count.saturating_add(request.count),
            None => totals.push((request.profile, request.count)),
        }
    }
    totals
}

/// The single instances of all requests. Of any profile, one more than fits is as good as a
/// billion.
pub(crate) fn instances(requests: &[InstanceRequest]) -> Vec<Instance> {
    let each = requests.iter().flat_map(|request| {
        let InstanceRequest { profile, start, .. } = *request;
        (0..request.count.min(u64::from(profile.max) + 1)).map(move |_| Instance { profile, start })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{find_model, parse_instances};

    fn set(text: &str) -> Vec<(MigProfile, u64)> {
        text.split_whitespace().map(|name| (name.parse().unwrap(), 1)).collect()
    }

    /// Starts as `nvidia-smi mig -lgipp` lists them on an A100 80GB.
    #[test]
    fn instances_fit_by_memory_slots_and_not_only_by_compute_slices() {
        for (instances, fits) in [
            ("3g.40gb 3g.40gb 1g.10gb", false),
            ("3g.40gb 2g.20gb 1g.10gb 1g.10gb", true),
            ("4g.40gb 3g.40gb", true),
            ("4g.40gb 2g.20gb 1g.10gb", true),
            ("3g.40gb 2g.20gb 2g.20gb", true),
            ("1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb", true),
            ("1g.20gb 1g.20gb 1g.20gb 1g.20gb", true),
            ("3g.40gb 3g.40gb", true),
            ("4g.40gb 4g.40gb", false),
            ("7g.80gb 1g.10gb", false),
            ("1g.10gb+me 1g.10gb", true),
            ("1g.10gb+me 1g.10gb+me", false),
            ("1g.5gb", false),
        ] {
            assert_eq!(
                find_model("A100-80GB").unwrap().fits(&set(instances)),
                fits,
                "{instances}"
            );
        }
    }

    #[test]
    fn check_gives_every_reason() {
        for (model, text, reasons) in [
            ("A100-80GB", "3g.40gb,2g.20gb,1g.10gb", vec![]),
            (
                "A100-80GB",
                "7x3g.40gb",
                vec!["7 x 3g.40gb (ID 9): at most 2 fit on one GPU"],
            ),
            (
                "A100-80GB",
                "9:2,2x4g.40gb",
                vec![
                    "2 x 4g.40gb (ID 5): at most 1 fit on one GPU",
                    "3g.40gb (ID 9) cannot start at slot 2; it starts at 0 or 4",
                ],
            ),
            (
                "A30-24GB",
                "1g.6gb+me,2g.12gb+me",
                vec!["1g.6gb+me and 2g.12gb+me: only one instance of a GPU can have the media engines, not 2"],
            ),
            (
                "A100-80GB",
                "4g.40gb,9:0",
                vec![
                    "they need 8 of 8 memory slots, but their allowed start slots conflict: 4g.40gb takes 4 from 0, \
                     3g.40gb takes 4 from 0 or 4",
                ],
            ),
        ] {
            let model = find_model(model).unwrap();
            let specs = parse_instances(text).unwrap();
            let requests: Vec<_> = specs.iter().map(|spec| model.request(spec).unwrap()).collect();
            let found = model.check(&requests).err().unwrap_or_default();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, reasons, "{text}");
        }
    }
}

//! What to create instead of instances that do not fit on one GPU.

use super::model::{Model, ProfileInfo};
use super::placement::{Instance, InstanceRequest, Placement, instances, totals};

impl Model {
    /// As many instances of the largest smaller profile of which so many fit. Only for requests of
    /// a single profile.
    pub fn smaller(&'static self, requests: &[InstanceRequest]) -> Option<Vec<Placement>> {
        let [(profile, count)] = totals(requests)[..] else {
            return None;
        };
        let mut smaller = profile;
        loop {
            smaller = self.next_smaller(smaller)?;
            if count <= u64::from(smaller.max) {
                return self.place(&(0..count).map(|_| Instance::from(smaller)).collect::<Vec<_>>());
            }
        }
    }

    /// As many instances as requested, each as large as fits: the largest are replaced by the next
    /// smaller ones of their kind until all fit. `None` if the request fits, or never does.
    pub fn shrunk(&'static self, requests: &[InstanceRequest]) -> Option<Vec<Placement>> {
        let most: u64 = self.profiles.iter().map(|profile| u64::from(profile.max)).max()?;
        let count = requests
            .iter()
            .fold(0u64, |sum, request| sum.saturating_add(request.count));
        if count > most || self.place(&instances(requests)).is_some() {
            return None;
        }
        let mut profiles: Vec<&'static ProfileInfo> = instances(requests)
            .into_iter()
            .map(|instance| instance.profile)
            .collect();
        loop {
            let candidate: Vec<Instance> = profiles.iter().map(|profile| Instance::from(*profile)).collect();
            if let Some(placed) = self.place(&candidate) {
                return Some(placed);
            }
            // A second instance with media engines becomes one without; else the largest shrinks.
            let too_much_media = profiles.iter().filter(|profile| profile.has_media()).count() > 1;
            let shrinkable = profiles
                .iter()
                .enumerate()
                .filter(|(_, profile)| !too_much_media || profile.has_media());
            let (index, smaller) = shrinkable
                .filter_map(|(index, profile)| Some((index, self.next_smaller(profile)?, profile.slots)))
                .max_by_key(|(index, _, slots)| (*slots, *index))
                .map(|(index, smaller, _)| (index, smaller))?;
            profiles[index] = smaller;
        }
    }

    /// The next smaller profile of the same kind: first without what `+me` adds, then less memory,
    /// then less compute.
    fn next_smaller(&'static self, profile: &ProfileInfo) -> Option<&'static ProfileInfo> {
        let kind = |profile: &ProfileInfo| profile.name.split_once("gb").map(|(_, variant)| variant);
        let size = |profile: &ProfileInfo| (profile.slots, profile.name.as_bytes().first().copied());
        if profile.has_media() {
            return self
                .profiles
                .iter()
                .find(|other| kind(other) == Some("") && size(other) == size(profile));
        }
        self.profiles
            .iter()
            .filter(|other| kind(other) == kind(profile) && size(other) < size(profile))
            .max_by_key(|other| size(other))
    }

    /// The instances that fit when they are taken one by one in the order given. `None` if none or
    /// all do.
    pub fn first_fitting(&'static self, requests: &[InstanceRequest]) -> Option<Vec<Placement>> {
        let mut kept: Vec<Instance> = Vec::new();
        let all = requests
            .iter()
            .map(|request| request.count)
            .fold(0, u64::saturating_add);
        for request in requests {
            let InstanceRequest { profile, count, start } = *request;
            for _ in 0..count.min(u64::from(profile.max)) {
                kept.push(Instance { profile, start });
                if self.place(&kept).is_none() {
                    kept.pop();
                    break;
                }
            }
        }
        let fewer = (kept.len() as u64) < all && !kept.is_empty();
        fewer.then(|| self.place(&kept)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{find_model, parse_instances};

    type Alternative = fn(&'static Model, &[InstanceRequest]) -> Option<Vec<Placement>>;

    #[test]
    fn alternatives_fit_on_one_gpu() {
        let (smaller, shrunk, first): (Alternative, Alternative, Alternative) =
            (Model::smaller, Model::shrunk, Model::first_fitting);
        for (case, alternative, request, expected) in [
            ("smaller", smaller, "3x3g.40gb", Some("2g.20gb 2g.20gb 2g.20gb")),
            ("smaller", smaller, "3x3g.40gb,1g.10gb", None),
            ("shrunk", shrunk, "2x3g.40gb,1g.10gb", Some("3g.40gb 2g.20gb 1g.10gb")),
            ("shrunk", shrunk, "3g.40gb", None),
            ("shrunk", shrunk, "2x1g.10gb+me", Some("1g.10gb 1g.10gb+me")),
            ("first fitting", first, "2x3g.40gb,1g.10gb", Some("3g.40gb 3g.40gb")),
            ("first fitting", first, "3g.40gb", None),
        ] {
            let model = find_model("A100-80GB").unwrap();
            let specs = parse_instances(request).unwrap();
            let requests: Vec<_> = specs.iter().map(|spec| model.request(spec).unwrap()).collect();
            let placed = alternative(model, &requests);
            let names = placed.map(|placed| placed.iter().map(|one| one.profile.name).collect::<Vec<_>>().join(" "));
            assert_eq!(names.as_deref(), expected, "{case} {request}");
        }
    }
}

//! Whether a list of instances fits on one GPU of a model, and what to do if it does not.

use std::fmt;

use super::instances::{InstanceSpec, ProfileRef};
use super::lookup::{joined_names, models_with_profile};
use super::model::{Model, ProfileInfo};
use super::placement::{InstanceRequest, Placement, PlacementError};
use super::profile::MigProfile;

/// The result of [`Model::fit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitReport {
    /// Set if all instances fit on one GPU.
    pub geometry: Option<Vec<Placement>>,
    /// Why they do not fit; empty if they do.
    pub errors: Vec<FitError>,
    pub alternatives: Vec<Alternative>,
    /// The fewest GPUs that hold all instances, if that is more than one.
    pub min_gpus: Option<u64>,
}

/// Why instances do not fit on one GPU of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    #[error("{} has no profile with ID {id}; it has {}", model.name, profile_list(model))]
    UnknownId { model: &'static Model, id: u8 },
    #[error("{} has no {profile}: {}. {} has {}", model.name, owners(*profile), model.name, profile_list(model))]
    UnknownProfile { model: &'static Model, profile: MigProfile },
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

/// `1g.10gb (19), 1g.10gb+me (20)`.
fn profile_list(model: &Model) -> String {
    let profiles = model.profiles.iter();
    let texts: Vec<String> = profiles.map(|info| format!("{} ({})", info.name, info.id)).collect();
    texts.join(", ")
}

fn owners(profile: MigProfile) -> String {
    match joined_names(models_with_profile(profile)).as_str() {
        "" => "no known product has it".to_owned(),
        models => format!("it is a profile of {models}"),
    }
}

/// A geometry to create instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    pub kind: AlternativeKind,
    pub geometry: Vec<Placement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlternativeKind {
    /// Profiles of another model, replaced by those of the same ID on this one.
    SameOnThisProduct,
    OtherStarts,
    Smaller,
    /// Only the instances that fit.
    Partial,
}

impl AlternativeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            AlternativeKind::SameOnThisProduct => "the same on this product",
            AlternativeKind::OtherStarts => "the same, at other places",
            AlternativeKind::Smaller => "as many, but smaller",
            AlternativeKind::Partial => "what of it fits",
        }
    }
}

impl fmt::Display for AlternativeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Model {
    /// Whether the instances fit on one GPU of this model, why not, and what would.
    pub fn fit(&'static self, specs: &[InstanceSpec]) -> FitReport {
        let mut report = FitReport {
            geometry: None,
            errors: specs.iter().filter_map(|spec| self.unknown(spec.profile)).collect(),
            alternatives: Vec::new(),
            min_gpus: None,
        };
        // A profile of another model stands for the profile with the same ID here: it was probably
        // copied from there.
        let requests: Vec<InstanceRequest> = specs
            .iter()
            .filter_map(|spec| {
                Some(InstanceRequest {
                    profile: self.resolve(spec.profile).or_else(|| self.counterpart(spec.profile))?,
                    count: spec.count,
                    start: spec.start,
                })
            })
            .collect();
        let all_resolved = requests.len() == specs.len();
        match self.check(&requests) {
            Ok(geometry) if report.errors.is_empty() => {
                report.geometry = Some(geometry);
                return report;
            }
            Ok(geometry) if all_resolved => report.alternatives.push(Alternative {
                kind: AlternativeKind::SameOnThisProduct,
                geometry,
            }),
            Ok(_) => {}
            Err(errors) => {
                report.errors.extend(errors.into_iter().map(FitError::from));
                if all_resolved {
                    report.alternatives = self.alternatives(&requests);
                }
            }
        }
        let demand: Option<Vec<(MigProfile, u64)>> = requests
            .iter()
            .map(|request| Some((request.profile.name.parse().ok()?, request.count)))
            .collect();
        let min_gpus = demand
            .filter(|_| all_resolved)
            .and_then(|demand| self.min_gpus(&demand));
        report.min_gpus = min_gpus.filter(|gpus| *gpus > 1);
        report
    }

    fn alternatives(&'static self, requests: &[InstanceRequest]) -> Vec<Alternative> {
        let anywhere: Vec<InstanceRequest> = requests
            .iter()
            .map(|request| InstanceRequest {
                start: None,
                ..*request
            })
            .collect();
        let moved = self.check(&anywhere).ok().filter(|_| requests != anywhere);
        let candidates = if moved.is_some() {
            vec![(AlternativeKind::OtherStarts, moved)]
        } else {
            let smaller = self.smaller(&anywhere).or_else(|| self.shrunk(&anywhere));
            vec![
                (AlternativeKind::Smaller, smaller),
                (AlternativeKind::Partial, self.first_fitting(&anywhere)),
            ]
        };
        candidates
            .into_iter()
            .filter_map(|(kind, geometry)| {
                let geometry = geometry?;
                Some(Alternative { kind, geometry })
            })
            .collect()
    }

    fn unknown(&'static self, profile: ProfileRef) -> Option<FitError> {
        let model = self;
        match (self.resolve(profile), profile) {
            (Some(_), _) => None,
            (None, ProfileRef::Id(id)) => Some(FitError::UnknownId { model, id }),
            (None, ProfileRef::Profile(profile)) => Some(FitError::UnknownProfile { model, profile }),
        }
    }

    /// The profile of this model with the ID that a profile has on another model.
    fn counterpart(&'static self, profile: ProfileRef) -> Option<&'static ProfileInfo> {
        let ProfileRef::Profile(profile) = profile else {
            return None;
        };
        // Only models of one family share IDs: an ID of the A30 means nothing on an A100.
        let other = models_with_profile(profile).find(|other| other.slots == self.slots)?;
        self.profile_by_id(other.profile(profile)?.id)
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Model {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{find_model, parse_instances};

    fn fit(model: &str, instances: &str) -> FitReport {
        find_model(model).unwrap().fit(&parse_instances(instances).unwrap())
    }

    fn kinds(report: &FitReport) -> Vec<AlternativeKind> {
        report.alternatives.iter().map(|alternative| alternative.kind).collect()
    }

    #[test]
    fn instances_that_fit_need_no_alternative() {
        let report = fit("A100-80GB", "2x3g.40gb");
        assert!(report.geometry.is_some() && report.errors.is_empty() && report.alternatives.is_empty());
        assert_eq!(report.min_gpus, None);
    }

    #[test]
    fn instances_that_do_not_fit_get_alternatives_and_a_number_of_gpus() {
        for (instances, expected, gpus) in [
            ("7x9", vec![AlternativeKind::Smaller, AlternativeKind::Partial], Some(4)),
            ("9:2", vec![AlternativeKind::OtherStarts], None),
            ("3g.20gb", vec![AlternativeKind::SameOnThisProduct], None),
            ("4g.24gb", vec![], None),
            ("99", vec![], None),
        ] {
            let report = fit("A100-80GB", instances);
            assert!(report.geometry.is_none() && !report.errors.is_empty(), "{instances}");
            assert_eq!((kinds(&report), report.min_gpus), (expected, gpus), "{instances}");
        }
    }

    #[test]
    fn unknown_profiles_are_explained() {
        for (instances, words) in [
            ("99", "A100-80GB has no profile with ID 99; it has 1g.10gb (19), "),
            (
                "3g.20gb",
                "A100-80GB has no 3g.20gb: it is a profile of A100-40GB, A800-40GB. A100-80GB has ",
            ),
            ("3g.30gb", "A100-80GB has no 3g.30gb: no known product has it. "),
        ] {
            let error = fit("A100-80GB", instances).errors[0].to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

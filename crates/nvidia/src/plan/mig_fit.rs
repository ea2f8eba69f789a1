//! Whether MIG devices fit on the GPUs of a product.

use apportion_mig::placement::{InstanceRequest, PlacementError};
use apportion_mig::product::{ProductPattern, WITHOUT_MIG};
use apportion_mig::profile::MigProfile;
use apportion_mig::{MODELS, Model};

/// The number of MIG devices of each profile on one GPU.
pub type MigDevices = [(MigProfile, u64)];

/// The models that a plan's product can mean. `A100-80GB` and `NVIDIA-A100-SXM4-80GB` mean one,
/// `A100` means two.
pub fn models_of(product: &ProductPattern) -> Vec<&'static Model> {
    let matching: Vec<&'static Model> = MODELS.iter().filter(|model| model.matches_pattern(product)).collect();
    let product = product.as_str().to_ascii_uppercase();
    let names_memory = |model: &&&'static Model| {
        let memory = model.name.rsplit('-').next();
        memory.is_some_and(|memory| product.split('-').any(|word| word == memory))
    };
    let with_memory: Vec<&'static Model> = matching.iter().filter(names_memory).copied().collect();
    if with_memory.is_empty() { matching } else { with_memory }
}

/// Whether a product is known not to support MIG.
pub fn is_without_mig(product: &ProductPattern) -> bool {
    models_of(product).is_empty()
        && WITHOUT_MIG
            .iter()
            .any(|word| ProductPattern::parse(word).is_ok_and(|known| known.matches(&product.as_str().into())))
}

/// Why these devices do not fit on a GPU of the model, with a fix; `None` if they fit.
pub fn unfit_message(model: &'static Model, devices: &MigDevices) -> Option<String> {
    let name = model.name;
    let mut requests = Vec::new();
    for (profile, count) in devices.iter().filter(|(_, count)| *count > 0) {
        let Some(info) = model.profile(*profile) else {
            let profiles: Vec<&str> = model.profiles.iter().map(|info| info.name).collect();
            return Some(format!(
                "{name} has no profile {profile}; it has {}",
                profiles.join(", ")
            ));
        };
        requests.push(InstanceRequest {
            profile: info,
            count: *count,
            start: None,
        });
    }
    let errors = model.check(&requests).err()?;
    let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let fix = match errors.first()? {
        PlacementError::TooMany { profile, .. } => format!("write {}: {}", profile.name, profile.max),
        PlacementError::Media(..) => "keep one profile with +me".to_owned(),
        PlacementError::InvalidStart { .. }
        | PlacementError::TooFewSlots { .. }
        | PlacementError::StartConflict { .. } => "remove a device".to_owned(),
    };
    Some(format!("these do not fit on {name}: {}; {fix}", reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str) -> Vec<(MigProfile, u64)> {
        text.split(' ')
            .map(|part| {
                let (count, profile) = part.split_once('x').unwrap();
                (profile.parse().unwrap(), count.parse().unwrap())
            })
            .collect()
    }

    fn model_names(product: &str) -> Vec<&'static str> {
        models_of(&ProductPattern::parse(product).unwrap())
            .iter()
            .map(|model| model.name)
            .collect()
    }

    #[test]
    fn memory_in_the_product_selects_the_model() {
        for (product, expected) in [
            ("A100", vec!["A100-40GB", "A100-80GB"]),
            ("A100-80GB", vec!["A100-80GB"]),
            ("NVIDIA-A100-SXM4-80GB", vec!["A100-80GB"]),
            ("a100-pcie-40gb", vec!["A100-40GB"]),
            ("NVIDIA-H100-80GB-HBM3", vec!["H100-80GB"]),
            ("A30", vec!["A30-24GB"]),
            ("T4", vec![]),
            ("R200", vec![]),
        ] {
            assert_eq!(model_names(product), expected, "{product}");
        }
        let without = |text: &str| is_without_mig(&ProductPattern::parse(text).unwrap());
        assert!(without("Tesla-T4") && without("V100") && !without("A100") && !without("R200"));
    }

    #[test]
    fn errors_are_explained_with_a_fix() {
        let model = models_of(&ProductPattern::parse("A100-80GB").unwrap())[0];
        for (set, expected) in [
            ("7x1g.10gb", None),
            ("2x1g.10gb 1x2g.20gb 1x3g.40gb", None),
            (
                "8x1g.10gb",
                Some("8 x 1g.10gb (ID 19): at most 7 fit on one GPU; write 1g.10gb: 7"),
            ),
            ("1x1g.5gb", Some("has no profile 1g.5gb; it has 1g.10gb, ")),
            (
                "2x3g.40gb 1x1g.10gb",
                Some(
                    "they need 9 memory slots, but the GPU has 8: 2 x 3g.40gb take 4 each, 1 x 1g.10gb take 1; remove a device",
                ),
            ),
            ("1x4g.40gb 2x2g.20gb", Some("4g.40gb takes 4 from 0")),
        ] {
            let message = unfit_message(model, &devices(set));
            assert_eq!(message.is_some(), expected.is_some(), "{set}: {message:?}");
            let message = message.unwrap_or_default();
            assert!(message.contains(expected.unwrap_or_default()), "{set}: {message}");
        }
    }
}

//! Whether MIG devices fit on the GPUs that they are meant for.

use apportion_mig::geometry::{MODELS, Model};
use apportion_mig::product;
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;
use apportion_mig::profile::Variant;

/// MIG devices and their number, on one GPU.
pub type Devices = [(MigProfile, u64)];

/// The models that a product in a plan stands for. `A100-80GB` and `NVIDIA-A100-SXM4-80GB` are one, `A100` is two.
pub fn models(product: &ProductPattern) -> Vec<&'static Model> {
    let meant: Vec<&'static Model> = MODELS.iter().filter(|model| model.is_meant_by(product)).collect();
    let words: Vec<String> = product
        .as_str()
        .to_ascii_uppercase()
        .split('-')
        .map(str::to_owned)
        .collect();
    let sized: Vec<&'static Model> = meant
        .iter()
        .filter(|model| {
            model
                .name
                .rsplit('-')
                .next()
                .is_some_and(|size| words.iter().any(|word| word == size))
        })
        .copied()
        .collect();
    if sized.is_empty() { meant } else { sized }
}

/// Whether a product is known to have no MIG.
pub fn is_without_mig(product: &ProductPattern) -> bool {
    models(product).is_empty()
        && product::WITHOUT_MIG
            .iter()
            .any(|word| ProductPattern::parse(word).is_ok_and(|known| known.matches(&product.as_str().into())))
}

/// Why these devices do not fit on a GPU of the model, and what would.
pub fn objection(model: &'static Model, devices: &Devices) -> Option<String> {
    if model.fits(devices) {
        return None;
    }
    let name = model.name;
    for (profile, count) in devices.iter().filter(|(_, count)| *count > 0) {
        let Some(row) = model.row(*profile) else {
            let has: Vec<&str> = model.rows.iter().map(|row| row.profile).collect();
            return Some(format!("{name} has no profile {profile}; it has {}", has.join(", ")));
        };
        if *count > u64::from(row.max) {
            return Some(format!(
                "{count} x {profile} do not fit on {name}, which holds at most {}; write {profile}: {}",
                row.max, row.max
            ));
        }
    }
    let media: u64 = devices
        .iter()
        .filter(|(profile, _)| matches!(profile.variant(), Variant::Media | Variant::AllMedia))
        .map(|(_, count)| count)
        .sum();
    if media > 1 {
        return Some(format!(
            "{name} has its media engines once; write only one profile with +me"
        ));
    }
    let slots = |profile: &MigProfile| model.row(*profile).map_or(0, |row| u64::from(row.slots));
    let taken: u64 = devices.iter().map(|(profile, count)| slots(profile) * count).sum();
    let all = model
        .rows
        .iter()
        .flat_map(|row| row.starts.iter().map(|start| u64::from(start + row.slots)))
        .max()
        .unwrap_or_default();
    let parts: Vec<String> = devices
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(profile, count)| format!("{count} x {profile} take {}", slots(profile) * count))
        .collect();
    Some(format!(
        "these do not fit on {name}: {} of its {all} memory slots{}; take one away",
        parts.join(", "),
        if taken <= all {
            ", and each can start at a few of them only"
        } else {
            ""
        }
    ))
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

    fn named(product: &str) -> Vec<&'static str> {
        models(&ProductPattern::parse(product).unwrap())
            .iter()
            .map(|model| model.name)
            .collect()
    }

    #[test]
    fn a_size_in_the_name_tells_models_apart() {
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
            assert_eq!(named(product), expected, "{product}");
        }
        let without = |text: &str| is_without_mig(&ProductPattern::parse(text).unwrap());
        assert!(without("Tesla-T4") && without("V100") && !without("A100") && !without("R200"));
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        let model = models(&ProductPattern::parse("A100-80GB").unwrap())[0];
        for (set, words) in [
            ("7x1g.10gb", None),
            ("2x1g.10gb 1x2g.20gb 1x3g.40gb", None),
            ("8x1g.10gb", Some("which holds at most 7; write 1g.10gb: 7")),
            ("1x1g.5gb", Some("has no profile 1g.5gb; it has 1g.10gb, ")),
            (
                "2x3g.40gb 1x1g.10gb",
                Some("2 x 3g.40gb take 8, 1 x 1g.10gb take 1 of its 8 memory slots; take one away"),
            ),
            ("1x4g.40gb 2x2g.20gb", Some("and each can start at a few of them only")),
        ] {
            let said = objection(model, &devices(set));
            assert_eq!(said.is_some(), words.is_some(), "{set}: {said:?}");
            assert!(said.unwrap_or_default().contains(words.unwrap_or_default()), "{set}");
        }
    }
}

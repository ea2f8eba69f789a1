//! Finding a model by the name that a user, a policy or a node label gives.

use super::memory::MiB;
use super::model::Model;
use super::product::{Product, ProductPattern, WITHOUT_MIG};
use super::profile::MigProfile;
use super::tables::MODELS;

/// The model of a product. Where several models share the product name, the memory of a whole GPU
/// decides; without it, the first is returned.
pub fn model_of(product: &Product, memory: Option<MiB>) -> Option<&'static Model> {
    memory
        .and_then(|memory| models_matching(product).find(|model| model.memory.contains(&memory.0)))
        .or_else(|| models_matching(product).next())
}

/// The models that a product name can stand for.
pub fn models_matching(product: &Product) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.matches_product(product))
}

pub fn models_with_profile(profile: MigProfile) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.profile(profile).is_some())
}

/// Why a name does not identify one model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindModelError {
    #[error("{0} does not support MIG, so it cannot be partitioned")]
    WithoutMig(&'static str),
    /// The name, and the models that it can mean.
    #[error("`{0}` can be {1}; name one of them")]
    Ambiguous(String, String),
    /// The name, and all known models.
    #[error("`{0}` is not a known MIG-capable product; known products are {1}")]
    Unknown(String, String),
}

/// Finds a model by the name that people or node labels use: `A100-80GB`, `a100-80`,
/// `NVIDIA-A100-SXM4-80GB`, `RTX PRO 6000`.
pub fn find(name: &str) -> Result<&'static Model, FindModelError> {
    let dashed = name.trim().replace([' ', '_'], "-");
    let product = Product::from(dashed.as_str());
    let words: Vec<String> = dashed.split('-').map(str::to_ascii_uppercase).collect();
    let matching: Vec<&'static Model> = models_matching(&product).collect();
    // The memory in the name tells siblings apart if one of them has that much. It need not be the
    // GPU's: `GH200-480GB` counts the memory of the CPU.
    let names_memory_of = |model: &Model| {
        let memory = model.name.rsplit('-').next().unwrap_or_default();
        words.iter().any(|word| {
            word == memory || Some(word.as_str()) == memory.strip_suffix("GB") || word == "NVL" && memory == "94GB"
        })
    };
    let exact: Vec<&'static Model> = matching
        .iter()
        .copied()
        .filter(|model| names_memory_of(model))
        .collect();
    match (exact.as_slice(), matching.as_slice()) {
        ([one], _) | (_, [one]) => Ok(one),
        (_, []) => {
            let without_mig = WITHOUT_MIG
                .iter()
                .find(|word| ProductPattern::parse(word).is_ok_and(|pattern| pattern.matches(&product)));
            Err(match without_mig {
                Some(word) => FindModelError::WithoutMig(word),
                None => FindModelError::Unknown(name.to_owned(), joined_names(MODELS.iter())),
            })
        }
        (_, several) => Err(FindModelError::Ambiguous(
            name.to_owned(),
            joined_names(several.iter().copied()),
        )),
    }
}

/// Model names for a message: `A100-40GB, A100-80GB`.
pub fn joined_names<'m>(models: impl Iterator<Item = &'m Model>) -> String {
    models.map(|model| model.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_of_uses_memory_to_tell_models_of_one_name_apart() {
        for (product, memory, model) in [
            ("NVIDIA-A100-SXM4-40GB", Some(40960), Some("A100-40GB")),
            ("NVIDIA-A100-SXM4-80GB", Some(81920), Some("A100-80GB")),
            ("NVIDIA-H100-NVL", Some(95830), Some("H100-94GB")),
            ("NVIDIA-H100-80GB-HBM3", Some(81559), Some("H100-80GB")),
            ("NVIDIA-GH200-480GB", Some(97871), Some("GH200-96GB")),
            ("NVIDIA-H200", Some(143_771), Some("H200-141GB")),
            ("NVIDIA-A30", None, Some("A30-24GB")),
            ("Tesla-T4", Some(15360), None),
        ] {
            let found = model_of(&product.into(), memory.map(MiB));
            assert_eq!(found.map(|model| model.name), model, "{product}");
        }
    }

    #[test]
    fn find_accepts_names_from_people_and_from_labels() {
        for (name, model) in [
            ("A100-80GB", "A100-80GB"),
            ("a100-80", "A100-80GB"),
            ("A100 40GB", "A100-40GB"),
            ("NVIDIA-A100-SXM4-80GB", "A100-80GB"),
            ("NVIDIA-H100-80GB-HBM3", "H100-80GB"),
            ("NVIDIA-H100-NVL", "H100-94GB"),
            ("H200", "H200-141GB"),
            ("NVIDIA A30", "A30-24GB"),
            ("RTX PRO 6000", "RTX-PRO-6000-96GB"),
            ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "RTX-PRO-6000-96GB"),
        ] {
            assert_eq!(find(name).map(|model| model.name), Ok(model), "{name}");
        }
        for model in MODELS {
            assert_eq!(find(model.name).map(|found| found.name), Ok(model.name));
        }
    }

    #[test]
    fn find_errors_list_the_models_to_choose_from() {
        for (name, words) in [
            ("A100", "`A100` can be A100-40GB, A100-80GB; name one of them"),
            ("NVIDIA-GH200-480GB", "can be GH200-96GB, GH200-144GB"),
            ("Tesla-T4", "T4 does not support MIG"),
            (
                "A1000",
                "is not a known MIG-capable product; known products are A30-24GB, A100-40GB",
            ),
        ] {
            assert!(find(name).unwrap_err().to_string().contains(words), "{name}");
        }
    }
}

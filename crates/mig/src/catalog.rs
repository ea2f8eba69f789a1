//! A model by the name that somebody typed, or that a node's label has.

use super::geometry::{MODELS, Model, models_named_by};
use super::product::{Product, ProductPattern, WITHOUT_MIG};

/// A name that stands for no model, or for several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAModel {
    /// A GPU without MIG.
    #[error("{0} can not be partitioned: it has no MIG")]
    WithoutMig(&'static str),
    /// Several, told apart by memory.
    #[error("`{0}` can be {1}; say which")]
    Several(String, String),
    /// None that is known here.
    #[error("`{0}` is not a MIG-capable product known here; those are {1}")]
    Unknown(String, String),
}

/// The model of a name: `A100-80GB`, `a100-80`, `NVIDIA-A100-SXM4-80GB`, `RTX PRO 6000`.
pub fn find(name: &str) -> Result<&'static Model, NotAModel> {
    let dashed = name.trim().replace([' ', '_'], "-");
    let product = Product::from(dashed.as_str());
    let words: Vec<String> = dashed.split('-').map(str::to_ascii_uppercase).collect();
    let named: Vec<&'static Model> = models_named_by(&product).collect();
    // The memory in the name tells siblings apart, where it is one that they have: GH200-480GB counts the memory of the CPU.
    let says = |model: &Model| {
        let memory = model.name.rsplit('-').next().unwrap_or_default();
        words.iter().any(|word| {
            word == memory || Some(word.as_str()) == memory.strip_suffix("GB") || word == "NVL" && memory == "94GB"
        })
    };
    let exact: Vec<&'static Model> = named.iter().copied().filter(|model| says(model)).collect();
    match (exact.as_slice(), named.as_slice()) {
        ([one], _) | (_, [one]) => Ok(one),
        (_, []) => {
            let without = WITHOUT_MIG
                .iter()
                .find(|word| ProductPattern::parse(word).is_ok_and(|word| word.matches(&product)));
            Err(match without {
                Some(word) => NotAModel::WithoutMig(word),
                None => NotAModel::Unknown(name.to_owned(), names(MODELS.iter())),
            })
        }
        (_, several) => Err(NotAModel::Several(name.to_owned(), names(several.iter().copied()))),
    }
}

/// The names of models, for people.
pub fn names<'m>(models: impl Iterator<Item = &'m Model>) -> String {
    models.map(|model| model.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_by_what_people_and_labels_call_them() {
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
    fn what_is_not_one_model_says_which_there_are() {
        for (name, words) in [
            ("A100", "`A100` can be A100-40GB, A100-80GB; say which"),
            ("NVIDIA-GH200-480GB", "can be GH200-96GB, GH200-144GB"),
            ("Tesla-T4", "T4 can not be partitioned: it has no MIG"),
            (
                "A1000",
                "is not a MIG-capable product known here; those are A30-24GB, A100-40GB",
            ),
        ] {
            assert!(find(name).unwrap_err().to_string().contains(words), "{name}");
        }
    }
}

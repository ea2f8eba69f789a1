//! Taints of nodes and tolerations of pods.

use std::fmt;

use serde::Deserialize;

use super::text::Text;

/// A `v1.Taint`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Taint<'a> {
    /// Its key.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// Its value.
    #[serde(default, borrow)]
    pub value: Option<Text<'a>>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(borrow)]
    pub effect: Text<'a>,
}

impl Taint<'_> {
    /// Whether the taint keeps a pod away that does not tolerate it. `PreferNoSchedule` does not.
    pub fn repels(&self) -> bool {
        matches!(&*self.effect, "NoSchedule" | "NoExecute")
    }

    /// Whether the taint asks pods that do not tolerate it to go elsewhere, if they can.
    pub fn discourages(&self) -> bool {
        &*self.effect == "PreferNoSchedule"
    }

    /// A copy that owns its strings.
    pub fn into_owned(self) -> Taint<'static> {
        Taint {
            key: self.key.into_owned(),
            value: self.value.map(Text::into_owned),
            effect: self.effect.into_owned(),
        }
    }
}

/// As `kubectl taint` has it: `key=value:effect`.
impl fmt::Display for Taint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = self.value.as_deref().filter(|value| !value.is_empty()) {
            write!(f, "={value}")?;
        }
        write!(f, ":{}", self.effect)
    }
}

/// A `v1.Toleration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Toleration<'a> {
    #[serde(default, borrow)]
    key: Option<Text<'a>>,
    #[serde(default, borrow)]
    operator: Option<Text<'a>>,
    #[serde(default, borrow)]
    value: Option<Text<'a>>,
    #[serde(default, borrow)]
    effect: Option<Text<'a>>,
}

impl Toleration<'_> {
    /// A copy that owns its strings.
    pub fn into_owned(self) -> Toleration<'static> {
        Toleration {
            key: self.key.map(Text::into_owned),
            operator: self.operator.map(Text::into_owned),
            value: self.value.map(Text::into_owned),
            effect: self.effect.map(Text::into_owned),
        }
    }

    /// `v1.Toleration.ToleratesTaint` of k8s.io/api/core/v1: an empty key with `Exists` tolerates every taint, an empty effect
    /// every effect. (`Gt` and `Lt`, alpha in 1.35, are not known here and tolerate nothing.)
    pub fn tolerates(&self, taint: &Taint<'_>) -> bool {
        let or_empty = |text: &Option<Text<'_>>| text.as_deref().unwrap_or("").to_owned();
        let (key, effect) = (or_empty(&self.key), or_empty(&self.effect));
        if !effect.is_empty() && effect != *taint.effect || !key.is_empty() && key != *taint.key {
            return false;
        }
        match self.operator.as_deref().unwrap_or("Equal") {
            "Exists" => true,
            "" | "Equal" => !key.is_empty() && or_empty(&self.value) == or_empty(&taint.value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_follow_the_rules_of_kubernetes() {
        let taint: Taint<'_> = serde_json::from_str(r#"{"key":"gpu","value":"yes","effect":"NoSchedule"}"#).unwrap();
        for (toleration, tolerated) in [
            (r#"{"operator":"Exists"}"#, true),
            (r#"{"key":"gpu","operator":"Exists"}"#, true),
            (r#"{"key":"gpu","operator":"Exists","effect":"NoExecute"}"#, false),
            (r#"{"key":"gpu","value":"yes","effect":"NoSchedule"}"#, true),
            (r#"{"key":"gpu","operator":"Equal","value":"yes"}"#, true),
            (r#"{"key":"gpu","value":"no"}"#, false),
            (r#"{"key":"other","operator":"Exists"}"#, false),
            (r#"{"value":"yes"}"#, false),
            (r#"{"key":"gpu","operator":"Gt","value":"1"}"#, false),
        ] {
            let parsed: Toleration<'_> = serde_json::from_str(toleration).unwrap();
            assert_eq!(parsed.tolerates(&taint), tolerated, "{toleration}");
        }
    }

    #[test]
    fn only_hard_effects_repel() {
        for (effect, repels) in [("NoSchedule", true), ("NoExecute", true), ("PreferNoSchedule", false)] {
            assert_eq!(
                Taint {
                    key: "k".into(),
                    value: None,
                    effect: effect.into()
                }
                .repels(),
                repels
            );
        }
    }
}

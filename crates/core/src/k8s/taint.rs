//! Taints and tolerations.

use std::fmt;

use serde::Deserialize;

use super::text::Text;

/// A `v1.Taint`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Taint<'a> {
    #[serde(borrow)]
    pub key: Text<'a>,
    #[serde(default, borrow)]
    pub value: Option<Text<'a>>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(borrow)]
    pub effect: Text<'a>,
}

impl Taint<'_> {
    /// Whether the taint keeps away pods that do not tolerate it. `PreferNoSchedule` does not.
    pub fn repels(&self) -> bool {
        matches!(&*self.effect, "NoSchedule" | "NoExecute")
    }

    /// Whether the scheduler only tries to avoid the node for pods that do not tolerate the taint.
    pub fn is_soft(&self) -> bool {
        &*self.effect == "PreferNoSchedule"
    }

    pub fn into_owned(self) -> Taint<'static> {
        Taint {
            key: self.key.into_owned(),
            value: self.value.map(Text::into_owned),
            effect: self.effect.into_owned(),
        }
    }
}

/// As in `kubectl taint`: `key=value:effect`.
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
    pub fn into_owned(self) -> Toleration<'static> {
        Toleration {
            key: self.key.map(Text::into_owned),
            operator: self.operator.map(Text::into_owned),
            value: self.value.map(Text::into_owned),
            effect: self.effect.map(Text::into_owned),
        }
    }

    /// Follows `v1.Toleration.ToleratesTaint` in k8s.io/api/core/v1: `Exists` without a key
    /// tolerates every taint, and an empty effect matches every effect. `Gt` and `Lt`, alpha in
    /// Kubernetes 1.35, are not supported and tolerate nothing.
    pub fn tolerates(&self, taint: &Taint<'_>) -> bool {
        let (key, effect) = (or_empty(self.key.as_ref()), or_empty(self.effect.as_ref()));
        if !effect.is_empty() && *effect != *taint.effect || !key.is_empty() && *key != *taint.key {
            return false;
        }
        match self.operator.as_deref().unwrap_or("Equal") {
            "Exists" => true,
            "" | "Equal" => !key.is_empty() && or_empty(self.value.as_ref()) == or_empty(taint.value.as_ref()),
            _ => false,
        }
    }
}

fn or_empty<'t>(text: Option<&'t Text<'_>>) -> &'t str {
    text.map_or("", |text| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_match_like_in_kubernetes() {
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
    fn only_no_schedule_and_no_execute_repel() {
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
